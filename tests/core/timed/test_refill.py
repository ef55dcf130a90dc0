"""What a flush costs later: translations that a task uses over and over, dropped by a flush of everything."""

from __future__ import annotations

import pytest
from tests.core.timed.clocked import COST, Doing, costs, platform, run
from tests.core.timed.test_interrupts import IN, clocks, flushing

from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._timed.run import Run

#: Nanoseconds of a walk, and of the line of eight entries.
WALK, LINE = 2, 8
WORK = 1000
FLUSH = COST["ipi_handler_ns"] + COST["full_flush_ns"]
CHEAP = platform(costs=costs(refill_ns=WALK, refill_line_ns=LINE))


def using(uses: int, *, computes: bool = True, after: bool = False) -> Doing:
    """Use so many translations on CPU 1, compute, and say it again at the end."""

    def write(asm: Assembler) -> None:
        asm.note(o.NOTE_USES, uses, 0, computes)
        with asm.loop(WORK):
            asm.work("user_ns")
        if after:
            asm.note(o.NOTE_USES, uses, 0, False)
        asm.work("user_ns")

    return Doing(write, cpu=1)


def everything(*, times: int = 1) -> Doing:
    """Flush all of mm 0, so many times."""

    def write(asm: Assembler) -> None:
        asm.work("fork_ns", 3)
        with asm.loop(times):
            asm.request(2, cleared=o.CLEARED_PTES, hi=64)
            asm.flush_begin(2, 33)
            asm.target_mm_cpumask()
            asm.send(o.CALL_FLUSH)
            asm.wait()

    return Doing(write)


def loses(found: Run, *, flushes: int = 1) -> float:
    """What CPU 1 lost beyond the handlers of so many flushes."""
    return clocks(found)[1] - (IN + (WORK + 1) * COST["user_ns"] + flushes * FLUSH)


@pytest.mark.parametrize("uses", [0, 1, 8, 9, 80])
def test_a_task_walks_again_for_each_translation_that_it_uses(uses: int) -> None:
    found = run(everything(), using(uses), on=CHEAP)
    assert loses(found) == found.refill_ns == uses * WALK + -(-uses // 8) * LINE
    assert found.lost_ns == FLUSH + found.refill_ns


def test_a_flush_by_address_drops_only_what_changed() -> None:
    found = run(flushing(units=4), using(80), on=CHEAP)
    assert found.refill_ns == 0


def test_without_the_switch_nothing_is_walked_for_again() -> None:
    found = run(
        everything(), using(80), on=platform(costs=costs(refill_ns=WALK, refill_line_ns=LINE), refill=False)
    )
    assert (loses(found), found.refill_ns) == (0, 0)


def test_what_was_not_walked_for_again_is_not_dropped_again() -> None:
    """Two flushes follow one another sooner than so many translations are back: the second one drops those that are."""
    once, twice = (run(everything(times=times), using(10**6), on=CHEAP) for times in (1, 2))
    whole = 10**6 * (WALK + LINE / 8)
    assert once.refill_ns == whole
    assert whole < twice.refill_ns < whole + clocks(twice)[0]


def test_a_task_in_the_kernel_pays_when_it_is_back() -> None:
    never, later = (
        run(everything(), using(80, computes=False, after=after), on=CHEAP) for after in (False, True)
    )
    assert (never.refill_ns, later.refill_ns) == (0, 80 * WALK + 10 * LINE)
    assert loses(later) == later.refill_ns
    assert later.lost_ns == FLUSH, "who is not in user mode loses it to its own work"
