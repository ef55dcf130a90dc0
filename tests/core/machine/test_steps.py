"""The table of steps says what the step functions do: which cells they read and write, and what of it others share."""

from __future__ import annotations

import functools
import inspect
import random
import re
from collections.abc import Iterator
from types import ModuleType

import attrs
import numpy as np
import pytest
from tests.core.machine.recorded import (
    LISTS,
    TASK,
    Recorded,
    machines,
    overwritten_of,
    random_state,
    random_step,
    read_of,
    written_of,
)

from shootdown._machine import ops as o
from shootdown._machine.layout import CPU_CALL_MM, CPU_CELLS, T_CPU, TASK_CELLS, Layout
from shootdown._machine.step import step as take_step
from shootdown._machine.steps.cells import Of
from shootdown._machine.steps.row import Row
from shootdown._machine.steps.table import ROWS, STEPS

RUNS = 180


#: What others can touch of the state, as exploration tells it apart, by the part of the state; all other parts are
#: the task's own, or never change.
SHARED_PARTS = {
    "mm": "users", "pud": "pud", "share": "share", "state": "state", "writer": "lock", "readers": "lock",
    "variable": "variable", "leaf": "tlb", "walk": "tlb", "stale_leaf": "tlb", "stale_walk": "tlb", "tlb": "tlb",
    "generation": "generation", "behind": "generation", "far_behind": "generation", "pending": "pending",
    "mask": "mask", "loaded": "loaded", "lazy": "lazy", "trim": "trim", "preempted": "preempted",
    "flush_on_entry": "preempted", "irq_off": "irq", "walking": "irq", "global": "global", "consider": "global",
    "call": "call", "call_mm": "call", "call_gen": "call", "call_strides": "call", "targets": "call",
    "call_lo": "call", "call_hi": "call", "call_how": "call",
    "event": "event", "loaded_mm": "loaded", "user": "user", "entry": "entry", "frame": "frame", "held": "tlb",
    "links": "tlb", "task": "users",
}  # fmt: skip
#: Parts that only the task itself, or steps on its CPU, can tell of.
OWN_PARTS = {
    "register",
    "lo",
    "hi",
    "flags",
    "cleared",
    "tables",
    "on",
    "home",
    "asid",
    "next_asid",
    "store",
    "online",
    "owner",
    "span",
    "atom",
}


@attrs.frozen
class Taken:
    """One step, taken in a random state.

    Args:
        step: operation and operands.
        layout: of the machine.
        state: what was read and written.
        why: what the step function said.
    """

    step: list[int]
    layout: Layout
    state: Recorded
    why: int


@functools.cache
def runs_of(op: int) -> tuple[Taken, ...]:
    """Take a step with random operands in random states, on machines of all kinds."""
    return tuple(_take(STEPS[op]))


def _take(row: Row) -> Iterator[Taken]:
    layouts = machines()
    rng = random.Random(row.number)
    for run in range(RUNS):
        layout = layouts[run % len(layouts)]
        state = random_state(layout, rng)
        step = random_step(row, layout, rng)
        if row.name == "SEND" and rng.random() < 0.5:  # nothing has said yet which mm the call concerns
            cpu = state[layout.o_task + TASK * TASK_CELLS + T_CPU]
            state[layout.o_cpu + cpu * CPU_CELLS + CPU_CALL_MM] = 0
        recorded = Recorded(state)
        program = np.array([*step, *(o.HALT, 0, 0, 0, 0) * 4], np.int64)
        with np.errstate(over="ignore"):
            said = int(take_step(recorded, program, np.array(LISTS, np.int64), layout, TASK))  # type: ignore[arg-type]
        yield Taken(step, layout, recorded, said & 7)


def undeclared(row: Row, taken: Taken) -> list[str]:
    """List what a step touched, or changed, that its row does not declare."""
    before = taken.state.before
    readable = read_of(row, taken.step, taken.layout, before)
    writable = written_of(row, taken.step, taken.layout, before)
    wrong = [f"reads {name_of(taken.layout, at)}" for at in taken.state.reads - readable.keys()]
    for at in taken.state.writes:
        if at not in writable:
            wrong.append(f"writes {name_of(taken.layout, at)}")
        elif (before[at] ^ taken.state.cells[at]) & ~writable[at][1]:
            wrong.append(f"changes another CPU's bit in {name_of(taken.layout, at)}")
    return wrong


def name_of(layout: Layout, at: int) -> str:
    """Name the part of the layout that a cell lies in."""
    starts = {
        name: start for name, start in layout._asdict().items() if name.startswith("o_") and start <= at
    }
    part = max(starts, key=lambda name: (starts[name], name))
    return f"{part} + {at - starts[part]}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_step_touches_no_cell_that_its_row_does_not_declare(row: Row) -> None:
    for taken in runs_of(row.number):
        assert undeclared(row, taken) == [], (taken.step, taken.layout)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_cell_that_a_row_declares_is_touched_in_some_state(row: Row) -> None:
    touched: set[tuple[str, object]] = set()
    for taken in runs_of(row.number):
        before = taken.state.before
        readable = read_of(row, taken.step, taken.layout, before)
        writable = written_of(row, taken.step, taken.layout, before)
        touched |= {("reads", readable[at]) for at in taken.state.reads if at in readable}
        touched |= {("writes", writable[at][0]) for at in taken.state.writes if at in writable}
    declared: set[tuple[str, object]] = {("reads", cell) for cell in row.reads} | {
        ("writes", cell) for cell in row.writes
    }
    assert declared <= touched


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_step_writes_all_that_its_row_says_it_overwrites_and_nothing_if_it_is_not_taken(row: Row) -> None:
    for taken in runs_of(row.number):
        if taken.why == o.DONE:
            missing = overwritten_of(row, taken.step, taken.layout, taken.state.before) - taken.state.writes
            assert not missing, [name_of(taken.layout, at) for at in missing]
        else:
            assert not taken.state.writes


@pytest.mark.parametrize("missing", ["reads", "writes"])
def test_a_row_that_leaves_a_cell_out_is_found_out(missing: str) -> None:
    row = STEPS[o.UNSHARE]
    cells = tuple(cell for cell in getattr(row, missing) if cell.part != "share")
    assert len(cells) < len(getattr(row, missing))
    broken = attrs.evolve(row, **{missing: cells})
    assert any("o_share" in text for taken in runs_of(row.number) for text in undeclared(broken, taken))


def test_a_row_that_says_own_bit_of_a_step_that_changes_others_is_found_out() -> None:
    row = STEPS[o.TARGET_RUNNING]
    broken = attrs.evolve(row, writes=tuple(c.own if c.part == "flush_on_entry" else c for c in row.writes))
    assert any(
        "another CPU" in text or "writes" in text
        for taken in runs_of(row.number)
        for text in undeclared(broken, taken)
    )


def test_every_part_of_the_state_is_shared_in_some_way_or_a_task_s_own() -> None:
    parts = {cell.part for row in ROWS for cell in row.reads + row.writes}
    assert parts == set(SHARED_PARTS) | OWN_PARTS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_a_step_touches_that_others_share_is_told_to_exploration(row: Row) -> None:
    """Its own request is only told of where another step on that CPU could meet it (`call`)."""
    told = {
        (one.what, writes) for one in row.touches for writes in ((False, True) if one.writes else (False,))
    }
    for cells, writes in ((row.reads, False), (row.writes, True)):
        for cell in cells:
            if cell.part in OWN_PARTS or (cell.part == "mm" and cell.of is Of.TASK and not writes):
                continue
            what = SHARED_PARTS[cell.part]
            if what in ("call", "event"):
                continue
            assert (what, writes) in told, cell


@pytest.mark.parametrize("row", [row for row in ROWS if row.local], ids=lambda row: row.name)
def test_a_local_step_touches_only_its_task_s_registers_and_gathers_and_its_cpu_s_own_request(
    row: Row,
) -> None:
    parts = {cell.part for cell in row.reads + row.writes}
    request = {part for part, what in SHARED_PARTS.items() if what == "call"}
    assert parts <= OWN_PARTS - {"home", "store"} | request
    assert {one.what for one in row.touches} <= {"call"}
    assert not any((row.decides, row.awaits, row.enables, row.switches))


def test_operands_lie_in_the_four_numbers_of_a_step() -> None:
    for row in ROWS:
        assert all(1 <= place <= 4 for place, _ in row.placed()), row.name
        names = [operand.name for operand in row.operands if not operand.unused]
        assert len(names) == len(set(names)), row.name


def test_each_operation_has_a_row_and_a_number_of_its_own() -> None:
    operations = operations_of(o)
    assert {row.name for row in ROWS} == set(operations)
    assert len(set(operations.values())) == len(operations) == len(STEPS)


def operations_of(module: ModuleType) -> dict[str, int]:
    """List the operations, by the headings that they stand between."""
    text = inspect.getsource(module)
    steps = text[text.index("# === operations") : text.index("# === what operands hold")]
    return {name: getattr(module, name) for name in re.findall(r"^([A-Z_0-9]+) = ", steps, re.MULTILINE)}
