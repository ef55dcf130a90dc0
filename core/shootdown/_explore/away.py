"""Where a task that waits for interrupts to be answered may be preempted: the kernel lets it, and it spins on nothing.

A lock that spins disables preemption. Which of them a task may hold follows from its program, over both ways of each
branch.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import numpy as np

from shootdown._explore.flow import Text, text_of
from shootdown._machine import ops as o
from shootdown._machine.code import Code
from shootdown._machine.layout import T_PC, TASK_CELLS
from shootdown._machine.machine import Machine
from shootdown._machine.steps.row import Kind, Use
from shootdown._machine.steps.table import ROWS

_LOCKS = {row.number: row for row in ROWS if row.lock}
#: Where a lock step says whether who waits for it sleeps; such a lock disables no preemption.
_SLEEPS = {
    row.number: place
    for row in _LOCKS.values()
    for place, operand in row.placed()
    if operand.name == "sleeps" and operand.kind is Kind.TRUTH
}


def letting_tasks_wait(machine: Machine) -> Machine:
    """Return the machine with requests that belong to tasks, if some task may be preempted while it waits."""
    layout = machine.layout
    places = range(layout.o_task + T_PC, layout.o_task + layout.tasks * TASK_CELLS, TASK_CELLS)
    code = with_waits(machine.code, {int(machine.state[at]) for at in places})
    return machine if code is None else attrs.evolve(machine, code=code, layout=layout._replace(by_task=1))


def with_waits(code: Code, starts: Iterable[int]) -> Code | None:
    """Return a text in which all waits that say so let their task be preempted; None if there are no such waits.

    Waits by which a task holds a lock that spins are no such waits any more.

    Args:
        code: the text.
        starts: the steps that tasks begin with, or that something begins with which they come to without a lock.
    """
    if not may_wait(code):
        return None
    steps = code.steps.reshape(-1, 5).copy()
    for pc in _spinning(text_of(code), starts):
        if steps[pc][0] == o.WAIT:
            steps[pc][1] = 0
    found = attrs.evolve(code, steps=np.ascontiguousarray(steps.reshape(-1)))
    return found if may_wait(found) else None


def may_wait(code: Code) -> bool:
    """Whether some wait of a text says that its task may be preempted."""
    return bool(np.any((code.steps[::5] == o.WAIT) & (code.steps[1::5] != 0)))


def letting_go(text: Text) -> int:
    """Return the kinds of calls of which some task may be preempted while it waits for the answers, as a mask."""
    found = 0
    for pc in text.places(frozenset({o.SEND})):
        work, known = list(text.after[pc]), set()
        while work:
            then = work.pop()
            step = text.steps[then]
            if step[0] == o.WAIT:
                found |= (1 << text.steps[pc][1]) if step[1] else 0
            elif then not in known:
                known.add(then)
                work += text.after[then]
    return found


def _spinning(text: Text, starts: Iterable[int]) -> set[int]:
    """Return the steps at which a task may hold a lock that spins."""
    held: dict[int, frozenset[tuple[int, ...]]] = dict.fromkeys(starts, frozenset())
    work = list(held)
    while work:
        pc = work.pop()
        step, now = text.steps[pc], held[pc]
        row = _LOCKS.get(step[0])
        if row is not None and row.lock is Use.RELEASE:
            now = now - {(step[1], step[2])}
        elif row is not None and not (row.number in _SLEEPS and step[_SLEEPS[row.number]]):
            now = now | {(step[1], step[2])}
        for then in text.after[pc]:
            before = held.get(then)
            both = now if before is None else before | now
            if before is None or both != before:
                held[then] = both
                work.append(then)
    return {pc for pc, locks in held.items() if locks}
