"""Where a call changes nothing, so that nobody can tell when it arrives there.

A sync's handler is empty, and so is a grace period's quiescent state. An invalidation changes nothing on a CPU that
never holds a translation of the mm. The arrival then only clears the CPU from the targets, and only the sender's WAIT
reads those: it commutes with each other move, so that `moves` makes it as soon as it is possible (ADR 17).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from shootdown._explore.flow import Text, text_of
from shootdown._explore.footprint import ANY, visits_of
from shootdown._machine import ops as o
from shootdown._machine.layout import CPU_CELLS, CPU_MM, MM_SETS, T_CPU, T_MM, TASK_CELLS
from shootdown._machine.steps.cells import CALL_MM, TARGETS, WHOLE_CALL
from shootdown._machine.steps.row import Kind
from shootdown._machine.steps.table import STEPS, holds, steps_that

if TYPE_CHECKING:
    from shootdown._explore.problem import Problem

#: Sets of CPUs that hold translations of an mm, valid or stale.
_HOLDING = ("leaf", "walk", "stale_leaf", "stale_walk")
#: Steps that put a translation of the mm that they work on, or of a single entry, into their CPU's TLB.
USING_MMS = steps_that(lambda row: row.uses == "table")
_USING_ENTRIES = steps_that(lambda row: row.uses == "entry")
_ENTRY = {row: STEPS[row].first(Kind.ENTRY) for row in _USING_ENTRIES}
#: Steps that read or choose targets, or change a call that is pending.
_ON_CALLS = steps_that(
    lambda row: TARGETS in (*row.reads, *row.writes) or any(cell in WHOLE_CALL for cell in row.writes)
) | {o.SEND}
_SENDING = frozenset({o.SEND})
_ON_GENERATIONS = (o.CALL_FLUSH, o.CALL_TRANSITION, o.CALL_LEAVE)
assert CALL_MM in WHOLE_CALL


def cpus_without(problem: Problem, first: npt.NDArray[Any], entries: int) -> npt.NDArray[np.int64] | None:
    """Return for each mm the CPUs that never hold a translation of it, as a mask; None if no call may arrive early.

    Args:
        problem: what is explored.
        first: its first state.
        entries: the CPUs whose walkers copy single entries, as a mask.
    """
    machine, layout = problem.machine, problem.machine.layout
    text = text_of(machine.code)
    if "waited for" not in text.memory:
        text.memory["waited for"] = waits_for_each_call(text)
    if layout.words != 1 or layout.by_task or not text.memory["waited for"]:
        return None
    key = ("without", first.tobytes(), layout, problem.scheduler, entries)
    if key not in text.memory:
        text.memory[key] = _cpus_without(problem, text, first, entries)
    kept: npt.NDArray[np.int64] = text.memory[key]
    return kept.copy()


def _cpus_without(
    problem: Problem, text: Text, first: npt.NDArray[Any], entries: int
) -> npt.NDArray[np.int64]:
    machine, layout = problem.machine, problem.machine.layout
    found = np.zeros(max(layout.mms, 1), np.int64)
    visits = [visits_of(machine.code, layout, first, task) for task in range(layout.tasks)]
    if _looks_at_generations(problem, text, visits):
        return found
    using_mms, using_entries = text.places(USING_MMS), text.places(_USING_ENTRIES)
    for mm in range(layout.mms):
        holding = 0
        for name in _HOLDING:
            holding |= int(first[layout.o_mmset + mm * len(MM_SETS) + MM_SETS.index(name)])
        of_mm = [entry for entry in range(layout.entries) if int(first[layout.o_owner + entry]) == mm]
        for cpu in range(layout.cpus):
            if any(int(first[layout.o_tlb + cpu * layout.entries + entry]) for entry in of_mm):
                holding |= 1 << cpu
            if int(first[layout.o_cpu + cpu * CPU_CELLS + CPU_MM]) == mm + 1:
                holding |= _walking(entries, cpu, walkers=layout.walks > 0)
        for task, reached in enumerate(visits):
            row = layout.o_task + task * TASK_CELLS
            cpu = int(first[row + T_CPU])
            if int(first[row + T_MM]) == mm + 1:  # the CPU may come to load it
                holding |= _walking(entries, cpu, walkers=layout.walks > 0)
            for pc in using_mms.intersection(reached):
                if reached[pc].on in (mm, ANY):
                    holding |= 1 << cpu
            for pc in using_entries.intersection(reached):
                if text.steps[pc][_ENTRY[text.steps[pc][0]]] in of_mm:
                    holding |= 1 << cpu
        found[mm] = ~holding & ((1 << layout.cpus) - 1)
    return found


def _walking(entries: int, cpu: int, *, walkers: bool) -> int:
    """The bit of a CPU with a hardware walker that caches what it finds: on every CPU, or for single entries."""
    return (1 << cpu) if walkers else entries & (1 << cpu)


def waits_for_each_call(text: Text) -> bool:
    """Whether tasks leave a call alone from when they send it until they have waited for it."""
    sends = text.places(_SENDING)
    work = [then for pc in sends for then in text.after[pc]]
    known = set(work)
    while work:
        pc = work.pop()
        op = text.steps[pc][0]
        if op == o.WAIT:
            continue
        if op in _ON_CALLS:
            return False
        for then in text.after[pc]:
            if then not in known:
                known.add(then)
                work.append(then)
    return bool(sends)


def _looks_at_generations(problem: Problem, text: Text, visits: list[dict[int, Any]]) -> bool:
    """Whether it matters that an invalidation also notes the CPU's TLB as new: tlb_gen is kept and compared."""
    reached = [text.steps[pc] for pc in set().union(*visits)] if visits else []
    return any(map(tracks, reached)) and (problem.scheduler or any(map(looks_at_generations, reached)))


def tracks(step: Sequence[int]) -> bool:
    """Whether a step begins a flush of which CPUs note the tlb_gen."""
    return step[0] == o.FLUSH_BEGIN and step[4] & o.UNTRACKED == 0


def looks_at_generations(step: Sequence[int]) -> bool:
    """Whether a step leads to a look at the tlb_gen that a CPU has noted."""
    return (
        (step[0] == o.SEND and step[1] in _ON_GENERATIONS)
        or (step[0] == o.FLUSH_SELF and step[3] == 0)
        or holds(STEPS[step[0]].switches, STEPS[step[0]], step)
    )
