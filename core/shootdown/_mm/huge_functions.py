"""Kernel functions on entries that map huge pages: their frames, which all programs share (mm/huge_memory.c).

Whoever calls one of them writes what it does within.
"""

from __future__ import annotations

from collections.abc import Callable

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.call_parts import SCRATCH, CallParts


class HugeFunctions(CallParts):
    """Write such functions: the name, the cause of their flushes, the flush of one huge entry."""

    @function("zap_huge_pmd", "mm/huge_memory.c")
    def zap_huge_pmd(self, zap: Callable[[], None]) -> None:
        """Write zap_huge_pmd(): a huge entry is cleared, and a gather learns of it.

        Args:
            zap: writes how.
        """
        zap()

    @function("madvise_free_huge_pmd", "mm/huge_memory.c")
    def madvise_free_huge_pmd(self, free: Callable[[], None]) -> None:
        """Write madvise_free_huge_pmd(): a huge entry becomes old and clean, flushed at once since 58ceeb6bec86 (4.12).

        Args:
            free: writes how.
        """
        free()

    @function("__split_huge_pmd_locked", "mm/huge_memory.c")
    def split_huge_pmd_locked(self, split: Callable[[], None]) -> None:
        """Write __split_huge_pmd_locked(): a page table replaces a huge entry, by its lock.

        Args:
            split: writes how.
        """
        with self.asm.because("THP split"):
            split()

    @function("pmdp_invalidate", "mm/pgtable-generic.c")
    def pmdp_invalidate(self, change: Callable[[], None], lo: int, hi: int) -> None:
        """Write pmdp_invalidate(): no walker can use a huge entry any more, and it is flushed.

        Args:
            change: writes how the entry changes.
            lo, hi: its base pages, `[lo, hi)`.
        """
        change()
        self._flush_pmd(lo, hi)

    @function("pmdp_huge_get_and_clear_full", "mm/pgtable-generic.c")
    def pmdp_huge_get_and_clear_full(self, change: Callable[[], None], lo: int, hi: int) -> None:
        """Write pmdp_huge_get_and_clear_full(): a huge entry is cleared, and flushed at once where the kernel does.

        Args:
            change: writes how the entry changes.
            lo, hi: its base pages, `[lo, hi)`.
        """
        change()
        if self.kernel.thp_zap_flushes:
            self._flush_pmd(lo, hi)

    @function("move_huge_pmd", "mm/huge_memory.c")
    def move_huge_pmd(self, move: Callable[[], None], flush: Callable[[], None]) -> None:
        """Write move_huge_pmd(): a huge entry goes to another place, and the old one is flushed.

        Args:
            move: writes how it goes.
            flush: writes the flush, where it comes before the locks are released.
        """
        move()
        flush()

    def flush_pmd_tlb_range(self, lo: int, hi: int) -> None:
        """Write flush_pmd_tlb_range() of one huge entry of base pages `[lo, hi)`."""
        self._flush_pmd(lo, hi)

    def _flush_pmd(self, lo: int, hi: int) -> None:
        self.asm.request(SCRATCH, cleared=o.CLEARED_PTES, lo=lo, hi=hi, text="flush_pmd_tlb_range")
        self.lowering.flush_pmd_range(self.asm, SCRATCH)
