"""Sockets and threads of a core: what calls, lines and handlers take on a machine that has several."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.timed.clocked import COST, Doing, platform, run
from tests.core.timed.test_interrupts import IN, SPIN, began, busy, clocks, flushing

from shootdown._machine.assembler import Assembler
from shootdown._timed.run import Run


def shaped(*doing: Doing, **given: Any) -> Run:
    return run(*doing, on=platform(**given))


def answered(*, far: int = 0, targets: int = 2) -> float:
    """When the sender has all answers of so many targets, of which some are on another socket."""
    sent = began() + COST["ipi_send_ns"] + targets * COST["ipi_send_each_ns"] + 2 * far * COST["far_line_ns"]
    handled = sent + COST["ipi_latency_ns"] + (COST["far_ipi_ns"] if far else 0)
    handled += COST["ipi_handler_ns"] + COST["page_flush_ns"]
    return handled + targets * COST["ipi_answer_each_ns"] + far * COST["far_line_ns"]


def test_a_target_on_another_socket_is_called_later_and_its_lines_take_longer() -> None:
    """CPUs 0 and 1 are on the first socket, CPU 2 on the second."""
    near, far = (shaped(flushing(), busy(1), busy(2), sockets=sockets) for sockets in (1, 2))
    assert clocks(near)[0] == answered()
    assert clocks(far)[0] == answered(far=1)
    assert near.counts["flush_ipis"] == far.counts["flush_ipis"] == 2


def test_a_target_loses_no_more_on_another_socket() -> None:
    near, far = (shaped(flushing(), busy(1), busy(2), sockets=sockets) for sockets in (1, 2))
    assert clocks(near)[1:] == clocks(far)[1:]


def locking(cpu: int) -> Doing:
    """Take and release a lock once, one CPU after another."""

    def write(asm: Assembler) -> None:
        asm.work("fork_ns", 10 * (cpu + 1))
        asm.lock(0, write=True, sleeps=False, text="a lock")
        asm.unlock(0, write=True, text="a lock")

    return Doing(write, cpu=cpu)


@pytest.mark.parametrize(
    ("given", "extra"),
    [
        ({}, "line_ns"),
        ({"sockets": 2}, "far_line_ns"),
        ({"smt": 2, "smt_slowed": 0}, "nothing"),
    ],
)
def test_a_lines_way_depends_on_who_used_it_last(given: dict[str, int], extra: str) -> None:
    found = shaped(locking(0), locking(1), serial_lock=True, **given)
    own = IN + 20 * COST["fork_ns"] + COST["lock_ns"]
    moves = {"nothing": 0, "line_ns": COST["line_ns"], "far_line_ns": COST["line_ns"] + COST["far_line_ns"]}
    assert clocks(found)[1] == own + moves[extra]


def spinning(cpu: int) -> Doing:
    """Keep a CPU in user mode of an mm of its own for ever: no flush of mm 0 calls it."""
    return Doing(lambda asm: asm.park(1, text="run in user mode"), cpu=cpu, mm=1)


def test_a_handler_takes_longer_while_another_thread_of_its_core_is_busy_which_loses_as_much() -> None:
    """CPUs 1 and 3 are threads of one core."""
    alone, together = (
        shaped(
            flushing(),
            busy(1),
            Doing(lambda asm: None, cpu=2, mm=None),
            spinning(3),
            smt=smt,
            smt_slowed=50,
        )
        for smt in (1, 2)
    )
    handler = COST["ipi_handler_ns"] + COST["page_flush_ns"]
    own = SPIN * COST["user_ns"]
    assert clocks(alone)[1] == IN + own + handler
    assert clocks(together)[1] == IN + (own + handler) * 1.5
    assert together.lost_ns - alone.lost_ns == handler


@pytest.mark.parametrize("others", [0, 1, 2, 3])
def test_work_takes_longer_for_each_other_thread_of_its_core_that_is_busy(others: int) -> None:
    """Four CPUs are threads of one core; the last one works, twice as much in the second run."""

    def clock(times: int) -> float:
        spin = [spinning(cpu) for cpu in range(others)]
        idle = [Doing(lambda asm: None, cpu=cpu, mm=None) for cpu in range(others, 3)]
        return clocks(shaped(*spin, *idle, busy(3, times=times), smt=4, smt_slowed=50))[3]

    assert clock(2 * SPIN) - clock(SPIN) == SPIN * COST["user_ns"] * (1 + 0.5 * others)


def test_who_waits_for_a_lock_leaves_the_core_to_its_other_threads() -> None:
    """CPU 1 wants the lock that CPU 0 holds; it has a step to take only until it asks for it."""

    def hold(asm: Assembler) -> None:
        asm.lock(0, write=True, sleeps=False, text="a lock")
        asm.work("fork_ns", 10)
        asm.unlock(0, write=True, text="a lock")

    def want(asm: Assembler) -> None:
        asm.lock(0, write=True, sleeps=False, text="a lock")
        asm.unlock(0, write=True, text="a lock")

    clock = {
        smt: clocks(shaped(Doing(hold), Doing(want, cpu=1), smt=smt, smt_slowed=50))[0] for smt in (1, 2)
    }
    assert clock[2] - clock[1] < COST["fork_ns"]


def test_without_several_sockets_or_threads_nothing_is_far_or_slowed() -> None:
    found = shaped(flushing(), busy(1), busy(2), smt_slowed=90)
    assert clocks(found)[0] == answered()
    assert [found.counts[name] for name in ("far_calls", "far_targets", "far_lines")] == [0, 0, 0]
