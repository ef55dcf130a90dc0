"""Page tables: PUD entries, who shares a PMD table, and what its page is used for."""

from __future__ import annotations

import pytest
from tests.core.machine.tiny import ELSEWHERE, Tiny

from shootdown._machine import ops as o
from shootdown._machine.layout import G_FLAGS, T_CPU, T_ON


def on_table(of: int = 0, slot: int = 0, **given: object) -> Tiny:
    """Let task 0 be about the table of a class (from zero) in a slot."""
    machine = Tiny(**given)
    machine.registers()[o.CLASS], machine.registers()[o.SLOT] = of + 1, slot
    return machine


def test_pick_reads_the_slot_from_a_list_at_the_index() -> None:
    machine = Tiny()
    machine.lists = [9, 1, 0]
    machine.registers()[o.INDEX] = 1
    assert machine.step(o.PICK, 1, o.INDEX, 2).went_on
    assert machine.registers()[o.SLOT] == 0
    machine.registers()[o.INDEX] = 0
    machine.step(o.PICK, 1, o.INDEX, 2)
    assert machine.registers()[o.SLOT] == 1


def test_load_pud_gets_the_class_plus_one_or_zero_for_none() -> None:
    machine = on_table(slot=1)
    machine.puds(0)[:] = (1, 2)
    machine.step(o.LOAD_PUD, o.SCRATCH)
    assert machine.registers()[o.SCRATCH] == 2
    machine.puds(0)[1] = 0
    machine.step(o.LOAD_PUD, o.SCRATCH)
    assert machine.registers()[o.SCRATCH] == 0


def test_entries_are_those_of_the_mm_that_kernel_work_concerns() -> None:
    machine = on_table()
    machine.puds(0)[0], machine.puds(1)[0] = 1, 2
    machine.task()[T_ON] = 2
    machine.step(o.LOAD_PUD, o.SCRATCH)
    assert machine.registers()[o.SCRATCH] == 2


def test_set_pud_points_the_entry_to_the_table_of_a_class() -> None:
    machine = on_table(slot=1)
    assert machine.changes(lambda: machine.step(o.SET_PUD, 1)) == 1
    assert machine.puds(0).tolist() == [0, 2]


def test_clearing_an_entry_makes_what_is_cached_of_the_mm_stale() -> None:
    machine = on_table()
    machine.puds(0)[0] = 1
    machine.put("leaf", 0, 2, mm=0)
    machine.put("walk", 1, mm=0)
    machine.step(o.CLEAR_PUD)
    assert machine.puds(0)[0] == 0
    assert (machine.cpus("stale_leaf", mm=0), machine.cpus("stale_walk", mm=0)) == ([0, 2], [1])
    assert (machine.cpus("leaf", mm=0), machine.cpus("walk", mm=0)) == ([0, 2], [1])


def test_clearing_an_entry_forgets_nobody_who_was_stale_before() -> None:
    machine = on_table()
    machine.put("stale_walk", 3, mm=0)
    machine.put("walk", 1, mm=0)
    machine.step(o.CLEAR_PUD)
    assert machine.cpus("stale_walk", mm=0) == [1, 3]


def test_clearing_an_entry_of_one_mm_makes_nothing_of_another_stale() -> None:
    machine = on_table()
    machine.put("walk", 0, mm=1)
    machine.step(o.CLEAR_PUD)
    assert machine.cpus("stale_walk", mm=1) == []


def test_share_counts_a_process_more_and_says_how_many_there_were() -> None:
    machine = on_table(slot=1)
    machine.sharers(1)[1] = 4
    machine.step(o.SHARE, 1)
    assert machine.sharers(1).tolist() == [0, 5]
    assert machine.registers()[o.SCRATCH] == 4


def test_populate_shares_the_table_and_sets_the_entry_at_once() -> None:
    machine = on_table()
    machine.sharers(1)[0] = 2
    assert machine.step(o.POPULATE, 1, ELSEWHERE).went_on
    assert (machine.puds(0)[0], machine.sharers(1)[0], machine.registers()[o.SCRATCH]) == (2, 3, 2)


def test_populate_changes_nothing_where_the_entry_is_there() -> None:
    machine = on_table()
    machine.puds(0)[0] = 1
    assert machine.changes(lambda: machine.step(o.POPULATE, 1, ELSEWHERE)) == 0
    assert machine.step(o.POPULATE, 1, ELSEWHERE).jumped


@pytest.mark.parametrize(("sharers", "jumps"), [(1, True), (2, False), (3, False)])
def test_a_table_is_exclusive_when_one_process_maps_it(sharers: int, jumps: bool) -> None:
    machine = on_table(of=1)
    machine.sharers(1)[0] = sharers
    assert machine.step(o.JUMP_EXCLUSIVE, ELSEWHERE).jumped == jumps


def test_unsharing_leaves_one_process_fewer_and_says_how_many() -> None:
    machine = on_table()
    machine.sharers(0)[0] = 3
    took = machine.step(o.UNSHARE, 0, o.UNSHARED_TABLES, o.FULLY_UNSHARED)
    assert (took.went_on, took.about) == (True, 2)
    assert machine.sharers(0)[0] == 2
    assert machine.gather(0)[G_FLAGS] == o.UNSHARED_TABLES


def test_the_gather_learns_when_one_process_remains() -> None:
    machine = on_table()
    machine.sharers(0)[0] = 2
    machine.gather(1)[G_FLAGS] = o.RANGE
    machine.step(o.UNSHARE, 1, o.UNSHARED_TABLES, o.FULLY_UNSHARED)
    assert machine.gather(1)[G_FLAGS] == o.RANGE | o.UNSHARED_TABLES | o.FULLY_UNSHARED
    assert machine.gather(0)[G_FLAGS] == 0


def test_drop_lets_the_last_process_stop_mapping_the_table() -> None:
    machine = on_table(of=1, slot=1)
    machine.sharers(1)[1] = 1
    assert machine.changes(lambda: machine.step(o.DROP)) == 1
    assert machine.sharers(1)[1] == 0


@pytest.mark.parametrize("state", [o.TABLE_SHARED, o.TABLE_REUSED, o.TABLE_FREED])
def test_a_tables_page_knows_what_it_is_used_for_and_who_gave_it_that(state: int) -> None:
    machine = on_table(of=1, slot=1)
    machine.task()[T_ON] = 2
    machine.step(o.TABLE_STATE, state)
    assert machine.tables(1)[1] & o.TABLE_MASK == state
    assert machine.tables(1)[1] >> o.TABLE_OWNER_SHIFT == 2
    assert not machine.tables(0).any()


def test_a_walker_that_reads_a_table_gets_its_state_without_its_owner() -> None:
    machine = on_table()
    machine.registers()[o.SCRATCH2] = 2
    machine.tables(1)[0] = o.TABLE_REUSED | 2 << o.TABLE_OWNER_SHIFT
    machine.step(o.READ_TABLE, o.SCRATCH, o.SCRATCH2)
    assert machine.registers()[o.SCRATCH] == o.TABLE_REUSED


def test_a_cpu_that_uses_a_translation_may_hold_it_in_tlb_and_walk_cache() -> None:
    machine = Tiny()
    machine.task()[T_CPU] = 3
    machine.step(o.TOUCH)
    assert (machine.cpus("leaf", mm=0), machine.cpus("walk", mm=0)) == ([3], [3])
    assert (machine.cpus("stale_leaf", mm=0), machine.cpus("leaf", mm=1)) == ([], [])
