"""A flush request on its way: how much it drops, whom it concerns, when it is answered."""

from __future__ import annotations

import pytest
from tests.core.machine.tiny import AFTER_IT, ELSEWHERE, HERE, Tiny, Took

from shootdown._machine import ops as o
from shootdown._machine.layout import (
    CPU_CALL,
    CPU_CALL_GEN,
    CPU_CALL_HOW,
    CPU_CALL_LO,
    CPU_CALL_MM,
    CPU_CALL_STRIDES,
    G_CLEARED,
    G_FLAGS,
    G_HI,
    G_LO,
    M_CONSIDER,
    M_GEN,
    M_GLOBAL,
    M_TRIM,
    T_MM,
    T_ON,
)


def with_range(huge: int, cleared: int = o.CLEARED_PMDS, flags: int = 0, **given: object) -> Tiny:
    """Give gather 0 of task 0 a range of so many huge pages, from the tenth on."""
    machine = Tiny(**given)
    cells = machine.gather(0)
    cells[G_LO], cells[G_HI] = 10 * 512, (10 + huge) * 512
    cells[G_CLEARED], cells[G_FLAGS] = cleared, flags | o.RANGE
    return machine


def executed(machine: Tiny, *operands: int) -> tuple[int, int, int]:
    """Begin the flush of gather 0; return the pages that it names and log2 of the pages between two of them."""
    assert machine.step(o.FLUSH_BEGIN, 0, *operands).went_on
    lo, hi, shift = machine.cpu(0)[CPU_CALL_LO : CPU_CALL_HOW + 1]
    return int(lo), int(hi), int(shift)


def strides(machine: Tiny, *operands: int) -> int:
    """Begin the flush of gather 0 and return how many strides it drops; 0 for everything."""
    assert machine.step(o.FLUSH_BEGIN, 0, *operands).went_on
    return int(machine.cpu(0)[CPU_CALL_STRIDES])


# --- FLUSH_BEGIN


def test_a_flush_gives_its_mm_a_new_generation_and_remembers_it() -> None:
    machine = with_range(3)
    machine.mm(0)[M_GEN] = 4
    machine.step(o.FLUSH_BEGIN, 0, 33)
    assert machine.mm(0)[M_GEN] == 5
    assert (machine.cpu(0)[CPU_CALL_MM], machine.cpu(0)[CPU_CALL_GEN]) == (1, 5)


def test_generations_begin_again_after_127() -> None:
    machine = with_range(3)
    machine.mm(0)[M_GEN] = 127
    machine.step(o.FLUSH_BEGIN, 0, 33)
    assert machine.mm(0)[M_GEN] == 0


def test_a_new_generation_leaves_every_cpu_behind_and_those_that_were_far_behind() -> None:
    machine = with_range(3)
    machine.put("behind", 2, mm=0)
    machine.step(o.FLUSH_BEGIN, 0, 33)
    assert machine.cpus("behind", mm=0) == [0, 1, 2, 3]
    assert machine.cpus("far_behind", mm=0) == [2]


def test_a_flush_without_tlb_gen_leaves_nobody_behind() -> None:
    machine = with_range(3)
    machine.step(o.FLUSH_BEGIN, 0, 33, 0, o.UNTRACKED)
    assert machine.mm(0)[M_GEN] == 0
    assert machine.cpus("behind", mm=0) == []


@pytest.mark.parametrize(("huge", "dropped"), [(1, 1), (33, 33), (34, 0)])
def test_a_range_with_more_strides_than_the_ceiling_flushes_everything(huge: int, dropped: int) -> None:
    assert strides(with_range(huge), 33) == dropped


@pytest.mark.parametrize(("huge", "dropped"), [(2, 2), (3, 0)])
def test_a_second_ceiling_counts_base_pages(huge: int, dropped: int) -> None:
    assert strides(with_range(huge), 33, 1024) == dropped


@pytest.mark.parametrize("flag", [o.FULLMM, o.NEED_FLUSH_ALL])
def test_the_flush_of_a_whole_mm_says_so_and_drops_everything(flag: int) -> None:
    machine = with_range(1, flags=flag)
    assert machine.step(o.FLUSH_BEGIN, 0, 33).about == 1
    assert machine.cpu(0)[CPU_CALL_STRIDES] == 0


def test_a_range_that_is_too_long_is_not_the_flush_of_a_whole_mm() -> None:
    assert with_range(34).step(o.FLUSH_BEGIN, 0, 33).about == 0


def test_an_empty_range_is_counted_as_one_stride() -> None:
    assert strides(with_range(0), 33) == 1


@pytest.mark.parametrize(("how", "pages"), [(0, 0), (o.EMPTY_TOO, 1), (o.EMPTY_TOO | o.ROUNDED, 1)])
def test_of_an_empty_range_the_first_address_goes_where_the_flush_says_so(how: int, pages: int) -> None:
    lo, hi, _ = executed(with_range(0), 33, 0, how)
    assert hi - lo == pages


def test_strides_may_be_counted_in_base_pages() -> None:
    assert strides(with_range(3), 33, 0, o.IN_PAGES) == 3 * 512


def test_a_rounded_range_counts_each_stride_that_it_touches() -> None:
    machine = with_range(0)
    machine.gather(0)[G_LO], machine.gather(0)[G_HI] = 511, 513
    assert strides(machine, 33) == 1
    assert strides(machine, 33, 0, o.ROUNDED) == 2


@pytest.mark.parametrize(("ceiling", "dropped"), [(2, 2), (1, 2), (0, 0)])
def test_a_part_of_the_last_stride_is_invalidated_and_counts_for_no_ceiling(
    ceiling: int, dropped: int
) -> None:
    """flush_tlb_func() goes on until the range's end; get_flush_tlb_info() compares what is left of a shift."""
    machine = with_range(1)
    machine.gather(0)[G_HI] += 1
    assert strides(machine, ceiling) == dropped


def test_strides_may_be_base_pages_or_pmd_entries_whatever_was_cleared() -> None:
    machine = with_range(2, cleared=o.CLEARED_PMDS | o.CLEARED_PUDS)
    assert strides(machine, 5000, 0, o.BASE_STRIDES) == 2 * 512
    assert strides(machine, 5000, 0, o.PMD_STRIDES) == 2


def test_a_flush_of_more_strides_than_a_cell_holds_is_kept_as_that_many() -> None:
    machine = with_range(0, cleared=o.CLEARED_PTES, bits=16)
    machine.gather(0)[G_HI] = 1 << 40
    assert strides(machine, 1 << 41) == machine.layout.most == (1 << 32) - 1


def test_a_flush_keeps_the_pages_that_its_strides_name() -> None:
    assert executed(with_range(3), 33) == (10 * 512, 13 * 512, 9)
    assert executed(with_range(3), 5000, 0, o.BASE_STRIDES) == (10 * 512, 13 * 512, 0)
    assert executed(with_range(3, cleared=o.CLEARED_PUDS), 33, 0, o.PMD_STRIDES) == (10 * 512, 13 * 512, 9)
    assert executed(with_range(3), 33, 0, o.IN_PAGES) == (10 * 512, 13 * 512, 0)


def test_a_rounded_flush_names_pages_outside_the_range_too() -> None:
    machine = with_range(0)
    machine.gather(0)[G_LO], machine.gather(0)[G_HI] = 511, 513
    assert executed(machine, 33, 0, o.ROUNDED) == (0, 1024, 9)


def test_an_empty_range_names_no_page() -> None:
    assert executed(with_range(0), 33) == (10 * 512, 10 * 512, 9)


def test_a_range_below_a_stride_names_its_first_page() -> None:
    machine = with_range(0)
    machine.gather(0)[G_HI] += 1
    assert executed(machine, 33) == (10 * 512, 10 * 512 + 1, 9)


def test_a_flush_of_everything_keeps_no_range() -> None:
    assert executed(with_range(34), 33) == (0, 0, 0)


@pytest.mark.parametrize("memory", [o.TSO, o.WEAK])
def test_a_flush_waits_until_what_was_changed_is_visible(memory: int) -> None:
    machine = with_range(3, memory=memory, stores=2)
    machine.stores(0)[0] = (1, 5)
    assert machine.step(o.FLUSH_BEGIN, 0, 33) == Took(o.BLOCKED_BUFFER, 0, HERE)


# --- targets


def test_targets_are_the_cpus_of_mm_cpumask_without_the_sender() -> None:
    machine = Tiny()
    assert machine.step(o.TARGET_MM).went_on
    assert machine.targets() == [1, 2]
    machine.step(o.TARGET_MM, 1)
    assert machine.targets() == [0, 1, 2]


def test_targets_are_those_of_the_mm_that_kernel_work_concerns() -> None:
    machine = Tiny()
    machine.put("mask", 3, mm=1)
    machine.task()[T_ON] = 2
    machine.step(o.TARGET_MM)
    assert machine.targets() == [3]


def test_all_online_cpus_may_be_targets_with_or_without_the_sender() -> None:
    machine = Tiny()
    machine.take_out("online", 3)
    machine.step(o.TARGET_ONLINE)
    assert machine.targets() == [1, 2]
    machine.step(o.TARGET_EVERY)
    assert machine.targets() == [0, 1, 2]


def test_each_cpu_has_targets_of_its_own() -> None:
    machine = Tiny()
    machine.step(o.TARGET_ONLINE, task=1)
    assert (machine.targets(0), machine.targets(1)) == ([], [0, 2, 3])


def test_targets_reach_over_all_words_of_a_set() -> None:
    machine = Tiny(cpus=40, tasks=40)
    machine.step(o.TARGET_MM, task=17)
    assert machine.targets(17) == [cpu for cpu in range(40) if cpu != 17]


def test_lazy_targets_are_dropped() -> None:
    machine = Tiny()
    machine.put("lazy", 2)
    machine.aim(1, 2)
    machine.step(o.TARGET_NOT_LAZY)
    assert machine.targets() == [1]


def test_targets_that_have_not_loaded_the_mm_are_dropped() -> None:
    machine = Tiny()
    machine.aim(1, 3)
    machine.step(o.TARGET_LOADED)
    assert machine.targets() == [1]


def test_when_it_is_time_to_trim_they_are_kept_once() -> None:
    machine = Tiny()
    machine.mm(0)[M_TRIM] = 1
    machine.aim(1, 3)
    machine.step(o.TARGET_LOADED)
    assert machine.targets() == [1, 3]
    machine.step(o.TARGET_LOADED)
    assert machine.targets() == [1]


def test_preempted_targets_are_dropped_and_told_to_flush_when_they_enter() -> None:
    machine = Tiny()
    machine.put("preempted", 0, 2)
    machine.aim(1, 2)
    machine.step(o.TARGET_RUNNING)
    assert machine.targets() == [1]
    assert machine.cpus("flush_on_entry") == [2]


def test_of_the_targets_only_those_inside_a_lockless_walk_of_the_mm_are_kept() -> None:
    machine = Tiny()
    machine.put("walking", 0, 2, 3)  # CPU 3 walks another mm
    machine.aim(1, 2, 3)
    machine.step(o.TARGET_WALKERS)
    assert machine.targets() == [2]


def test_a_flush_without_targets_goes_elsewhere() -> None:
    machine = Tiny(cpus=40, tasks=2)
    assert machine.step(o.JUMP_NO_TARGET, ELSEWHERE).jumped
    machine.aim(39)
    assert machine.step(o.JUMP_NO_TARGET, ELSEWHERE).went_on


# --- on its way


def test_a_call_carries_its_kind_and_its_scope() -> None:
    machine = Tiny()
    machine.step(o.SEND, o.CALL_FLUSH, o.SCOPE_WALK)
    call = int(machine.cpu(0)[CPU_CALL])
    assert (call & o.CALL_MASK, call >> o.SCOPE_SHIFT) == (o.CALL_FLUSH, o.SCOPE_WALK)


def test_a_call_is_about_the_mm_of_its_request_or_else_the_tasks() -> None:
    machine = Tiny()
    machine.step(o.SEND, o.CALL_SYNC)
    assert machine.cpu(0)[CPU_CALL_MM] == 1
    machine.cpu(0)[CPU_CALL_MM] = 2
    machine.step(o.SEND, o.CALL_FLUSH)
    assert machine.cpu(0)[CPU_CALL_MM] == 2


def test_a_sender_waits_until_the_last_target_has_answered_and_then_forgets_the_call() -> None:
    machine = with_range(3, cpus=40)
    machine.step(o.FLUSH_BEGIN, 0, 33)
    machine.aim(39)
    machine.step(o.SEND, o.CALL_FLUSH, o.SCOPE_BOTH)
    assert machine.step(o.WAIT) == Took(o.BLOCKED_ACK, 0, HERE)
    machine.aim()
    assert machine.step(o.WAIT).went_on
    assert machine.cpu(0)[CPU_CALL : CPU_CALL_STRIDES + 1].tolist() == [0, 0, 0, 0]


def test_a_request_that_had_no_target_is_forgotten_too() -> None:
    machine = with_range(3)
    machine.step(o.FLUSH_BEGIN, 0, 33)
    machine.step(o.CANCEL)
    assert machine.cpu(0)[CPU_CALL : CPU_CALL_STRIDES + 1].tolist() == [0, 0, 0, 0]


def test_a_request_that_is_cancelled_leaves_no_target_to_wait_for() -> None:
    machine = with_range(3)
    machine.put("mask", 1, 1, mm=0)
    machine.step(o.TARGET_MM)
    machine.step(o.CANCEL)
    assert machine.step(o.WAIT).went_on


# --- this CPU


def begun(huge: int = 3) -> Tiny:
    """Let CPU 0 hold translations of mm 0, and a flush of it have begun."""
    machine = with_range(huge)
    machine.put("leaf", 0, 1, mm=0)
    machine.put("walk", 0, 1, mm=0)
    machine.step(o.FLUSH_BEGIN, 0, 33)
    return machine


def test_this_cpu_flushes_the_range_as_a_target_would() -> None:
    machine = begun()
    assert machine.step(o.FLUSH_SELF, o.SCOPE_LEAF) == Took(o.DONE, 2, AFTER_IT)
    assert (machine.cpus("leaf", mm=0), machine.cpus("walk", mm=0)) == ([1], [0, 1])
    assert 0 not in machine.cpus("behind", mm=0)


def test_this_cpu_flushes_everything_if_the_request_does() -> None:
    machine = begun(huge=34)
    assert machine.step(o.FLUSH_SELF, o.SCOPE_LEAF).about == 1
    assert (machine.cpus("leaf", mm=0), machine.cpus("walk", mm=0)) == ([1], [1])


def test_this_cpu_flushes_nothing_that_it_has_not_loaded_unless_it_must() -> None:
    machine = begun()
    machine.take_out("loaded", 0, mm=0)
    assert machine.step(o.FLUSH_SELF, o.SCOPE_BOTH).about == 0
    assert machine.cpus("leaf", mm=0) == [0, 1]
    assert machine.step(o.FLUSH_SELF, o.SCOPE_BOTH, 0, 1).about == 2
    assert machine.cpus("leaf", mm=0) == [1]
    assert machine.cpus("behind", mm=0) == [1, 2, 3]


def test_this_cpu_may_leave_an_mm_that_it_runs_no_task_of() -> None:
    machine = begun()
    machine.put("lazy", 0)
    machine.step(o.FLUSH_SELF, o.SCOPE_BOTH, 0, 2)
    assert (machine.cpus("loaded", mm=0), machine.cpus("mask", mm=0)) == ([1, 2], [1, 2])
    assert machine.cpus("leaf", mm=0) == [1]


def test_pages_are_flushed_on_this_cpu_outside_a_request_too() -> None:
    machine = Tiny()
    machine.put("leaf", 0, 1, mm=0)
    machine.put("walk", 0, 1, mm=0)
    machine.step(o.FLUSH_LOCAL_PAGES, 3, o.SCOPE_LEAF)
    assert (machine.cpus("leaf", mm=0), machine.cpus("walk", mm=0)) == ([1], [0, 1])


# --- what a lowering asks


@pytest.mark.parametrize(("dropped", "jumps"), [(0, True), (5, False)])
def test_jump_whole_goes_elsewhere_if_everything_is_flushed(dropped: int, jumps: bool) -> None:
    machine = Tiny()
    machine.cpu(0)[CPU_CALL_STRIDES] = dropped
    assert machine.step(o.JUMP_WHOLE, ELSEWHERE).jumped == jumps


@pytest.mark.parametrize(("huge", "jumps"), [(0, True), (1, False)])
def test_jump_empty_goes_elsewhere_if_the_range_holds_nothing(huge: int, jumps: bool) -> None:
    assert with_range(huge).step(o.JUMP_EMPTY, 0, ELSEWHERE).jumped == jumps


@pytest.mark.parametrize(("huge", "goes_on"), [(4, False), (5, True)])
def test_jump_strides_goes_on_if_the_range_has_more(huge: int, goes_on: bool) -> None:
    assert with_range(huge).step(o.JUMP_STRIDES, 0, 4, ELSEWHERE).went_on == goes_on


def test_a_task_is_alone_with_its_mm_if_no_other_task_has_it() -> None:
    machine = Tiny()
    assert machine.step(o.JUMP_NOT_ALONE, ELSEWHERE).jumped
    machine.task(1)[T_MM], machine.task(2)[T_MM] = 0, 2
    assert machine.step(o.JUMP_NOT_ALONE, ELSEWHERE).went_on


def test_a_task_is_not_alone_with_an_mm_that_is_not_its_own() -> None:
    machine = Tiny()
    machine.task(2)[T_MM] = 2
    machine.task()[T_ON] = 2
    assert machine.step(o.JUMP_NOT_ALONE, ELSEWHERE).jumped
    assert machine.step(o.JUMP_NOT_OWN, ELSEWHERE).jumped
    machine.task()[T_ON] = 1
    assert machine.step(o.JUMP_NOT_OWN, ELSEWHERE).went_on


def test_it_is_due_once_for_each_time_that_the_engine_says_so() -> None:
    machine = Tiny()
    machine.mm(0)[M_TRIM] = 1
    assert machine.step(o.JUMP_NOT_DUE, 4096, ELSEWHERE).went_on
    assert machine.step(o.JUMP_NOT_DUE, 4096, ELSEWHERE).jumped


def test_a_lowering_asks_whether_this_cpu_has_the_mm_loaded_or_in_its_mask() -> None:
    machine = Tiny()
    assert machine.step(o.JUMP_NOT_LOADED, ELSEWHERE).went_on
    assert machine.step(o.JUMP_NOT_MASKED, ELSEWHERE).went_on
    machine.take_out("loaded", 0, mm=0)
    assert machine.step(o.JUMP_NOT_LOADED, ELSEWHERE).jumped
    assert machine.step(o.JUMP_NOT_MASKED, ELSEWHERE).went_on
    machine.take_out("mask", 0, mm=0)
    assert machine.step(o.JUMP_NOT_MASKED, ELSEWHERE).jumped


# --- global ASIDs


@pytest.mark.parametrize(("needed", "gets"), [(3, 1), (4, 0)])
def test_an_mm_gets_a_global_asid_if_enough_cpus_run_it(needed: int, gets: int) -> None:
    machine = Tiny()
    machine.mm(0)[M_CONSIDER] = 1
    machine.step(o.CONSIDER_GLOBAL, needed)
    assert machine.mm(0)[M_GLOBAL] == gets


def test_lazy_cpus_do_not_run_it() -> None:
    machine = Tiny()
    machine.mm(0)[M_CONSIDER] = 1
    machine.put("lazy", 2)
    machine.step(o.CONSIDER_GLOBAL, 3)
    assert machine.mm(0)[M_GLOBAL] == 0


def test_an_mm_is_considered_once_when_it_is_time_and_not_before() -> None:
    machine = Tiny()
    machine.step(o.CONSIDER_GLOBAL, 1)
    assert machine.mm(0)[M_GLOBAL] == 0
    machine.mm(0)[M_CONSIDER] = 1
    machine.step(o.CONSIDER_GLOBAL, 9)
    assert machine.mm(0)[M_CONSIDER] == 0


def test_an_mm_moves_to_its_global_asid_until_the_transition_ends() -> None:
    machine = Tiny()
    assert machine.step(o.JUMP_NOT_GLOBAL, ELSEWHERE).jumped
    assert machine.step(o.JUMP_NOT_TRANSITION, ELSEWHERE).jumped
    machine.mm(0)[M_CONSIDER] = 1
    machine.step(o.CONSIDER_GLOBAL, 1)
    assert machine.step(o.JUMP_NOT_GLOBAL, ELSEWHERE).went_on
    assert machine.step(o.JUMP_NOT_TRANSITION, ELSEWHERE).went_on
    machine.step(o.END_TRANSITION)
    assert machine.step(o.JUMP_NOT_GLOBAL, ELSEWHERE).went_on
    assert machine.step(o.JUMP_NOT_TRANSITION, ELSEWHERE).jumped
