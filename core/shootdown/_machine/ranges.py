"""The range that a flush executes: which translations its instructions invalidate."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined
from shootdown._machine import ops as o
from shootdown._machine.bits import int64
from shootdown._machine.layout import MOST_PAGES, Layout

#: The part of `CPU_CALL_HOW` that is log2 of the pages from one stride to the next.
SHIFT = o.ONE_SIZE - 1


@inlined
def invalidates(lo: int, hi: int, shift: int, first: int, end: int) -> bool:
    """Whether a flush invalidates the translation of a range of pages.

    The flush executes an instruction for each stride, and each invalidates the translation of its own address: an entry
    between two of these addresses stays.

    Args:
        lo, hi: the pages that the flush reaches.
        shift: log2 of the pages from one stride to the next.
        first, end: the pages that the entry maps.
    """
    at = lo
    if first > lo:
        at = lo + (((first - lo + (int64(1) << shift) - 1) >> shift) << shift)
    return at < hi and at < end


@inlined
def page_size(L: Layout, pages: int) -> int:
    """Return how many base pages one translation of a range has: base pages map what is not as large as a huge page."""
    if pages == int64(1) << L.pmd_shift or pages == int64(1) << L.pud_shift:
        return pages
    return int64(1)


@inlined
def reaches(L: Layout, lo: int, hi: int, how: int, first: int, end: int) -> bool:
    """Whether a flush invalidates the translation of pages `first` to `end`, its page size considered.

    Args:
        L: the layout.
        lo, hi: the pages that the flush reaches.
        how: log2 of the pages from one stride to the next, `ops.ONE_SIZE` and `ops.PMD_TOO`.
        first, end: the pages that the entry maps; an entry of `MOST_PAGES` has whatever size is named.
    """
    shift = how & SHIFT
    if how & o.ONE_SIZE and end - first < MOST_PAGES:
        size = page_size(L, end - first)
        if size != int64(1) << shift and (how & o.PMD_TOO == 0 or size != int64(1) << L.pmd_shift):
            return False
    return invalidates(lo, hi, shift, first, end)
