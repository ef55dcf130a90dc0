"""Livelocks: states from which some task that could end never does, whatever comes.

A task ends where it halts or parks, and that it does for good. So each task that could end can still end from every
state if and only if from every state one can be reached in which all of them have ended: one bit for each state says
it, and renaming like parts changes nothing of it. Going backwards over the states that the search stored, the bit goes
from each state to the one that it was found from, and to each from the last that it leads to. For nearly all states
that is enough; only for the rest are the moves made again.

No fairness is assumed: it is enough that some way leads on.

A task whose text has no end is meant to go on for ever, as a server does. It is a livelock nonetheless if it comes to
nothing: local steps alone that lead to the same state again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shootdown._compilation.running import runnable
from shootdown._explore.backward import followers, spread
from shootdown._explore.candidates import candidates
from shootdown._explore.flow import LOCAL, Text, text_of
from shootdown._explore.footprint import visits_of
from shootdown._explore.moves import REFUSED, move
from shootdown._explore.packing import Plan
from shootdown._explore.prepared import Prepared
from shootdown._explore.search import COUNT, Scratch, Store
from shootdown._explore.stores import unpacked
from shootdown._explore.story import called
from shootdown._explore.symmetry import Symmetry
from shootdown._machine import ops as o
from shootdown._machine.courses import OVER, after, reachable, rows_of
from shootdown._machine.layout import T_CPU, T_PC, TASK_CELLS
from shootdown._machine.step import step
from shootdown._machine.steps.table import STEPS

#: Rows looked at between two returns to Python, and rows whose cells are unpacked at once.
_ROWS = 10_000
_CHUNK = 1 << 20
#: The most local steps that are followed to see whether they lead back.
_PATIENCE = 1 << 17
#: States that are followed for a story.
_FOLLOWED = 2_000


def first_trap(
    prepared: Prepared, store: Store, plan: Plan, symmetry: Symmetry, scratch: Scratch
) -> int | None:
    """Return the first row from which some task that could end never does; None if there is none.

    Args:
        prepared: whose search is complete.
        store, plan, symmetry, scratch: of that search.
    """
    count = int(store.at[COUNT])
    text = text_of(prepared.problem.machine.code)
    ending, endless = tasks_that_end(prepared)
    found = []
    if ending:
        ends = _over(prepared, store, plan, count, ending, text)
        while runnable(spread)(store, ends, count):
            pass
        rest = np.flatnonzero(ends[:count] == 0)
        if len(rest):
            rest = _cut_off(prepared, store, plan, symmetry, scratch, ends, rest)
        if len(rest):
            found.append(int(rest[0]))
    if endless:
        rows = _rounds(prepared, store, plan, count, endless, text.steps)
        if rows is not None:
            found.append(rows)
    return min(found, default=None)


def tasks_that_end(prepared: Prepared) -> tuple[list[int], list[int]]:
    """List the tasks from whose beginning the text has a way to an end, and those for which it has none."""
    code, layout = prepared.problem.machine.code, prepared.problem.machine.layout
    ends = text_of(code).places(OVER)
    ending: list[int] = []
    endless: list[int] = []
    for task in range(layout.tasks):
        never = ends.isdisjoint(visits_of(code, layout, prepared.first, task))
        (endless if never else ending).append(task)
    return ending, endless


def _places(
    prepared: Prepared, store: Store, plan: Plan, task: int, begin: int, end: int
) -> npt.NDArray[np.int64]:
    """Return the next step of a task in some rows."""
    cell = prepared.problem.machine.layout.o_task + task * TASK_CELLS + T_PC
    width = int(plan.width[cell])
    if not width:
        return np.full(end - begin, int(prepared.start[cell]), np.int64)
    words = store.rows[begin * plan.words + int(plan.word[cell]) : end * plan.words : plan.words]
    found: npt.NDArray[np.int64] = ((words >> plan.shift[cell]) & np.uint64((1 << width) - 1)).astype(
        np.int64
    )
    return found


def _over(
    prepared: Prepared, store: Store, plan: Plan, count: int, ending: list[int], text: Text
) -> npt.NDArray[np.uint8]:
    """Say of each row whether all tasks that could end have."""
    over = np.zeros(len(text.steps), bool)
    over[list(text.places(OVER))] = True
    ends = np.ones(count, np.uint8)
    for begin in range(0, count, _CHUNK):
        end = min(begin + _CHUNK, count)
        for task in ending:
            ends[begin:end] &= over[_places(prepared, store, plan, task, begin, end)]
    return ends


def _cut_off(
    prepared: Prepared,
    store: Store,
    plan: Plan,
    symmetry: Symmetry,
    scratch: Scratch,
    ends: npt.NDArray[np.uint8],
    rest: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Return those of some rows from which no row leads on in which all tasks can end."""
    room = max(_ROWS, scratch.most)
    edges = np.zeros(2 * room, np.int64)
    parts = []
    place = 0
    while place < len(rest):
        place, made = runnable(followers)(
            store, scratch, plan, symmetry, *prepared.program, rest, place, edges, room
        )
        parts.append(edges[: 2 * made].reshape(-1, 2).copy())
    every = np.concatenate(parts)
    out = ends[every[:, 1]] == 1
    inside = every[~out]  # those that lead to others of the rest
    ends[rest[every[out, 0]]] = 1
    order = np.argsort(inside[:, 1], kind="stable")
    sources, targets = rest[inside[order, 0]], inside[order, 1]
    work = rest[ends[rest] == 1].tolist()
    while work:
        row = work.pop()
        begin, end = np.searchsorted(targets, (row, row + 1))
        for source in sources[begin:end].tolist():
            if not ends[source]:
                ends[source] = 1
                work.append(source)
    left: npt.NDArray[np.int64] = rest[ends[rest] == 0]
    return left


def _rounds(
    prepared: Prepared,
    store: Store,
    plan: Plan,
    count: int,
    endless: list[int],
    steps: Sequence[Sequence[int]],
) -> int | None:
    """Return the first row in which a task that has no end goes round in local steps alone."""
    suspicious = round_trips(steps)
    if not suspicious:
        return None
    marked = np.zeros(len(steps), bool)
    marked[list(suspicious)] = True
    for begin in range(0, count, _CHUNK):
        end = min(begin + _CHUNK, count)
        for task in endless:
            for row in np.flatnonzero(marked[_places(prepared, store, plan, task, begin, end)]).tolist():
                if comes_to_nothing(prepared, unpacked(store, plan, begin + row, prepared.start), task):
                    return int(begin + row)
    return None


def round_trips(steps: Sequence[Sequence[int]]) -> set[int]:
    """List the steps on a task's own registers that such steps lead back to, other than in a counted loop."""
    local = [step[0] in LOCAL for step in steps]
    follow = {
        pc: [then for then in after(steps, pc) if then < len(steps) and local[then]]
        for pc in range(len(steps))
        if local[pc]
    }
    for pc, (op, _, _, start, _) in enumerate(steps):
        if pc in follow and op == o.NEXT:
            follow[pc] = [then for then in follow[pc] if then != start]
    found = set()
    for pc in follow:
        work, seen = list(follow[pc]), set()
        while work:
            then = work.pop()
            if then == pc:
                found.add(pc)
                break
            if then not in seen:
                seen.add(then)
                work.extend(follow[then])
    return found


def comes_to_nothing(prepared: Prepared, state: npt.NDArray[Any], task: int) -> bool:
    """Say whether a task takes local steps from a state until it is in the same state again.

    Where the text leads to nothing but such steps, whatever its registers hold, it does.
    """
    machine = prepared.problem.machine
    layout, code = machine.layout, machine.code
    at = layout.o_task + task * TASK_CELLS + T_PC
    steps = rows_of(code)
    if all(steps[pc][0] in LOCAL - OVER for pc in reachable(steps, int(state[at]))):
        return True
    now = state.copy()
    kept, length, taken = now.tobytes(), 1, 0
    for _ in range(_PATIENCE):
        if int(code.steps[int(now[at]) * 5]) not in LOCAL:
            return False
        if int(runnable(step)(now, code.steps, code.lists, layout, task)) & 7 != o.DONE:
            return False
        taken += 1
        if now.tobytes() == kept:
            return True
        if taken == length:  # Brent: the state that others are compared with moves on, ever more seldom
            kept, length, taken = now.tobytes(), 2 * length, 0
    return False


def going_round(prepared: Prepared, state: npt.NDArray[Any]) -> list[str]:
    """Say of a state from which some task never ends which tasks those are, and what they do for ever.

    Where more states follow than `_FOLLOWED`, tasks count that have not ended in those that were looked at.
    """
    machine = prepared.problem.machine
    layout, code = machine.layout, machine.code
    steps = rows_of(code)
    ending, endless = tasks_that_end(prepared)
    places: dict[int, set[int]] = {task: set() for task in range(layout.tasks)}
    work, known = [state.copy()], {state.tobytes()}
    labels = np.zeros(prepared.most_moves(), np.int64)
    while work and len(known) < _FOLLOWED:
        here = work.pop()
        for task in places:
            places[task].add(int(here[layout.o_task + task * TASK_CELLS + T_PC]))
        count = runnable(candidates)(here, prepared.program[0], layout, prepared.rules, labels)
        for label in labels[:count].tolist():
            then = here.copy()
            if runnable(move)(then, *prepared.program, label) != REFUSED and then.tobytes() not in known:
                known.add(then.tobytes())
                work.append(then)
    never = [task for task in ending if not any(steps[pc][0] in OVER for pc in places[task])]
    never += [task for task in endless if comes_to_nothing(prepared, state, task)]
    found = []
    for task in never or ending:
        cpu = int(state[layout.o_task + task * TASK_CELLS + T_CPU])
        pc = min(places[task])
        note = code.notes[pc]
        where = f" in {called(note.function)}" if note.function else ""
        what = note.text or STEPS[steps[pc][0]].does.rstrip(".")
        site = code.sites[pc] if pc < len(code.sites) else None
        line = f" ({site})" if site else ""
        found.append(f"CPU {cpu} goes round for ever{where}, whatever the others do: {what}{line}")
    return found
