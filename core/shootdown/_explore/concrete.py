"""The moves of a search as a machine would make them.

With symmetry it renamed each state, and calls that change nothing where they arrive did so at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shootdown._compilation.running import runnable
from shootdown._explore.labels import parts
from shootdown._explore.moves import (
    CHOOSE,
    GRANT,
    IDLE,
    STEP,
    SWITCH,
    TAKE,
    VIOLATED,
    label_of,
    move,
    unnoticed,
)
from shootdown._explore.prepared import Prepared
from shootdown._explore.renaming import canonical, room_for_keys


def concrete(prepared: Prepared, path: Sequence[int]) -> list[int]:
    """Rename the moves of a search so that each CPU, task and mm keeps one name throughout.

    With symmetry, the search renamed each state to the one that represents all like ones. Here the corresponding move
    of the real state is the one that leads to a state with the same representative.
    """
    if prepared.symmetry.groups < 2 and not prepared.symmetry.tables:
        return list(path)
    layout = prepared.problem.machine.layout
    real, named = prepared.start.copy(), prepared.start.copy()
    spare = named.copy()
    keys = np.zeros(room_for_keys(prepared.symmetry), np.uint64)
    labels = []
    for label in path:
        said = runnable(move)(named, *prepared.program, label)
        runnable(canonical)(named, spare, keys, prepared.symmetry)
        for candidate in _alike(label, layout.tasks, layout.cpus):
            then = real.copy()
            if runnable(move)(then, *prepared.program, candidate) != said:
                continue
            alike = then.copy()
            runnable(canonical)(alike, spare, keys, prepared.symmetry)
            if said & 3 == VIOLATED or np.array_equal(alike, named):
                labels.append(candidate)
                real = then
                break
        else:
            raise AssertionError("no move of the real state leads to a state that is alike")
    return labels


def _alike(label: int, tasks: int, cpus: int) -> list[int]:
    """List the moves of the same kind, the one with the same names first."""
    kind, _, y = parts(label)
    if kind in (STEP, CHOOSE, IDLE, GRANT, SWITCH):
        others = [runnable(label_of)(kind, task, 0) for task in range(tasks)]
    elif kind == TAKE:
        others = [runnable(label_of)(kind, one, two) for one in range(cpus) for two in range(cpus)]
    else:
        others = [runnable(label_of)(kind, cpu, y) for cpu in range(cpus)]
    return [label, *(other for other in others if other != label)]


def with_arrivals(prepared: Prepared, path: list[int]) -> list[int]:
    """Add the moves of calls that arrive to a path in which they arrived at once.

    Args:
        prepared: by whose rules each arrival is a move.
        path: its other moves, by their real names.
    """
    layout, (*_, marks, rules) = prepared.problem.machine.layout, prepared.program
    state = prepared.start.copy()
    found = []
    for label in path:
        found.append(label)
        runnable(move)(state, *prepared.program, label)
        while True:
            early = [
                runnable(label_of)(TAKE, sender, cpu)
                for sender in range(layout.cpus)
                if int(state[layout.o_out + sender])
                for mask in (int(runnable(unnoticed)(state, layout, marks, rules, sender)),)
                for cpu in range(layout.cpus)
                if mask >> cpu & 1
            ]
            if not early:
                break
            found.append(early[0])
            runnable(move)(state, *prepared.program, early[0])
    return found
