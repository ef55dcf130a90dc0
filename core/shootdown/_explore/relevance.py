"""Which agents make a difference on which CPUs, and which parts may count as alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from shootdown._explore.flow import Text, text_of
from shootdown._explore.footprint import ANY, visits_of
from shootdown._machine import ops as o
from shootdown._machine.layout import MM_SETS, T_CPU, TASK_CELLS
from shootdown._machine.steps.cells import HOME, STATE
from shootdown._machine.steps.row import Kind
from shootdown._machine.steps.table import steps_that
from shootdown._values.errors import ShootdownError

if TYPE_CHECKING:
    from shootdown._explore.problem import Problem

State = npt.NDArray[Any]
#: Steps that choose targets whichever mm they have loaded, those that leave preempted vCPUs out, and those that end the
#: choice of targets.
_TARGETING_ALL = steps_that(lambda row: row.targets == "all")
_LEAVING_OUT = steps_that(lambda row: row.targets == "left out")
_TARGETS_ARE_DONE = steps_that(lambda row: row.targets in ("mm", "sent"))
#: Steps that use a translation or are in a lockless walk, so that flushes matter to them; of these, those that use a
#: single page-table entry.
_USING = steps_that(lambda row: row.uses)
_USING_ENTRIES = steps_that(lambda row: row.uses == "entry")
#: Steps that store an mm in a table's state, and those that move a task to another CPU.
_NAMING_MMS = steps_that(lambda row: STATE in row.writes)
FLUSHING = frozenset({o.FLUSH_BEGIN})
#: Steps that target the CPUs of an mm.
TARGETING = steps_that(lambda row: row.targets == "mm")
_MOVING = steps_that(lambda row: HOME in row.writes)
#: Steps that tell CPUs apart by their numbers.
_NAMING_CPUS = steps_that(lambda row: row.first(Kind.CPU) != 0) | {o.TARGET_HOLDING}


def names_a_cpu(step: Sequence[int]) -> bool:
    """Whether a step tells CPUs apart by their numbers."""
    return step[0] in _NAMING_CPUS or (step[0] == o.OWN_NUMBER and step[2] == o.OF_CPU)


def check_groups(problem: Problem, first: State) -> None:
    """Refuse groups of like parts that store an mm's number in a place that renaming does not reach."""
    machine, layout = problem.machine, problem.machine.layout
    mms = {mm for group in problem.groups for mm in group.mms}
    naming = text_of(machine.code).places(_NAMING_MMS)
    for group in problem.groups if mms else ():
        for task in group.tasks:
            if not naming.isdisjoint(visits_of(machine.code, layout, first, task)):
                raise ShootdownError(
                    f"task {task} is in a group that has mms of its own and reuses or frees a table (TABLE_STATE): "
                    "leave it out of the groups"
                )
    for entry in range(layout.entries):
        if int(first[layout.o_owner + entry]) in mms:
            raise ShootdownError(f"entry {entry} is that of an mm in a group: leave the mm out of the groups")


def preemptible(problem: Problem, first: State, *, fuse: bool) -> int:
    """Return the vCPUs whose preemption makes a difference, as a mask: those that another CPU may want to flush.

    Any other vCPU, when preempted, only takes its steps and interrupts later, which is explored anyway. The same holds
    for one that uses no translation and is in no lockless walk: whether it was flushed is unobservable.
    """
    layout = problem.machine.layout
    everybody = (1 << layout.cpus) - 1
    if problem.scheduler or not fuse or layout.words != 1:
        return everybody
    if may_leave_out_anybody(text_of(problem.machine.code)):
        return everybody
    mask = 0
    for mm in range(layout.mms):
        at = layout.o_mmset + mm * len(MM_SETS) + MM_SETS.index("mask")
        inside = int(first[at])
        flushers = {
            int(first[layout.o_task + task * TASK_CELLS + T_CPU])
            for task in range(layout.tasks)
            if _flushes(problem, first, task, mm)
        }
        for cpu in range(layout.cpus):
            if inside >> cpu & 1 and flushers - {cpu}:
                mask |= 1 << cpu
    if layout.walks:
        return mask
    return mask & _cpus_with(problem, first, _USING)


def users(problem: Problem, first: State, *, fuse: bool) -> int:
    """Return the CPUs whose TLB copies of single entries matter, as a mask: those whose tasks access memory."""
    layout = problem.machine.layout
    if problem.scheduler or not fuse:
        return (1 << layout.cpus) - 1
    return _cpus_with(problem, first, _USING_ENTRIES)


def _cpus_with(problem: Problem, first: State, ops: frozenset[int]) -> int:
    """Return the CPUs whose tasks can reach one of these steps, as a mask."""
    machine = problem.machine
    layout = machine.layout
    text = text_of(machine.code)
    if not _MOVING.isdisjoint(text.ops):
        return (1 << layout.cpus) - 1
    places = text.places(ops)
    mask = 0
    for task in range(layout.tasks):
        cpu = int(first[layout.o_task + task * TASK_CELLS + T_CPU])
        if not places.isdisjoint(visits_of(machine.code, layout, first, task)):
            mask |= 1 << cpu
    return mask


def _flushes(problem: Problem, first: State, task: int, mm: int) -> bool:
    """Whether a task may flush an mm."""
    machine = problem.machine
    visits = visits_of(machine.code, machine.layout, first, task)
    flushes = text_of(machine.code).places(FLUSHING)
    return any(visits[pc].on in (mm, ANY) for pc in flushes.intersection(visits))


def may_leave_out_anybody(text: Text, within: Iterable[int] | None = None) -> bool:
    """Whether a program leaves preempted vCPUs out of the targets of a call other than a flush.

    Args:
        text: the program.
        within: the steps that are looked at; all if None.
    """
    there = range(len(text.steps)) if within is None else within
    work = [pc for pc in there if text.steps[pc][0] in _TARGETING_ALL]
    known = set(work)
    while work:
        for then in text.after[work.pop()]:
            op = text.steps[then][0]
            if op in _LEAVING_OUT:
                return True
            if then not in known and op not in _TARGETS_ARE_DONE:
                known.add(then)
                work.append(then)
    return False
