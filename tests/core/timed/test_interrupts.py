"""Calls from one CPU to others: whom they reach when, what each pays, and when the sender goes on."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from tests.core.timed.clocked import COST, Doing, costs, platform, run, scripted

from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._timed.run import Run, run_machine

IN = COST["switch_ns"]
SPIN = 100


def flushing(*, units: int = 1, ceiling: int = 33, call: int = o.CALL_FLUSH, **send: int) -> Doing:
    """Flush a range of mm 0 on every CPU that has it loaded, a while after all have begun."""

    def write(asm: Assembler) -> None:
        asm.work("fork_ns", 3)
        asm.request(2, cleared=o.CLEARED_PTES, hi=units)
        asm.flush_begin(2, ceiling)
        asm.target_mm_cpumask()
        asm.send(call, each=send.get("each", 0))
        asm.wait()

    return Doing(write)


def busy(cpu: int, mm: int | None = 0, *, times: int = SPIN) -> Doing:
    """Keep a CPU in user mode of an mm, in small steps."""

    def write(asm: Assembler) -> None:
        with asm.loop(times):
            asm.work("user_ns")

    return Doing(write, cpu=cpu, mm=mm)


def began() -> float:
    """When the flush is sent."""
    return IN + 3 * COST["fork_ns"]


def clocks(found: Run) -> list[float]:
    return [clock / 1000 for clock in found.clocks.tolist()]


def counted(found: Run, *names: str) -> list[int]:
    return [found.counts[name] for name in names]


# --- IPIs


def test_a_flush_interrupts_each_target_and_waits_for_the_last_answer() -> None:
    found = run(flushing(), busy(1), busy(2))
    assert counted(found, "flush_requests", "flush_ipis", "page_invalidations", "full_flushes") == [
        1,
        2,
        2,
        0,
    ]
    sent = began() + COST["ipi_send_ns"] + 2 * COST["ipi_send_each_ns"]
    handled = sent + COST["ipi_latency_ns"] + COST["ipi_handler_ns"] + COST["page_flush_ns"]
    assert clocks(found)[0] == handled + 2 * COST["ipi_answer_each_ns"]
    assert found.flushes_taken.tolist() == [0, 1, 1]
    assert found.interrupted_cpus == 2
    assert found.deliveries == 2


def test_a_target_loses_the_time_that_its_handler_takes() -> None:
    found = run(flushing(units=4), busy(1))
    alone = IN + SPIN * COST["user_ns"]
    assert clocks(found)[1] == alone + COST["ipi_handler_ns"] + 4 * COST["page_flush_ns"]


def test_a_range_beyond_the_ceiling_is_a_full_flush_on_each_target() -> None:
    found = run(flushing(units=40), busy(1), busy(2))
    assert counted(found, "page_invalidations", "full_flushes", "remote_full_flushes") == [0, 2, 2]
    alone = IN + SPIN * COST["user_ns"]
    assert clocks(found)[1] == alone + COST["ipi_handler_ns"] + COST["full_flush_ns"]


def test_a_flush_that_nobody_takes_costs_no_interrupt() -> None:
    found = run(flushing())
    assert counted(found, "flush_requests", "flush_ipis") == [1, 0]
    assert clocks(found)[0] == began()


def test_a_lazy_target_is_interrupted_for_nothing_and_told_apart() -> None:
    found = run(flushing(), busy(1, times=1))
    assert counted(found, "flush_ipis", "lazy_ipis", "lazy_switches") == [1, 1, 1]


def test_a_target_that_runs_another_mm_is_trimmed() -> None:
    def write(asm: Assembler) -> None:
        asm.work("user_ns")

    found = run(flushing(), Doing(write, cpu=1), busy(1, 1))
    assert counted(found, "flush_ipis", "trim_ipis", "lazy_ipis") == [1, 1, 0]


def test_a_cpu_with_interrupts_off_answers_when_they_are_on_again() -> None:
    def off(asm: Assembler) -> None:
        asm.irq_off(lockless=True)
        asm.work("user_ns", 50)
        asm.irq_on(lockless=True)

    found = run(flushing(), Doing(off, cpu=1))
    on_again = IN + 50 * COST["user_ns"]
    handled = on_again + COST["ipi_handler_ns"] + COST["page_flush_ns"]
    assert clocks(found)[0] == handled + COST["ipi_answer_each_ns"]


def test_a_preempted_vcpu_answers_once_the_host_runs_it_again() -> None:
    found = run(flushing(), busy(1), preempted=[1])
    sent = began()
    resumed = sent + COST["preempted_ns"]
    assert clocks(found)[0] >= resumed + COST["ipi_handler_ns"]
    assert found.flushes_taken.tolist() == [0, 1]


def test_a_vcpu_that_was_preempted_answers_before_its_next_step_even_if_no_other_cpu_has_one() -> None:
    found = run(flushing(), busy(1, times=100), preempted=[1])
    resumed = began() + COST["preempted_ns"]
    handled = COST["ipi_handler_ns"] + COST["page_flush_ns"] + COST["ipi_answer_each_ns"]
    assert clocks(found)[0] <= resumed + COST["user_ns"] + handled
    assert clocks(found)[1] > resumed + 90 * COST["user_ns"]


def test_two_flushes_at_once_queue_in_the_handlers_of_their_targets() -> None:
    other = flushing()
    found = run(flushing(), busy(1), Doing(other.write, cpu=2))
    handler = COST["ipi_handler_ns"]
    assert found.flushes_taken.tolist() == [1, 2, 1]
    assert clocks(found)[1] >= IN + SPIN * COST["user_ns"] + 2 * handler


# --- syncs


def syncing(asm: Assembler) -> None:
    """Sync with every other CPU."""
    asm.work("fork_ns", 3)
    asm.target_online()
    asm.send(o.CALL_SYNC, scope=0)
    asm.wait()


def test_a_sync_interrupts_every_other_cpu_idle_ones_too() -> None:
    found = run(Doing(syncing), cpus=5)
    assert counted(found, "sync_broadcasts", "sync_ipis", "flush_ipis") == [1, 4, 0]
    assert found.syncs_taken.tolist() == [0, 1, 1, 1, 1]
    sent = began() + COST["ipi_send_ns"] + 4 * COST["ipi_send_each_ns"]
    assert (
        clocks(found)[0]
        == sent + COST["ipi_latency_ns"] + COST["ipi_handler_ns"] + 4 * COST["ipi_answer_each_ns"]
    )


def unsharing(asm: Assembler, *, flush: bool = False) -> None:
    """Clear the entry of a table that this mm maps, then sync."""
    asm.work("fork_ns", 3)
    asm.note(o.NOTE_SECTION, 1)
    asm.clear_pud()
    if flush:
        asm.request(2, cleared=o.CLEARED_PTES, hi=1)
        asm.flush_begin(2, 33)
        asm.target_mm_cpumask()
        asm.send_flush_ipis()
        asm.wait_for_answers()
    syncing(asm)
    asm.note(o.NOTE_SECTION, 0)


def mapping(asm: Assembler) -> None:
    """Map the table of slot 0, then stay in user mode."""
    asm.set_pud(0)
    with asm.loop(SPIN):
        asm.work("user_ns")


def test_a_sync_is_redundant_on_cpus_that_can_not_be_walking_the_table() -> None:
    """CPU 1 runs a task of the mm that maps it, CPU 2 one of another mm, CPU 3 idles."""
    found = run(Doing(unsharing), Doing(mapping, cpu=1), busy(2, 1), cpus=4)
    assert counted(found, "sync_ipis", "redundant_sync_ipis") == [3, 2]


def test_it_is_redundant_too_where_a_flush_of_the_same_unsharing_interrupted_already() -> None:
    found = run(Doing(lambda asm: unsharing(asm, flush=True)), Doing(mapping, cpu=1), cpus=2)
    assert counted(found, "flush_ipis", "sync_ipis", "redundant_sync_ipis") == [1, 1, 1]


# --- calls that interrupt nobody


def test_a_broadcast_costs_its_instructions_and_then_waits_for_completion() -> None:
    found = run(flushing(units=5, call=o.CALL_BROADCAST, each=2), busy(1))
    assert counted(found, "broadcast_invalidations", "flush_ipis") == [3, 0]
    issued = began() + 3 * COST["broadcast_ns"]
    assert clocks(found)[0] == issued + COST["completion_ns"] + COST["completion_each_ns"]
    assert clocks(found)[1] == IN + SPIN * COST["user_ns"]
    assert found.interrupted_cpus == 0


def test_a_hypercall_is_one_call_whatever_its_targets() -> None:
    found = run(flushing(call=o.CALL_HYPERCALL), busy(1), busy(2))
    assert counted(found, "hypercalls", "flush_ipis", "page_invalidations") == [1, 0, 2]
    assert clocks(found)[0] == began() + COST["hypercall_ns"] + 2 * COST["hypercall_each_ns"]


@pytest.mark.parametrize(
    ("numbers", "calls"),
    [
        ((0, 1, 2), 1),
        ((0, 63, 1), 1),
        ((0, 64, 1), 2),
        ((0, 65, 1), 3),
        ((0, 1, 64), 2),
        ((64, 65, 0), 2),
        ((10, 5, 68), 1),
        ((10, 5, 69), 2),
    ],
)
def test_what_runs_below_is_called_once_for_each_window_of_its_numbers(
    numbers: tuple[int, ...], calls: int
) -> None:
    """The caller is in mm_cpumask too; the CPUs are gone through in their order, and the calls' waits add up."""
    machine = scripted(flushing(call=o.CALL_HYPERCALL), busy(1), busy(2))
    found = run_machine(attrs.evolve(machine, numbers=numbers, reach=64), platform())
    assert counted(found, "hypercalls", "page_invalidations") == [calls, 2]
    assert clocks(found)[0] == began() + calls * COST["hypercall_ns"] + 2 * COST["hypercall_each_ns"]


def test_a_transition_to_a_global_asid_is_counted_by_itself() -> None:
    found = run(flushing(call=o.CALL_TRANSITION), busy(1))
    assert counted(found, "transition_ipis", "flush_ipis") == [1, 0]


def test_a_grace_period_interrupts_nobody_and_waits_for_lockless_walks() -> None:
    def free(asm: Assembler) -> None:
        asm.work("fork_ns", 3)
        asm.target_rcu()
        asm.send(o.CALL_RCU, scope=0)
        asm.wait()

    def walk(asm: Assembler) -> None:
        asm.irq_off(lockless=True)
        asm.work("user_ns", 50)
        asm.irq_on(lockless=True)

    found = run(Doing(free), Doing(walk, cpu=1))
    assert counted(found, "flush_ipis", "sync_ipis") == [0, 0]
    assert clocks(found)[0] >= IN + 50 * COST["user_ns"]


# --- instructions by name


def executing(name: str, times: int, per: int, *, units: int, broadcasts: bool = False) -> Run:
    """Execute an instruction for the flush of a range, while CPU 1 runs the mm."""

    def write(asm: Assembler) -> None:
        asm.work("fork_ns", 3)
        asm.request(2, cleared=o.CLEARED_PTES, hi=units)
        asm.flush_begin(2, 1000)
        asm.target_mm_cpumask()
        asm.execute(name, times, per, broadcasts=broadcasts, cost="broadcast_ns")
        asm.cancel()

    return run(Doing(write), busy(1), busy(2))


@pytest.mark.parametrize(
    ("times", "per", "units", "executed"),
    [
        (2, o.PER_REQUEST, 5, 2),
        (2, o.PER_STRIDE, 5, 10),
        (1, o.PER_RANGE_DIGIT, 2 * 33, 2),
        (1, o.PER_RANGE_DIGIT, 2 * 32, 1),
        (1, o.PER_ODD_STRIDE, 5, 1),
        (1, o.PER_ODD_STRIDE, 6, 0),
        (3, o.PER_TARGET, 5, 6),
        (2, o.ONE_STRIDE, 1, 2),
        (2, o.ONE_STRIDE, 2, 0),
        (2, o.ONE_STRIDE | o.PER_TARGET, 1, 4),
        (2, o.MORE_STRIDES, 1, 0),
        (2, o.MORE_STRIDES, 2, 2),
        (2, o.MORE_STRIDES | o.PER_STRIDE, 3, 6),
        (2, o.PER_CALL_BELOW, 3, 2),
    ],
)
def test_an_instruction_is_executed_as_often_as_its_request_needs(
    times: int, per: int, units: int, executed: int
) -> None:
    found = executing("tlbi_vae1is", times, per, units=units)
    assert found.instructions == {"tlbi_vae1is": executed}
    assert clocks(found)[0] == began() + executed * COST["broadcast_ns"]


def test_an_instruction_that_broadcasts_takes_time_from_every_other_cpu() -> None:
    found = executing("tlbi_vae1is", 1, o.PER_STRIDE, units=3, broadcasts=True)
    assert found.counts["broadcast_invalidations"] == 3
    assert clocks(found)[1] == IN + SPIN * COST["user_ns"] + 3 * COST["page_flush_ns"]


# --- CPUs between tasks


def everybody_flushes(asm: Assembler) -> None:
    """Broadcast one invalidation of a whole mm, by an instruction."""
    asm.execute("tlbie", broadcasts=True, cost="broadcast_ns")


def everybody_syncs(asm: Assembler) -> None:
    """Interrupt every other CPU and wait."""
    asm.target_online()
    asm.send(o.CALL_SYNC)
    asm.wait()


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize(
    ("reach", "lost"), [(everybody_syncs, "ipi_handler_ns"), (everybody_flushes, "full_flush_ns")]
)
def test_what_reaches_a_cpu_that_switches_to_a_spinning_task_puts_the_end_of_the_switch_off(
    reach: Callable[[Assembler], None], lost: str, one_by_one: bool
) -> None:
    """The sender wakes a task on it before the end of the switch: it is switched to after that."""
    switch = 100_000

    def wakes(asm: Assembler) -> None:
        asm.work("fork_ns")
        reach(asm)
        asm.signal(1)

    def waits(asm: Assembler) -> None:
        asm.await_event(1, 1)
        asm.work("zap_ns")

    spins = Doing(lambda asm: asm.park(1), cpu=1)
    machine = scripted(Doing(wakes), spins, Doing(waits, cpu=1))
    on = platform(costs=costs(switch_ns=switch, fork_ns=switch + switch // 2))
    found = run_machine(machine, on, one_by_one=one_by_one)
    assert clocks(found)[1] == 3 * switch + COST[lost] + switch + COST["zap_ns"] + switch


def test_invalidations_do_not_put_off_when_the_host_runs_an_idle_vcpu_again() -> None:
    def asks(asm: Assembler) -> None:
        everybody_flushes(asm)
        asm.work("fork_ns", 3)
        everybody_syncs(asm)

    def flushes_later(asm: Assembler) -> None:
        asm.work("fork_ns", 20)
        everybody_flushes(asm)

    preempted_ns = 100 * COST["fork_ns"]
    on = platform(costs=costs(preempted_ns=preempted_ns))
    found = run(Doing(asks), Doing(flushes_later, cpu=2), on=on, preempted=[1])
    sent = IN + COST["broadcast_ns"] + 3 * COST["fork_ns"]
    handled = sent + preempted_ns + COST["ipi_handler_ns"]
    assert clocks(found)[0] == handled + 2 * COST["ipi_answer_each_ns"]


# --- one interrupt for several calls


def test_a_call_to_a_cpu_whose_queue_is_not_empty_needs_no_interrupt() -> None:
    """kernel/smp.c, __smp_call_single_queue(): only who finds the queue empty interrupts."""
    second = attrs.evolve(flushing(), cpu=1)
    slow = platform(costs=costs(ipi_latency_ns=50_000))
    found = run(flushing(), second, busy(2), on=slow)
    assert counted(found, "flush_ipis", "interrupts_taken") == [4, 3]
    assert found.flushes_taken.tolist() == [1, 1, 2], "the function runs as often as it was called"
    alone = IN + SPIN * COST["user_ns"]
    handler = COST["ipi_handler_ns"] + COST["line_ns"] + 2 * COST["page_flush_ns"]
    assert clocks(found)[2] == alone + handler


def test_a_call_after_the_handler_has_begun_is_an_interrupt_of_its_own() -> None:
    def later(asm: Assembler) -> None:
        asm.work("fork_ns", 20)
        flushing().write(asm)

    found = run(flushing(), Doing(later, cpu=1), busy(2))
    assert counted(found, "flush_ipis", "interrupts_taken")[1] == counted(found, "flush_ipis")[0]


def test_a_cpu_that_had_interrupts_off_takes_all_calls_in_one_interrupt() -> None:
    def off(asm: Assembler) -> None:
        asm.irq_off(lockless=True)
        asm.work("user_ns", 50)
        asm.irq_on(lockless=True)

    found = run(flushing(), attrs.evolve(flushing(), cpu=1), Doing(off, cpu=2))
    assert counted(found, "flush_ipis", "interrupts_taken") == [4, 3]
