"""Which cases have equal machines, and so find the same."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from shootdown._explore.problem import Problem
from shootdown._machine.machine import Machine
from shootdown._questions.building import built
from shootdown._questions.case import Case
from shootdown._questions.compare import cases
from shootdown._questions.equal import key_of, key_of_runs
from shootdown._questions.explore import explorations


def workload(kernel: str = "7.0", *settings: str, **given: Any) -> Case[Any]:
    parameters = {"children": 3, "gib": 2, **given}
    (case,) = cases(
        "fork-storm", arch=["x86"], kernels=[kernel], cpus=[3], parameters=parameters, settings=settings
    )
    return case


def scenario(kernel: str = "7.0", *settings: str, arch: str = "x86") -> Case[Any]:
    (case,) = explorations("unshare-gup", arch=[arch], kernels=[kernel], settings=settings)
    return case


def test_kernels_that_give_a_program_the_same_steps_have_one_key() -> None:
    assert key_of(workload("7.0")) == key_of(workload("7.0.2"))
    assert key_of(scenario("7.0")) == key_of(scenario("7.0.2"))


@pytest.mark.parametrize("make", [workload, scenario])
def test_another_kernel_or_what_if_that_changes_steps_has_another_key(make: Any) -> None:
    assert len({key_of(make(*asked)) for asked in (("7.0",), ("6.16",), ("6.15",))}) == 3


def test_what_only_timed_runs_see_is_part_of_their_key() -> None:
    keys = {
        key_of(case)
        for case in (
            workload(),
            workload(seed=2),
            workload("7.0", "platform.walk_entries=3"),
            workload("7.0", "platform.jitter=0"),
        )
    }
    assert len(keys) == 4


def test_names_and_notes_are_no_part_of_a_key() -> None:
    case = workload()
    machine = built(case, case.setup(), Machine)
    renamed = attrs.evolve(machine, names=("a", "b"), code=attrs.evolve(machine.code, notes=(), sites=()))
    assert key_of_runs(case, renamed) == key_of_runs(case, machine) == key_of(case)


def test_symmetries_and_agents_are_part_of_the_key_of_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    case = scenario()
    problem = built(case, case.setup(), Problem)
    keys = {key_of(case)}
    for change in (
        {"groups": ()},
        {"hypervisor": not problem.hypervisor},
        {"places": (*problem.places, "elsewhere")},
    ):
        program = attrs.evolve(
            case.program, build=lambda _, change=change: attrs.evolve(problem, **change), window=()
        )
        keys.add(key_of(attrs.evolve(case, program=program)))
    assert len(keys) == 1 + 3
