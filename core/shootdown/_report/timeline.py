"""The events of a run in words: what a CPU did from when to when, and who caused it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._machine import ops as o
from shootdown._machine.code import Code, StepNote
from shootdown._timed.books import LOG_HANDLER, LOG_STEP, LOG_WAIT

#: What a CPU does when it takes each kind of call.
HANDLERS = {
    o.CALL_FLUSH: "flush_tlb_func",
    o.CALL_SYNC: "tlb_remove_table_smp_sync",
    o.CALL_TRANSITION: "move to the global ASID",
    o.CALL_INVALIDATE: "invalidate on this CPU",
    o.CALL_INVALIDATE_MASKED: "invalidate on this CPU, if it ran the mm",
    o.CALL_LEAVE: "leave the lazy mm",
    o.CALL_BARRIER: "ipi_mb",
    o.CALL_KERNEL: "flush kernel addresses",
}

#: Names of steps outside of kernel functions.
OUTSIDE = "user mode and scheduling"


@attrs.frozen
class Event:
    """One entry of the timeline.

    Args:
        kind: `step`, `interrupt` or `wait`.
        begin, end: picoseconds.
        cpu: the CPU.
        name: the kernel function, or the step's name outside of one.
        text: what it does.
        sender: the CPU that sent the interrupt.
        task: the task that took the step.
        send: the number of the sending that this event is or belongs to; arrows go from step to interrupt.
    """

    kind: str
    begin: int
    end: int
    cpu: int
    name: str
    text: str
    sender: int | None = None
    task: int | None = None
    send: int | None = None


def timeline(code: Code, events: npt.NDArray[np.int64]) -> Iterator[Event]:
    """Yield the events of a run in the order of their beginning.

    Args:
        code: the programs that ran.
        events: shape (n, 6), as `Run.events`.
    """
    sends = _Sends(code, events)
    # Of those that begin together, a step comes before the interrupts that it sends.
    order = np.lexsort((events[:, 3], events[:, 0], events[:, 1]))
    for index in order.tolist():
        kind, begin, end, cpu, about, more = events[index].tolist()
        if kind == LOG_HANDLER:
            name = HANDLERS.get(more, "interrupt")
            send = sends.before(about, begin)
            yield Event("interrupt", begin, end, cpu, name, f"interrupt from CPU {about}", about, None, send)
            continue
        note = code.notes[about]
        name = step_name(note)
        if kind == LOG_WAIT:
            yield Event("wait", begin, end, cpu, name, note.text)
        elif kind == LOG_STEP:
            yield Event("step", begin, end, cpu, name, note.text, None, more, sends.number(index))


def step_name(note: StepNote) -> str:
    """Name the kernel function that a step stands for."""
    return note.function or OUTSIDE


def cpus_of(events: npt.NDArray[np.int64]) -> Sequence[int]:
    """Return the CPUs that have events, ascending."""
    found: list[int] = np.flatnonzero(np.bincount(events[:, 3])).tolist()
    return found


class _Sends:
    """Number the sendings of interrupts, and find the one that an interrupt belongs to.

    A CPU sends one call at a time, so an interrupt belongs to the last sending that its sender began before it.
    """

    def __init__(self, code: Code, events: npt.NDArray[np.int64]) -> None:
        steps = code.steps.reshape(-1, 5)
        interrupts = (steps[:, 0] == o.SEND) & np.isin(steps[:, 1], list(HANDLERS))
        logged = events[:, 0] == LOG_STEP
        which = np.flatnonzero(logged)
        which = which[interrupts[events[which, 4]]]
        self._numbers = {index: number for number, index in enumerate(which.tolist(), 1)}
        self._begins: dict[int, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = {}
        for cpu in cpus_of(events[which]):
            own = np.flatnonzero(events[which, 3] == cpu)
            begins = events[which[own], 1]
            sort = np.argsort(begins, kind="stable")
            self._begins[cpu] = begins[sort], own[sort] + 1

    def number(self, index: int) -> int | None:
        """Return the number of the sending that an event is."""
        return self._numbers.get(index)

    def before(self, sender: int, time: int) -> int | None:
        """Return the number of the last sending of a CPU before a time."""
        if sender not in self._begins:
            return None
        begins, numbers = self._begins[sender]
        at = int(np.searchsorted(begins, time, side="right")) - 1
        return int(numbers[at]) if at >= 0 else None
