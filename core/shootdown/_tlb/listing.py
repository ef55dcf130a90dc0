"""Which entries of a listing a flush drops; `kernels` does the same to the state."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from shootdown._tlb.flush import FlushScope


def _holds_an_address(
    scope: FlushScope, va: npt.NDArray[np.uint64], size: npt.NDArray[np.uint64]
) -> npt.NDArray[np.bool_]:
    if scope.start is None:
        return np.ones(len(va), dtype=np.bool_)
    last = va + (size - np.uint64(1))
    start, stride = np.uint64(scope.start), np.uint64(scope.stride or 1)
    gap = va - np.minimum(
        va, start
    )  # bytes from the first address up to the page, 0 if the page starts before it
    steps, rest = gap // stride, gap % stride
    steps += rest != 0
    into_page = np.where(rest != 0, stride - rest, np.uint64(0))
    holds_later = (va > start) & (steps < np.uint64(scope.count)) & (into_page < size)
    result: npt.NDArray[np.bool_] = ((va <= start) & (start <= last)) | holds_later
    return result


def dropped(entries: npt.NDArray[Any], scope: FlushScope) -> npt.NDArray[np.bool_]:
    """Return which of a CPU's entries a flush drops.

    Args:
        entries: the records that `Tlb.entries` lists, shape (n,).
        scope: the invalidation.

    Returns:
        A mask, shape (n,): true for each entry that goes.
    """
    va, size = entries["va"], entries["page_size"]
    of_vm = np.ones(len(entries), dtype=np.bool_) if scope.vm is None else entries["vm"] == scope.vm
    of_asid = of_vm if scope.asid is None else of_vm & (entries["asid"] == scope.asid)
    is_walk = entries["level"] == "walk"
    held = _holds_an_address(scope, va, size)

    leaf = ~is_walk & held & np.where(entries["is_global"], of_vm & scope.global_entries, of_asid)
    if scope.page_sizes:
        leaf &= np.isin(size, np.array(scope.page_sizes, dtype=np.uint64))
    if not scope.leaf:
        leaf[:] = False

    if scope.walk_cache == "none":
        return np.asarray(leaf)
    walk = is_walk & of_asid
    if scope.walk_cache == "leading-to-va":
        walk &= held & (size > np.uint64(scope.walk_above))
    return np.asarray(leaf | walk)
