"""The rules by which moves are made, and what is known of a program's steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: Values of `Rules.arrive`.
ARRIVE, ARRIVE_FRESH = 1, 2


class Rules(NamedTuple):
    """Which agents act, and how steps are grouped into moves.

    Args:
        entries: hardware walkers of these CPUs copy entries that stand alone, as a mask.
        hypervisor: vCPUs may be preempted.
        preemptible: the vCPUs whose preemption makes a difference, as a mask.
        scheduler: a CPU whose task waits may idle.
        preemption: a task that waits for answers may be preempted, where its step says so.
        choices: programs have CHOICE steps.
        fuse: local steps belong to the move before them, or to the one that they begin.
        dead: values of dead registers are cleared.
        arrive: calls that change nothing where they arrive are taken at once: those that never do (`ARRIVE`), or those
            that do not now (`ARRIVE_FRESH`).
        eager: each CPU holds at once all that its walker could read; else each fill is a move.
        later: steps are local too that nothing meets which other tasks have yet to do; see `Marks.meets`.
    """

    entries: int
    hypervisor: int
    preemptible: int
    scheduler: int
    preemption: int
    choices: int
    fuse: int
    dead: int
    arrive: int
    eager: int
    later: int


class Marks(NamedTuple):
    """Facts about a program's steps, and marks of where the search has been.

    Args:
        local, dead: the program's `Flow`.
        seen: uint8, by place: a REACHED step was taken.
        taken: uint8, by step: it was taken, or is the next step of some task.
        without: int64, by mm: the CPUs that never hold a translation of it, as a mask; see `arrivals`.
        acts: uint8, by step: it may change what CPUs hold or can use; else nothing is looked for after it.
        meets: int16, by step: how local it is (the low 2 bits) while no other task has yet to do something of a kind,
            whose number is above them; 0 if it is local always or never.
        future: uint64, by step: the kinds that its task has yet to do, as a mask.
    """

    local: npt.NDArray[np.uint8]
    dead: npt.NDArray[np.int64]
    seen: npt.NDArray[np.uint8]
    taken: npt.NDArray[np.uint8]
    without: npt.NDArray[np.int64]
    acts: npt.NDArray[np.uint8]
    meets: npt.NDArray[np.int16]
    future: npt.NDArray[np.uint64]
