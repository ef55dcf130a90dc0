"""Calls on ordinary anonymous mappings, base pages and THP (mm/memory.c, mm/mprotect.c, mm/huge_memory.c)."""

from __future__ import annotations

from collections.abc import Callable

from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._mm.calls import OUTER, SCRATCH, Calls

#: Pages that one forced flush may leave queued: local bundle and batches (mm/mmu_gather.c, MAX_GATHER_BATCH_COUNT).
_BUNDLE = 7


def pages_until_flush(page_size: int) -> int:
    """Say how many single pages fit the batches of a gather before it must flush.

    A batch counts as full with one slot left, because a folio takes two (mm/mmu_gather.c).
    """
    batch = (page_size - 16) // 8
    return _BUNDLE + 10000 // batch * (batch - 1)


class Anonymous:
    """Write calls on an anonymous mapping of `pages` base pages, or one THP.

    Args:
        calls: what to write with.
        table_pages: base pages that one PTE table maps.
    """

    def __init__(self, calls: Calls, table_pages: int) -> None:
        self.calls = calls
        self.asm = calls.asm
        self.kernel = calls.kernel
        self.gathers = calls.gathers
        self.lowering = calls.lowering
        self.table_pages = table_pages

    def touch(self, pages: int, *, huge: bool) -> None:
        """Write first accesses: one fault for each page, or one for a THP."""
        asm = self.asm
        with asm.function("handle_mm_fault", "mm/memory.c"):
            if huge:
                asm.work("zero_ns", text="allocate and clear a huge page")
            elif pages:
                asm.work("small_fault_ns", pages, text="fault the pages in")
            asm.emit(o.TOUCH, text="the TLB and walk caches may hold the translation")

    def munmap(self, pages: int, *, huge: bool, tables: int) -> None:
        """Write munmap(); `tables` PTE tables (for a THP: PMD tables) are freed with it."""
        with self.calls.syscall("munmap"), self.asm.because("munmap"):
            self.gathers.begin(OUTER)
            self.zap(OUTER, pages, huge=huge)
            self.gathers.end_vma(OUTER)
            with self.asm.function("free_pgtables", "mm/memory.c"):
                self.gathers.change_page_size(OUTER, huge=False)
                level = o.CLEARED_PUDS if huge else o.CLEARED_PMDS
                last = 0 if huge else (tables - 1) * self.table_pages
                self.gathers.free_tables(OUTER, tables, level, hi=last + 1)
            self.gathers.finish(OUTER)

    def madvise(self, pages: int, *, huge: bool) -> None:
        """Write madvise(MADV_DONTNEED): with PT_RECLAIM it frees PTE tables that became wholly empty.

        zap_page_range_single() has no tlb_end_vma(): one flush is of entries and tables together.
        """
        with self.calls.syscall("madvise", "mm/madvise.c", write=False), self.asm.because("MADV_DONTNEED"):
            self.gathers.begin(OUTER)
            self.zap(OUTER, pages, huge=huge)
            if self.kernel.pt_reclaim and not huge:
                tables = pages // self.table_pages
                with self.asm.function("try_get_and_clear_pmd", "mm/pt_reclaim.c"):
                    last = (tables - 1) * self.table_pages
                    self.gathers.free_tables(OUTER, tables, o.CLEARED_PMDS, hi=last + 1)
            self.gathers.finish(OUTER)

    def zap(self, g: int, pages: int, *, huge: bool) -> None:
        """Write zap_pte_range() or zap_huge_pmd(): clear entries, queue pages, flush when the batches are full."""
        asm = self.asm
        if huge:
            with asm.function("zap_huge_pmd", "mm/huge_memory.c"):
                self.gathers.change_page_size(g, huge=True)
                asm.work("zap_huge_ns", text="clear the entry")
                self.gathers.cleared(1, huge=True)
                if self.kernel.thp_zap_flushes:
                    self._invalidate_pmd("pmdp_huge_get_and_clear_full")
                asm.emit(o.GATHER_ADD, g, 0, self.table_pages, o.CLEARED_PMDS << 16, text="one huge entry")
            return
        limit = pages_until_flush(self.kernel.page_size)
        with asm.function("zap_pte_range", "mm/memory.c"):
            self.gathers.change_page_size(g, huge=False)
            for lo in range(0, pages, limit):
                hi = min(lo + limit, pages)
                asm.work("zap_ns", hi - lo, text="clear the entries")
                self.gathers.cleared(hi - lo, huge=False, first=lo)
                asm.emit(o.GATHER_ADD, g, lo, hi, o.CLEARED_PTES << 16, text=f"{hi - lo} entries cleared")
                if hi < pages:
                    with asm.function("tlb_flush_mmu", "mm/mmu_gather.c"):
                        self.gathers.flush(g)

    def mprotect(self, pages: int, *, huge: bool, part: bool = False, widens: bool = False) -> None:
        """Write mprotect(): through a gather where the kernel has it, else one flush_tlb_range() at the end.

        Args:
            pages: how many base pages change.
            huge: a THP maps them.
            part: only one base page of the THP changes, which splits it first.
            widens: the new permissions include the old ones.
        """
        asm = self.asm
        with self.calls.syscall("mprotect", "mm/mprotect.c"), asm.because("mprotect"):
            if self.kernel.mprotect_gather:
                self.gathers.begin(OUTER)
            if huge and part:
                self._split_thp()
            elif huge and self.kernel.thp_mprotect_flushes:
                self._invalidate_pmd()
            asm.work(
                "zap_huge_ns" if huge and not part else "zap_ns", 1 if huge else pages, text="change entries"
            )
            self.gathers.cleared(1 if huge else pages, huge=huge and not part)
            if self.kernel.mprotect_gather:
                self.gathers.change_page_size(OUTER, huge=huge and not part)
                lo, hi, level = (0, 1, o.CLEARED_PTES) if part else (0, pages, o.CLEARED_PTES)
                if huge and not part:
                    lo, hi, level = 0, self.table_pages, o.CLEARED_PMDS
                if self.kernel.widening_flushes or not widens:
                    asm.emit(o.GATHER_ADD, OUTER, lo, hi, level << 16, text="entries changed")
                self.gathers.end_vma(OUTER)
                self.gathers.finish(OUTER)
            else:
                with asm.function("change_protection", "mm/mprotect.c"):
                    self._flush_range(1 if part else self.table_pages if huge else pages)

    def _split_thp(self) -> None:
        """Write __split_huge_pmd(): the huge entry is invalidated and flushed before base entries replace it."""
        asm = self.asm
        with asm.function("__split_huge_pmd_locked", "mm/huge_memory.c"), asm.because("THP split"):
            asm.work("zap_huge_ns", text="write the PTE table")
            self.gathers.cleared(1, huge=True)
            self._invalidate_pmd()

    def _invalidate_pmd(self, name: str = "pmdp_invalidate") -> None:
        """Write pmdp_invalidate(): flush_pmd_tlb_range() of the one huge entry."""
        with self.asm.function(name, "mm/pgtable-generic.c"):
            self.asm.emit(
                o.REQUEST, SCRATCH, o.CLEARED_PTES << 16, 0, self.table_pages, text="flush_pmd_tlb_range"
            )
            self.lowering.flush_pmd_range(self.asm, SCRATCH)

    def _flush_range(self, pages: int, flush: Callable[[Assembler, int], None] | None = None) -> None:
        self.asm.emit(o.REQUEST, SCRATCH, o.CLEARED_PTES << 16, 0, pages, text="flush_tlb_range")
        (flush or self.lowering.flush_range)(self.asm, SCRATCH)

    def collapse(self, ranges: int) -> None:
        """Write khugepaged collapsing so many PMD ranges: pmdp_collapse_flush(), then the sync (2ba99c5e0881)."""
        asm = self.asm
        with (
            asm.function("collapse_huge_page", "mm/khugepaged.c"),
            asm.because("khugepaged"),
            asm.loop(ranges),
        ):
            asm.lock(self.calls.locks.mmap, index=1, write=True, sleeps=True, text="mmap_lock")
            with asm.function("pmdp_collapse_flush", "mm/pgtable-generic.c"):
                flush = getattr(self.lowering, "flush_collapsed_pmd", self.lowering.flush_range)
                self._flush_range(self.table_pages, flush)
            if self.kernel.khugepaged_sync:
                self.gathers.sync("a page table was withdrawn")
            asm.work("collapse_ns", text="copy the pages, map the huge one")
            asm.unlock(self.calls.locks.mmap, index=1, write=True, text="mmap_lock")
