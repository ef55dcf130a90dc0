"""What a search is told to do, and what it found."""

from __future__ import annotations

import attrs


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
