"""The same searches of linked programs as `searches` makes, in plain Python: on lists, without packing states.

They have the same states and moves in the same order, so that results are equal, number by number.
"""

from __future__ import annotations

from array import array
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from shootdown._compilation.python_numbers import with_python_numbers
from shootdown._compilation.running import plainly_by
from shootdown._explore.candidates import candidates, is_progress, most_moves, somebody_waits
from shootdown._explore.cpus import exchange
from shootdown._explore.linking import (
    BROKEN,
    MOST_STEPS,
    MOVES,
    RESULT,
    STATES,
    WHY,
    Parts,
    Work,
    link,
    rules_of,
)
from shootdown._explore.locality import next_local
from shootdown._explore.marks import Marks, Rules
from shootdown._explore.moves import REFUSED, STEP, VIOLATED, label_of, move, settle
from shootdown._explore.packing import Plan
from shootdown._explore.search import (
    ALL,
    BUG,
    DEADLOCK,
    GROW,
    Scratch,
    Store,
)
from shootdown._explore.searches import TRAPPED, search
from shootdown._explore.symmetry import Symmetry
from shootdown._machine import ops as o
from shootdown._machine.layout import T_PC, TASK_CELLS, Layout

_link, _rules_of = with_python_numbers(link), with_python_numbers(rules_of)
_settle, _move = with_python_numbers(settle), with_python_numbers(move)
_exchange = with_python_numbers(exchange)
_candidates, _next_local = with_python_numbers(candidates), with_python_numbers(next_local)
_waits = with_python_numbers(somebody_waits)
#: Cells of a state as bytes.
_CELL: Literal["I"] = "I"


@plainly_by(search)
def search_plain(
    store: Store,
    scratch: Scratch,
    plan: Plan,
    sym: Symmetry,
    P: npt.NDArray[np.int64],
    lists: npt.NDArray[np.int64],
    L: Layout,
    F: Marks,
    R: Rules,
    W: Work,
) -> int:
    """Do what `searches.search` does."""
    if W.begin >= W.end:
        return search(store, scratch, plan, sym, P, lists, L, F, R, W)
    steps, marks = _room(L.mms)
    parts = _as_lists(W.parts)
    work: Any = W._replace(
        parts=parts,
        first=W.first.tolist(),
        holding=W.holding.tolist(),
        inside=W.inside.tolist(),
        rows=W.rows.tolist(),
    )
    there: Any = lists.tolist()
    for number in range(W.begin, W.end):
        for turn in range(2):
            state: Any = list(work.first)
            does = _link(work, number, state, steps, L, marks)
            arrive = R.arrive if turn == 0 else 0
            rules = _rules_of(work, number, does, L, R, arrive)
            _settle(state, steps, there, L, marks, rules)
            why, broken, states, moves = _judged(state, steps, there, L, marks, rules, W.most)
            if turn == 0 or why != GROW:
                at = number * RESULT
                W.results[at + WHY] = why
                W.results[at + BROKEN] = broken
                W.results[at + STATES] = states
                W.results[at + MOVES] = moves
            if arrive == 0 or why != TRAPPED:
                break
    return W.end


def _judged(
    first: list[int], P: Any, lists: Any, L: Layout, F: Marks, R: Rules, most: int
) -> tuple[int, int, int, int]:
    """Search from a state, and look for livelocks; return why it ended, what broke, states and moves."""
    known = {array(_CELL, first).tobytes(): 0}
    rows = list(known)
    before: list[list[int]] = [[]]  # by row, those that it was reached from
    labels: Any = [0] * most_moves(L, eager=R.eager != 0)
    keys: Any = [0] * L.cpus
    moves = 0
    head = 0
    while head < len(rows):
        if len(rows) > most:
            return GROW, 0, len(rows), moves
        here = array(_CELL)
        here.frombytes(rows[head])
        now: Any = here.tolist()
        only = _next_local(now, L, F, R) if R.later else -1
        wanted = [label_of(STEP, only, 1)] if only >= 0 else labels[: _candidates(now, P, L, R, labels)]
        moved = False
        at = 0
        while at < len(wanted):
            label = wanted[at]
            at += 1
            then: Any = now[:]
            said = _move(then, P, lists, L, F, R, label)
            if said == REFUSED:
                if only >= 0:
                    only, at = -1, 0
                    wanted = labels[: _candidates(now, P, L, R, labels)]
                continue
            if said & 3 == VIOLATED:
                return BUG, said >> 2, len(rows), moves
            moves += 1
            if R.cpus:
                _exchange(then, L, keys)
            key = array(_CELL, then).tobytes()
            number = known.setdefault(key, len(rows))
            if number == len(rows):
                rows.append(key)
                before.append([])
            before[number].append(head)
            moved = moved or is_progress(label)
        if not moved and _waits(now, P, L):
            return DEADLOCK, 0, len(rows), moves
        head += 1
    return (TRAPPED if _is_trapped(rows, before, P, L) else ALL), 0, len(rows), moves


def _is_trapped(rows: list[bytes], before: list[list[int]], P: Any, L: Layout) -> bool:
    """Whether from some row no row can be reached in which all tasks have ended."""
    cells = [L.o_task + task * TASK_CELLS + T_PC for task in range(L.tasks)]
    ends = set()
    for number, row in enumerate(rows):
        state = memoryview(row).cast(_CELL)
        if all(P[state[cell] * 5] in (o.HALT, o.PARK) for cell in cells):
            ends.add(number)
    work = list(ends)
    while work:
        for earlier in before[work.pop()]:
            if earlier not in ends:
                ends.add(earlier)
                work.append(earlier)
    return len(ends) < len(rows)


@lru_cache(maxsize=8)
def _room(mms: int) -> tuple[Any, Any]:
    """Return room for the steps of one program after another, and for their marks."""
    sizes = {"seen": 1 << 8, "without": max(mms, 1)}
    lists: Any = [[0] * sizes.get(name, MOST_STEPS) for name in Marks._fields]
    return [0] * (MOST_STEPS * 5), Marks(*lists)


_lists: dict[int, tuple[Parts, Any]] = {}


def _as_lists(parts: Parts) -> Any:
    """Return what is known of parts with lists in place of arrays."""
    kept = _lists.get(id(parts.steps))
    if kept is None or kept[0].steps is not parts.steps:
        values: Any = [value.tolist() if isinstance(value, np.ndarray) else value for value in parts]
        made = Parts(*values)
        if len(_lists) >= _MOST_KEPT:
            _lists.clear()
        kept = _lists[id(parts.steps)] = (parts, made)
    return kept[1]


_MOST_KEPT = 64
