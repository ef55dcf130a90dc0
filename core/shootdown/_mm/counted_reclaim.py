"""Reclaim and migration of ordinary pages: unmapping through the reverse map, its flushes in batches (mm/rmap.c).

shrink_folio_list() (mm/vmscan.c) and migrate_pages_batch() (mm/migrate.c) unmap pages with TTU_BATCH_FLUSH: where the
architecture wants it, the flush of each waits for the end of the list. Until 6.3 migration does not (7e12beb8ca2a).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._machine.functions import function
from shootdown._mm.anonymous import Anonymous
from shootdown._mm.call_parts import OUTER, SCRATCH
from shootdown._mm.counted_entries import CountedEntries, CountedStretch
from shootdown._mm.entries import Batch, Batched
from shootdown._values.lowering import Lowering

#: Pages that one shrink_inactive_list() isolates: SWAP_CLUSTER_MAX.
LIST_PAGES = 32
#: Pages that are freed together: PAGEVEC_SIZE of kernels that free some before the list ends.
FREE_BATCH = 31
#: Variables of a task's batch.
BATCH_CELLS = 3
#: Why the flushes happen, as results say.
_RECLAIM, _MIGRATION = "reclaim", "migration"


class CountedBatch(Batch):
    """One task's tlb_ubc in a timed run: variables of the task, and of the mm whose pages it unmaps.

    Args:
        lowering: how the architecture flushes.
        asm: the assembler.
        listed: pages in the list that is being unmapped.
        freed: pages that wait to be freed.
        required: a flush is pending (`flush_required`).
        pending: of the mm: pages were unmapped in batches since it was flushed last (`tlb_flush_batched`).
    """

    def __init__(
        self, lowering: Lowering, asm: Assembler, listed: int, freed: int, required: int, pending: int
    ) -> None:
        self.asm = asm
        self.listed, self.freed, self.required_by, self.pending = listed, freed, required, pending
        self.together = lowering.defers_unmaps == "remote"

    def pend(self) -> None:
        """Write that a flush is pending, in both variables."""
        with self.asm.aside():
            self.asm.v_store(self.required_by, 1)
            self.asm.v_store(self.pending, 1)

    @contextmanager
    def required(self) -> Iterator[None]:
        """Run the steps within if a flush is pending."""
        asm = self.asm
        with asm.aside():
            asm.v_load(o.SCRATCH, self.required_by, text="is a flush pending?")
        with asm.if_nonzero(o.SCRATCH):
            if not self.together:
                asm.request(SCRATCH, text="everything that waits")
            yield

    def flushed(self) -> None:
        """Write that nothing is pending."""
        with self.asm.aside():
            self.asm.v_store(self.required_by, 0)


class CountedBatched(Batched):
    """A variable that says whether pages of an mm were unmapped in batches."""

    def __init__(self, asm: Assembler, variable: int) -> None:
        self.asm, self.variable = asm, variable

    @contextmanager
    def pending(self) -> Iterator[None]:
        """Run the steps within if it is set."""
        with self.asm.aside():
            self.asm.v_load(o.SCRATCH, self.variable, text="were pages unmapped in batches?")
        with self.asm.if_nonzero(o.SCRATCH):
            yield

    def forget(self) -> None:
        """Write that it is clear."""
        with self.asm.aside():
            self.asm.v_store(self.variable, 0)


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
        self.page_tables = calls.calls.page_tables

    def batch(self, first: int, pending: int) -> CountedBatch:
        """Return one task's tlb_ubc: `BATCH_CELLS` variables from the first on, and one of the mm."""
        return CountedBatch(self.lowering, self.asm, first, first + 1, first + 2, pending)

    # --- the batch

    def flush_batched_pending(self, pending: int) -> None:
        """Write flush_tlb_batched_pending(), which looks at the mm's variable."""
        self.page_tables.flush_tlb_batched_pending(CountedBatched(self.asm, pending))

    # --- reclaim

    @function("shrink_folio_list", "mm/vmscan.c")
    def shrink_folio_list(
        self, pages: int, batch: CountedBatch, *, writes: bool = False, frees: bool = True, limit: int = 0
    ) -> None:
        """Write shrink_folio_list() of some pages, in lists of `limit`; 0: they go on with one list, without its end.

        Anonymous pages that are dirty are written to swap one by one, each after a flush (try_to_unmap_flush_dirty()):
        no CPU may write to it once that has begun. Others are freed at the list's end, or some at a time before.

        Args:
            pages: how many.
            batch: the variables.
            writes: they are written to swap, which takes its time: nothing is freed meanwhile.
            frees: they are freed; a file's dirty pages are not, as direct reclaim writes none.
            limit: pages in a list.
        """
        with self.asm.because(_RECLAIM), self.asm.loop(pages, o.SCRATCH2):
            self.page_tables.try_to_unmap_one(CountedEntries(self.gathers, 1), batch)
            self.asm.work("reclaim_ns", 1, text="isolate the page, add it to the swap cache, free it")
            if writes:
                self.flush(batch)
            elif frees and self.kernel.reclaim_frees_batches:
                with self._full(batch.freed, FREE_BATCH):
                    self.flush(batch)
            if limit:
                with self._full(batch.listed, limit):
                    self.flush(batch)
                    self._put(batch.freed, 0)

    def swap_huge(self, batch: CountedBatch, first: int) -> None:
        """Write shrink_folio_list() of a huge page that is dirty: it is written whole, where the kernel swaps it so.

        Its entry is split for try_to_unmap() (TTU_SPLIT_HUGE_PMD), which clears each entry of the table then. Otherwise
        the page is split first, and each part is written.

        Args:
            batch: the variables.
            first: its first base page.
        """
        pages = self.calls.table_pages
        with self.asm.because(_RECLAIM):
            if self.kernel.thp_swap == "yes":
                self.calls.split_thp()
                self.page_tables.try_to_unmap_one(CountedEntries(self.gathers, pages, first), batch)
                self.asm.work("reclaim_ns", 1, text="isolate the page, add it to the swap cache, free it")
                self.flush(batch)
                return
            self.calls.split_folio()
        self.shrink_folio_list(pages, batch, writes=True)

    @contextmanager
    def _full(self, variable: int, most: int) -> Iterator[None]:
        """Add one to a variable, and run the steps within if that is the most: it counts from zero again then."""
        with self.asm.aside():
            self.asm.v_add(variable, 1, o.SCRATCH)
        with self.asm.if_equal(o.SCRATCH, most):
            self._put(variable, 0)
            yield

    def _put(self, variable: int, value: int) -> None:
        with self.asm.aside():
            self.asm.v_store(variable, value)

    def flush(self, batch: CountedBatch) -> None:
        """Write try_to_unmap_flush()."""
        self.page_tables.try_to_unmap_flush(batch)

    def end_list(self, batch: CountedBatch, why: str = _RECLAIM) -> None:
        """Write the end of the last list."""
        with self.asm.because(why):
            self.flush(batch)
        for counter in (batch.listed, batch.freed):
            self._put(counter, 0)

    # --- writeback

    def mkclean(self, pages: int) -> None:
        """Write page_vma_mkclean_one() of dirty pages: each entry is flushed by itself."""
        with self.asm.because("writeback"):
            self.page_tables.page_vma_mkclean_one(CountedEntries(self.gathers, pages, cached=True))

    # --- migration

    @function("migrate_pages_batch", "mm/migrate.c")
    def migrate_pages(self, pages: int, batch: CountedBatch) -> None:
        """Write migrate_pages_batch() of some pages; lists have NR_MAX_BATCHED_MIGRATION, a PTE table's pages."""
        asm = self.asm
        with asm.because(_MIGRATION):
            with asm.loop(pages, o.SCRATCH2):
                self.page_tables.try_to_migrate_one(CountedEntries(self.gathers, 1), batch)
                with self._full(batch.listed, self.calls.table_pages):
                    self.flush(batch)
            asm.work("small_fault_ns", pages, text="copy the pages, map the new ones")
            self.lowering.entries_mapped(asm, pages)

    def end_migration(self, batch: CountedBatch) -> None:
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

    def next_vma(self, *, batched: bool = False) -> None:
        """Write the end of what advice does to one VMA, before the next one; `batched`: both have one gather."""
        self.gathers.end_vma(OUTER)
        if not batched:
            self.gathers.finish(OUTER)
            self.gathers.begin(OUTER)
            self.gathers.change_page_size(OUTER, huge=False)

    def madvise_free(self, pages: int, first: int, last: int) -> None:
        """Write madvise_free_pte_range() of so many pages among those from `first` to before `last`."""
        entries = CountedEntries(self.gathers, pages, first, last)
        self.page_tables.madvise_free_pte_range(OUTER, [CountedStretch(entries)])

    def madvise_free_huge(self, count: int, first: int, last: int) -> None:
        """Write madvise_free_huge_pmd() of so many huge pages among the base pages from `first` to before `last`."""
        self.calls.calls.madvise_free_huge_pmd(
            lambda: self._change_huge(count, first, last, "make the huge entries old and clean")
        )

    def _change_huge(self, count: int, first: int, last: int, text: str) -> None:
        """Write that so many huge entries are invalidated, changed, and told to the gather."""
        self.gathers.change_page_size(OUTER, huge=True)
        self.asm.work("zap_huge_ns", count, text=text, keeps=True)
        self.gathers.cleared(count, huge=True, by="pmdp_invalidate")
        self.calls.invalidate_pmds(count)
        self.gathers.remove_huge_entry(OUTER, first, last)
        self.gathers.change_page_size(OUTER, huge=False)

    @function("madvise_cold_or_pageout_pte_range", "mm/madvise.c")
    def make_old(self, pages: int, first: int, last: int, *, huge: bool = False) -> None:
        """Write what MADV_PAGEOUT does to young entries before 2864f3d0f583: they become old, through the gather.

        Args:
            pages: how many pages they map.
            first, last: the base pages that those are among.
            huge: a huge entry maps them.
        """
        if huge:
            self._change_huge(1, first, last, "make the huge entry old")
            return
        asm = self.asm
        asm.work("zap_ns", pages, text="make the entries old")
        self.gathers.cleared(pages, huge=False, first=first)
        asm.gather_add(OUTER, first, last, cleared=o.CLEARED_PTES, text=f"{pages} entries changed")
