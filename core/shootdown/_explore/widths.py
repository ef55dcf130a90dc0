"""How many bits each cell of a state takes, guessed from random walks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from shootdown._compilation.running import runnable
from shootdown._explore.packing import Plan, unpack
from shootdown._explore.prepared import Prepared
from shootdown._explore.search import COUNT, HEAD, Store
from shootdown._explore.walk import sample

#: The most random walks before a search, and their seed.
_WALKS, _SEED = 30, 12345
#: States from which random walks look ahead; fewer where no story depends on it, and calls of kernels take longer.
_LOOKS, _FEWER_LOOKS = 32, 4


def first_widths(prepared: Prepared) -> npt.NDArray[np.int64]:
    """Guess from random walks which cells vary and which steps are taken; a wrong guess only costs time."""
    width = np.zeros(len(prepared.start), np.int64)
    sampled = _sampling(prepared)
    if prepared.rules.arrive == 0:
        _sample(prepared, prepared.start, sampled, _WALKS)
    else:
        _sample_until_known(prepared, sampled)
    _widen(width, sampled)
    every, cautious = prepared.assumed, prepared.marks.local
    taken = prepared.taken
    if prepared.assume(taken) and all(cautious[pc] == prepared.marks.local[pc] for pc in taken):
        # assuming that some steps are never taken gains nothing here, and may prove wrong later
        prepared.assume(every)
    return width


def look_ahead(
    prepared: Prepared, store: Store, plan: Plan, width: npt.NDArray[np.int64], found_from: npt.NDArray[Any]
) -> None:
    """Guess once more, by random walks from the states found last: more wrong guesses are likely to follow one.

    Args:
        prepared: the problem.
        store, plan, found_from: the states found, their packing, and the state that the last one was found from.
        width: bits for each cell; increased where a guess needs more.
    """
    start = found_from.copy()
    sampled = _sampling(prepared)
    done, found = int(store.at[HEAD]), int(store.at[COUNT])
    looks = _LOOKS if prepared.rules.arrive == 0 else _FEWER_LOOKS
    for row in sorted(set(np.linspace(min(done, found - 1), found - 1, looks).astype(int).tolist())):
        runnable(unpack)(store.rows, row * plan.words, start, plan)
        _sample(prepared, start, sampled, 2)
    _widen(width, sampled)


def _sample_until_known(prepared: Prepared, sampled: tuple[npt.NDArray[Any], ...]) -> None:
    """Walk from the start until some walks in which each task starts late once show nothing new."""
    *_, largest, varies = sampled
    walks = 2 * (prepared.problem.machine.layout.tasks + 1)
    known = b""
    for made in range(0, _WALKS, walks):
        _sample(prepared, prepared.start, sampled, walks, _SEED + made)
        before, known = known, b"".join(cells.tobytes() for cells in (largest, varies, prepared.marks.taken))
        if known == before:
            break


def _sampling(prepared: Prepared) -> tuple[npt.NDArray[Any], ...]:
    """Return what random walks write to: a state, labels, and each cell's largest value and varying bits."""
    return (
        prepared.start.copy(),
        np.zeros(prepared.most_moves(), np.int64),
        prepared.start.copy(),
        np.zeros_like(prepared.start),
    )


def _sample(
    prepared: Prepared,
    start: npt.NDArray[Any],
    sampled: tuple[npt.NDArray[Any], ...],
    walks: int,
    seed: int = _SEED,
) -> None:
    """Note the values that random walks from a state put into cells."""
    scratch, labels, largest, varies = sampled
    runnable(sample)(
        scratch, start, prepared.start, *prepared.program, labels, largest, varies, seed, walks, 200
    )


def _widen(width: npt.NDArray[np.int64], sampled: tuple[npt.NDArray[Any], ...]) -> None:
    """Widen cells to the values that random walks put there."""
    *_, largest, varies = sampled
    _, bits = np.frexp(largest)  # of a whole number: how many bits it has
    np.maximum(width, np.where(varies, bits, 0), out=width)
