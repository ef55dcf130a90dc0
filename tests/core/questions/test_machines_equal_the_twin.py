"""Random questions have the same answers from the engines and from an independent machine in plain Python.

The twin (`tests/twins/machine`) has its own picture of a machine and its own steps, clocks and search.

* Of a run all counts, windows, instructions, interrupts by CPU, clocks and the last state are equal.
* Of a search without reductions verdict, depth, states and transitions are equal; with them, the verdict.
* Where the twin would search too long, random moves are made in both, and each state on the way is equal.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.twins.machine.cases import compare_many, compare_search
from tests.twins.machine.mutants import MUTANTS, first_difference
from tests.twins.machine.steps import STEPS

from shootdown._explore.engine import Explorer
from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._machine.steps.table import ROWS
from shootdown._mm.model import Model
from shootdown._questions.explore import explorations

ROOT = Path(__file__).parents[3]
TWIN = ROOT / "tests" / "twins" / "machine"
#: What sets core and the twin side by side knows both; everything else is the twin.
COMPARING = ("__main__", "cases", "mutants", "programs", "reader")
MODEL = [path for path in sorted(TWIN.rglob("*.py")) if path.stem not in COMPARING]
TRIES = 8


@pytest.mark.parametrize("first", range(0, 200, 25))
def test_questions_have_the_same_answers(first: int) -> None:
    tally = compare_many(range(first, first + 25))
    assert tally.found == []
    assert tally.runs + tally.searches + tally.walks == 25


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, 10_000, 500))
def test_ten_thousand_questions_have_the_same_answers(first: int) -> None:
    assert compare_many(range(first, first + 500), seed=2).found == []


def test_the_twin_has_each_step_of_the_table_and_no_other() -> None:
    assert set(STEPS) == {row.name for row in ROWS}


@pytest.mark.parametrize("file", MODEL, ids=lambda file: file.stem)
def test_the_twins_machine_imports_nothing_of_shootdown(file: Path) -> None:
    tree = ast.parse(file.read_text())
    froms = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert not any(name.startswith("shootdown") for name in froms | names)
    ours = {name for name in froms | names if name.startswith("tests")}
    assert not any(name.rpartition(".")[2] in COMPARING for name in ours)


@pytest.mark.parametrize(("told", "verdict"), [(True, "safe"), (False, "livelock")])
def test_a_loop_that_nothing_ends_is_a_livelock_for_both(told: bool, verdict: str) -> None:
    (case,) = explorations("unshare-gup", arch=["x86"], platforms=["intel-server"], kernels=["7.0"])
    scene = case.setup()
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=1)
    flag, again = model.variable(0), model.label()
    model.starts(model.task(mm=None, cpu=0, ready=True))
    model.asm.place(again)
    model.asm.v_load(o.SCRATCH, flag)
    model.asm.jump_zero(o.SCRATCH, again)
    model.spin()
    model.starts(model.task(mm=None, cpu=1, ready=True))
    model.asm.v_store(flag, int(told))
    model.spin()
    problem = Problem(machine=model.build(bits=16), invariants=("walk-cache",))
    assert compare_search(problem, 100) == ([], True)
    assert Explorer(problem).search().verdict == verdict


@pytest.mark.parametrize("name", MUTANTS)
def test_the_twin_notices_that(name: str) -> None:
    done = subprocess.run(
        (sys.executable, "-m", "tests.twins.machine.mutants", name, str(TRIES)),
        cwd=ROOT,
        env={**os.environ, "SHOOTDOWN_COMPILE": "never"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout, "core and twin agree although core has a mistake"


def test_without_a_mistake_the_same_questions_have_the_same_answers() -> None:
    for mutant in {repr(mutant[3:]): mutant for mutant in MUTANTS.values()}.values():
        assert first_difference(mutant, 2) == ""
