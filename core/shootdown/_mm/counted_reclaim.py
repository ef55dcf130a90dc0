"""Reclaim and migration of ordinary pages: unmapping through the reverse map, its flushes in batches (mm/rmap.c).

shrink_folio_list() (mm/vmscan.c) and migrate_pages_batch() (mm/migrate.c) unmap pages with TTU_BATCH_FLUSH: where the
architecture wants it, the flush of each waits for the end of the list. Until 6.3 migration does not (7e12beb8ca2a).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.anonymous import Anonymous
from shootdown._mm.call_parts import OUTER, SCRATCH

#: Pages that one shrink_inactive_list() isolates: SWAP_CLUSTER_MAX. A bit of a register says that a list is full.
LIST_PAGES = 32
#: Why the flushes happen, as results say.
_RECLAIM, _MIGRATION = "reclaim", "migration"


@attrs.frozen
class Batch:
    """The variables of one task's tlb_ubc, and of the mm whose pages it unmaps.

    Args:
        listed: pages in the list that is being unmapped.
        required: a flush is pending (`flush_required`).
        pending: of the mm: pages were unmapped in batches since it was flushed last (`tlb_flush_batched`).
    """

    listed: int
    required: int
    pending: int


class Reclaim:
    """Write the unmapping of pages by reclaim and migration.

    Args:
        calls: calls on ordinary memory.
    """

    def __init__(self, calls: Anonymous) -> None:
        self.calls = calls
        self.asm = calls.asm
        self.kernel = calls.kernel
        self.lowering = calls.lowering
        self.gathers = calls.gathers

    # --- the batch

    @property
    def _defers(self) -> str:
        """When a flush is deferred: `never`, `always`, or `remote`, where mm_cpumask has another CPU."""
        return self.lowering.defers_unmaps

    @function("flush_tlb_batched_pending", "mm/rmap.c")
    def flush_batched_pending(self, pending: int) -> None:
        """Write flush_tlb_batched_pending(): who finds entries gone may not rely on a flush that is deferred.

        Reclaim does not clear `tlb_flush_batched` when it flushes, so that the first call afterwards that looks at a
        page table flushes the mm once more (3ea277194daa, 4.13).
        """
        if self._defers == "never" or not self.kernel.flush_batched_pending:
            return
        asm = self.asm
        with asm.aside():
            asm.v_load(o.SCRATCH, pending, text="were pages unmapped in batches?")
        with asm.if_nonzero(o.SCRATCH), asm.because("batched unmap"):
            asm.request(SCRATCH, flags=o.FULLMM, text="reclaim may not have flushed yet")
            self.lowering.arch_flush_tlb_batched_pending(asm, SCRATCH)
            with asm.aside():
                asm.v_store(pending, 0)

    @function("try_to_unmap_one", "mm/rmap.c")
    def try_to_unmap_one(self, count: int, batch: Batch) -> None:
        """Write try_to_unmap_one() of `count` pages: with TTU_BATCH_FLUSH their flush waits, where it may."""
        self._unmap(count, batch, self._defers)

    @function("try_to_migrate_one", "mm/rmap.c")
    def try_to_migrate_one(self, count: int, batch: Batch) -> None:
        """Write try_to_migrate_one() of `count` pages: with TTU_BATCH_FLUSH since 7e12beb8ca2a."""
        self._unmap(count, batch, self._defers if self.kernel.batched_migration else "never")

    def _unmap(self, count: int, batch: Batch, defers: str) -> None:
        """Write the unmapping of `count` pages: flushed one by one, or deferred."""
        asm = self.asm
        if defers == "never":
            self._each(count)
        elif defers == "always":
            self._defer(count, batch)
        else:
            with asm.aside():
                asm.target_mm_cpumask()
            with asm.if_targets() as remote:
                asm.cancel(text="arch_tlbbatch_should_defer: other CPUs are in mm_cpumask")
                self._defer(count, batch)
                remote.otherwise()
                self._each(count)

    def _each(self, count: int) -> None:
        """Write ptep_clear_flush() of each page."""
        if count == 1:
            self.ptep_clear_flush()
            return
        with self.asm.loop(count, o.SCRATCH2):
            self.ptep_clear_flush()

    @function("ptep_clear_flush", "mm/pgtable-generic.c")
    def ptep_clear_flush(self) -> None:
        """Write ptep_clear_flush(): one entry is cleared and flushed."""
        asm = self.asm
        asm.work("zap_ns", text="clear the entry")
        self.gathers.cleared(1, huge=False)
        asm.request(SCRATCH, cleared=o.CLEARED_PTES, hi=1, text="one page")
        self.lowering.flush_page(asm, SCRATCH)

    @function("set_tlb_ubc_flush_pending", "mm/rmap.c")
    def _defer(self, count: int, batch: Batch) -> None:
        asm = self.asm
        asm.work("zap_ns", count, text="clear the entries; their flush waits")
        self.gathers.cleared(count, huge=False)
        if self._defers == "always":
            self._add(count)
        with asm.aside():
            asm.v_store(batch.required, 1)
            asm.v_store(batch.pending, 1)

    def _add(self, count: int) -> None:
        self.asm.request(SCRATCH, cleared=o.CLEARED_PTES, hi=count, text="pages whose flush waits")
        self.lowering.arch_tlbbatch_add_pending(self.asm, SCRATCH, count)

    # --- reclaim

    @function("shrink_folio_list", "mm/vmscan.c")
    def shrink_folio_list(self, pages: int, batch: Batch, *, dirty: bool, limit: int) -> None:
        """Write shrink_folio_list() of some pages that are unmapped, in lists of `limit`; 0: one list, without its end.

        Dirty anonymous pages are written to swap one by one, each after a flush (try_to_unmap_flush_dirty()): no CPU
        may write to it once that has begun. Pages of files are not written by direct reclaim.

        Args:
            pages: how many.
            batch: the variables.
            dirty: they are dirty and anonymous.
            limit: pages in a list, a power of two.
        """
        asm = self.asm
        with asm.because(_RECLAIM):
            if dirty:
                with asm.loop(pages, o.SCRATCH2):
                    self.try_to_unmap_one(1, batch)
                    self.flush(batch)
                if limit:  # nothing waits, whether a list ended among them or not
                    self._count(pages % limit, batch, limit)
                return
            if not limit:
                self.try_to_unmap_one(pages, batch)
                return
            full, rest = divmod(pages, limit)
            if full:
                with asm.loop(full):
                    self._add_to_list(self.try_to_unmap_one, limit, batch, limit)
            if rest:
                self._add_to_list(self.try_to_unmap_one, rest, batch, limit)

    def _add_to_list(self, unmap: Callable[[int, Batch], None], count: int, batch: Batch, limit: int) -> None:
        """Write the unmapping of at most `limit` pages; a list that becomes full with them is flushed."""
        unmap(count, batch)
        self._count(count, batch, limit, lambda: self.flush(batch, rest=True))

    def _count(self, count: int, batch: Batch, limit: int, full: Callable[[], None] = lambda: None) -> None:
        """Write that pages join the list, and what happens if it is full: the next one has the rest of them."""
        asm = self.asm
        with asm.aside():
            asm.v_add(batch.listed, count, o.SCRATCH)
        with asm.if_bits(o.SCRATCH, limit):
            with asm.aside():
                asm.v_add(batch.listed, -limit, o.SCRATCH)
            full()

    @function("try_to_unmap_flush", "mm/rmap.c")
    def flush(self, batch: Batch, *, rest: bool = False) -> None:
        """Write try_to_unmap_flush(): one flush for all pages that were unmapped since the last one.

        Args:
            batch: the variables.
            rest: pages of the next list were unmapped in one step with the last ones of this list.
        """
        asm = self.asm
        with asm.aside():
            asm.v_load(o.SCRATCH, batch.required, text="is a flush pending?")
        with asm.if_nonzero(o.SCRATCH):
            if self._defers == "remote":  # the flush is of everything, however many pages were added
                self._add(1)
            else:
                asm.request(SCRATCH, text="everything that waits")
            self.lowering.arch_tlbbatch_flush(asm, SCRATCH)
            with asm.aside():
                if not rest:
                    asm.v_store(batch.required, 0)
                    return
                asm.v_load(o.SCRATCH, batch.listed)
                asm.v_store(batch.required, o.SCRATCH, from_register=True)

    def end_list(self, batch: Batch, why: str = _RECLAIM) -> None:
        """Write the end of the last list."""
        with self.asm.because(why):
            self.flush(batch)
        with self.asm.aside():
            self.asm.v_store(batch.listed, 0)

    # --- writeback

    @function("page_vma_mkclean_one", "mm/rmap.c")
    def page_vma_mkclean_one(self, pages: int) -> None:
        """Write page_vma_mkclean_one() of dirty pages: each entry is cleared, flushed and written again, read-only."""
        with self.asm.because("writeback"):
            self._each(pages)

    # --- migration

    @function("migrate_pages_batch", "mm/migrate.c")
    def migrate_pages(self, pages: int, batch: Batch) -> None:
        """Write migrate_pages_batch() of some pages; lists have NR_MAX_BATCHED_MIGRATION, a PTE table's pages."""
        asm, limit = self.asm, self.calls.table_pages
        with asm.because(_MIGRATION):
            full, rest = divmod(pages, limit)
            if full:
                with asm.loop(full):
                    self._add_to_list(self.try_to_migrate_one, limit, batch, limit)
            if rest:
                self._add_to_list(self.try_to_migrate_one, rest, batch, limit)
            asm.work("small_fault_ns", pages, text="copy the pages, map the new ones")
            self.lowering.entries_mapped(asm, pages)

    def end_migration(self, batch: Batch) -> None:
        """Write the end of a migration's last list."""
        self.end_list(batch, _MIGRATION)

    # --- advice

    @contextmanager
    def advice(self, why: str) -> Iterator[None]:
        """Write madvise() with a gather around the steps within: MADV_PAGEOUT and MADV_FREE."""
        calls, asm = self.calls.calls, self.asm
        with calls.syscall("madvise", "mm/madvise.c", write=False), asm.because(why):
            self.gathers.begin(OUTER)
            self.gathers.change_page_size(OUTER, huge=False)
            yield
            self.gathers.end_vma(OUTER)
            self.gathers.finish(OUTER)

    @function("madvise_free_pte_range", "mm/madvise.c")
    def madvise_free(self, pages: int, first: int, last: int) -> None:
        """Write madvise_free_pte_range() of pages that are young or dirty: their entries become old and clean."""
        self._change(pages, first, last, "make the entries old and clean")

    @function("madvise_cold_or_pageout_pte_range", "mm/madvise.c")
    def make_old(self, pages: int, first: int, last: int) -> None:
        """Write what MADV_PAGEOUT does to young entries before 2864f3d0f583: they become old, through the gather."""
        self._change(pages, first, last, "make the entries old")

    def _change(self, pages: int, first: int, last: int, text: str) -> None:
        asm = self.asm
        asm.work("zap_ns", pages, text=text)
        self.gathers.cleared(pages, huge=False, first=first)
        asm.gather_add(OUTER, first, last, cleared=o.CLEARED_PTES, text=f"{pages} entries changed")
