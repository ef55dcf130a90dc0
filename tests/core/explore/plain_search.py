"""A breadth-first search over the same moves in plain Python: a dictionary of states; every possible label is tried."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._compilation.running import runnable
from shootdown._explore.engine import Explorer
from shootdown._explore.flow import successors
from shootdown._explore.moves import (
    CHOOSE,
    COPY,
    DRAIN,
    GRANT,
    IDLE,
    KINDS,
    REFUSED,
    STEP,
    SWITCH,
    TAKE,
    VIOLATED,
    label_of,
    move,
)
from shootdown._explore.walk import allowed
from shootdown._machine import ops as o
from shootdown._machine.layout import T_PC, TASK_CELLS

State = npt.NDArray[np.uint32]


@attrs.frozen
class Found:
    """The result of the plain search; `depth` is the number of moves to the last state, or to the bug."""

    verdict: str
    invariant: int | None
    states: int
    transitions: int
    depth: int


def all_labels(explorer: Explorer) -> list[int]:
    """List the labels of all moves under the rules, whether or not they can ever happen."""
    layout, rules = explorer.problem.machine.layout, explorer.rules
    most = max(layout.tasks, layout.cpus)
    beside = max(layout.cpus, layout.entries, layout.stores)
    labels = [
        runnable(label_of)(kind, x, y)
        for kind in range(STEP, KINDS)
        for x in range(layout.tasks if kind in _OF_TASKS else layout.cpus)
        for y in range(beside if kind in _WITH_SECOND else 1)
        if _exists(kind, y, layout)
    ]
    assert most <= 255
    return [label for label in labels if runnable(allowed)(layout, rules, label)]


_OF_TASKS = (STEP, CHOOSE, IDLE, GRANT, SWITCH)
_WITH_SECOND = (TAKE, COPY, DRAIN)


def _exists(kind: int, y: int, layout: object) -> bool:
    counts = {TAKE: "cpus", COPY: "entries", DRAIN: "stores"}
    return kind not in counts or y < getattr(layout, counts[kind])


def plain_search(explorer: Explorer, look: Callable[[State], None] = lambda _: None) -> Found:
    """Search; a move that is refused must have written nothing.

    Args:
        explorer: gives the first state, the programs, the rules and the local steps.
        look: called with each state, once.
    """
    labels = all_labels(explorer)
    depth = {explorer.start.tobytes(): 0}
    queue = deque([explorer.start.tobytes()])
    transitions = 0
    edges: dict[bytes, list[bytes]] = {}
    here = explorer.start.copy()
    while queue:
        key = queue.popleft()
        before = np.frombuffer(key, here.dtype)
        look(before)
        edges[key] = []
        for label in labels:
            here[:] = before
            said = runnable(move)(here, *explorer.program, label)
            if said == REFUSED:
                assert here.tobytes() == key, "a refused move wrote"
                continue
            if said & 3 == VIOLATED:
                return Found("bug", said >> 2, len(depth), transitions, depth[key] + 1)
            transitions += 1
            there = here.tobytes()
            edges.setdefault(key, []).append(there)
            if there not in depth:
                depth[there] = depth[key] + 1
                queue.append(there)
    trapped = _first_trap(explorer, depth, edges)
    if trapped is not None:
        return Found("livelock", None, len(depth), transitions, trapped)
    return Found("safe", None, len(depth), transitions, max(depth.values()))


def _first_trap(explorer: Explorer, depth: dict[bytes, int], edges: dict[bytes, list[bytes]]) -> int | None:
    """Return the distance of the nearest state from which some task that could end never does: task by task, slowly."""
    code, layout = explorer.problem.machine.code, explorer.problem.machine.layout
    steps = code.steps.reshape(-1, 5).tolist()
    traps = []
    for task in range(layout.tasks):
        at = layout.o_task + task * TASK_CELLS + T_PC
        known, work = set(), [int(explorer.first[at])]
        while work:
            pc = work.pop()
            if pc not in known:
                known.add(pc)
                work += successors(tuple(steps[pc]), pc)
        if not any(steps[pc][0] in (o.HALT, o.PARK) for pc in known):
            continue
        ended = {
            key
            for key in depth
            if steps[int(np.frombuffer(key, explorer.start.dtype)[at])][0] in (o.HALT, o.PARK)
        }
        while True:
            more = {key for key in depth if key not in ended and any(then in ended for then in edges[key])}
            if not more:
                break
            ended |= more
        traps += [distance for key, distance in depth.items() if key not in ended]
    return min(traps, default=None)
