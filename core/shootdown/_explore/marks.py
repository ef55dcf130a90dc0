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
        choosing: vCPUs are preempted only where a task is about to leave them out of its targets.
        cpus: CPUs are exchanged; see `cpus.exchange`.
        apart: mms that nothing flushes and that run somewhere all the time, as a mask: a thread of another process, of
            which nothing is known, stands for one of theirs.
        last: kinds of calls whose last arrival is a move, even where it changes nothing, as a mask: the task that waits
            may be preempted until then.
        late: kinds of calls of which each arrival is a move, as a mask.
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
    choosing: int = 0
    cpus: int = 0
    apart: int = 0
    last: int = 0
    late: int = 0


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
