"""A problem that is set up for moves: what every move is given, and which steps are local."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from shootdown._compilation.running import runnable
from shootdown._explore.acting import acting
from shootdown._explore.arrivals import cpus_without
from shootdown._explore.candidates import most_moves
from shootdown._explore.flow import flow_of
from shootdown._explore.footprint import agents, quiet_steps
from shootdown._explore.marks import Marks, Rules
from shootdown._explore.moves import settle
from shootdown._explore.outcome import Reductions
from shootdown._explore.problem import Problem
from shootdown._explore.relevance import check_groups, preemptible, users
from shootdown._explore.search import PADDING
from shootdown._explore.symmetry import no_symmetry, symmetry_of
from shootdown._machine import ops as o
from shootdown._machine.holding import fill_all
from shootdown._machine.layout import T_CPU, TASK_CELLS
from shootdown._machine.machine import Machine
from shootdown._machine.switching import switch_to


def begin(machine: Machine) -> npt.NDArray[Any]:
    """Return the first state with every ready task on its CPU."""
    size = -(-machine.layout.size // PADDING) * PADDING
    state = np.zeros(size, machine.state.dtype)
    state[: machine.layout.size] = machine.state
    for task in machine.ready:
        runnable(switch_to)(
            state, machine.layout, int(state[machine.layout.o_task + task * TASK_CELLS + T_CPU]), task
        )
    return state


class Prepared:
    """One problem, set up for moves.

    Args:
        problem: what to explore.
        reductions: the reductions that are on.

    `first` is the first state of the machine, `start` that of the search, in which each task has taken the local steps
    that it begins with.
    """

    def __init__(self, problem: Problem, reductions: Reductions | None = None) -> None:
        self.problem = problem
        self.reductions = reductions or Reductions()
        code, layout = problem.machine.code, problem.machine.layout
        self.first = begin(problem.machine)
        fuse = self.reductions.fuse
        self.rules = Rules(
            entries=users(problem, self.first, fuse=fuse) if problem.entries and layout.entries > 0 else 0,
            hypervisor=int(problem.hypervisor),
            preemptible=preemptible(problem, self.first, fuse=fuse and not layout.by_task)
            if problem.hypervisor
            else 0,
            scheduler=int(problem.scheduler),
            preemption=layout.by_task,
            choices=int(bool(np.any(code.steps[::5] == o.CHOICE))),
            fuse=int(fuse),
            dead=int(self.reductions.dead),
            arrive=0,
            eager=int(self.reductions.eager),
            later=0,
        )
        if layout.walks and self.rules.eager:
            runnable(fill_all)(self.first, layout)
        without = cpus_without(problem, self.first, self.rules.entries) if self.reductions.arrive else None
        self.lets_arrive = without is not None
        self._without = np.zeros(1, np.int64) if without is None else without
        self.symmetry = (
            symmetry_of(layout, problem.groups, problem.mm_locks, problem.tables)
            if self.reductions.symmetry and not problem.machine.indexed and not layout.by_task
            else no_symmetry()
        )
        check_groups(problem, self.first)
        self.marks: Any = None
        self.start = self.first
        self.assume(set(range(len(code.cost))))

    def assume(self, taken: set[int]) -> bool:
        """Compute the local steps, assuming that only these steps are ever taken; return whether they changed."""
        problem = self.problem
        code, layout = problem.machine.code, problem.machine.layout
        around = agents(
            walkers=layout.walks > 0,
            entries=problem.entries,
            hypervisor=problem.hypervisor,
            scheduler=problem.scheduler,
            tlbs=layout.walks > 0 or layout.entries > 0,
            preemption=layout.by_task != 0,
        )
        quiet = quiet_steps(code, layout, self.first, around, scheduler=problem.scheduler, taken=taken)
        flow = flow_of(code, quiet)
        self.assumed = taken
        if self.marks is not None and np.array_equal(self.marks.local, flow.local):
            return False
        self.marks = Marks(
            flow.local,
            flow.dead,
            np.zeros(max(len(problem.places), 1), np.uint8),
            np.zeros(len(code.cost), np.uint8),
            self._without,
            acting(code.steps),
            np.zeros(1, np.int16),
            np.zeros(1, np.uint64),
        )
        self.start = self.first.copy()
        runnable(settle)(self.start, *self.program)
        return True

    def begin_anew(self) -> None:
        """Let each arrival of a call be a move, and assume again that all steps are taken."""
        self.rules = self.rules._replace(arrive=0)
        self.marks = None
        self.assume(set(range(len(self.problem.machine.code.cost))))

    @property
    def program(self) -> tuple[Any, Any, Any, Any, Any]:
        """The arguments of every move after the state: steps, lists, layout, marks, rules."""
        machine = self.problem.machine
        return (machine.code.steps, machine.code.lists, machine.layout, self.marks, self.rules)

    @property
    def taken(self) -> set[int]:
        """The steps that were taken, or are the next step of some task."""
        return {int(pc) for pc in np.flatnonzero(self.marks.taken)}

    def most_moves(self) -> int:
        """Return the most moves that `search.candidates` may list: who calls it has room for so many labels."""
        return most_moves(self.problem.machine.layout, eager=False)
