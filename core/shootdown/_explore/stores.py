"""The memory of a search: the states that it found, and its work area."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from shootdown._compilation.running import runnable
from shootdown._explore.packing import Plan, unpack
from shootdown._explore.search import AT_CELLS, COUNT, Scratch, Store, rehash, repack


def new_scratch(start: npt.NDArray[Any], most: int, words: int, keys: int = 3) -> Scratch:
    """Return a work area for a search.

    Args:
        start: the state that it begins with.
        most: the most moves that a state may have.
        words: of a packed row.
        keys: room for keys of like groups; see `renaming.room_for_keys`.
    """
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


def new_store(rows: int, words: int) -> Store:
    """Return an empty store with room for so many rows of so many words."""
    slots = 1 << (rows * 2 - 1).bit_length()
    return Store(
        np.empty(rows * words, np.uint64),
        np.empty(rows, np.int32),
        np.empty(rows, np.int32),
        np.zeros(rows, np.int32),
        np.zeros(slots, np.int32),
        np.zeros(AT_CELLS, np.int64),
        mask=slots - 1,
        room=rows,
    )


def grown(store: Store, words: int, rows: int) -> Store:
    """Return a store with the same states and room for so many rows."""
    bigger = _with_moves_of(store, rows, words)
    n = int(store.at[COUNT])
    bigger.rows[: n * words] = store.rows[: n * words]
    runnable(rehash)(bigger, words)
    return bigger


def widened(store: Store, start: npt.NDArray[Any], old: Plan, new: Plan) -> Store:
    """Return a store with the same states, packed by a plan with room for a value that did not fit.

    Args:
        store: the states found.
        start: the state that the search began with.
        old, new: the plan by which they are packed, and that by which they will be.
    """
    bigger = _with_moves_of(store, len(store.parent), new.words)
    runnable(repack)(store, bigger.rows, start.copy(), old, new)
    runnable(rehash)(bigger, new.words)
    return bigger


def _with_moves_of(store: Store, rows: int, words: int) -> Store:
    """Return a store that has the moves of another one, and not its packed states yet."""
    bigger = new_store(rows, words)
    n = int(store.at[COUNT])
    for mine, other in (
        (bigger.parent, store.parent),
        (bigger.label, store.label),
        (bigger.onward, store.onward),
    ):
        mine[:n] = other[:n]
    bigger.at[:] = store.at
    return bigger


def unpacked(store: Store, plan: Plan, row: int, start: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a state that was found, by its row.

    Args:
        store, plan: the states found, and how they are packed.
        row: its number.
        start: the state that the search began with.
    """
    state = start.copy()
    runnable(unpack)(store.rows, row * plan.words, state, plan)
    return state


def path_to(store: Store, row: int) -> list[int]:
    """Return the labels of the moves that led to a state, the last one first."""
    path = []
    while row > 0:
        path.append(int(store.label[row]))
        row = int(store.parent[row])
    return path
