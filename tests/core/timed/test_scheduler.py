"""One schedule among all: the earliest CPU moves, locks go to who waits longest, nobody overtakes."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.core.timed.clocked import COST, Doing, costs, platform, run, scripted

import shootdown
from shootdown._compilation.slices import Slices
from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._machine.layout import CPU_CELLS, CPU_TASK
from shootdown._timed import books as k
from shootdown._timed import endless
from shootdown._timed.run import Run, run_machine
from shootdown._values.errors import ShootdownError

#: What a CPU pays before a task's first step: it switches to the task.
IN = COST["switch_ns"]
#: How long a lock is held: long enough for everybody else to ask for it.
HELD = 20 * COST["zap_ns"]


def working(*costs: str) -> Doing:
    """Do ordinary work."""
    return Doing(lambda asm: [asm.work(cost) for cost in costs])


def clocks(found: Run) -> list[float]:
    """Return the clock of each CPU in nanoseconds."""
    return [clock / 1000 for clock in found.clocks.tolist()]


def locking(
    cpu: int,
    *,
    write: bool = True,
    sleeps: bool = False,
    at_once: bool = False,
    before: int = 0,
    held: int = 20,
) -> Doing:
    """Work a while, take lock 0, hold it for `HELD` or so many steps of work, release it."""

    def write_it(asm: Assembler) -> None:
        asm.work("skip_ns", before)
        if write:
            asm.lock_write(0, sleeps=sleeps, at_once=at_once)
        else:
            asm.lock_read(0, sleeps=sleeps)
        asm.work("zap_ns", held)
        (asm.unlock_write if write else asm.unlock_read)(0)

    return Doing(write_it, cpu=cpu, mm=None)


# --- time


def test_a_tasks_steps_take_what_they_cost_after_the_switch_to_it() -> None:
    found = run(working("zap_ns", "skip_ns"))
    assert found.elapsed_ns == IN + COST["zap_ns"] + COST["skip_ns"]
    assert found.system_ns == COST["zap_ns"] + COST["skip_ns"]


def test_work_in_user_mode_takes_time_but_none_of_the_kernels() -> None:
    found = run(working("user_ns"))
    assert found.elapsed_ns == IN + COST["user_ns"]
    assert found.system_ns == 0


def test_cpus_work_side_by_side() -> None:
    one, other = working("zap_ns"), Doing(lambda asm: asm.work("zap_ns"), cpu=1)
    assert run(one, other).elapsed_ns == IN + COST["zap_ns"]


def test_tasks_of_one_cpu_work_one_after_another() -> None:
    found = run(working("zap_ns"), working("skip_ns"))
    assert found.elapsed_ns == 2 * IN + COST["zap_ns"] + COST["skip_ns"]
    assert found.counts["context_switches"] == 2


@pytest.mark.parametrize("percent", [0, 5])
def test_jitter_varies_ordinary_work_within_its_percentage(percent: int) -> None:
    taken = {
        run_machine(scripted(working(*["zap_ns"] * 5)), platform(jitter=percent), seed=seed).system_ns
        for seed in range(8)
    }
    usual = 5 * COST["zap_ns"]
    assert len(taken) == (8 if percent else 1)
    assert all(abs(time - usual) <= usual * percent / 100 for time in taken)


def test_the_same_seed_gives_the_same_run() -> None:
    machine = scripted(working(*["zap_ns"] * 5))
    times = [run_machine(machine, platform(jitter=9), seed=3).elapsed_ns for _ in range(2)]
    assert times[0] == times[1]


def test_a_run_that_is_looked_at_while_it_runs_counts_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def long(asm: Assembler) -> None:
        with asm.loop(1_500):
            asm.work("user_ns")

    monkeypatch.setattr(endless, "_SOON", 0.0)
    found = run(Doing(long))
    assert found.steps == found.step_counts.sum() > 3_000


def test_a_task_that_begins_to_wait_is_no_sign_of_a_run_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step at which it waits leaves the machine's state, and in that moment every clock, as they were."""
    monkeypatch.setattr(endless, "_SOON", 0.0)
    monkeypatch.setattr(Slices, "begin", lambda _: 1)
    (row,) = shootdown.compare(
        "hugetlb-munmap", arch="x86", kernels=["7.0"], parameters={"threads": 3}, cpus=4
    )
    assert row.counts["sync_ipis"] == 3


def test_a_run_leaves_the_machine_as_it_was() -> None:
    machine = scripted(working("zap_ns"))
    before = machine.state.copy()
    run_machine(machine, platform())
    assert (machine.state == before).all()


# --- tasks


def test_a_child_starts_where_it_lives_when_its_parent_is_done_with_fork() -> None:
    def parent(asm: Assembler) -> None:
        asm.work("fork_ns")
        asm.spawn(1)
        asm.work("zap_ns")

    child = Doing(lambda asm: asm.work("skip_ns"), cpu=1, mm=1, ready=False)
    found = run(Doing(parent), child)
    forked = IN + COST["fork_ns"]
    assert clocks(found)[0] == forked + COST["zap_ns"]
    assert clocks(found)[1] == forked + COST["start_ns"] + IN + COST["skip_ns"]


def test_a_child_without_a_home_goes_to_an_idle_cpu() -> None:
    def parent(asm: Assembler) -> None:
        asm.spawn(2)
        asm.work("fork_ns", 50)

    child = Doing(lambda asm: asm.work("zap_ns"), cpu=3, mm=1, ready=False)
    busy = Doing(lambda asm: asm.work("fork_ns", 50), cpu=1)
    found = run(Doing(parent), busy, child, cpus=3)
    assert clocks(found)[2] == IN + COST["start_ns"] + IN + COST["zap_ns"]


def test_who_awaits_an_event_is_woken_by_its_signal() -> None:
    def waits(asm: Assembler) -> None:
        asm.await_event(1, 1)
        asm.work("zap_ns")

    def tells(asm: Assembler) -> None:
        asm.work("skip_ns", 7)
        asm.signal(1)

    found = run(Doing(waits), Doing(tells, cpu=1))
    told = IN + 7 * COST["skip_ns"]
    assert clocks(found)[0] == told + COST["lock_wake_ns"] + IN + COST["zap_ns"]


def test_who_is_woken_on_the_same_cpu_needs_no_interrupt() -> None:
    """It is queued, and switched to once the one that wakes it leaves the CPU."""

    def waits(asm: Assembler) -> None:
        asm.await_event(1, 1)
        asm.work("zap_ns")

    def tells(asm: Assembler) -> None:
        asm.signal(1)
        asm.work("skip_ns", 7)

    found = run(Doing(waits), Doing(tells))
    assert clocks(found)[0] == 3 * IN + 7 * COST["skip_ns"] + COST["zap_ns"]


def test_a_signal_that_is_not_enough_wakes_nobody() -> None:
    def waits(asm: Assembler) -> None:
        asm.await_event(1, 2)

    with pytest.raises(ShootdownError, match=r"the run hangs: 1 of 2 tasks"):
        run(Doing(waits), Doing(lambda asm: asm.signal(1), cpu=1))


def test_a_task_that_migrates_goes_on_at_its_new_home() -> None:
    def moves(asm: Assembler) -> None:
        asm.migrate(1)
        asm.work("zap_ns")

    found = run(Doing(moves), cpus=2)
    assert clocks(found)[1] == IN + COST["migrate_ns"] + IN + COST["zap_ns"]


def test_who_sleeps_for_good_leaves_its_cpu_to_the_next_in_its_queue() -> None:
    found = run(Doing(lambda asm: asm.park(0)), working("zap_ns"))
    assert found.elapsed_ns == 2 * IN + COST["zap_ns"]


def test_who_spins_for_good_lets_those_that_wait_run_first_and_has_the_cpu_in_the_end() -> None:
    machine = scripted(Doing(lambda asm: asm.park(1)), working("zap_ns"))
    found = run_machine(machine, platform())
    assert found.counts["context_switches"] == 3
    assert found.state[machine.layout.o_cpu + CPU_TASK] == 1


def test_a_cpu_that_spins_for_good_is_there_for_a_task_that_is_woken() -> None:
    def waits(asm: Assembler) -> None:
        asm.await_event(1, 1)
        asm.work("zap_ns")

    def tells(asm: Assembler) -> None:
        asm.work("fork_ns", 9)
        asm.signal(1)

    spins = Doing(lambda asm: asm.park(1))
    machine = scripted(Doing(waits), spins, Doing(tells, cpu=1))
    found = run_machine(machine, platform())
    assert clocks(found)[0] >= IN + 9 * COST["fork_ns"] + COST["lock_wake_ns"] + COST["zap_ns"]
    assert found.state[machine.layout.o_cpu + 0 * CPU_CELLS + CPU_TASK] == 2


@given(st.integers(11, 19), st.lists(st.integers(1, 40), min_size=4, max_size=6))
@example(16, [27, 8, 21, 36])
@settings(max_examples=60, deadline=None)
def test_steps_come_in_the_order_of_time_if_a_cpu_ends_its_switch_later(told: int, begin: list[int]) -> None:
    """CPU 1 is still switching to a task that spins when another is woken: it ends the next switch instead."""

    def wakes(asm: Assembler) -> None:
        asm.work("skip_ns", told)
        asm.signal(1)
        asm.work("skip_ns", 90)

    def waits(asm: Assembler) -> None:
        asm.await_event(1, 1)
        with asm.loop(9):
            asm.work("zap_ns")

    def works(asm: Assembler, first: int) -> None:
        asm.work("skip_ns", first)
        with asm.loop(20):
            asm.work("skip_ns")

    found = run(
        Doing(wakes),
        Doing(lambda asm: asm.park(1), cpu=1),
        Doing(waits, cpu=1),
        *[Doing(partial(works, first=first), cpu=cpu) for cpu, first in enumerate(begin, 2)],
        on=platform(costs=costs(switch_ns=10_000, skip_ns=1_000, zap_ns=500)),
        events=4_000,
    )
    begins = [event[1] for event in found.events.tolist() if event[0] == k.LOG_STEP]
    assert begins == sorted(begins)


def test_an_invariant_that_fails_ends_its_task_in_a_timed_run() -> None:
    def fails(asm: Assembler) -> None:
        asm.fail(3)
        asm.work("fork_ns")

    assert run(Doing(fails)).elapsed_ns == IN


# --- locks


def test_a_waiter_that_spins_gets_the_lock_a_handoff_after_its_release() -> None:
    found = run(locking(0), locking(1, before=1))
    released = IN + HELD
    assert clocks(found)[0] == released
    assert clocks(found)[1] == released + COST["lock_handoff_ns"] + HELD
    assert found.counts["lock_waits"] == 1


@pytest.mark.parametrize("write", [True, False])
def test_a_waiter_that_sleeps_is_woken_and_switched_to(write: bool) -> None:
    found = run(locking(0), locking(1, write=write, sleeps=True, at_once=True, before=1))
    assert clocks(found)[1] == IN + HELD + COST["lock_wake_ns"] + IN + HELD


def test_a_writer_spins_for_a_sleeping_lock_while_another_one_holds_it() -> None:
    found = run(*(locking(cpu, sleeps=True, before=cpu) for cpu in range(3)))
    handed = COST["lock_handoff_ns"] + HELD
    assert clocks(found) == [IN + HELD + n * handed for n in range(3)]
    assert found.counts["context_switches"] == 3, "nobody left its CPU"
    assert found.system_ns == found.clocks.sum() / 1000 - 3 * IN, "and each was in the kernel all the time"


def test_a_writer_sleeps_while_readers_hold_the_lock() -> None:
    found = run(locking(0, write=False), locking(1, sleeps=True, before=1))
    assert clocks(found)[1] == IN + HELD + COST["lock_wake_ns"] + IN + HELD


@pytest.mark.parametrize(("held", "overtakes"), [(20, True), (4_000, False)])
def test_a_writer_that_spins_overtakes_a_reader_that_sleeps_until_that_one_has_waited_4_ms(
    held: int, overtakes: bool
) -> None:
    found = run(
        locking(0, held=held),
        locking(1, write=False, sleeps=True, before=1),
        locking(2, sleeps=True, before=2),
    )
    reader, writer = clocks(found)[1:]
    assert (writer < reader) == overtakes


def test_who_spins_for_a_sleeping_lock_leaves_its_cpu_to_a_task_that_wakes_up() -> None:
    def wakes(asm: Assembler) -> None:
        asm.work("zap_ns", 2)
        asm.signal(0)

    def woken(asm: Assembler) -> None:
        asm.await_event(0, 1)
        asm.work("skip_ns")

    found = run(
        locking(0, held=40),
        Doing(woken, cpu=1),
        locking(1, sleeps=True, before=1),
        Doing(wakes, cpu=2),
        events=1,
    )
    released = IN + 40 * COST["zap_ns"]
    assert found.counts["context_switches"] == 6, (
        "the other one in, the writer in, that one again, the writer again"
    )
    assert clocks(found)[1] == released + COST["lock_wake_ns"] + IN + HELD


def test_readers_do_not_wait_for_one_another() -> None:
    found = run(*(locking(cpu, write=False) for cpu in range(3)))
    assert found.counts["lock_waits"] == 0
    assert clocks(found) == [IN + HELD] * 3


def test_readers_behind_a_writer_get_the_lock_together_and_a_writer_behind_them_last() -> None:
    found = run(
        locking(0),
        locking(1, write=False, before=1),
        locking(2, write=False, before=2),
        locking(3, before=3),
        locking(4, write=False, before=4),
    )
    read = IN + HELD + COST["lock_handoff_ns"] + HELD
    wrote = read + COST["lock_handoff_ns"] + HELD
    assert clocks(found)[1:] == [read, read, wrote, wrote + COST["lock_handoff_ns"] + HELD]


@settings(max_examples=25)
@given(st.lists(st.integers(0, 8), min_size=2, max_size=6), st.booleans())
def test_writers_get_a_lock_in_the_order_in_which_they_ask(delays: list[int], sleeps: bool) -> None:
    found = run(*(locking(cpu, sleeps=sleeps, before=n) for cpu, n in enumerate(delays)))
    asked = sorted(range(len(delays)), key=lambda cpu: (delays[cpu], cpu))
    done = sorted(range(len(delays)), key=lambda cpu: int(found.clocks[cpu]))
    assert done == asked


def test_locks_that_wait_for_each_other_are_told_as_a_hang() -> None:
    def one_way(first: int, second: int) -> Doing:
        def write(asm: Assembler) -> None:
            asm.lock_write(first)
            asm.work("fork_ns")
            asm.lock_write(second)

        return Doing(write, cpu=first)

    with pytest.raises(ShootdownError, match=r"2 of 2 tasks wait for a lock or an event that never comes"):
        run(one_way(0, 1), one_way(1, 0))


# --- what is written down


def test_the_ledger_has_for_each_step_how_often_it_was_taken_and_what_it_took() -> None:
    def loops(asm: Assembler) -> None:
        with asm.loop(4):
            asm.work("zap_ns")

    found = run(Doing(loops))
    assert found.step_counts.tolist() == [1, 4, 4, 1]
    assert found.step_times.tolist() == [0, 4 * COST["zap_ns"], 0, 0]
    assert found.steps == 10


def test_a_window_counts_apart_and_keeps_its_own_ledger() -> None:
    def counts(asm: Assembler) -> None:
        asm.note(o.NOTE_GATHER)
        asm.mark(0, True)
        asm.work("zap_ns", 3)
        asm.note(o.NOTE_GATHER, 2)
        asm.mark(0, False)
        asm.note(o.NOTE_GATHER, 4)

    def other(asm: Assembler) -> None:
        asm.work("skip_ns")
        asm.note(o.NOTE_GATHER, 8)

    found = run(Doing(counts), Doing(other, cpu=1), windows=1)
    assert found.counts["gathers"] == 15
    assert (found.windows[0]["gathers"], found.actors[0]["gathers"]) == (10, 2)
    assert found.window_ns == (3 * COST["zap_ns"],)
    assert found.window_system_ns == (3 * COST["zap_ns"] + COST["skip_ns"],)
    assert found.step_counts[0] == 0, "the step before the window is not in its ledger"


def test_the_timeline_has_each_step_that_took_time() -> None:
    found = run(working("zap_ns", "skip_ns"), events=8)
    rows = [[begin / 1000, end / 1000, cpu, step] for _, begin, end, cpu, step, _ in found.events.tolist()]
    zapped = IN + COST["zap_ns"]
    assert rows == [[IN, zapped, 0, 0], [zapped, zapped + COST["skip_ns"], 0, 1]]
    assert found.events_lost == 0
