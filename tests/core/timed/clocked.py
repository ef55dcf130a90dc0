"""Machines with clocks: the engine's books beside a tiny machine, and programs that run to their end.

Every cost has a different number of nanoseconds, so that a time shows which costs were charged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from tests.core.machine.tiny import Tiny, laid_out

from shootdown._machine.assembler import Assembler
from shootdown._machine.layout import T_CPU, T_MM, T_ON, T_PC, TASK_CELLS, empty_state, set_cpu
from shootdown._machine.machine import Machine
from shootdown._timed.books import COUNTERS, LOG_CELLS, Books
from shootdown._timed.opening import blank, make_books
from shootdown._timed.run import Run, cost_array, run_machine
from shootdown._values.platform import COST_NAMES, Cost, Costs, Platform

#: Nanoseconds by the name of a cost: 1,000 for the first, 1,001 for the second, and so on.
COST = {name: 1000 + number for number, name in enumerate(COST_NAMES)}


def costs(**given: int) -> Costs:
    """Return the costs of `COST`, with the given ones replaced."""
    return Costs(**{name: Cost(ns, ns, ns, "a test") for name, ns in {**COST, **given}.items()})


def platform(**given: Any) -> Platform:
    """Make a platform with these costs, no jitter, and lines and nodes that all CPUs have for themselves."""
    alone = {"serial_lock": False, "serial_mm": False, "serial_node": False}
    return Platform(**{"name": "test", "summary": "a test", "costs": costs(), "jitter": 0, **alone, **given})


class Clocked(Tiny):
    """A tiny machine with the books of the timed engine.

    Args:
        windows, steps, events: sizes of the books.
        given: sizes of the machine.
    """

    def __init__(self, *, windows: int = 1, steps: int = 8, events: int = 0, **given: Any) -> None:
        super().__init__(**{"bits": 64, **given})
        layout = self.layout
        self.books: Books = make_books(
            cpus=layout.cpus, words=layout.words, tasks=layout.tasks, mms=layout.mms, locks=layout.locks,
            events=layout.events, slots=layout.slots, sections=2, steps=steps, instructions=3, windows=windows,
            walk_entries=16, huge_entries=64, pending_events=layout.cpus,
        )  # fmt: skip
        self.array: npt.NDArray[np.int64] = blank(self.books, seed=1)
        self.costs = cost_array(costs(), "likely")
        self.timeline = np.zeros(events * LOG_CELLS, np.int64)
        self.ever = np.zeros(layout.mms * layout.slots, np.uint8)

    def cells(self, part: str, count: int | None = None) -> npt.NDArray[np.int64]:
        """Return a part of the books by its name (`clock`, `owed`, ...); one cell for each CPU by default."""
        start = getattr(self.books, f"o_{part}")
        return self.array[start : start + (self.layout.cpus if count is None else count)]

    def misc(self, cell: int) -> int:
        """Return one of the miscellaneous cells."""
        return int(self.array[self.books.o_misc + cell])

    def counted(self) -> dict[str, int]:
        """Return the counters, without zeros."""
        total = self.cells("total", len(COUNTERS)).tolist()
        return {name: n for name, n in zip(COUNTERS, total, strict=True) if n}

    def book(self, kernel: Callable[..., Any], *arguments: Any) -> Any:
        """Call a kernel that takes only the books."""
        return kernel(self.array, self.books, *arguments)

    def engine(self, kernel: Callable[..., Any], *arguments: Any) -> Any:
        """Call a kernel that takes state, layout and books."""
        return kernel(self.state, self.layout, self.array, self.books, *arguments)


@attrs.frozen
class Doing:
    """A task and the program that it runs.

    Args:
        write: writes its steps; HALT follows.
        cpu: its home CPU.
        mm: from zero; None for a kernel thread.
        ready: it can run at the beginning.
    """

    write: Callable[[Assembler], object]
    cpu: int = 0
    mm: int | None = 0
    ready: bool = True


def scripted(
    *tasks: Doing,
    preempted: Sequence[int] = (),
    windows: int = 0,
    **given: Any,
) -> Machine:
    """Make a machine whose tasks run programs."""
    sizes = {"tasks": len(tasks), "cpus": max(task.cpu for task in tasks) + 1, "bits": 64, **given}
    layout = laid_out(**sizes)
    state = empty_state(layout)
    asm = Assembler()
    for number, task in enumerate(tasks):
        cells = state[layout.o_task + number * TASK_CELLS :]
        cells[T_PC], cells[T_CPU] = asm.here, task.cpu
        cells[T_MM] = cells[T_ON] = 0 if task.mm is None else task.mm + 1
        task.write(asm)
        asm.halt()
    for cpu in preempted:
        set_cpu(state, layout, "preempted", cpu)
    return Machine(
        code=asm.finish(), layout=layout, state=state,
        ready=tuple(number for number, task in enumerate(tasks) if task.ready),
        sections=1, windows=windows, pages_per_table=2, tasks_expected=len(tasks),
    )  # fmt: skip


def run(*tasks: Doing, on: Platform | None = None, events: int = 0, **given: Any) -> Run:
    """Run programs to their end."""
    return run_machine(scripted(*tasks, **given), on or platform(), events=events)
