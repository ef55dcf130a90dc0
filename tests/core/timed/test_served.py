"""What serves one CPU after another: a lock's line, an mm's, a node, and what carries broadcasts."""

from __future__ import annotations

import pytest
from tests.core.timed.clocked import COST, Doing, platform, run

from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler

IN = COST["switch_ns"]
LINE = COST["line_ns"]


def reads(asm: Assembler) -> None:
    """Take a lock for reading, and nothing else."""
    asm.lock(0, write=False, sleeps=True, text="a lock")
    asm.unlock(0, write=False, text="a lock")


def flushes(asm: Assembler) -> None:
    """Begin a flush that reaches nobody."""
    asm.request(2)
    asm.begin_flush(2, ceiling=33)
    asm.cancel(text="nobody")


def faults(asm: Assembler) -> None:
    """Fault as many pages in as move between a zone's lists and a CPU's own at a time."""
    asm.work("small_fault_ns", 63)


def clocks(*tasks: Doing, **switches: bool) -> list[int]:
    """Run programs on a platform; return the nanoseconds on each CPU's clock, without the switch to the task."""
    serial = {"serial_lock": True, "serial_mm": True, "serial_node": True, **switches}
    found = run(*tasks, on=platform(**serial), locks=1)
    return [int(clock) // 1000 - IN for clock in found.clocks]


def test_readers_of_a_lock_get_its_line_one_after_another() -> None:
    """Each writes the count twice, and no two hold the line at a time; the first has it from nobody."""
    both = clocks(Doing(reads), Doing(reads, cpu=1))
    assert both[0] == 2 * LINE, "it releases the lock once the other has taken it"
    assert both[1] == both[0] + LINE


def test_a_line_that_only_one_cpu_writes_stays_in_its_cache() -> None:
    def twice(asm: Assembler) -> None:
        reads(asm)
        reads(asm)

    assert clocks(Doing(twice)) == [2 * COST["lock_ns"]]


@pytest.mark.parametrize(
    ("program", "alone", "service", "switch"),
    [
        (flushes, COST["flush_ns"], LINE, "serial_mm"),
        (faults, 63 * COST["small_fault_ns"], COST["zone_ns"], "serial_node"),
    ],
)
def test_what_a_second_cpu_uses_too_serves_it_after_the_first(
    program: object, alone: int, service: int, switch: str
) -> None:
    both = [Doing(program, mm=0), Doing(program, cpu=1, mm=0)]  # type: ignore[arg-type]
    assert clocks(*both) == [alone, alone + service]
    assert clocks(*both, **{switch: False}) == [alone, alone], "as if each CPU had one of its own"


def test_where_no_page_comes_or_goes_a_zone_makes_nobody_wait() -> None:
    """mprotect() changes entries, and a file's pages stay in the page cache."""

    def changes(asm: Assembler) -> None:
        asm.work("zap_ns", 63, keeps=True)

    alone = 63 * COST["zap_ns"]
    assert clocks(Doing(changes, mm=0), Doing(changes, cpu=1, mm=0)) == [alone, alone]


def test_many_wait_as_long_as_all_before_them_are_served() -> None:
    many = [Doing(faults, cpu=cpu) for cpu in range(4)]
    alone = 63 * COST["small_fault_ns"]
    assert clocks(*many) == [alone + n * COST["zone_ns"] for n in range(4)]


@pytest.mark.parametrize("each", [1, -1])
def test_broadcasts_and_their_completion_are_served_one_after_another(each: int) -> None:
    """INVLPGB with TLBSYNC as TLBI with DSB: how long all CPUs take to answer holds up the next broadcast."""

    def broadcasts(asm: Assembler) -> None:
        asm.target_every()
        asm.send(o.CALL_BROADCAST, o.SCOPE_BOTH, each)
        asm.wait()

    two = [Doing(broadcasts), Doing(broadcasts, cpu=1)]
    issue = COST["broadcast_ns"] if each > 0 else 0
    answers = 2 * COST["completion_each_ns"]
    first = issue + COST["completion_ns"] + answers
    assert clocks(*two) == [first, first + answers]
    assert clocks(*two, serial_machine=False) == [first, first]
