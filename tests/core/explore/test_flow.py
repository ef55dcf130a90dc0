"""What is said of steps - what they read, what is dead before them - is what the step function does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.explore.plain_search import State, plain_search

from shootdown._compilation.running import runnable
from shootdown._explore.engine import Explorer
from shootdown._explore.flow import QUEUED, THINGS, flow_of, reads_and_writes, successors
from shootdown._explore.footprint import ANY, TOUCHES_NOTHING, touches
from shootdown._explore.outcome import Reductions
from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._machine.code import Code
from shootdown._machine.label import Label
from shootdown._machine.layout import G_TABLES, GATHER_CELLS, GATHER_PARTS, T_GATHER, T_PC, T_REG, TASK_CELLS
from shootdown._machine.step import step
from shootdown._machine.steps.cells import Of
from shootdown._machine.steps.row import Kind
from shootdown._machine.steps.table import ROWS
from shootdown._questions.explore import explorations

REGISTERS = st.integers(0, o.REGISTERS - 1)
EVERYTHING = THINGS
ROW = {row.number: row for row in ROWS}


@st.composite
def programs(draw: st.DrawFn) -> Code:
    """Draw a program of steps that read and write registers and gathers, with jumps anywhere."""
    n = draw(st.integers(1, 14))
    asm = Assembler()
    labels = [Label() for _ in range(n + 1)]
    for number in range(n):
        asm.place(labels[number])
        to = labels[draw(st.integers(0, n))]
        r, q, g = draw(REGISTERS), draw(REGISTERS), draw(st.integers(0, 2))
        asm.emit(*draw(st.sampled_from([
            (o.SET, r, 1), (o.COPY, r, q), (o.ADD, r, 1), (o.JUMP, to), (o.JUMP_ZERO, r, to),
            (o.JUMP_SAME, r, q, to), (o.JUMP_NO_BITS, r, 1, to), (o.V_LOAD, r, 0), (o.V_STORE, 0, r, 1),
            (o.V_LOAD, r, 0, q + 1), (o.V_STORE, 0, r, 1, q + 1), (o.V_ADD, 0, 1, r, q + 1),
            (o.V_STORE, 0, 1, 0, q + 1), (o.V_XCHG, 0, r, q, 1),
            (o.V_XCHG, 0, 5, q), (o.V_ADD, 0, 1, r), (o.V_CAS, 0, r, q, to), (o.CHOICE, to),
            (o.GATHER, g, 0), (o.GATHER_PAGES, 0, 1, 4), (o.GATHER_PART, 0, 0, 1, 0),
            (o.REQUEST, 2, 0), (o.SET_FLAGS, g, 1), (o.JUMP_FLAGS, g, 1, to), (o.COPY_RANGE, g, 0), (o.LOAD_PUD, r),
            (o.UNLOCK_WRITE, 0, 2), (o.HALT,), (o.FAIL, 0), (o.NEXT, r, 3, to),
        ])))  # fmt: skip
    asm.place(labels[n])
    asm.halt(text="")
    return asm.finish()


def _step(code: Code, pc: int) -> tuple[int, ...]:
    return tuple(int(cell) for cell in code.steps[pc * 5 : pc * 5 + 5])


def _is_read_later(code: Code, pc: int, what: int, seen: set[int]) -> bool:
    """Follow every path until something is read or overwritten."""
    if pc in seen:
        return False
    seen.add(pc)
    reads, writes = reads_and_writes(_step(code, pc))
    if reads >> what & 1:
        return True
    if writes >> what & 1:
        return False
    return any(_is_read_later(code, then, what, seen) for then in successors(_step(code, pc), pc))


@given(programs())
def test_what_is_dead_is_what_no_path_reads_before_it_is_overwritten(code: Code) -> None:
    dead = flow_of(code, [0] * len(code.cost)).dead
    for pc in range(len(code.cost)):
        for what in range(EVERYTHING):
            assert bool(dead[pc] >> what & 1) != _is_read_later(code, pc, what, set())


CELLS = (
    ("break-before-make", "arm64", "neoverse-v2", ()),
    ("contpte-partial", "arm64", "neoverse-v2", ("scenario.fix=false", "memory_model=sc")),
    ("hash-pte-reuse", "powerpc", "power9-hash", ("memory_model=sc",)),
    ("delayed-rmap", "powerpc", "power9", ()),
    ("unshare-gup", "x86", "intel-server", ("kernel.unshare_sync=none",)),
    ("unshare-gup", "x86", "hyper-v-guest", ()),
)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_step_does_the_same_whatever_is_in_a_register_that_it_is_said_not_to_read(cell: tuple) -> None:
    """Tried on every reachable state; what a step is said to overwrite is the same afterwards too."""
    name, arch, platform, settings = cell
    (case,) = explorations(name, arch=[arch], platforms=[platform], kernels=["7.0"], settings=settings)
    explorer = Explorer(case.program.build(case.setup()), Reductions(symmetry=False))
    explorer.search()
    machine = explorer.problem.machine
    steps, tasks = machine.code.steps.reshape(-1, 5), machine.layout.tasks
    tried: set[tuple[int, int]] = set()

    def look(state: State) -> None:
        for task in range(tasks):
            t = machine.layout.o_task + task * TASK_CELLS
            pc = int(state[t + T_PC])
            if (task, pc) in tried and pc % 5:
                continue
            tried.add((task, pc))
            reads, writes = reads_and_writes(steps[pc])
            whole = state.copy()
            said = runnable(step)(whole, machine.code.steps, machine.code.lists, machine.layout, task)
            if said & 7 != o.DONE:
                continue
            for what in range(EVERYTHING):
                if reads >> what & 1:
                    continue
                cells = _cells(t, what)
                other = state.copy()
                other[cells] ^= 5
                assert (
                    runnable(step)(other, machine.code.steps, machine.code.lists, machine.layout, task)
                    == said
                )
                if not writes >> what & 1:
                    other[cells] ^= _left_alone(steps[pc], what) * np.uint32(5)
                assert np.array_equal(other, whole), (int(steps[pc][0]), what)

    plain_search(explorer, look)
    assert len(tried) > 8


def _cells(task: int, what: int) -> slice:
    if what < o.REGISTERS:
        return slice(task + T_REG + what, task + T_REG + what + 1)
    if what == QUEUED:
        return slice(task + T_GATHER + 2 * GATHER_CELLS + G_TABLES, task + T_GATHER + 3 * GATHER_CELLS)
    first = task + T_GATHER + (what - o.REGISTERS) * GATHER_CELLS
    return slice(first, first + (GATHER_CELLS if what < QUEUED - 1 else G_TABLES))


def _left_alone(made: State, what: int) -> State:
    """Return 1 for each cell of something that a step does not overwrite whole, and 0 for each that it overwrites.

    GATHER_END overwrites two cells of its gather, and reads none.
    """
    row = ROW[int(made[0])]
    g = what - o.REGISTERS
    if not 0 <= g < o.GATHERS or not row.first(Kind.GATHER) or int(made[row.first(Kind.GATHER)]) != g:
        return np.ones(1, np.uint32)
    sure = {cell.part for cell in row.writes if cell.of is Of.GIVEN and cell.when is None and not cell.maybe}
    return np.array(
        [part not in sure for part in GATHER_PARTS[: GATHER_CELLS if what < QUEUED - 1 else G_TABLES]],
        np.uint32,
    )


@pytest.mark.parametrize("op", sorted(TOUCHES_NOTHING))
def test_steps_that_are_not_asked_what_they_touch_touch_nothing(op: int) -> None:
    for operands in ((0, 0, 0, 0), (1, 1, 1, 1), (1, -1, 2, 3)):
        for on in (ANY, 0):
            assert not list(touches((op, *operands), on, 0, 1))
