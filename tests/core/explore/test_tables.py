"""Of all states that differ in where records are, and in the numbers of their owners, one stands for all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shootdown._compilation.running import runnable
from shootdown._explore.alike import Table
from shootdown._explore.engine import Explorer
from shootdown._explore.problem import Problem
from shootdown._explore.renaming import canonical, room_for_keys, sort_rows
from shootdown._machine import ops as o
from shootdown._machine.layout import K_WRITER, LOCK_CELLS
from shootdown._mm.model import Model
from shootdown._questions.explore import explorations

ROWS, COLUMNS, OWNER = 6, 3, 1
#: What an owner has: its records, in order, each of two numbers.
OWNERS = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=3), max_size=4
).filter(lambda owners: sum(map(len, owners)) <= ROWS)


def _table(draw: st.DrawFn, owners: list[list[tuple[int, int]]]) -> list[int]:
    """Put the records in any rows, in the order that they have, under any numbers."""
    numbers = draw(st.permutations(range(1, ROWS + 1)))
    whose = draw(st.permutations([n for n, records in enumerate(owners) for _ in records]))
    rows = draw(st.permutations([True] * len(whose) + [False] * (ROWS - len(whose))))
    rest = [list(records) for records in owners]
    cells: list[int] = []
    owner = iter(whose)
    for full in rows:
        if full:
            n = next(owner)
            first, last = rest[n].pop(0)
            cells += [first, numbers[n], last]
        else:
            cells += [0] * COLUMNS
    return cells


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[list[tuple[int, int]]], list[int], list[int]]:
    """Draw owners with their records, and two tables that hold them."""
    owners = draw(OWNERS)
    return owners, _table(draw, owners), _table(draw, owners)


def _sorted(cells: list[int]) -> list[int]:
    state = np.array([7, *cells, 7], np.uint32)
    runnable(sort_rows)(state, 1, ROWS, COLUMNS, OWNER)
    assert state[0] == state[-1] == 7
    return [int(cell) for cell in state[1:-1]]


def _records(cells: list[int]) -> list[list[tuple[int, int]]]:
    """Read each owner's records, in the order of the owners' numbers."""
    found: dict[int, list[tuple[int, int]]] = {}
    for row in range(ROWS):
        first, owner, last = cells[row * COLUMNS : (row + 1) * COLUMNS]
        if owner:
            found.setdefault(owner, []).append((first, last))
    return [found[owner] for owner in sorted(found)]


@given(tables())
def test_a_table_is_sorted_to_the_same_wherever_its_records_are(drawn) -> None:  # type: ignore[no-untyped-def]
    _, one, other = drawn
    assert _sorted(one) == _sorted(other)
    assert _sorted(_sorted(one)) == _sorted(one)


@given(tables())
def test_the_records_of_an_owner_stay_together_and_in_order(drawn) -> None:  # type: ignore[no-untyped-def]
    owners, one, _ = drawn
    cells = _sorted(one)
    assert _records(cells) == sorted(owners, reverse=True)
    column = cells[OWNER::COLUMNS]
    used = column[: sum(map(len, owners))]
    assert used == sorted(used)
    assert set(used) == set(range(1, len(owners) + 1))
    assert not any(cells[len(used) * COLUMNS :])


def _model(cpus: int = 1) -> Model:
    (case,) = explorations("unshare-gup", arch=["x86"], platforms=["intel-server"], kernels=["7.0"])
    scene = case.setup()
    return Model(scene.kernel, scene.lowering, cpus=cpus, mms=1)


def test_nothing_is_sorted_while_somebody_holds_the_lock_of_the_table() -> None:
    model = _model()
    rows = [model.variable(value) for value in (1, 1, 2, 2)]
    model.starts(model.task(mm=None, cpu=0, ready=True))
    model.spin()
    lock = model.locks.mmap
    explorer = Explorer(
        Problem(model.build(bits=16), ("walk-cache",), tables=(Table(rows[0], 2, 2, 0, lock),))
    )
    layout, sym = explorer.problem.machine.layout, explorer.symmetry
    for held in (1, 0):
        state = explorer.first.copy()
        state[layout.o_lock + lock * LOCK_CELLS + K_WRITER] = held
        runnable(canonical)(state, state.copy(), np.zeros(room_for_keys(sym), np.uint64), sym)
        found = [int(cell) for cell in state[layout.o_variable : layout.o_variable + 4]]
        assert found == ([1, 1, 2, 2] if held else [1, 2, 2, 1])


@pytest.mark.parametrize("memory", [o.SC, o.TSO, o.WEAK])
def test_a_register_counts_on_from_the_first_variable_of_an_array(memory: int) -> None:
    model = _model()
    array = [model.variable(value) for value in (5, 6, 7)]
    asm = model.asm
    model.starts(model.task(mm=None, cpu=0, ready=True))
    asm.set(o.INDEX, 2)
    asm.v_load(o.SCRATCH, array[0], index=o.INDEX)
    with_seven = model.label()
    asm.jump_equal(o.SCRATCH, 7, with_seven)
    asm.fail(0, text="it read another")
    asm.place(with_seven)
    asm.v_add(array[0], 3, o.SCRATCH2, index=o.INDEX)  # 10
    asm.set(o.INDEX, 1)
    asm.v_store(array[0], o.SCRATCH2, from_register=True, index=o.INDEX)
    asm.fence()
    for variable, value in zip(array, (5, 10, 10), strict=True):
        right = model.label()
        asm.v_load(o.SCRATCH, variable)
        asm.jump_equal(o.SCRATCH, value, right)
        asm.fail(0, text="it wrote another")
        asm.place(right)
    asm.reached(0)
    model.spin()
    outcome = Explorer(Problem(model.build(bits=16, memory=memory), ("right",), places=("end",))).search()
    assert (outcome.verdict, outcome.reached) == ("safe", {"end"})


@pytest.mark.parametrize("memory", [o.SC, o.TSO])
def test_steps_on_an_array_are_seen_by_who_works_with_any_of_its_variables(memory: int) -> None:
    """Between a load and a store of one CPU comes the store of another: the sum can lose one."""
    model = _model(cpus=2)
    array = [model.variable(0) for _ in range(2)]
    done = model.variable(0)
    asm = model.asm
    for cpu in range(2):
        model.starts(model.task(mm=None, cpu=cpu, ready=True))
        index = o.INDEX if cpu else None
        where = array[0] if cpu else array[1]
        asm.set(o.INDEX, 1)
        asm.v_load(o.SCRATCH, where, index=index)
        asm.add(o.SCRATCH, 1)
        asm.v_store(where, o.SCRATCH, from_register=True, index=index)
        asm.v_add(done, 1, o.SCRATCH)
        over = model.label()
        asm.jump_equal(o.SCRATCH, 1, over)
        asm.v_load(o.SCRATCH, array[1])
        model.fail_if(o.SCRATCH, 1, 0, "one is lost")
        asm.place(over)
        model.spin()
    outcome = Explorer(Problem(model.build(bits=16, memory=memory), ("lost",))).search()
    assert outcome.verdict == "bug"
