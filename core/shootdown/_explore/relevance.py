"""Which agents make a difference, and to whom; and which parts may count as alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from shootdown._explore.flow import text_of
from shootdown._explore.footprint import ANY, visits_of
from shootdown._machine import ops as o
from shootdown._machine.layout import MM_SETS, T_CPU, TASK_CELLS
from shootdown._machine.steps.cells import HOME, STATE
from shootdown._machine.steps.table import steps_that
from shootdown._values.errors import ShootdownError

if TYPE_CHECKING:
    from shootdown._explore.problem import Problem

State = npt.NDArray[Any]
#: Steps after which a call has targets whatever they have loaded, those that leave preempted vCPUs out of them, and
#: those that end the choice of targets.
_TARGETING_ALL = steps_that(lambda row: row.targets == "all")
_LEAVING_OUT = steps_that(lambda row: row.targets == "left out")
_TARGETS_ARE_DONE = steps_that(lambda row: row.targets in ("mm", "sent"))
#: Steps that use a translation or are in a lockless walk, so that it matters what was flushed; of these, those that
#: use an entry that stands alone.
_USING = steps_that(lambda row: row.uses)
_USING_ENTRIES = steps_that(lambda row: row.uses == "entry")
#: Steps that name an mm in the state of a table, and those that move a task to another CPU.
_NAMING_MMS = steps_that(lambda row: STATE in row.writes)
_MOVING = steps_that(lambda row: HOME in row.writes)


def check_groups(problem: Problem, first: State) -> None:
    """Refuse like parts that name their mm where exchanging them does not rename it."""
    machine, layout = problem.machine, problem.machine.layout
    mms = {mm for group in problem.groups for mm in group.mms}
    steps = text_of(machine.code).steps
    for group in problem.groups if mms else ():
        for task in group.tasks:
            visits = visits_of(machine.code, layout, first, task)
            if any(steps[pc][0] in _NAMING_MMS for pc in visits):
                raise ShootdownError(
                    f"task {task} is in a group that has mms of its own and reuses or frees a table (TABLE_STATE): "
                    "leave it out of the groups"
                )
    for entry in range(layout.entries):
        if int(first[layout.o_owner + entry]) in mms:
            raise ShootdownError(f"entry {entry} is that of an mm in a group: leave the mm out of the groups")


def preemptible(problem: Problem, first: State, *, fuse: bool) -> int:
    """Say for which vCPUs preemption makes a difference: those that another CPU may want to flush.

    Any other, when it is preempted, merely takes its steps and its interrupts later, which it may anyway. So does
    one that uses no translation and is in no lockless walk: nobody can tell whether it was flushed.
    """
    layout = problem.machine.layout
    everybody = (1 << layout.cpus) - 1
    if problem.scheduler or not fuse or layout.words != 1:
        return everybody
    if _may_leave_out_anybody(problem):
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
    if problem.walkers:
        return mask
    return mask & _cpus_with(problem, first, _USING)


def users(problem: Problem, first: State, *, fuse: bool) -> int:
    """Say whose TLB's copies of entries make a difference: of the CPUs whose tasks access memory, as a mask."""
    layout = problem.machine.layout
    if problem.scheduler or not fuse:
        return (1 << layout.cpus) - 1
    return _cpus_with(problem, first, _USING_ENTRIES)


def _cpus_with(problem: Problem, first: State, ops: frozenset[int]) -> int:
    """List the CPUs whose tasks can get to one of these steps, as a mask."""
    machine = problem.machine
    layout = machine.layout
    steps = machine.code.steps.reshape(-1, 5)
    if np.isin(steps[:, 0], list(_MOVING)).any():
        return (1 << layout.cpus) - 1
    mask = 0
    for task in range(layout.tasks):
        cpu = int(first[layout.o_task + task * TASK_CELLS + T_CPU])
        if any(int(steps[pc][0]) in ops for pc in visits_of(machine.code, layout, first, task)):
            mask |= 1 << cpu
    return mask


def _flushes(problem: Problem, first: State, task: int, mm: int) -> bool:
    """Say whether a task may flush an mm."""
    machine = problem.machine
    visits = visits_of(machine.code, machine.layout, first, task)
    steps = machine.code.steps.reshape(-1, 5)
    return any(int(steps[pc][0]) == o.FLUSH_BEGIN and visit.on in (mm, ANY) for pc, visit in visits.items())


def _may_leave_out_anybody(problem: Problem) -> bool:
    """Say whether a program drops preempted vCPUs from targets that are not those of a flush."""
    text = text_of(problem.machine.code)
    work = [pc for pc, step in enumerate(text.steps) if step[0] in _TARGETING_ALL]
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
