"""The moves of a search by the real names of CPUs, tasks and mms: with symmetry, it renamed each state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from shootdown._compilation.running import runnable
from shootdown._explore.labels import parts
from shootdown._explore.moves import CHOOSE, GRANT, IDLE, STEP, SWITCH, TAKE, VIOLATED, label_of, move
from shootdown._explore.renaming import canonical, room_for_keys

if TYPE_CHECKING:
    from shootdown._explore.engine import Explorer


def concrete(explorer: Explorer, path: Sequence[int]) -> list[int]:
    """Rename the moves of a search so that each CPU, task and mm keeps one name throughout.

    With symmetry, the search renamed each state to the one that represents all like ones. Here the corresponding move
    of the real state is the one that leads to a state with the same representative.
    """
    if explorer.symmetry.groups < 2 and not explorer.symmetry.tables:
        return list(path)
    layout = explorer.problem.machine.layout
    real, named = explorer.start.copy(), explorer.start.copy()
    spare = named.copy()
    keys = np.zeros(room_for_keys(explorer.symmetry), np.uint64)
    labels = []
    for label in path:
        said = runnable(move)(named, *explorer.program, label)
        runnable(canonical)(named, spare, keys, explorer.symmetry)
        for candidate in _alike(label, layout.tasks, layout.cpus):
            then = real.copy()
            if runnable(move)(then, *explorer.program, candidate) != said:
                continue
            alike = then.copy()
            runnable(canonical)(alike, spare, keys, explorer.symmetry)
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
