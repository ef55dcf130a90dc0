"""A soak: random walks through a machine that is too large to exhaust.

A walk that breaks an invariant is shortened: moves are left out as long as the others still break it. If no walk breaks
one, that proves nothing about other walks: the verdict is then `inconclusive`.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np

from shootdown._compilation.running import runnable
from shootdown._explore.engine import Explorer
from shootdown._explore.outcome import Outcome
from shootdown._machine import ops as o
from shootdown._machine.mistakes import found_in
from shootdown._values.errors import ShootdownError
from shootdown._values.verdict import BUG, DEADLOCK, INCONCLUSIVE

_MIX = 0x9E3779B97F4A7C15
_LARGEST = (1 << 63) - 1
#: Walks between two checks for Ctrl-C and for progress.
_BATCH = 200


@attrs.frozen
class Soak:
    """Options of random walks.

    Args:
        walks: how many walks.
        seed: of the first walk; the same seed walks the same way.
        length: moves of one walk at most.
    """

    walks: int
    seed: int = 1
    length: int = 5000

    def walk(self, explorer: Explorer, progress: Callable[[int, int], None] = lambda *_: None) -> Outcome:
        """Walk until an invariant breaks or all walks are made.

        Args:
            explorer: of the machine. Its symmetry is not used: a walk renames nothing.
            progress: called from time to time with the number of walks made and the number asked for.
        """
        from shootdown._explore.symmetry import no_symmetry
        from shootdown._explore.telling import stuck
        from shootdown._explore.walk import random_walk

        explorer.symmetry = no_symmetry()  # only states that are stored are renamed, and a walk stores none
        labels = np.zeros(self.length, np.int64)
        moves = 0
        reached: set[str] = set()
        for number in range(self.walks):
            if number % _BATCH == 0:
                progress(number, self.walks)
            while True:
                state = explorer.first.copy()
                made, said = runnable(random_walk)(
                    state, *explorer.program, labels, _start(self.seed, number)
                )
                if explorer.taken <= explorer.assumed:
                    break
                # Which steps are local depends on which steps are ever taken.
                explorer.assume(explorer.taken | explorer.assumed)
            moves += made
            reached |= _reached(explorer)
            bad = said & 3 == 2
            if bad or (made < self.length and stuck(explorer, state)):
                path = [int(label) for label in labels[:made]]
                if bad and said >> 2 >= o.MISTAKES:
                    machine = explorer.problem.machine
                    wrong = found_in(state, machine.code, machine.code.lists, machine.layout)
                    raise wrong or ShootdownError("a step of the program names something that is not there")
                name = explorer.problem.invariants[said >> 2] if bad else DEADLOCK
                if bad:
                    path = shorter(explorer, path, said)
                return self._outcome(BUG, name, moves, number + 1, tuple(path), reached)
        return self._outcome(INCONCLUSIVE, None, moves, self.walks, (), reached)

    def _outcome(
        self, verdict: str, name: str | None, moves: int, walks: int, path: tuple[int, ...], reached: set[str]
    ) -> Outcome:
        return Outcome(
            verdict=verdict,
            invariant=name,
            states=0,
            transitions=moves,
            depth=len(path),
            path=path,
            reached=frozenset(reached),
            row_bytes=0,
            total_bytes=0,
            walks=walks,
        )

    def covered(self, outcome: Outcome) -> str:
        """Return what was covered if nothing was found."""
        return (
            f"{outcome.walks:,} random walks of {outcome.transitions:,} moves in all: none of them breaks an "
            "invariant, which proves nothing of the others"
        )

    def remark(self, outcome: Outcome) -> str:
        """Return the remark that says how to repeat the walk."""
        found = f"; walk {outcome.walks:,} found it, and its story was made shorter" if outcome.path else ""
        return f"random walks, not a search: --soak {self.walks} --seed {self.seed} walks the same way{found}"


def _start(seed: int, number: int) -> int:
    """Return the random generator's first state for one walk; never zero."""
    x = (seed * _MIX + number * 0xD1B54A32D192ED03 + 1) & _LARGEST
    x ^= x >> 31
    x = (x * 0xBF58476D1CE4E5B9) & _LARGEST
    return (x ^ x >> 29) or 1


def _reached(explorer: Explorer) -> set[str]:
    return {name for name, mark in zip(explorer.problem.places, explorer.marks.seen, strict=False) if mark}


def shorter(explorer: Explorer, path: list[int], said: int) -> list[int]:
    """Leave moves out of a path, in ever smaller pieces, as long as the path still breaks the invariant."""
    size = len(path) // 2
    while size:
        at = 0
        while at < len(path):
            candidate = path[:at] + path[at + size :]
            found = _replayed(explorer, candidate, said)
            if found is not None:
                path = found
            else:
                at += size
        size //= 2
    return path


def _replayed(explorer: Explorer, path: list[int], said: int) -> list[int] | None:
    """Make those moves of a path that are possible; return them if they break the invariant, else None."""
    from shootdown._explore.moves import REFUSED, move

    state = explorer.first.copy()
    made = []
    for label in path:
        answer = runnable(move)(state, *explorer.program, label)
        if answer == REFUSED:
            continue
        made.append(label)
        if answer == said:
            return made
        if answer & 3 == 2:
            return None
    return None
