"""Gathers: the range that a gather collects, its levels and flags, and what it asks of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.machine.tiny import ELSEWHERE, Tiny

from shootdown._machine import ops as o
from shootdown._machine.gathers import stride_shift, strides_of
from shootdown._machine.layout import (
    G_CLEARED,
    G_FLAGS,
    G_HI,
    G_LO,
    G_TABLES,
    GATHER_CELLS,
    M_PENDING,
    T_GATHER,
    T_ON,
)

RANGES = st.tuples(st.integers(0, 500), st.integers(0, 500)).map(lambda ends: (min(ends), max(ends) + 1))


def collected(machine: Tiny, g: int = 0) -> tuple[int, int, int, int]:
    """Return the range of a gather, its flags and the levels at which entries were cleared."""
    cells = machine.gather(g)
    return int(cells[G_LO]), int(cells[G_HI]), int(cells[G_FLAGS]), int(cells[G_CLEARED])


def strides(machine: Tiny, g: int = 0) -> int:
    """Count the strides of a gather."""
    return int(machine.run(strides_of, machine.layout.o_task + T_GATHER + g * GATHER_CELLS))


def test_a_gather_begins_empty_and_is_pending_on_its_mm() -> None:
    machine = Tiny()
    machine.gather(1)[:] = 7
    assert machine.step(o.GATHER, 1, o.FULLMM).went_on
    assert machine.gather(1).tolist() == [0, 0, o.FULLMM, 0, 0]
    assert machine.mm(0)[M_PENDING] == 1


def test_the_mm_of_a_gather_is_the_one_that_kernel_work_concerns() -> None:
    machine = Tiny()
    machine.task()[T_ON] = 2
    machine.step(o.GATHER, 0, 0)
    assert (machine.mm(0)[M_PENDING], machine.mm(1)[M_PENDING]) == (0, 1)


def test_the_outermost_gather_begins_with_no_page_queued() -> None:
    machine = Tiny()
    machine.gather(2)[G_TABLES] = 3
    machine.step(o.GATHER, 1, 0)
    assert machine.gather(2)[G_TABLES] == 3
    machine.step(o.GATHER, 0, 0)
    assert machine.gather(2)[G_TABLES] == 0


def test_the_end_of_a_gather_takes_its_flags_and_tables_with_it() -> None:
    machine = Tiny()
    machine.step(o.GATHER, 0, o.FULLMM)
    machine.gather(0)[G_TABLES] = 2
    machine.step(o.GATHER_END, 0)
    assert machine.mm(0)[M_PENDING] == 0
    assert (machine.gather(0)[G_FLAGS], machine.gather(0)[G_TABLES]) == (0, 0)


@given(st.lists(RANGES, min_size=1, max_size=5))
def test_a_gathers_range_spans_all_ranges_that_were_added(ranges: list[tuple[int, int]]) -> None:
    machine = Tiny()
    for lo, hi in ranges:
        machine.step(o.GATHER_ADD, 0, lo, hi, 0)
    assert collected(machine)[:2] == (min(lo for lo, _ in ranges), max(hi for _, hi in ranges))


def test_what_a_range_is_added_with_is_kept_beside_what_was_there() -> None:
    machine = Tiny()
    machine.step(o.GATHER_ADD, 0, 4, 5, o.FREED_TABLES | o.CLEARED_PUDS << 16)
    machine.step(o.GATHER_ADD, 0, 2, 3, o.PMD_PAGES | o.CLEARED_PMDS << 16)
    flags = o.FREED_TABLES | o.PMD_PAGES | o.RANGE
    assert collected(machine) == (2, 5, flags, o.CLEARED_PMDS | o.CLEARED_PUDS)


def test_a_part_of_a_slot_is_counted_from_where_the_slot_begins() -> None:
    machine = Tiny()
    machine.registers()[o.SLOT] = 1
    machine.step(o.GATHER_SLOT, 0, 3, 6, o.CLEARED_PMDS << 16)
    slot = 512 * 512
    assert collected(machine) == (slot + 3, slot + 6, o.RANGE, o.CLEARED_PMDS)


def test_a_reset_forgets_range_and_freed_tables_and_keeps_the_rest() -> None:
    machine = Tiny()
    flags = o.FULLMM | o.FREED_TABLES | o.UNSHARED_TABLES | o.FULLY_UNSHARED | o.PMD_PAGES
    machine.step(o.GATHER_ADD, 0, 2, 9, flags | o.CLEARED_PMDS << 16)
    machine.step(o.GATHER_RESET, 0)
    assert collected(machine) == (0, 0, o.FULLMM | o.FULLY_UNSHARED | o.PMD_PAGES, 0)


def test_flags_are_set_and_cleared_one_by_one() -> None:
    machine = Tiny()
    machine.step(o.SET_FLAGS, 1, o.FREED_TABLES | o.FULLY_UNSHARED)
    machine.step(o.CLEAR_FLAGS, 1, o.FREED_TABLES)
    assert collected(machine, 1)[2] == o.FULLY_UNSHARED


@pytest.mark.parametrize(("flags", "jumps"), [(0, True), (o.RANGE, True), (o.FREED_TABLES, False)])
def test_jump_flags_goes_on_if_the_gather_has_one_of_the_flags(flags: int, jumps: bool) -> None:
    machine = Tiny()
    machine.gather(0)[G_FLAGS] = flags
    took = machine.step(o.JUMP_FLAGS, 0, o.FREED_TABLES | o.FULLMM, ELSEWHERE)
    assert (took.jumped, took.went_on) == (jumps, not jumps)


@pytest.mark.parametrize(
    ("cleared", "flags", "jumps"),
    [(0, 0, True), (o.CLEARED_PTES, 0, False), (0, o.FREED_TABLES, False), (0, o.RANGE, True)],
)
def test_jump_cleared_goes_on_if_an_entry_was_cleared_or_a_flag_is_set(
    cleared: int, flags: int, jumps: bool
) -> None:
    machine = Tiny()
    machine.gather(0)[G_CLEARED], machine.gather(0)[G_FLAGS] = cleared, flags
    assert machine.step(o.JUMP_CLEARED, 0, o.FREED_TABLES, ELSEWHERE).jumped == jumps


def test_a_batch_of_tables_goes_on_once_it_is_full() -> None:
    machine = Tiny()
    assert machine.step(o.GATHER_TABLES, 0, 2, 5, ELSEWHERE).jumped
    assert machine.step(o.GATHER_TABLES, 0, 2, 5, ELSEWHERE).jumped
    assert machine.step(o.GATHER_TABLES, 0, 2, 5, ELSEWHERE).went_on
    assert machine.gather(0)[G_TABLES] == 6 - 5


def test_queued_pages_say_in_scratch_whether_they_are_full() -> None:
    machine = Tiny()
    machine.step(o.GATHER_PAGES, 0, 3, 4)
    assert machine.registers()[o.SCRATCH] == 0
    machine.step(o.GATHER_PAGES, 0, 3, 4)
    assert machine.registers()[o.SCRATCH] == 1
    assert machine.gather(2)[G_TABLES] == 6 - 4


@given(
    queued=st.integers(0, 7), pages=st.integers(1, 8), apart=st.integers(512, 2000), first=st.integers(0, 4)
)
def test_the_part_queued_until_full_and_the_rest_are_all_the_pages(
    queued: int, pages: int, apart: int, first: int
) -> None:
    machine = Tiny()
    machine.gather(2)[G_TABLES] = queued
    machine.step(o.GATHER_PAGES, 0, pages, 8)
    full = bool(machine.registers()[o.SCRATCH])
    assert full == (queued + pages >= 8)
    fitted = 8 - queued if full else pages
    wanted = [first + i * apart for i in range(pages)]
    for op, starts in ((o.GATHER_PART, wanted[:fitted]), (o.GATHER_REST, wanted[fitted:])):
        machine.gather(0)[:] = 0
        machine.step(op, 0, first, pages | apart << 16, o.CLEARED_PMDS << 16)
        lo, hi, flags, _ = collected(machine)
        assert bool(flags & o.RANGE) == bool(starts)
        assert (lo, hi) == ((starts[0], starts[-1] + 512) if starts else (0, 0))


def test_a_gather_that_is_alone_flushes_its_own_range() -> None:
    machine = Tiny()
    machine.step(o.GATHER, 0, 0)
    assert machine.changes(lambda: machine.step(o.NESTED, 0)) == 0


def test_a_gather_that_another_one_overlaps_flushes_the_whole_mm() -> None:
    machine = Tiny()
    machine.mm(0)[M_PENDING] = 2
    machine.step(o.GATHER_ADD, 0, 2, 3, o.CLEARED_PTES << 16)
    machine.step(o.NESTED, 0)
    assert collected(machine)[2:] == (o.FULLMM | o.FREED_TABLES | o.RANGE, 0)


def test_a_flush_is_pending_while_a_gather_of_the_mm_is_not_finished() -> None:
    machine = Tiny()
    assert machine.step(o.JUMP_NOT_PENDING, 0, ELSEWHERE).jumped
    machine.step(o.GATHER, 0, 0, task=1)
    assert machine.step(o.JUMP_NOT_PENDING, 0, ELSEWHERE).went_on
    machine.step(o.GATHER_END, 0, task=1)
    assert machine.step(o.JUMP_NOT_PENDING, 0, ELSEWHERE).jumped


def test_a_request_that_needs_no_gather_says_its_range_itself() -> None:
    machine = Tiny()
    machine.gather(2)[:] = 9
    machine.step(o.REQUEST, 2, o.FREED_TABLES | o.CLEARED_PTES << 16, 5, 8)
    assert collected(machine, 2) == (5, 8, o.FREED_TABLES | o.RANGE, o.CLEARED_PTES)


def test_a_request_may_take_the_range_of_a_gather_and_levels_of_its_own() -> None:
    machine = Tiny()
    machine.step(o.GATHER_ADD, 0, 5, 8, o.FREED_TABLES | o.CLEARED_PUDS << 16)
    machine.step(o.COPY_RANGE, 0, o.CLEARED_PMDS << 16)
    assert collected(machine, 2) == (5, 8, o.RANGE, o.CLEARED_PMDS)
    assert collected(machine, 0)[2:] == (o.FREED_TABLES | o.RANGE, o.CLEARED_PUDS)


@pytest.mark.parametrize(
    ("cleared", "shift"),
    [
        (0, 0),
        (o.CLEARED_PTES | o.CLEARED_PUDS, 0),
        (o.CLEARED_PMDS | o.CLEARED_PUDS, 9),
        (o.CLEARED_PUDS | o.CLEARED_P4DS, 18),
        (o.CLEARED_P4DS, 27),
    ],
)
def test_a_stride_is_what_the_lowest_level_cleared_spans(cleared: int, shift: int) -> None:
    machine = Tiny()
    assert stride_shift(machine.layout, cleared) == shift


def test_strides_are_counted_in_what_was_cleared() -> None:
    machine = Tiny()
    machine.step(o.GATHER_ADD, 0, 0, 4 * 512, o.CLEARED_PMDS << 16)
    assert strides(machine) == 4
    machine.gather(0)[G_CLEARED] = o.CLEARED_PTES
    assert strides(machine) == 4 * 512
