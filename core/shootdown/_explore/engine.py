"""Explore one machine: set up the search, run it, and return its outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._compilation.running import runnable
from shootdown._compilation.slices import Slices
from shootdown._explore.flow import flow_of
from shootdown._explore.footprint import agents, quiet_steps
from shootdown._explore.problem import Problem
from shootdown._explore.relevance import check_groups, preemptible, users
from shootdown._machine import ops as o
from shootdown._machine.layout import T_CPU, T_PC, TASK_CELLS
from shootdown._machine.machine import Machine
from shootdown._values.verdict import BUG, DEADLOCK, INCONCLUSIVE, LIVELOCK, SAFE

#: States expanded between two looks at whether a step was taken that nobody was assumed to take.
SLICE = 200_000
_FIRST_ROWS = 1 << 12
_FIRST_STATES = 100
#: The most random walks before a search, and their seed.
_WALKS, _SEED = 30, 12345
#: States from which random walks look ahead; fewer where no story depends on it, and calls of kernels take longer.
_LOOKS, _FEWER_LOOKS = 32, 4
#: Bytes for a state apart from its row: parent, label, a state that it leads to, and two slots of the hash table.
_OVERHEAD = 20


@attrs.frozen
class Reductions:
    """Reductions of the search that do not change its verdict; each can be switched off.

    Args:
        fuse: local steps belong to the move of the step before them, or begin a task's first move.
        dead: registers and gathers that no later step reads are cleared.
        symmetry: states that differ only by a renaming of like parts count as one.
        arrive: calls that change nothing where they arrive do so at once; a bug or livelock is searched for again
            without, so that its story is a shortest one.
        eager: CPUs hold at once what their walkers could read; otherwise each of these reads is a move.
    """

    fuse: bool = True
    dead: bool = True
    symmetry: bool = True
    arrive: bool = True
    eager: bool = True


@attrs.frozen(eq=False)
class Outcome:
    """What a search found.

    Args:
        verdict: `safe`, `bug`, `livelock` or `inconclusive`.
        invariant: the broken one, or None.
        states, transitions, depth: states found, moves made, and the number of moves to the last state (or the bug).
        path: the labels of the moves of a shortest path to the bug, or into the livelock.
        reached: the scenario's places that were reached.
        row_bytes, total_bytes: of one packed state, and of all that the search kept.
        walks: the number of random walks made in place of a search.
        shortest: the path is a shortest one.
    """

    verdict: str
    invariant: str | None
    states: int
    transitions: int
    depth: int
    path: tuple[int, ...]
    reached: frozenset[str]
    row_bytes: int
    total_bytes: int
    walks: int = 0
    shortest: bool = True


def begin(machine: Machine) -> npt.NDArray[Any]:
    """Return the first state with every ready task on its CPU."""
    from shootdown._explore.search import PADDING
    from shootdown._machine.switching import switch_to

    size = -(-machine.layout.size // PADDING) * PADDING
    state = np.zeros(size, machine.state.dtype)
    state[: machine.layout.size] = machine.state
    for task in machine.ready:
        runnable(switch_to)(
            state, machine.layout, int(state[machine.layout.o_task + task * TASK_CELLS + T_CPU]), task
        )
    return state


def _widen(width: npt.NDArray[np.int64], sampled: tuple[npt.NDArray[Any], ...]) -> None:
    """Widen cells to the values that random walks put there."""
    *_, largest, varies = sampled
    _, bits = np.frexp(largest)  # of a whole number: how many bits it has
    np.maximum(width, np.where(varies, bits, 0), out=width)


def new_scratch(start: npt.NDArray[Any], most: int, words: int, keys: int = 3) -> Any:
    """Return a work area for a search.

    Args:
        start: the state that it begins with.
        most: the most moves that a state may have.
        words: of a packed row.
        keys: room for keys of like groups; see `renaming.room_for_keys`.
    """
    from shootdown._explore.search import Scratch

    here, there = start.copy(), start.copy()
    views = (here.view(np.uint64), there.view(np.uint64))
    return Scratch(
        here,
        there,
        *views,
        changed=np.zeros(len(views[0]), np.int64),
        keys=np.zeros(keys, np.uint64),
        labels=np.zeros(most, np.int64),
        rows=np.zeros(most * words, np.uint64),
        hashes=np.zeros(most, np.uint64),
        words=len(views[0]),
        most=most,
    )


def new_store(rows: int, words: int) -> Any:
    """Return an empty store with room for so many rows of so many words."""
    from shootdown._explore import search as s

    slots = 1 << (rows * 2 - 1).bit_length()
    return s.Store(
        np.empty(rows * words, np.uint64),
        np.empty(rows, np.int32),
        np.empty(rows, np.int32),
        np.zeros(rows, np.int32),
        np.zeros(slots, np.int32),
        np.zeros(s.AT_CELLS, np.int64),
        mask=slots - 1,
        room=rows,
    )


class Explorer:
    """One problem, set up for searching, for random walks and for retelling.

    Args:
        problem: what to explore.
        reductions: the reductions that are on.

    `first` is the first state of the machine, `start` that of the search, in which each task has taken the local steps
    that it begins with.
    """

    def __init__(self, problem: Problem, reductions: Reductions | None = None) -> None:
        from shootdown._explore.arrivals import cpus_without
        from shootdown._explore.marks import Rules
        from shootdown._explore.symmetry import no_symmetry, symmetry_of
        from shootdown._machine.holding import fill_all

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
        self._lets_arrive = without is not None
        self._without = np.zeros(1, np.int64) if without is None else without
        self.symmetry = (
            symmetry_of(layout, problem.groups, problem.mm_locks, problem.tables)
            if self.reductions.symmetry and not problem.machine.indexed and not layout.by_task
            else no_symmetry()
        )
        check_groups(problem, self.first)
        self.marks: Any = None
        self.start = self.first
        self._assume(set(range(len(code.cost))))

    def _assume(self, taken: set[int]) -> bool:
        """Compute the local steps, assuming that only these steps are ever taken; return whether they changed."""
        from shootdown._explore.acting import acting
        from shootdown._explore.marks import Marks
        from shootdown._explore.moves import settle

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

    @property
    def program(self) -> tuple[Any, Any, Any, Any, Any]:
        """The arguments of every move after the state: steps, lists, layout, marks, rules."""
        machine = self.problem.machine
        return (machine.code.steps, machine.code.lists, machine.layout, self.marks, self.rules)

    def search(
        self,
        *,
        most_states: int = 50_000_000,
        most_bytes: int = 2 << 30,
        progress: Callable[[int, int], None] = lambda *_: None,
        verdict_only: bool = False,
    ) -> Outcome:
        """Search breadth first.

        Args:
            most_states, most_bytes: bounds; when one is hit, the verdict is `inconclusive`.
            progress: called now and then with states found and states expanded.
            verdict_only: nobody asks for the story of a bug: its path may leave out moves, and be a longer one.
        """
        bounds = (most_states, most_bytes, progress)
        if not self._lets_arrive:
            return self._searched(*bounds)
        self.rules = self.rules._replace(arrive=1)
        fewer = self._searched(*bounds)
        if fewer.verdict in (BUG, LIVELOCK) and not verdict_only:
            kept = self.marks, self.start, self.assumed
            self._search_without_arrivals()
            outcome = self._searched(*bounds)
            if outcome.verdict != INCONCLUSIVE:
                return outcome
            self.marks, self.start, self.assumed = kept
            return self._with_arrivals_told(fewer)
        return fewer

    def _search_without_arrivals(self) -> None:
        """Begin anew, with a move for each arrival."""
        self.rules = self.rules._replace(arrive=0)
        self.marks = None
        self._assume(set(range(len(self.problem.machine.code.cost))))

    def _with_arrivals_told(self, found: Outcome) -> Outcome:
        """Return an outcome of a search in which calls arrived at once, with a move for each arrival in its path."""
        from shootdown._explore.arrivals import with_arrivals
        from shootdown._explore.concrete import concrete
        from shootdown._explore.symmetry import no_symmetry

        self.rules = self.rules._replace(arrive=1)
        real = concrete(self, found.path)
        self.rules = self.rules._replace(arrive=0)
        self.symmetry = no_symmetry()  # the names in the path are real ones from now on
        path = with_arrivals(self, real)
        depth = found.depth + len(path) - len(found.path)
        return attrs.evolve(found, path=tuple(path), depth=depth, shortest=False)

    def _searched(self, most_states: int, most_bytes: int, progress: Callable[[int, int], None]) -> Outcome:
        """Search with these rules."""
        width = self._first_widths()
        while True:
            outcome = self._search(width, most_states, most_bytes, progress)
            if outcome is not None:
                return outcome

    def _search(
        self,
        width: npt.NDArray[np.int64],
        most_states: int,
        most_bytes: int,
        progress: Callable[[int, int], None],
    ) -> Outcome | None:
        """Search; return None if a step was taken that was assumed never to be, and drop that assumption."""
        from shootdown._explore import search as s
        from shootdown._explore.livelock import first_trap
        from shootdown._explore.mistakes import mistake_after
        from shootdown._explore.packing import plan_for
        from shootdown._explore.symmetry import evened, varying

        for at in np.flatnonzero(width):  # the start of the search may have changed since they were guessed
            width[at] = max(int(width[at]), int(self.start[at]).bit_length())
        width[:] = evened(self.symmetry, self.start, width)
        plan, symmetry = plan_for(width), varying(self.symmetry, width)
        scratch = self._scratch(plan.words)
        store = new_store(min(_FIRST_ROWS, most_states + len(scratch.labels)), plan.words)
        runnable(s.begin)(store, scratch, plan)
        slices = Slices(_FIRST_STATES, SLICE)
        while True:
            most = min(most_states, most_bytes // (plan.words * 8 + _OVERHEAD))
            why = self._expanded(store, scratch, plan, symmetry, slices, progress)
            found, done = int(store.at[s.COUNT]), int(store.at[s.HEAD])
            if self._surprised(store, plan, width):
                return None
            if why == s.WIDEN:
                cell, value = int(store.at[s.CELL]), int(store.at[s.VALUE])
                self._look_ahead(store, plan, width, self.start)
                width[cell] = max(value.bit_length(), int(self.start[cell]).bit_length(), width[cell])
                width[:] = evened(self.symmetry, self.start, width)
                symmetry = varying(self.symmetry, width)
                plan, store = self._widened(store, plan, plan_for(width))
                scratch = self._scratch(plan.words)
            elif why == s.GROW:
                if found >= most:
                    return self._outcome(INCONCLUSIVE, None, store, plan.words, found - 1, ())
                store = self._grown(store, plan.words, min(len(store.parent) * 4, most + _FIRST_ROWS))
            elif why == s.ALL:
                trapped = first_trap(self, store, plan, symmetry, scratch)
                if trapped is None:
                    return self._outcome(SAFE, None, store, plan.words, found - 1, ())
                return self._outcome(LIVELOCK, LIVELOCK, store, plan.words, trapped, ())
            elif why == s.BUG:
                if int(store.at[s.INVARIANT]) >= o.MISTAKES:
                    row = self._unpacked(store, plan, done)
                    raise mistake_after(self, row, int(store.at[s.LABEL]))
                name = self.problem.invariants[int(store.at[s.INVARIANT])]
                return self._outcome(BUG, name, store, plan.words, done, (int(store.at[s.LABEL]),))
            elif why == s.DEADLOCK:
                end = self._outcome(BUG, DEADLOCK, store, plan.words, done, ())
                return attrs.evolve(end, depth=end.depth + self._waiting_since_they_began(store, plan, done))

    def _expanded(
        self,
        store: Any,
        scratch: Any,
        plan: Any,
        symmetry: Any,
        slices: Slices,
        progress: Callable[[int, int], None],
    ) -> int:
        """Expand `SLICE` states, a few at a time, unless there is another reason to stop; return which."""
        from shootdown._explore import search as s
        from shootdown._explore import searches
        from shootdown._explore.linking import no_work

        none = no_work()
        end = int(store.at[s.HEAD]) + SLICE
        why = s.PAUSE
        while why == s.PAUSE and (rest := end - int(store.at[s.HEAD])):
            store.at[s.LIMIT] = min(slices.begin(), rest)
            why = runnable(searches.search)(store, scratch, plan, symmetry, *self.program, none)
            slices.end()
            progress(int(store.at[s.COUNT]), int(store.at[s.HEAD]))
        return why

    def _unpacked(self, store: Any, plan: Any, row: int) -> npt.NDArray[Any]:
        """Return a state that was found, by its row."""
        from shootdown._explore.packing import unpack

        state = self.start.copy()
        runnable(unpack)(store.rows, row * plan.words, state, plan)
        return state

    def _waiting_since_they_began(self, store: Any, plan: Any, row: int) -> int:
        """Count the tasks that have taken no steps but those that they begin with: a story tells of those too."""
        state = self._unpacked(store, plan, row)
        layout = self.problem.machine.layout
        places = range(layout.o_task + T_PC, layout.o_task + layout.tasks * TASK_CELLS, TASK_CELLS)
        return sum(int(state[at] == self.start[at] != self.first[at]) for at in places)

    def _surprised(self, store: Any, plan: Any, width: npt.NDArray[np.int64]) -> bool:
        """Whether steps were taken that were assumed never to be, and that change which steps are local."""
        if self.taken <= self.assumed:
            return False
        found_from = self.start
        if not self._assume(self.taken | self.assumed):
            return False
        self._look_ahead(store, plan, width, found_from)
        self._assume(self.taken | self.assumed)
        return True

    @property
    def taken(self) -> set[int]:
        """The steps that were taken, or are the next step of some task."""
        return {int(pc) for pc in np.flatnonzero(self.marks.taken)}

    def _first_widths(self) -> npt.NDArray[np.int64]:
        """Guess from random walks which cells vary and which steps are taken; a wrong guess only costs time."""
        width = np.zeros(len(self.start), np.int64)
        sampled = self._sampling()
        if self.rules.arrive == 0:
            self._sample(self.start, sampled, _WALKS)
        else:
            self._sample_until_known(sampled)
        _widen(width, sampled)
        every, cautious = self.assumed, self.marks.local
        taken = self.taken
        if self._assume(taken) and all(cautious[pc] == self.marks.local[pc] for pc in taken):
            # assuming that some steps are never taken gains nothing here, and may prove wrong later
            self._assume(every)
        return width

    def _look_ahead(
        self, store: Any, plan: Any, width: npt.NDArray[np.int64], found_from: npt.NDArray[Any]
    ) -> None:
        """Guess once more, by random walks from the states found last: more wrong guesses are likely to follow one.

        Args:
            store, plan, found_from: the states found, their packing, and the state that the last one was found from.
            width: bits for each cell; increased where a guess needs more.
        """
        from shootdown._explore import search as s
        from shootdown._explore.packing import unpack

        start = found_from.copy()
        sampled = self._sampling()
        done, found = int(store.at[s.HEAD]), int(store.at[s.COUNT])
        looks = _LOOKS if self.rules.arrive == 0 else _FEWER_LOOKS
        for row in np.unique(np.linspace(min(done, found - 1), found - 1, looks).astype(int)):
            runnable(unpack)(store.rows, int(row) * plan.words, start, plan)
            self._sample(start, sampled, 2)
        _widen(width, sampled)

    def _sample_until_known(self, sampled: tuple[npt.NDArray[Any], ...]) -> None:
        """Walk from the start until some walks in which each task starts late once show nothing new."""
        *_, largest, varies = sampled
        walks = 2 * (self.problem.machine.layout.tasks + 1)
        known = b""
        for made in range(0, _WALKS, walks):
            self._sample(self.start, sampled, walks, _SEED + made)
            before, known = known, b"".join(cells.tobytes() for cells in (largest, varies, self.marks.taken))
            if known == before:
                break

    def _sampling(self) -> tuple[npt.NDArray[Any], ...]:
        """Return what random walks write to: a state, labels, and each cell's largest value and varying bits."""
        return (
            self.start.copy(),
            np.zeros(self.most_moves(), np.int64),
            self.start.copy(),
            np.zeros_like(self.start),
        )

    def _sample(
        self,
        start: npt.NDArray[Any],
        sampled: tuple[npt.NDArray[Any], ...],
        walks: int,
        seed: int = _SEED,
    ) -> None:
        """Note the values that random walks from a state put into cells."""
        from shootdown._explore.walk import sample

        scratch, labels, largest, varies = sampled
        runnable(sample)(scratch, start, self.start, *self.program, labels, largest, varies, seed, walks, 200)

    def most_moves(self) -> int:
        """Return the most moves that `search.candidates` may list: who calls it has room for so many labels."""
        from shootdown._explore.candidates import most_moves

        return most_moves(self.problem.machine.layout, eager=False)

    def _scratch(self, words: int) -> Any:
        from shootdown._explore.renaming import room_for_keys

        return new_scratch(self.start, self.most_moves(), words, room_for_keys(self.symmetry))

    def _widened(self, store: Any, old: Any, new: Any) -> tuple[Any, Any]:
        """Repack the states found by a plan with room for a value that did not fit."""
        from shootdown._explore import search as s

        bigger = new_store(len(store.parent), new.words)
        n = int(store.at[s.COUNT])
        bigger.parent[:n], bigger.label[:n] = store.parent[:n], store.label[:n]
        bigger.onward[:n] = store.onward[:n]
        runnable(s.repack)(store, bigger.rows, self.start.copy(), old, new)
        bigger.at[:] = store.at
        runnable(s.rehash)(bigger, new.words)
        return new, bigger

    def _grown(self, store: Any, words: int, rows: int) -> Any:
        from shootdown._explore import search as s

        bigger = new_store(rows, words)
        n = int(store.at[s.COUNT])
        bigger.rows[: n * words] = store.rows[: n * words]
        bigger.parent[:n], bigger.label[:n] = store.parent[:n], store.label[:n]
        bigger.onward[:n] = store.onward[:n]
        bigger.at[:] = store.at
        runnable(s.rehash)(bigger, words)
        return bigger

    def _outcome(
        self, verdict: str, invariant: str | None, store: Any, words: int, row: int, after: tuple[int, ...]
    ) -> Outcome:
        from shootdown._explore import search as s

        path = list(after)
        while row > 0:
            path.append(int(store.label[row]))
            row = int(store.parent[row])
        states = int(store.at[s.COUNT])
        # Room for more rows is allocated; untouched pages take no memory until they are written.
        total = states * (words * 8 + 3 * store.parent.itemsize) + store.table.nbytes
        return Outcome(
            verdict=verdict,
            invariant=invariant,
            states=states,
            transitions=int(store.at[s.TRANSITIONS]),
            depth=len(path),
            path=tuple(reversed(path)) if verdict in (BUG, LIVELOCK) else (),
            reached=frozenset(
                name for name, mark in zip(self.problem.places, self.marks.seen, strict=False) if mark
            ),
            row_bytes=words * 8,
            total_bytes=total,
        )
