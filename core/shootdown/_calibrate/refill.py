"""What translations that are not in the TLB cost: reads of one line a page, against reads of as many lines in a row."""

from __future__ import annotations

import ctypes
import time

import attrs
import numpy as np

from shootdown._calibrate.kernels import chase
from shootdown._calibrate.machine import PAGE, reserved
from shootdown._compilation.running import compiled

_LINE = 64
_FOOTPRINTS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_READS, _ROUNDS = 40_000, 5
#: Nanoseconds below which a difference is no more than noise.
_NOISE = 0.3


@attrs.frozen
class Refill:
    """What a read of a page takes longer than a read of a line that has no page of its own.

    Args:
        page: the size of a page, in bytes.
        pages: how many are read again and again.
        ns: nanoseconds a read.
    """

    page: int
    pages: int
    ns: float


def refills(*, huge: bool) -> list[Refill]:
    """Measure it by footprint, the smallest first.

    Args:
        huge: whether to ask for huge pages: what is left then is that of a huge page.
    """
    found = []
    page = 512 * PAGE if huge else PAGE
    most = 256 if huge else max(_FOOTPRINTS)
    size = most * page
    with reserved(size, huge=huge) as at:
        cells = np.frombuffer(memoryview((ctypes.c_int64 * (size // 8)).from_address(at)), np.int64)
        for pages in (16, 32, 64, 128, 256) if huge else _FOOTPRINTS:
            apart = _per_read(cells, _ring(pages, page))
            together = _per_read(cells, _ring(pages, _LINE))
            found.append(Refill(page, pages, round(max(apart - together, 0.0), 2)))
        del cells
    return found


def reach(found: list[Refill]) -> int:
    """Return the largest number of pages whose translations all caches hold: reads take no third of the longest."""
    longest = max((one.ns for one in found), default=0.0)
    short = [one.pages for one in found if one.ns <= max(longest / 3, _NOISE)]
    return max(short, default=0)


def _ring(count: int, stride: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the cells of lines, a stride apart, in no order that is predicted; within a page the line moves on."""
    order = np.random.default_rng(1).permutation(count)
    within = order * _LINE % PAGE if stride >= PAGE else np.zeros(count, np.int64)
    return np.asarray((order * stride + within) // 8, np.int64)


def _per_read(
    cells: np.ndarray[tuple[int], np.dtype[np.int64]], ring: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> float:
    cells[ring] = np.roll(ring, -1)
    kernel, start = compiled(chase), int(ring[0])
    kernel(cells, start, 2 * len(ring))
    best = float("inf")
    for _ in range(_ROUNDS):
        begin = time.perf_counter_ns()
        kernel(cells, start, _READS)
        best = min(best, (time.perf_counter_ns() - begin) / _READS)
    return best
