"""Explore one machine: set up the search, run it, and return its outcome."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._compilation.running import runnable
from shootdown._compilation.slices import Slices
from shootdown._explore import search as s
from shootdown._explore.concrete import concrete, with_arrivals
from shootdown._explore.linking import no_work
from shootdown._explore.livelock import first_trap
from shootdown._explore.mistakes import mistake_after
from shootdown._explore.outcome import Outcome
from shootdown._explore.packing import Plan, plan_for
from shootdown._explore.prepared import Prepared
from shootdown._explore.renaming import room_for_keys
from shootdown._explore.search import Scratch, Store
from shootdown._explore.searches import search
from shootdown._explore.stores import grown, new_scratch, new_store, path_to, unpacked, widened
from shootdown._explore.symmetry import Symmetry, evened, no_symmetry, varying
from shootdown._explore.widths import first_widths, look_ahead
from shootdown._machine import ops as o
from shootdown._machine.layout import T_PC, TASK_CELLS
from shootdown._values.verdict import BUG, DEADLOCK, INCONCLUSIVE, LIVELOCK, SAFE

#: States expanded between two looks at whether a step was taken that nobody was assumed to take.
SLICE = 200_000
_FIRST_ROWS = 1 << 12
_FIRST_STATES = 100
#: Bytes for a state apart from its row: parent, label, a state that it leads to, and two slots of the hash table.
_OVERHEAD = 20


class Explorer(Prepared):
    """One problem, set up for searching, for random walks and for retelling.

    Args:
        problem: what to explore.
        reductions: the reductions that are on.
    """

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
        if not self.lets_arrive:
            return self._searched(*bounds)
        self.rules = self.rules._replace(arrive=1)
        fewer = self._searched(*bounds)
        if fewer.verdict in (BUG, LIVELOCK) and not verdict_only:
            kept = self.marks, self.start, self.assumed
            self.begin_anew()
            outcome = self._searched(*bounds)
            if outcome.verdict != INCONCLUSIVE:
                return outcome
            self.marks, self.start, self.assumed = kept
            return self._with_arrivals_told(fewer)
        return fewer

    def _with_arrivals_told(self, found: Outcome) -> Outcome:
        """Return an outcome of a search in which calls arrived at once, with a move for each arrival in its path."""
        self.rules = self.rules._replace(arrive=1)
        real = concrete(self, found.path)
        self.rules = self.rules._replace(arrive=0)
        self.symmetry = no_symmetry()  # the names in the path are real ones from now on
        path = with_arrivals(self, real)
        depth = found.depth + len(path) - len(found.path)
        return attrs.evolve(found, path=tuple(path), depth=depth, shortest=False)

    def _searched(self, most_states: int, most_bytes: int, progress: Callable[[int, int], None]) -> Outcome:
        """Search with these rules."""
        width = first_widths(self)
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
                look_ahead(self, store, plan, width, self.start)
                width[cell] = max(value.bit_length(), int(self.start[cell]).bit_length(), width[cell])
                width[:] = evened(self.symmetry, self.start, width)
                symmetry = varying(self.symmetry, width)
                old, plan = plan, plan_for(width)
                store = widened(store, self.start, old, plan)
                scratch = self._scratch(plan.words)
            elif why == s.GROW:
                if found >= most:
                    return self._outcome(INCONCLUSIVE, None, store, plan.words, found - 1, ())
                store = grown(store, plan.words, min(len(store.parent) * 4, most + _FIRST_ROWS))
            elif why == s.ALL:
                trapped = first_trap(self, store, plan, symmetry, scratch)
                if trapped is None:
                    return self._outcome(SAFE, None, store, plan.words, found - 1, ())
                return self._outcome(LIVELOCK, LIVELOCK, store, plan.words, trapped, ())
            elif why == s.BUG:
                if int(store.at[s.INVARIANT]) >= o.MISTAKES:
                    row = unpacked(store, plan, done, self.start)
                    raise mistake_after(self, row, int(store.at[s.LABEL]))
                name = self.problem.invariants[int(store.at[s.INVARIANT])]
                return self._outcome(BUG, name, store, plan.words, done, (int(store.at[s.LABEL]),))
            elif why == s.DEADLOCK:
                end = self._outcome(BUG, DEADLOCK, store, plan.words, done, ())
                return attrs.evolve(end, depth=end.depth + self._waiting_since_they_began(store, plan, done))

    def _expanded(
        self,
        store: Store,
        scratch: Scratch,
        plan: Plan,
        symmetry: Symmetry,
        slices: Slices,
        progress: Callable[[int, int], None],
    ) -> int:
        """Expand `SLICE` states, a few at a time, unless there is another reason to stop; return which."""
        none = no_work()
        end = int(store.at[s.HEAD]) + SLICE
        why = s.PAUSE
        while why == s.PAUSE and (rest := end - int(store.at[s.HEAD])):
            store.at[s.LIMIT] = min(slices.begin(), rest)
            why = runnable(search)(store, scratch, plan, symmetry, *self.program, none)
            slices.end()
            progress(int(store.at[s.COUNT]), int(store.at[s.HEAD]))
        return why

    def _waiting_since_they_began(self, store: Store, plan: Plan, row: int) -> int:
        """Count the tasks that have taken no steps but those that they begin with: a story tells of those too."""
        state = unpacked(store, plan, row, self.start)
        layout = self.problem.machine.layout
        places = range(layout.o_task + T_PC, layout.o_task + layout.tasks * TASK_CELLS, TASK_CELLS)
        return sum(int(state[at] == self.start[at] != self.first[at]) for at in places)

    def _surprised(self, store: Store, plan: Plan, width: npt.NDArray[np.int64]) -> bool:
        """Whether steps were taken that were assumed never to be, and that change which steps are local."""
        if self.taken <= self.assumed:
            return False
        found_from = self.start
        if not self.assume(self.taken | self.assumed):
            return False
        look_ahead(self, store, plan, width, found_from)
        self.assume(self.taken | self.assumed)
        return True

    def _scratch(self, words: int) -> Scratch:
        return new_scratch(self.start, self.most_moves(), words, room_for_keys(self.symmetry))

    def _outcome(
        self, verdict: str, invariant: str | None, store: Store, words: int, row: int, after: tuple[int, ...]
    ) -> Outcome:
        path = [*after, *path_to(store, row)]
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
