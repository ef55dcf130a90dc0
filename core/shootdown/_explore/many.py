"""Explore many programs that are linked from the same parts on machines of the same shape."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from shootdown._compilation.running import runnable, will_run_compiled
from shootdown._compilation.slices import Slices
from shootdown._explore.candidates import most_moves
from shootdown._explore.footprint import stands_still
from shootdown._explore.linked import Linked
from shootdown._explore.linking import MOST_STEPS, RESULT, Work, link, rules_of
from shootdown._explore.marks import Marks, Rules
from shootdown._explore.packing import plan_for
from shootdown._explore.prepared import begin
from shootdown._explore.search import CELL, VALUE
from shootdown._explore.searches import _FIRST_ROOM, _LARGER, search
from shootdown._explore.searches_plain import (
    search_plain as search_plain,
)  # runs while `search` is not compiled
from shootdown._explore.stores import new_scratch, new_store
from shootdown._explore.symmetry import no_symmetry
from shootdown._explore.walk import sample
from shootdown._machine.layout import CPU_CELLS, CPU_MM, MM_SETS, T_CPU, T_MM, TASK_CELLS, Layout
from shootdown._machine.machine import Machine

#: Words of a row that there is room for; programs with wider ones are rare, and get a store of their own.
_WORDS = 8
#: Programs from which random walks guess what varies, the walks of each, and their seed.
_GUESSES, _WALKS, _SEED = 6, 8, 12345
#: Programs of the first call of a kernel.
_FIRST_PROGRAMS = 4
#: Sets of CPUs that hold translations of an mm, valid or stale.
_HOLDING = ("leaf", "walk", "stale_leaf", "stale_walk")
#: Moves that a store has room for beyond its states.
_BEYOND = 1 << 12


@lru_cache(maxsize=2)
def _store(rows: int, words: int) -> Any:
    """Return a store for one search after another; pages that no search writes take no memory.

    Its table has room for the largest one that `searches.judged` makes of it, which grows by whole steps.
    """
    room = _FIRST_ROOM
    while room < rows:
        room *= _LARGER
    return new_store(rows, words)._replace(table=np.zeros(2 * room, np.int32))


@lru_cache(maxsize=8)
def _room(mms: int) -> tuple[npt.NDArray[np.int64], Marks]:
    """Return room for the steps of one program after another, and for their marks."""
    return np.zeros(MOST_STEPS * 5, np.int64), Marks(
        local=np.zeros(MOST_STEPS, np.uint8),
        dead=np.zeros(MOST_STEPS, np.int64),
        seen=np.zeros(1 << 8, np.uint8),
        taken=np.zeros(MOST_STEPS, np.uint8),
        without=np.zeros(mms, np.int64),
        acts=np.zeros(MOST_STEPS, np.uint8),
        meets=np.zeros(MOST_STEPS, np.int16),
        future=np.zeros(MOST_STEPS, np.uint64),
    )


@lru_cache(maxsize=2)
def _ends(rows: int) -> npt.NDArray[np.uint8]:
    """Return room for a number for each row of a store."""
    return np.zeros(rows, np.uint8)


class Many:
    """Programs of one shape, explored a batch at a time.

    Programs have at most `MOST_STEPS` steps.

    Args:
        linked: the parts.
        machine: of the shape, before any task has begun; its text is that of the parts.
        hypervisor: vCPUs may be preempted.
        most: states of a search.

    `room` is where the steps and marks of a program are linked, `rules` are those for all programs.
    """

    def __init__(self, linked: Linked, machine: Machine, *, hypervisor: bool, most: int) -> None:
        from shootdown._machine.holding import fill_all

        self._linked = linked
        self.layout: Layout = machine.layout
        layout = machine.layout
        self._first = begin(machine)
        runnable(fill_all)(self._first, layout)
        self.rules = Rules(
            entries=0,
            hypervisor=int(hypervisor),
            preemptible=0,
            scheduler=0,
            preemption=layout.by_task,
            choices=1,
            fuse=1,
            dead=1,
            arrive=int(layout.words == 1 and linked.waits),
            eager=1,
            later=1,
            choosing=1,
            cpus=int(layout.by_task and layout.words == 1 and not linked.names_cpus),
            apart=-1,
            last=linked.let_go,
        )
        self._most = most
        self._width: npt.NDArray[np.int64] | None = None
        self._plan: Any = None
        self._has_guessed = False
        self._holding, self._inside = _by_mm(layout, self._first)
        self._still = not layout.by_task and stands_still(layout, self._first.tolist())
        self.room = _room(max(layout.mms, 1))

    def explore(self, programs: Sequence[Sequence[Sequence[int]]]) -> npt.NDArray[np.int64]:
        """Explore programs.

        Args:
            programs: for each, for each task the numbers of its parts.

        Returns:
            for each why the search ended, what broke, states and moves; shape (n, 4). See `linking`.
        """
        return self.explore_rows(self.rows_of(programs))

    def rows_of(self, programs: Sequence[Sequence[Sequence[int]]]) -> npt.NDArray[np.int64]:
        """Return programs as an array, -1 behind the last part of each task."""
        width = max(len(parts) for tasks in programs for parts in tasks)
        rows = np.full((len(programs), self.layout.tasks, width), -1, np.int64)
        for number, tasks in enumerate(programs):
            for task, parts in enumerate(tasks):
                rows[number, task, : len(parts)] = parts
        return rows

    def explore_rows(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Explore programs given as an array; see `rows_of` and `explore`."""
        work = self.work(rows)
        count = work.end
        if self._width is None:  # plain Python packs no states
            guess = will_run_compiled(search)
            self._width = self._guessed(work) if guess else np.zeros(len(self._first), np.int64)
            self._has_guessed = guess
        steps, marks = self.room
        scratch: Any = None
        slices = Slices(_FIRST_PROGRAMS)
        at = 0
        while at < count:
            if self._plan is None:
                self._plan, scratch = plan_for(self._width), None
            if scratch is None:
                store = _store(self._most + _BEYOND, max(self._plan.words, _WORDS))
                scratch = new_scratch(self._first, self._moves(), self._plan.words)
            end = min(at + slices.begin(), count)
            at = runnable(search)(
                store,
                scratch,
                self._plan,
                no_symmetry(),
                steps,
                self._linked.code.lists,
                self.layout,
                marks,
                self.rules,
                work._replace(begin=at, end=end),
            )
            slices.end()
            if at < end and not self._has_guessed:
                self._plan = None
                self._width = self._guessed(work)
                self._has_guessed = True
            elif at < end:
                self._plan = None
                cell, value = int(store.at[CELL]), int(store.at[VALUE])
                self._width[cell] = max(
                    int(self._width[cell]), value.bit_length(), int(self._first[cell]).bit_length(), 1
                )
        return work.results.reshape(count, RESULT)

    def work(self, rows: npt.NDArray[np.int64]) -> Work:
        """Return programs given as an array as kernels take them."""
        count, _, width = rows.shape
        return Work(
            parts=self._linked.parts,
            first=self._first,
            holding=self._holding,
            inside=self._inside,
            rows=np.ascontiguousarray(rows).reshape(-1),
            results=np.zeros(count * RESULT, np.int64),
            ends=_ends(self._most + _BEYOND),
            still=int(self._still),
            width=width,
            begin=0,
            end=count,
            most=self._most,
        )

    def _guessed(self, work: Work) -> npt.NDArray[np.int64]:
        """Guess from random walks of some programs which cells vary; a wrong guess only costs time."""
        largest, varies = self._first.copy(), np.zeros_like(self._first)
        state, there = self._first.copy(), self._first.copy()
        (steps, marks), lists, layout, rules = self.room, self._linked.code.lists, self.layout, self.rules
        labels = np.zeros(self._moves(), np.int64)
        for number in range(0, work.end, max(work.end // _GUESSES, 1)):
            state[:] = self._first
            does = runnable(link)(work, number, state, steps, layout, marks)
            own = runnable(rules_of)(work, number, does, layout, rules, rules.arrive)
            runnable(sample)(
                there,
                state,
                state,
                steps,
                lists,
                layout,
                marks,
                own,
                labels,
                largest,
                varies,
                _SEED,
                _WALKS,
                200,
            )
        _, bits = np.frexp(largest)
        return np.where(varies != 0, bits, 0).astype(np.int64)

    def _moves(self) -> int:
        return most_moves(self.layout, eager=True)


def _by_mm(layout: Layout, first: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return for each mm the CPUs that may hold translations of it, and those in its mm_cpumask, as masks."""
    holding, inside = np.zeros(max(layout.mms, 1), np.int64), np.zeros(max(layout.mms, 1), np.int64)
    for mm in range(layout.mms):
        at = layout.o_mmset + mm * len(MM_SETS) * layout.words
        inside[mm] = int(first[at + MM_SETS.index("mask") * layout.words])
        for name in _HOLDING:
            holding[mm] |= int(first[at + MM_SETS.index(name) * layout.words])
        for cpu in range(layout.cpus):
            if int(first[layout.o_cpu + cpu * CPU_CELLS + CPU_MM]) == mm + 1:
                holding[mm] |= 1 << cpu
        for row in range(layout.o_task, layout.o_task + layout.tasks * TASK_CELLS, TASK_CELLS):
            if int(first[row + T_MM]) == mm + 1:
                holding[mm] |= 1 << int(first[row + T_CPU])
    return holding, inside
