"""What a flush drops, and what each call does to the CPUs that take it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.machine.tiny import Tiny

from shootdown._compilation.running import plain
from shootdown._machine import ops as o
from shootdown._machine.flushes import (
    catch_up,
    drop_range,
    drop_translations,
    leave_idle_mm,
    leave_lazy_mm,
    take,
    take_sync,
    takeable,
)
from shootdown._machine.layout import (
    CPU_CALL,
    CPU_CALL_GEN,
    CPU_CALL_HI,
    CPU_CALL_LO,
    CPU_CALL_MM,
    CPU_CALL_STRIDES,
    CPU_MM,
    M_GEN,
    MOST_PAGES,
)
from shootdown._machine.ranges import invalidates

EVERYBODY = (0, 1, 2, 3)


def mask(*cpus: int) -> int:
    """Write CPUs as bits of one word."""
    return sum(1 << cpu for cpu in cpus)


def listed(word: int) -> list[int]:
    """List the CPUs in one word."""
    return [cpu for cpu in range(16) if int(word) >> cpu & 1]


def calling(kind: int, scope: int = o.SCOPE_BOTH, *, strides: int = 0, **given: object) -> Tiny:
    """Let CPU 0 call CPUs 1 to 3 about mm 0, of which every CPU holds translations and is one generation behind."""
    machine = Tiny(**given)
    machine.put("leaf", *EVERYBODY, mm=0)
    machine.put("walk", *EVERYBODY, mm=0)
    machine.put("behind", *EVERYBODY, mm=0)
    machine.mm(0)[M_GEN] = 5
    sender = machine.cpu(0)
    sender[CPU_CALL] = kind | scope << o.SCOPE_SHIFT
    sender[CPU_CALL_MM], sender[CPU_CALL_GEN], sender[CPU_CALL_STRIDES] = 1, 5, strides
    machine.aim(1, 2, 3)
    return machine


def taken(machine: Tiny, *cpus: int) -> tuple[list[int], list[int], list[int]]:
    """Let CPUs take the call; return who flushed everything, who the range, who left the mm."""
    full, partial, left = machine.run(take, 0, 0, mask(*cpus))
    return listed(full), listed(partial), listed(left)


# --- what is dropped


@pytest.mark.parametrize(
    ("scope", "leaf", "walk"),
    [(o.SCOPE_LEAF, [1], [0, 1]), (o.SCOPE_WALK, [0, 1], [1]), (o.SCOPE_BOTH, [1], [1]), (0, [0, 1], [0, 1])],
)
def test_a_scope_says_whether_tlbs_or_walk_caches_drop_what_they_hold(
    scope: int, leaf: list[int], walk: list[int]
) -> None:
    machine = Tiny()
    for name in ("leaf", "stale_leaf", "walk", "stale_walk"):
        machine.put(name, 0, 1, mm=0)
    machine.run(drop_translations, 0, 0, mask(0), scope)
    assert machine.cpus("leaf", mm=0) == machine.cpus("stale_leaf", mm=0) == leaf
    assert machine.cpus("walk", mm=0) == machine.cpus("stale_walk", mm=0) == walk


def test_dropping_what_is_held_of_one_mm_keeps_what_is_held_of_another() -> None:
    machine = Tiny()
    machine.put("leaf", 0, mm=0)
    machine.put("leaf", 0, mm=1)
    machine.run(drop_translations, 0, 0, mask(0), o.SCOPE_BOTH)
    assert (machine.cpus("leaf", mm=0), machine.cpus("leaf", mm=1)) == ([], [0])


def test_copies_of_entries_that_stand_alone_are_dropped_with_the_tlb() -> None:
    machine = Tiny(entries=3)
    machine.owners[:] = (0, 0, 1)
    for cpu in (0, 1):
        machine.tlb(cpu)[:] = 7
    machine.run(drop_translations, 0, 0, mask(1), o.SCOPE_WALK)
    assert machine.tlb(1).tolist() == [7, 7, 7]
    machine.run(drop_translations, 0, 0, mask(1), o.SCOPE_LEAF)
    assert machine.tlb(1).tolist() == [0, 0, 7]
    assert machine.tlb(0).tolist() == [7, 7, 7]


def test_a_flush_spares_the_entries_that_its_range_does_not_hold() -> None:
    machine = Tiny(entries=3)
    for entry, pages in enumerate(((4, 5), (5, 6), (0, 512))):
        machine.span(entry)[:] = pages
    machine.tlb(1)[:] = 7
    machine.run(drop_range, 0, 0, mask(1), 3, 5, 0, o.SCOPE_LEAF)
    assert machine.tlb(1).tolist() == [0, 7, 0]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 4), st.integers(0, 60), st.integers(1, 20))
def test_a_flush_invalidates_what_maps_an_address_that_it_names(
    lo: int, pages: int, shift: int, first: int, span: int
) -> None:
    named = range(lo, lo + pages, 1 << shift)
    hit = any(address in range(first, first + span) for address in named)
    assert plain(invalidates)(lo, lo + pages, shift, first, first + span) == hit


@pytest.mark.parametrize(
    ("how", "left"),
    [
        (0, [0, 0]),
        (o.ONE_SIZE, [0, 7]),
        (o.ONE_SIZE | o.PMD_TOO, [0, 0]),
        (9 | o.ONE_SIZE, [7, 0]),
        (9, [0, 0]),
    ],
)
def test_a_flush_that_names_a_page_size_keeps_pages_of_another(how: int, left: list[int]) -> None:
    machine = Tiny()
    machine.span(0)[:], machine.span(1)[:] = (0, 1), (0, 512)
    machine.tlb(1)[:] = 7
    machine.run(drop_range, 0, 0, mask(1), 0, 512, how, o.SCOPE_LEAF)
    assert machine.tlb(1).tolist() == left


@pytest.mark.parametrize("pages", [1, 2, 3, 511, 513, 1024])
@pytest.mark.parametrize(
    ("how", "left"),
    [
        (0, 0),
        (o.ONE_SIZE, 0),
        (o.ONE_SIZE | o.PMD_TOO, 0),
        (9 | o.ONE_SIZE, 7),
        (18 | o.ONE_SIZE | o.PMD_TOO, 7),
    ],
)
def test_what_is_no_page_is_mapped_by_base_pages(pages: int, how: int, left: int) -> None:
    machine = Tiny()
    machine.span(0)[:] = 0, pages
    machine.tlb(1)[0] = 7
    machine.run(drop_range, 0, 0, mask(1), 0, 1024, how, o.SCOPE_LEAF)
    assert machine.tlb(1)[0] == left


@pytest.mark.parametrize("how", [0, o.ONE_SIZE, 9 | o.ONE_SIZE, 18 | o.ONE_SIZE])
def test_an_entry_without_a_range_is_of_whatever_size_a_flush_names(how: int) -> None:
    machine = Tiny()
    machine.span(0)[:] = 0, MOST_PAGES
    machine.tlb(1)[0] = 7
    machine.run(drop_range, 0, 0, mask(1), 5, 6, how, o.SCOPE_LEAF)
    assert machine.tlb(1)[0] == 0


def test_a_cpu_that_catches_up_is_behind_no_more() -> None:
    machine = Tiny()
    machine.put("behind", 0, 1, mm=0)
    machine.put("far_behind", 1, mm=0)
    machine.run(catch_up, 0, 0, mask(1))
    assert (machine.cpus("behind", mm=0), machine.cpus("far_behind", mm=0)) == ([0], [])


# --- leaving an mm


@pytest.mark.parametrize("clear_on_switch", [False, True])
def test_a_lazy_cpu_that_leaves_its_mm_has_none_loaded(clear_on_switch: bool) -> None:
    machine = Tiny(clear_on_switch=clear_on_switch)
    machine.put("lazy", 1)
    machine.run(leave_lazy_mm, 0, 0, mask(1))
    assert machine.cpu(1)[CPU_MM] == 0
    assert (machine.cpus("lazy"), machine.cpus("loaded", mm=0)) == ([], [0, 2])
    assert machine.cpus("mask", mm=0) == ([0, 2] if clear_on_switch else [0, 1, 2])


@pytest.mark.parametrize(("tagged", "held"), [(True, [1]), (False, [])])
def test_without_tags_nothing_outlives_the_mm(tagged: bool, held: list[int]) -> None:
    machine = Tiny(tagged=tagged)
    machine.put("leaf", 1, mm=0)
    machine.run(leave_lazy_mm, 0, 0, mask(1))
    assert machine.cpus("leaf", mm=0) == held


def test_cpus_that_run_no_task_of_the_mm_leave_it_and_its_mask() -> None:
    machine = Tiny()
    machine.put("lazy", 1)
    machine.put("mask", 3, mm=0)
    assert listed(machine.run(leave_idle_mm, 0, 0, mask(*EVERYBODY))) == [1]
    assert (machine.cpus("loaded", mm=0), machine.cpus("mask", mm=0)) == ([0, 2], [0, 2])


# --- who can take a call


@pytest.mark.parametrize(
    "kind", [o.CALL_FLUSH, o.CALL_SYNC, o.CALL_TRANSITION, o.CALL_INVALIDATE, o.CALL_LEAVE]
)
def test_an_interrupt_reaches_no_cpu_with_interrupts_off_and_none_that_is_preempted(kind: int) -> None:
    machine = calling(kind)
    machine.put("irq_off", 1)
    machine.put("preempted", 2)
    assert listed(machine.run(takeable, 0, 0)) == [3]


@pytest.mark.parametrize("kind", [o.CALL_BROADCAST, o.CALL_HYPERCALL])
def test_a_broadcast_and_a_hypercall_reach_every_cpu(kind: int) -> None:
    machine = calling(kind)
    machine.put("irq_off", 1)
    machine.put("preempted", 2)
    assert listed(machine.run(takeable, 0, 0)) == [1, 2, 3]


def test_a_grace_period_waits_for_cpus_with_interrupts_off() -> None:
    machine = calling(o.CALL_RCU)
    machine.put("irq_off", 1)
    assert listed(machine.run(takeable, 0, 0)) == [2, 3]


def test_nobody_takes_a_call_that_was_not_sent() -> None:
    machine = calling(o.CALL_NONE, 0)
    assert listed(machine.run(takeable, 0, 0)) == []


@pytest.mark.parametrize(
    "kind",
    [o.CALL_FLUSH, o.CALL_SYNC, o.CALL_HYPERCALL, o.CALL_BROADCAST, o.CALL_TRANSITION, o.CALL_INVALIDATE,
     o.CALL_LEAVE, o.CALL_RCU],
)  # fmt: skip
def test_who_took_a_call_has_answered_it(kind: int) -> None:
    machine = calling(kind)
    taken(machine, 1, 3)
    assert machine.targets() == [2]


# --- CALL_FLUSH: flush_tlb_func()


def test_a_cpu_one_generation_behind_flushes_the_range() -> None:
    machine = calling(o.CALL_FLUSH, o.SCOPE_LEAF, strides=3)
    assert taken(machine, 1, 2) == ([], [1, 2], [])
    assert (machine.cpus("leaf", mm=0), machine.cpus("walk", mm=0)) == ([0, 3], [0, 1, 2, 3])
    assert machine.cpus("behind", mm=0) == [0, 3]


def test_a_cpu_further_behind_flushes_everything() -> None:
    machine = calling(o.CALL_FLUSH, o.SCOPE_LEAF, strides=3)
    machine.put("far_behind", 1, mm=0)
    assert taken(machine, 1, 2) == ([1], [2], [])
    assert machine.cpus("walk", mm=0) == [0, 2, 3]


def test_a_flush_of_everything_drops_both_kinds_unless_a_what_if_forbids_it() -> None:
    machine = calling(o.CALL_FLUSH, o.SCOPE_LEAF)
    assert taken(machine, 1) == ([1], [], [])
    assert machine.cpus("walk", mm=0) == [0, 2, 3]
    forced = calling(o.CALL_FLUSH, o.SCOPE_LEAF | o.SCOPE_FORCED)
    taken(forced, 1)
    assert (forced.cpus("leaf", mm=0), forced.cpus("walk", mm=0)) == ([0, 2, 3], [0, 1, 2, 3])


def test_a_cpu_that_is_new_enough_does_nothing() -> None:
    machine = calling(o.CALL_FLUSH, strides=3)
    machine.take_out("behind", 1, mm=0)
    assert taken(machine, 1) == ([], [], [])
    assert 1 in machine.cpus("leaf", mm=0)


def test_a_flush_that_a_newer_one_overtook_is_done_only_where_everything_must_go() -> None:
    machine = calling(o.CALL_FLUSH, strides=3)
    machine.mm(0)[M_GEN] = 6
    machine.put("far_behind", 1, mm=0)
    assert taken(machine, 1, 2) == ([1], [], [])
    assert machine.cpus("behind", mm=0) == [0, 2, 3]


def test_a_lazy_cpu_switches_to_init_mm_instead_of_flushing() -> None:
    machine = calling(o.CALL_FLUSH, strides=3)
    machine.put("lazy", 1)
    assert taken(machine, 1) == ([], [], [1])
    assert machine.cpu(1)[CPU_MM] == 0
    assert 1 in machine.cpus("leaf", mm=0)
    assert 1 in machine.cpus("behind", mm=0)


def test_a_cpu_that_runs_another_mm_leaves_the_mask_and_writes_no_cr3() -> None:
    machine = calling(o.CALL_FLUSH, strides=3)
    machine.put("mask", 3, mm=0)
    assert taken(machine, 3) == ([], [], [])
    assert machine.cpus("mask", mm=0) == [0, 1, 2]


# --- the other calls


def test_a_sync_changes_nothing_but_that_it_was_answered() -> None:
    machine = calling(o.CALL_SYNC, 0)
    assert machine.changes(lambda: taken(machine, 1, 2, 3)) == 1
    assert machine.targets() == []


def test_a_sync_that_all_take_at_once_is_one_that_each_takes() -> None:
    machine, other = (calling(o.CALL_SYNC, 0) for _ in range(2))
    machine.run(take_sync, 0)
    taken(other, 1, 2, 3)
    assert (machine.state == other.state).all()


def test_a_broadcast_reaches_cpus_that_have_not_loaded_the_mm_and_brings_them_up_to_date() -> None:
    machine = calling(o.CALL_BROADCAST, o.SCOPE_LEAF, strides=3)
    assert taken(machine, 2, 3) == ([], [2, 3], [])
    assert (machine.cpus("leaf", mm=0), machine.cpus("behind", mm=0)) == ([0, 1], [0, 1])


def test_a_hypercall_drops_as_much_but_the_guests_generations_do_not_know() -> None:
    machine = calling(o.CALL_HYPERCALL)
    assert taken(machine, 2, 3) == ([2, 3], [], [])
    assert (machine.cpus("leaf", mm=0), machine.cpus("behind", mm=0)) == ([0, 1], [0, 1, 2, 3])


def test_an_invalidation_asks_neither_what_is_loaded_nor_how_new_it_is() -> None:
    machine = calling(o.CALL_INVALIDATE, strides=3)
    machine.take_out("behind", 1, mm=0)
    assert taken(machine, 1, 3) == ([], [1, 3], [])
    assert machine.cpus("leaf", mm=0) == [0, 2]


def test_a_handler_that_looks_first_does_nothing_where_the_mm_never_ran() -> None:
    machine = calling(o.CALL_INVALIDATE_MASKED, strides=3)
    machine.take_out("mask", 1, mm=0)
    machine.put("mask", 3, mm=0)
    assert taken(machine, 1, 3) == ([], [3], [])
    assert machine.cpus("leaf", mm=0) == [0, 1, 2]


def test_an_invalidation_with_scope_zero_drops_nothing() -> None:
    machine = calling(o.CALL_INVALIDATE, 0)
    assert taken(machine, 1, 3) == ([], [], [])
    assert machine.cpus("leaf", mm=0) == machine.cpus("behind", mm=0) == [0, 1, 2, 3]


def test_who_is_told_to_leave_the_mm_does_unless_a_task_of_it_runs_there() -> None:
    machine = calling(o.CALL_LEAVE, strides=3)
    machine.put("lazy", 2)
    assert taken(machine, 1, 2) == ([1, 2], [], [2])
    assert machine.cpus("loaded", mm=0) == [0, 1]
    assert machine.cpus("leaf", mm=0) == [0, 3]


def test_a_transition_loads_the_root_anew_and_takes_others_out_of_the_mask() -> None:
    machine = calling(o.CALL_TRANSITION)
    machine.put("mask", 3, mm=0)
    assert taken(machine, 1, 3) == ([], [], [1])
    assert machine.cpus("mask", mm=0) == [0, 1, 2]
    assert (machine.cpus("leaf", mm=0), machine.cpus("behind", mm=0)) == ([0, 2, 3], [0, 2, 3])


def test_a_ranged_call_spares_entries_and_a_flush_of_everything_spares_none() -> None:
    for strides, left in ((3, [7, 0]), (0, [0, 0])):
        machine = calling(o.CALL_INVALIDATE, o.SCOPE_BOTH, strides=strides)
        machine.cpu(0)[CPU_CALL_LO], machine.cpu(0)[CPU_CALL_HI] = 5, 8
        machine.span(0)[:], machine.span(1)[:] = (4, 5), (7, 8)
        machine.tlb(1)[:] = 7
        taken(machine, 1)
        assert machine.tlb(1).tolist() == left
