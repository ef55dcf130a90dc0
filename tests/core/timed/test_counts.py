"""What each step counts is what its row says that it may count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.core.timed.clocked import Doing, platform, scripted

from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._machine.machine import Machine
from shootdown._machine.steps.table import ROWS, STEPS
from shootdown._timed import books as k
from shootdown._timed import effects, interrupts, scheduler, sending, taking
from shootdown._timed.charges import charges
from shootdown._timed.opening import blank
from shootdown._timed.run import books_of, cost_array


def flushing(call: int, *, pages: int, with_self: Callable[[Assembler], None] = lambda _: None) -> Doing:
    """Flush a range of mm 0, after all have begun, by one kind of call."""

    def write(asm: Assembler) -> None:
        asm.work("fork_ns", 3)
        asm.note(o.NOTE_SECTION, 1)
        asm.request(2, cleared=o.CLEARED_PTES, hi=pages)
        asm.flush_begin(2, 4)
        asm.target_mm()
        with_self(asm)
        asm.send(call)
        asm.wait()
        asm.note(o.NOTE_SECTION, 0)

    return Doing(write)


def twice(call: int) -> Doing:
    """Send a call, and a flush after it that makes it redundant."""

    def write(asm: Assembler) -> None:
        asm.work("fork_ns", 3)
        asm.set(o.SLOT, 0)
        asm.set(o.CLASS, 1)
        asm.note(o.NOTE_SECTION, 1)
        asm.clear_pud()
        asm.unshare(0, o.UNSHARED_TABLES)
        for one in (call, o.CALL_FLUSH):
            asm.request(2, flags=o.FULLMM)
            asm.flush_begin(2, 4)
            asm.target_mm()
            asm.send(one)
            asm.wait()
        asm.note(o.NOTE_AUDIT)
        asm.note(o.NOTE_SECTION, 0)

    return Doing(write)


def busy(cpu: int, mm: int | None = 0, *, walks: bool = False) -> Doing:
    """Keep a CPU in user mode of an mm, with interrupts off now and then if it walks."""

    def write(asm: Assembler) -> None:
        asm.touch()
        with asm.loop(60):
            if walks:
                asm.irq_off(lockless=True)
            asm.work("user_ns", 2)
            if walks:
                asm.irq_on(lockless=True)

    return Doing(write, cpu=cpu, mm=mm)


def lazy(cpu: int) -> Doing:
    """Run a task of mm 0 that soon sleeps for good, so that its CPU idles lazily."""

    def write(asm: Assembler) -> None:
        asm.touch()
        asm.park(0)

    return Doing(write, cpu=cpu)


def noting() -> Doing:
    def write(asm: Assembler) -> None:
        for what in (
            o.NOTE_GATHER,
            o.NOTE_GATHER_VMA,
            o.NOTE_SHARED,
            o.NOTE_WARNING,
            o.NOTE_COMPLETION,
            o.NOTE_RCU,
            o.NOTE_FLUSH_RANGE,
            o.NOTE_FLUSH_PAGE,
        ):
            asm.note(what)

    return Doing(write)


def flushing_here() -> Doing:
    """Let this CPU do its own part of flushes: of a range, of everything, lazily, outside a request."""

    def write(asm: Assembler) -> None:
        for pages, forced in ((1, 0), (9, 0), (1, 1), (9, 1)):
            asm.request(2, cleared=o.CLEARED_PTES, hi=pages)
            asm.flush_begin(2, 4)
            asm.flush_self(own_handler=True, forced=forced)
            asm.cancel()
        asm.request(2, flags=o.FULLMM)
        asm.flush_begin(2, 4)
        asm.execute("invalidate", 2, broadcasts=True, cost="broadcast_ns")
        asm.flush_local_pages(3)
        asm.release_mm()
        asm.flush_self()
        asm.cancel()

    return Doing(write)


def of_kernel() -> Doing:
    """Flush kernel addresses, a range and everything, and let others execute a memory barrier."""

    def write(asm: Assembler) -> None:
        asm.work("fork_ns", 3)
        for pages in (9, 0):
            asm.kernel_begin(pages)
            asm.target_online()
            asm.send(o.CALL_KERNEL)
            asm.kernel_self()
            asm.wait()
        asm.target_mm()
        asm.target_current()
        asm.send(o.CALL_BARRIER)
        asm.wait()

    return Doing(write)


def unsharing() -> Doing:
    """Unshare a table until nobody maps it, and look what is left."""

    def write(asm: Assembler) -> None:
        asm.set(o.SLOT, 0)
        asm.set(o.CLASS, 1)
        asm.share(0)
        asm.share(0)
        asm.set_pud(0)
        asm.touch()
        asm.clear_pud()
        asm.unshare(0, o.UNSHARED_TABLES)
        asm.note(o.NOTE_AUDIT)

    return Doing(write)


CALLS = (
    o.CALL_FLUSH,
    o.CALL_SYNC,
    o.CALL_HYPERCALL,
    o.CALL_BROADCAST,
    o.CALL_TRANSITION,
    o.CALL_INVALIDATE,
    o.CALL_LEAVE,
)


def machines() -> list[Machine]:
    """Machines on which each counter of a step rises."""
    found = [
        scripted(flushing(call, pages=pages), busy(1), busy(2, walks=True), lazy(3), busy(4, mm=1), mms=2)
        for call in CALLS
        for pages in (1, 9)
    ]
    found += [scripted(twice(call), busy(1), busy(2), busy(3, mm=1), mms=2) for call in CALLS]
    found += [scripted(doing, busy(1)) for doing in (noting(), flushing_here(), of_kernel(), unsharing())]
    for machine in found:  # CPUs that were in the mm before stay in its mm_cpumask
        layout = machine.layout
        if layout.mms == 2:
            machine.state[layout.o_mmset : layout.o_mmset + layout.words] = (1 << layout.cpus) - 1
    return found


def counted_by_step(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """Run a machine as plain Python; returns each step that counted something, with the counter."""
    seen: set[tuple[str, str]] = set()
    at = [0]
    plain_count, plain_effects = effects.count, effects.after_step

    def count(Q: Any, B: Any, what: int, n: int, task: int) -> None:  # noqa: N803  # as in the engine
        if n:
            seen.add((STEPS[int(machine.code.steps[at[0] * 5])].name, k.COUNTERS[what]))
        plain_count(Q, B, what, n, task)

    def after_step(*arguments: Any) -> None:
        at[0] = int(arguments[10])
        plain_effects(*arguments)

    with monkeypatch.context() as patched, np.errstate(over="ignore"):
        patched.setattr(effects, "count", count)
        for module in (interrupts, sending, taking):
            patched.setattr(module, "count", count)
        patched.setattr(scheduler, "after_step", after_step)
        layout, books, costs = (
            machine.layout,
            books_of(machine, platform()),
            cost_array(platform().costs, "likely"),
        )
        state, book = machine.state.copy(), blank(books, seed=1)
        book[books.o_misc + k.UNFINISHED] = machine.tasks_expected
        book[books.o_misc + k.PAGES_PER_TABLE] = machine.pages_per_table
        ever = np.ones(layout.mms * layout.slots, np.uint8)
        nothing = np.zeros(0, np.int64)
        scheduler.begin(state, layout, book, books, costs, np.array(machine.ready, np.int64))
        scheduler.run(
            state, machine.code.steps, machine.code.lists,
            charges(machine.code.steps, machine.code.cost, costs), layout, book, books, costs, ever, nothing,
            np.array([0, 1, 0], np.int64), 100_000,
        )  # fmt: skip
    return seen


@pytest.fixture(scope="module")
def seen() -> set[tuple[str, str]]:
    """Every step that counted something, with the counter."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        return set().union(*(counted_by_step(machine, monkeypatch) for machine in machines()))


DECLARED = {(row.name, counter) for row in ROWS for counter in row.counts}


def test_a_step_counts_nothing_that_its_row_does_not_declare(seen: set[tuple[str, str]]) -> None:
    assert seen - DECLARED == set()


def test_each_counter_that_a_row_declares_rises_on_some_machine(seen: set[tuple[str, str]]) -> None:
    assert DECLARED - seen == set()


def test_rows_name_counters_that_there_are() -> None:
    assert {counter for _, counter in DECLARED} <= set(k.COUNTERS)
