"""Context switches: what a CPU loads, what it drops, and what it owes when it enters the guest again."""

from __future__ import annotations

import pytest
from tests.core.machine.tiny import Tiny

from shootdown._machine.layout import CPU_MM, CPU_NEXT_ASID, CPU_TASK, T_CPU, T_MM
from shootdown._machine.switching import enter_guest, load_mm, place, switch_to

NOTHING, LOADED, DROPPED = 0, 1, 3


def holding(*mms: int, **given: object) -> Tiny:
    """Let CPU 0 hold translations of mms."""
    machine = Tiny(mms=4, **given)
    for mm in mms:
        machine.put("leaf", 0, mm=mm)
        machine.put("walk", 0, mm=mm)
    return machine


def test_an_idle_cpu_stays_lazily_on_the_mm_that_it_ran() -> None:
    machine = Tiny()
    assert machine.run(switch_to, 0, -1) == NOTHING
    assert (machine.cpu(0)[CPU_TASK], machine.cpu(0)[CPU_MM]) == (0, 1)
    assert machine.cpus("lazy") == [0]
    assert machine.cpus("loaded", mm=0) == [0, 1, 2]


def test_an_idle_cpu_that_has_no_mm_is_not_lazy_on_any() -> None:
    machine = Tiny()
    machine.run(switch_to, 3, -1)
    assert machine.cpus("lazy") == []


def test_without_lazy_tlb_mode_an_idle_cpu_is_not_lazy() -> None:
    machine = Tiny(lazy_tlb=False)
    machine.run(switch_to, 0, -1)
    assert machine.cpus("lazy") == []


def test_a_kernel_thread_borrows_the_mm_that_is_loaded() -> None:
    machine = Tiny()
    machine.task(1)[T_MM] = 0
    assert machine.run(switch_to, 0, 1) == NOTHING
    assert (machine.cpu(0)[CPU_TASK], machine.cpu(0)[CPU_MM]) == (2, 1)
    assert machine.cpus("lazy") == [0]


def test_a_thread_of_the_same_mm_needs_no_load() -> None:
    machine = holding(0)
    assert machine.run(switch_to, 0, 1) == NOTHING
    assert machine.cpus("leaf", mm=0) == [0]


def test_a_cpu_that_returns_from_lazy_mode_flushes_only_what_it_missed() -> None:
    machine = holding(0)
    machine.put("lazy", 0)
    assert machine.run(switch_to, 0, 0) == NOTHING
    assert machine.cpus("lazy") == []
    machine.put("lazy", 0)
    machine.put("behind", 0, mm=0)
    machine.put("far_behind", 0, mm=0)
    assert machine.run(switch_to, 0, 0) == DROPPED
    assert machine.cpus("leaf", mm=0) == machine.cpus("walk", mm=0) == []
    assert machine.cpus("behind", mm=0) == machine.cpus("far_behind", mm=0) == []


def test_a_new_mm_is_loaded_and_its_cpu_enters_the_mask() -> None:
    machine = Tiny(mms=4)
    machine.run(load_mm, 0, 2)
    assert machine.cpu(0)[CPU_MM] == 2
    assert (machine.cpus("loaded", mm=0), machine.cpus("loaded", mm=1)) == ([1, 2], [0])
    assert machine.cpus("mask", mm=1) == [0]


@pytest.mark.parametrize(("clears", "mask"), [(False, [0, 1, 2]), (True, [1, 2])])
def test_the_architecture_says_whether_a_switch_leaves_the_old_mask(clears: bool, mask: list[int]) -> None:
    machine = Tiny(clear_on_switch=clears)
    machine.run(load_mm, 0, 2)
    assert machine.cpus("mask", mm=0) == mask


@pytest.mark.parametrize(("tagged", "held"), [(True, [0]), (False, [])])
def test_translations_outlive_a_switch_if_they_are_tagged(tagged: bool, held: list[int]) -> None:
    machine = holding(0, tagged=tagged)
    machine.run(load_mm, 0, 2)
    assert machine.cpus("leaf", mm=0) == machine.cpus("walk", mm=0) == held


def test_an_mm_that_still_has_its_asid_on_the_cpu_keeps_what_is_cached() -> None:
    machine = holding(0)
    machine.run(load_mm, 0, 2)
    assert machine.run(load_mm, 0, 1) == LOADED
    assert machine.cpus("leaf", mm=0) == [0]


def test_an_mm_that_missed_a_flush_meanwhile_drops_it() -> None:
    machine = holding(0)
    machine.run(load_mm, 0, 2)
    machine.put("behind", 0, mm=0)
    assert machine.run(load_mm, 0, 1) == DROPPED
    assert machine.cpus("leaf", mm=0) == []
    assert machine.cpus("behind", mm=0) == []


def test_an_mm_that_is_new_on_the_cpu_gets_an_asid_and_begins_with_nothing() -> None:
    machine = holding(1)
    machine.put("behind", 0, mm=1)
    assert machine.run(load_mm, 0, 2) == DROPPED
    assert machine.asids(0).tolist() == [1, 2]
    assert machine.cpus("leaf", mm=1) == []
    assert machine.cpus("behind", mm=1) == []


def test_the_mm_that_loses_its_asid_loses_what_was_cached_under_it() -> None:
    machine = holding(0, 1)
    machine.asids(0)[:] = (1, 2)
    machine.cpu(0)[CPU_NEXT_ASID] = 1
    machine.run(load_mm, 0, 3)
    assert machine.asids(0).tolist() == [1, 3]
    assert (machine.cpus("leaf", mm=0), machine.cpus("leaf", mm=1)) == ([0], [])


def test_asids_are_given_in_turn() -> None:
    machine = Tiny(mms=4)
    for mm in (2, 3, 4):
        machine.run(load_mm, 3, mm)
    assert machine.asids(3).tolist() == [4, 3]
    assert machine.cpu(3)[CPU_NEXT_ASID] == 1


def test_a_new_task_is_placed_on_a_cpu() -> None:
    machine = Tiny()
    machine.run(place, 2, 3)
    assert machine.task(2)[T_CPU] == 3


def test_a_vcpu_that_enters_the_guest_flushes_every_mm_if_it_was_told_to() -> None:
    machine = holding(0, 1)
    machine.put("preempted", 0)
    machine.put("flush_on_entry", 0, 1)
    machine.run(enter_guest, 0)
    assert (machine.cpus("preempted"), machine.cpus("flush_on_entry")) == ([], [1])
    assert machine.cpus("leaf", mm=0) == machine.cpus("walk", mm=1) == []


def test_a_vcpu_that_was_told_nothing_keeps_what_it_held() -> None:
    machine = holding(0)
    machine.put("preempted", 0)
    machine.run(enter_guest, 0)
    assert machine.cpus("preempted") == []
    assert machine.cpus("leaf", mm=0) == [0]
