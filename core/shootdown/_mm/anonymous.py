"""Calls on ordinary anonymous mappings, base pages and THP (mm/memory.c, mm/huge_memory.c)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.anonymous_collapses import AnonymousCollapses
from shootdown._mm.anonymous_rights import AnonymousRights
from shootdown._mm.call_parts import OUTER
from shootdown._mm.counted_entries import CountedEntries, CountedStretch
from shootdown._mm.gather import PageQueue, delays_rmap, dirty_pages_flush


@attrs.frozen
class Part:
    """Some pages that are zapped without a flush between them.

    Args:
        lo, hi: the first page and the one after the last.
        forced: a flush is forced after it.
        frees_table: the PTE table that ends here is freed.
    """

    lo: int
    hi: int
    forced: bool
    frees_table: bool = False


def zapped(
    pages: int,
    table_pages: int,
    queue: PageQueue,
    *,
    clean: int,
    delays: bool,
    frees: bool,
    forces: bool = True,
) -> Iterator[Part]:
    """Yield the parts of zap_pte_range() between flushes: at full batches, and after tables with dirty file pages.

    Args:
        pages: the number of pages.
        table_pages: base pages that one PTE table maps.
        queue: the gather's queue of pages; pages not flushed at the end stay in it.
        clean: pages before this one need no flush of their own.
        delays: the rmap of dirty file pages is removed after the flush.
        frees: PTE tables that become wholly empty are freed at once.
        forces: a table with dirty file pages is flushed where it ends here.
    """
    lo = 0
    for start in range(0, pages, table_pages):
        end = min(start + table_pages, pages)
        at = start
        while at < end:
            dirty = at >= clean
            queue.delayed = queue.delayed or (dirty and delays)
            upto = end if dirty else min(end, max(clean, at))
            some = min(queue.room, upto - at)
            at += some
            if queue.add(some):
                yield Part(lo, at, forced=True)
                lo = at
        whole = frees and end - start == table_pages
        forced = forces and end > clean
        if forced:
            queue.flushed()
        if lo < end and (whole or forced):
            yield Part(lo, end, forced=forced, frees_table=whole)
            lo = end
        elif whole:
            yield Part(end, end, forced=False, frees_table=True)
    if lo < pages:
        yield Part(lo, pages, forced=False)


class Anonymous(AnonymousRights, AnonymousCollapses):
    """Write calls on an anonymous mapping of `pages` base pages, or one THP; see `AnonymousParts`."""

    @function("handle_mm_fault", "mm/memory.c")
    def touch(self, pages: int, *, huge: bool, count: int = 1, cached: bool = False) -> None:
        """Write first accesses: one fault for each of `pages` base pages, or for each of `count` THPs.

        Args:
            pages, huge, count: what is accessed.
            cached: the pages are a file's, in the page cache.
        """
        asm = self.asm
        if huge:
            asm.work("zero_ns", count, text="allocate and clear a huge page")
            self.lowering.entries_set(asm, count, huge=True)
            self.lowering.entries_mapped(asm, count)
        elif pages:
            asm.work("small_fault_ns", pages, text="fault the pages in", keeps=cached)
            self.lowering.entries_set(asm, pages, huge=False)
            self.lowering.entries_mapped(asm, pages)
        asm.touch(text="the TLB and walk caches may hold the translation")

    def munmap(self, pages: int, *, huge: bool, tables: int, clean: int | None = None) -> None:
        """Write munmap(); `tables` PTE tables (for a THP: PMD tables) are freed with it; `clean` as for `zap`."""
        level = o.CLEARED_PUDS if huge else o.CLEARED_PMDS
        last = 0 if huge else (tables - 1) * self.table_pages
        self.unmap(
            lambda queue: self.zap(OUTER, pages, queue, huge=huge, clean=clean),
            lambda queue: self.gathers.free_tables(OUTER, tables, level, hi=last + 1, queue=queue),
        )

    def unmap(self, zap: Callable[[PageQueue], None], free: Callable[[PageQueue], None]) -> None:
        """Write munmap().

        Args:
            zap: writes how its entries are cleared, given the gather's queue of pages.
            free: writes how its page tables are queued to be freed.
        """
        with self.calls.syscall("munmap"), self.asm.because("munmap"):
            self._unmap_region(zap, free)

    def _unmap_region(self, zap: Callable[[PageQueue], None], free: Callable[[PageQueue], None]) -> None:
        queue = self.gathers.page_queue()
        self.drain_lru()
        self.gathers.begin(OUTER)
        zap(queue)
        self.gathers.end_vma(OUTER)

        def free_tables() -> None:
            self.gathers.change_page_size(OUTER, huge=False)
            free(queue)

        self.calls.free_pgtables(free_tables)
        self.gathers.finish(OUTER)

    def mremap(
        self, move: Callable[[], None], flush: Callable[[], None], free: Callable[[PageQueue], None]
    ) -> None:
        """Write mremap() of a mapping within one PTE table: move_ptes(), then move_vma() unmaps the old place.

        Args:
            move: writes how its entries are moved.
            flush: writes the flush of the old place: before the page-table locks are released or, in kernels before
                eb66ae030829, after.
            free: writes how the page table of the old place is queued to be freed.
        """
        locked = self.kernel.mremap_flushes_locked
        with self.calls.syscall("mremap", "mm/mremap.c"), self.asm.because("mremap"):

            def moves() -> None:
                move()
                if locked:
                    flush()

            self.calls.move_ptes(moves)
            if not locked:
                self.calls.move_page_tables(flush)
            self._unmap_region(lambda _: None, free)

    def mremap_tables(self, tables: int) -> None:
        """Write mremap() of so many whole page tables, none of which is left at the old place."""
        with self.calls.syscall("mremap", "mm/mremap.c"), self.asm.because("mremap"):
            with self.asm.loop(tables, o.SCRATCH2):
                self.calls.move_normal_pmd(lambda: self.flush_range(0, self.table_pages))
            self._unmap_region(lambda _: None, lambda _: None)

    def unmap_mapping_range(self, zap: Callable[[PageQueue], None]) -> None:
        """Write unmap_mapping_range() of a file in one address space; `zap` writes how its entries are cleared."""

        def unmap() -> None:
            self.drain_lru()
            self.gathers.begin(OUTER)
            zap(self.gathers.page_queue())
            self.gathers.finish(OUTER)

        self.calls.unmap_mapping_range(unmap)

    def madvise(self, pages: int, *, huge: bool, clean: int | None = None) -> None:
        """Write madvise(MADV_DONTNEED): with PT_RECLAIM it frees PTE tables that became wholly empty."""
        reclaims = self.kernel.pt_reclaim
        self.discard(lambda queue: self.zap(OUTER, pages, queue, huge=huge, clean=clean, reclaims=reclaims))

    def discard(self, zap: Callable[[PageQueue], None], *, locks: bool = True) -> None:
        """Write madvise(MADV_DONTNEED).

        zap_page_range_single() has no tlb_end_vma(): one flush is of entries and tables together.

        Args:
            zap: writes how its entries are cleared.
            locks: it takes mmap_lock for reading; otherwise the lock of a VMA that no other thread uses.
        """
        with (
            self.calls.syscall("madvise", "mm/madvise.c", write=False, locks=locks),
            self.asm.because("MADV_DONTNEED"),
        ):
            self.drain_lru()
            self.gathers.begin(OUTER)
            zap(self.gathers.page_queue())
            self.gathers.finish(OUTER)

    def drain_lru(self) -> None:
        """Write lru_add_drain(), which zap_page_range_single() and unmap_region() began with before 1aa43598c03b."""
        if self.kernel.zap_drains_lru:
            with self.asm.function("lru_add_drain", "mm/swap.c"):
                self.asm.work("lru_ns", text="move new pages to the list under lru_lock")

    def zap(
        self,
        g: int,
        pages: int,
        queue: PageQueue,
        *,
        huge: bool,
        clean: int | None = None,
        reclaims: bool = False,
        at: int = 0,
        count: int = 1,
        spread: int | None = None,
        forces: bool = True,
    ) -> None:
        """Write zap_pte_range() or zap_huge_pmd(): clear entries, queue pages, flush when the batches are full.

        Args:
            g: the gather.
            pages: how many base pages.
            queue: the gather's queue of pages.
            huge: THPs map them.
            clean: for a shared file mapping, the first dirty page; each table with one forces a flush, because the
                file's pages may be cleaned as soon as the table is unlocked. None: not a file mapping.
            reclaims: PTE tables that became wholly empty are freed (try_get_and_clear_pmd()).
            at: the first page; where tables are freed, the first one of a table.
            count: how many THPs.
            spread: the base pages that they are spread over, where there are some between them.
            forces: a page table with dirty pages of a file is flushed at its end.
        """
        asm = self.asm
        if huge:

            def clear() -> None:
                self.gathers.change_page_size(g, huge=True)
                asm.work("zap_huge_ns", count, text="clear the entry")
                self.gathers.cleared(count, huge=True)
                if self.kernel.thp_zap_flushes:
                    self._each(count, self._clear_pmd)
                end = at + (spread or count * self.table_pages)
                asm.gather_add(g, at, end, cleared=o.CLEARED_PMDS, text="one huge entry")

            self.calls.zap_huge_pmd(clear)
            return
        parts = zapped(
            pages,
            self.table_pages,
            queue,
            clean=pages if clean is None or not dirty_pages_flush(self.kernel) else clean,
            delays=delays_rmap(self.kernel),
            frees=reclaims,
            forces=forces,
        )

        def stretch(part: Part) -> CountedStretch:
            lo, hi = (at + end * (spread or pages) // max(pages, 1) for end in (part.lo, part.hi))
            count = part.hi - part.lo
            return CountedStretch(
                CountedEntries(self.gathers, count, lo, hi, cached=clean is not None) if count else None,
                forced=part.forced,
                table=(lambda: self.free_empty_tables(g, 1, hi - self.table_pages, queue))
                if part.frees_table
                else None,
            )

        self.calls.page_tables.zap_pte_range(g, map(stretch, parts))

    def flush_dirty(self, g: int, queue: PageQueue) -> None:
        """Write the flush that dirty pages of a file force at the end of a page table, in kernels that do."""
        if dirty_pages_flush(self.kernel):
            queue.flushed()
            self.calls.page_tables.zap_pte_range(g, [CountedStretch(None, forced=True)])

    def begin_again(self) -> None:
        """Write the end of the gather of one VMA, and the beginning of the next one's."""
        self.gathers.finish(OUTER)
        self.drain_lru()
        self.gathers.begin(OUTER)

    @function("try_get_and_clear_pmd", "mm/pt_reclaim.c")
    def free_empty_tables(self, g: int, count: int, lo: int, queue: PageQueue) -> None:
        """Write try_get_and_clear_pmd() of PTE tables that a call covered whole and left empty, from a page on."""
        last = lo + (count - 1) * self.table_pages
        self.gathers.free_tables(g, count, o.CLEARED_PMDS, lo=lo, hi=last + 1, queue=queue)

    def madvise_part(self, part: range) -> None:
        """Write madvise(MADV_DONTNEED) of some base pages of a THP, which splits it first."""

        def zap(_: PageQueue) -> None:
            self.split_thp()
            self.zap_folio_part(part, first=0)

        self.discard(zap)

    def zap_folio_part(self, part: range, *, first: int | None = None) -> None:
        """Write zap_pte_range() of some base pages of a large folio; `first` is their page number in the mapping."""
        lo = part.start if first is None else first
        entries = CountedEntries(self.gathers, len(part), lo, of_folio=part.start)
        self.calls.page_tables.zap_pte_range(OUTER, [CountedStretch(entries)])
