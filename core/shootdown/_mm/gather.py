"""`mmu_gather`: collect what a call clears, flush it together, free what it queued (mm/mmu_gather.c)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._machine.functions import function
from shootdown._machine.label import Label
from shootdown._values.kernel import Kernel
from shootdown._values.lowering import EntryFunction, Lowering

_FILE = "mm/mmu_gather.c"
_TLB_H = "include/asm-generic/tlb.h"

#: Header bytes before the pointers in one page of a batch (struct mmu_table_batch, struct mmu_gather_batch).
_TABLE_BATCH_HEADER = 24
_POINTER = 8


def table_batch(page_size: int) -> int:
    """Return the number of page-table pages in a full batch: MAX_TABLE_BATCH."""
    return (page_size - _TABLE_BATCH_HEADER) // _POINTER


#: Slots for pages in struct mmu_gather itself (MMU_GATHER_BUNDLE), and header bytes in a batch's page.
_BUNDLE = 8
_BATCH_HEADER = 16


def delays_rmap(kernel: Kernel) -> bool:
    """Whether dirty file pages leave the reverse map after the flush: tlb_delay_rmap()."""
    return kernel.delayed_rmap and kernel.gather_pages


def dirty_pages_flush(kernel: Kernel) -> bool:
    """Whether dirty file pages force a flush: since 5df397dec7c4 (6.2) not where tlb_delay_rmap() is always false."""
    return kernel.gather_pages or not kernel.delayed_rmap


#: More pages than any gather queues.
_UNLIMITED = 1 << 40


@attrs.define
class PageQueue:
    """The pages queued in a gather, to know when its batches are full: __tlb_remove_page_size().

    Args:
        page_size: bytes in a base page.
        spare: slots of a batch that are kept free: one if kernels queue a folio's pages as two slots (page, count).
        fails: allocating a page for a further batch fails.
        queued: pages since the last tlb_flush_mmu().
        delayed: one of them has its rmap removed after the flush (tlb_delay_rmap()): only the first batch is used.
        frees: pages are freed at once, so that no batch is ever full (MMU_GATHER_NO_GATHER).
    """

    page_size: int
    spare: int
    fails: bool = False
    queued: int = 0
    delayed: bool = False
    frees: bool = False

    @property
    def room(self) -> int:
        """The number of single pages that fit before a flush is forced."""
        if self.frees:
            return _UNLIMITED
        slots = (self.page_size - _BATCH_HEADER) // _POINTER
        batches = 0 if self.fails else 10000 // slots
        bundle, batch = _BUNDLE - self.spare, slots - self.spare
        if self.delayed and batches:
            batches = min(batches, max((self.queued - bundle) // batch + 1, 1))
        return bundle + batches * batch - self.queued

    def add(self, pages: int) -> bool:
        """Queue pages, at most `room`; return whether a flush is forced."""
        full = pages == self.room
        self.queued = 0 if full else self.queued + pages
        self.delayed = self.delayed and not full
        return full

    def flushed(self) -> None:
        """Empty the queue: all pages were freed."""
        self.queued = 0
        self.delayed = False


def pages_until_flush(page_size: int, *, folio_batches: bool = True) -> int:
    """Return the number of single pages that fit a gather's batches before it must flush (mm/mmu_gather.c)."""
    return PageQueue(page_size, spare=int(folio_batches)).room


class Gathers:
    """Write what happens to gathers: begin, flush, free, finish.

    Args:
        asm: the assembler.
        kernel: the kernel with its rules.
        lowering: how the architecture flushes.
        batch_fails: allocating a batch page always fails: each table is freed by tlb_remove_table_one().
        counts_pages: count queued huge pages, where there are enough of them to fill the batches.
    """

    def __init__(
        self,
        asm: Assembler,
        kernel: Kernel,
        lowering: Lowering,
        *,
        batch_fails: bool = False,
        counts_pages: bool = False,
    ) -> None:
        self.asm = asm
        self.kernel = kernel
        self.lowering = lowering
        self.batch_fails = batch_fails
        self.counts_pages = counts_pages

    def begin(self, g: int, *, fullmm: bool = False, vma: bool = False) -> None:
        """Write `tlb_gather_mmu()`, `tlb_gather_mmu_fullmm()` or `tlb_gather_mmu_vma()`."""
        if fullmm:
            self.tlb_gather_mmu_fullmm(g)
        elif vma:
            self.tlb_gather_mmu_vma(g)
            self.change_page_size(g, huge=True)
        else:
            self.tlb_gather_mmu(g)

    @function("tlb_gather_mmu", _FILE)
    def tlb_gather_mmu(self, g: int) -> None:
        """Write `tlb_gather_mmu()`."""
        self.asm.gather(g, text="begin a gather")
        self.asm.note(o.NOTE_GATHER)

    @function("tlb_gather_mmu_fullmm", _FILE)
    def tlb_gather_mmu_fullmm(self, g: int) -> None:
        """Write `tlb_gather_mmu_fullmm()`: the whole address space goes."""
        self.asm.gather(g, flags=o.FULLMM, text="begin a gather")
        self.asm.note(o.NOTE_GATHER)

    @function("tlb_gather_mmu_vma", _FILE)
    def tlb_gather_mmu_vma(self, g: int) -> None:
        """Write `tlb_gather_mmu_vma()`: a gather of one hugetlb VMA."""
        self.asm.gather(g, text="begin a gather")
        self.asm.note(o.NOTE_GATHER_VMA)
        self.asm.note(o.NOTE_GATHER)

    @function("tlb_flush_mmu_tlbonly", _TLB_H)
    def flush(self, g: int) -> None:
        """Write `tlb_flush_mmu_tlbonly()`: flush if anything was cleared, freed or unshared since the last flush."""
        flags = o.FREED_TABLES | (o.UNSHARED_TABLES if self.kernel.unshare_gather else 0)
        with self.asm.if_cleared(g, flags):
            self.lowering.tlb_flush(self.asm, g)
            self.asm.gather_reset(g, text="__tlb_reset_range")

    @function("tlb_change_page_size", _TLB_H)
    def change_page_size(self, g: int, *, huge: bool) -> None:
        """Write `tlb_change_page_size()`: if a gather has one page size only, entries of another are flushed first.

        Args:
            g: the gather.
            huge: the entries recorded next are huge PMD entries, not base pages or tables.
        """
        if not self.kernel.gather_page_size:
            return
        size, other = (o.PMD_PAGES, o.BASE_PAGES) if huge else (o.BASE_PAGES, o.PMD_PAGES)
        with self.asm.if_flags(g, other), self.asm.if_flags(g, o.FULLMM | o.NEED_FLUSH_ALL) as whole:
            whole.otherwise()
            self.flush(g)
        self.asm.clear_flags(g, other)
        self.asm.set_flags(g, size, text="page_size of what follows")

    def cleared(
        self, count: int, *, huge: bool, first: int = 0, by: EntryFunction | None = "ptep_get_and_clear"
    ) -> None:
        """Write what an architecture does as entries are cleared or changed, and before their table is unlocked.

        Args:
            count: the number of entries.
            huge: they are huge PMD entries.
            first: for base pages, the number of the first one in the mapping.
            by: the kernel function; None: `changed` was called for it.
        """
        if by is not None:
            self.changed(count, huge=huge, first=first, by=by)
        if count:
            self.lowering.entries_cleared(self.asm, count, huge=huge, first=first)

    def changed(self, count: int, *, huge: bool, by: EntryFunction, first: int = 0) -> None:
        """Write what a kernel function that changes entries does besides; arguments as for `cleared`."""
        if count:
            self.lowering.entries_changed(self.asm, count, huge=huge, by=by, first=first)

    @function("tlb_end_vma", _TLB_H)
    def end_vma(self, g: int, *, fullmm: bool = False, pfn_map: bool = False) -> None:
        """Write `tlb_end_vma()`: flush here unless one flush may serve several VMAs.

        Args:
            g: the gather.
            fullmm: all of the mm goes.
            pfn_map: the VMA is VM_PFNMAP and goes (b67fbebd4cf9).
        """
        early = pfn_map and self.kernel.pfn_maps_flush_early
        if not (self.kernel.merge_vmas or fullmm) or early:
            self.flush(g)

    @function("tlb_remove_tlb_entry", _TLB_H, named=False)
    def remove_entry(self, g: int, lo: int, hi: int) -> None:
        """Write `tlb_remove_tlb_entry()`: the gather learns of an entry that was cleared, of pages `[lo, hi)`."""
        self.asm.gather_add(g, lo, hi, cleared=o.CLEARED_PTES, text="tlb_remove_tlb_entry")

    @function("tlb_remove_pmd_tlb_entry", _TLB_H, named=False)
    def remove_huge_entry(self, g: int, lo: int, hi: int) -> None:
        """Write `tlb_remove_pmd_tlb_entry()`: it learns of a huge entry that was cleared, of pages `[lo, hi)`."""
        self.asm.gather_add(g, lo, hi, cleared=o.CLEARED_PMDS, text="tlb_remove_pmd_tlb_entry")

    # --- pages and tables queued to be freed

    def page_queue(self) -> PageQueue:
        """Return an empty queue of pages with this kernel's rules."""
        kernel = self.kernel
        spare = int(kernel.folio_batches)
        return PageQueue(kernel.page_size, spare, self.batch_fails, frees=not kernel.gather_pages)

    @function("tlb_flush_mmu", _FILE)
    def flush_and_free(self, g: int) -> None:
        """Write `tlb_flush_mmu()`: flush, then free all queued pages."""
        self.flush(g)

    def queue_huge_pages(self, g: int, pages: int, first: int, last: int) -> None:
        """Write `tlb_remove_page_size()` of huge pages in the PUD of register SLOT; full batches force a flush.

        Args:
            g: the gather.
            pages: the number of pages.
            first, last: the range in base pages, from the first page to the end of the last one.
        """
        asm, cleared = self.asm, o.CLEARED_PMDS
        if not (self.counts_pages and self.kernel.gather_pages):
            asm.gather_slot(g, first, last, cleared=cleared, text="tlb_remove_huge_tlb_entry")
            return
        limit = self.page_queue().room
        huge = 1 << (self.lowering.geometry.pmd_shift - self.lowering.geometry.page_shift)
        apart = (last - huge - first) // max(pages - 1, 1) or huge
        for lo in range(0, pages, limit):
            n = min(limit, pages - lo)
            place = (g, first + lo * apart, n, apart)
            room = Label()
            asm.gather_pages(g, n, limit, text=f"queue {n} huge pages; {limit} fit")
            asm.gather_part(*place, cleared=cleared, text="tlb_remove_huge_tlb_entry")
            asm.jump_zero(o.SCRATCH, room)
            self.flush_and_free(g)
            asm.gather_rest(*place, cleared=cleared, text="tlb_remove_huge_tlb_entry")
            asm.place(room)

    @property
    def tables_as_pages(self) -> bool:
        """Whether tables are queued as pages are: without MMU_GATHER_TABLE_FREE, or where the architecture does so."""
        return not self.kernel.rcu_table_free or self.lowering.frees_tables_as_pages

    def at_once(self, cleared: int) -> bool:
        """Whether tables that entries of a level pointed to are freed before any flush (CLEARED_*)."""
        return bool(self.lowering.tables_freed_at_once & cleared)

    def freed_flags(self, cleared: int) -> int:
        """Return what a gather learns of freed tables that entries of this level pointed to (CLEARED_*)."""
        everything = cleared == o.CLEARED_PUDS and self.lowering.frees_pmd_tables_with_all
        return o.FREED_TABLES | (o.NEED_FLUSH_ALL if everything else 0)

    @function("tlb_remove_table", _FILE)
    def free_tables(
        self, g: int, count: int, cleared: int, *, lo: int = 0, hi: int = 1, queue: PageQueue | None = None
    ) -> None:
        """Write `pte_free_tlb()` and its like: queue page-table pages to be freed after the flush.

        Args:
            g: the gather.
            count: the number of pages.
            cleared: the level whose entries pointed to them (CLEARED_*).
            lo, hi: the range that they translated, in base pages.
            queue: the pages queued already, where their number is known beforehand.
        """
        batch = table_batch(self.kernel.page_size)
        while count > 0:
            part = min(batch, count)
            if self.tables_as_pages and queue is not None:
                part = min(queue.room, count)
            self.asm.gather_add(
                g,
                lo,
                hi,
                flags=self.freed_flags(cleared),
                cleared=cleared,
                text="tables wait to be freed",
            )
            self.lowering.tables_freed(self.asm, g)
            if self.at_once(cleared):
                return
            if not (self.tables_as_pages and queue is not None):
                self.queue_tables(g, part)
            elif queue.add(part):
                self.flush_and_free(g)
            count -= part

    def queue_tables(self, g: int, count: int) -> None:
        """Write `tlb_remove_table()`: a full batch is flushed and handed to RCU.

        Without MMU_GATHER_TABLE_FREE (no RCU table freeing) tables are queued as pages are, and freed with them.
        """
        if self.tables_as_pages:
            self._queue_as_pages(g, count)
            return
        if self.batch_fails:
            self._free_one_by_one(g, count)
            return
        room = Label()
        batch = table_batch(self.kernel.page_size)
        self.asm.gather_tables(g, count, batch, room, text=f"queue {count} of a batch of {batch}")
        self.tlb_table_flush(g)
        self.asm.place(room)

    @function("tlb_table_flush", _FILE)
    def tlb_table_flush(self, g: int) -> None:
        """Write `tlb_table_flush()`: flush, then hand the batch of tables to RCU."""
        self.tlb_table_invalidate(g)
        self.asm.note(o.NOTE_RCU, text="call_rcu for a batch of tables")

    @function("tlb_table_invalidate", _FILE, named=False)
    def tlb_table_invalidate(self, g: int) -> None:
        """Write `tlb_table_invalidate()`: a flush where hardware walks tables, since d86564a2f085 (4.19)."""
        if self.lowering.needs_table_invalidate and self.kernel.table_free_flushes:
            self.flush(g)

    def _queue_as_pages(self, g: int, count: int) -> None:
        """Queue tables with other pages; they are counted only where enough are queued to fill the batches."""
        if not self.counts_pages:
            return
        limit = self.page_queue().room
        room = Label()
        self.asm.gather_pages(g, count, limit, text=f"queue {count} tables as pages; {limit} fit")
        self.asm.jump_zero(o.SCRATCH, room)
        self.flush_and_free(g)
        self.asm.place(room)

    @function("tlb_remove_table_one", _FILE)
    def _free_one_by_one(self, g: int, count: int) -> None:
        """Write tlb_remove_table_one() for each table: it is freed without a batch."""
        with self.asm.loop(count, o.SCRATCH2):
            self.tlb_table_invalidate(g)
            if self.kernel.pt_reclaim or self.kernel.batch_failure == "rcu":
                self.asm.note(o.NOTE_RCU, text="the table waits for a grace period of its own")
            else:
                self.sync("no batch page could be had")

    @function("tlb_finish_mmu", _FILE)
    def finish(self, g: int, *, nested: bool = True) -> None:
        """Write `tlb_finish_mmu()`; `nested`: it checks for nested gathers, if the kernel does."""
        asm = self.asm
        if nested and self.kernel.nested_gathers_flush:
            asm.nested(g, text="is another gather of this mm pending? then flush everything")
        self.flush(g)
        asm.gather_end(g, text="dec_tlb_flush_pending")

    @contextmanager
    def gather(self, g: int, *, fullmm: bool = False, vma: bool = False) -> Iterator[None]:
        """Write a gather around the steps within."""
        self.begin(g, fullmm=fullmm, vma=vma)
        yield
        self.finish(g)

    @function("tlb_remove_table_sync_one", _FILE)
    def sync(self, why: str = "unsharing") -> None:
        """Write `tlb_remove_table_sync_one()`: an IPI with an empty handler, taken only outside of lockless walks.

        Without RCU table freeing it is an empty function (mm/mmu_gather.c: the stub of !MMU_GATHER_RCU_TABLE_FREE).
        """
        kernel = self.kernel
        if not kernel.rcu_table_free or kernel.skip_redundant_sync == "always":
            return
        if kernel.skip_redundant_sync == "native-ipi" and self.lowering.sync_redundant_natively:
            return
        asm = self.asm
        with asm.because("table sync"):
            if kernel.sync_targets == "own-mm":
                asm.target_mm_cpumask()
            else:
                asm.target_all_online()
                if kernel.sync_targets == "walkers":
                    asm.keep_walking_targets()
            asm.send(o.CALL_SYNC, text=f"IPI: empty handler ({why})")
            asm.wait_for_answers(
                "wait until no CPU is inside a lockless walk", preemptible=kernel.ipi_waits_preemptible
            )
