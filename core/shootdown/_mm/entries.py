"""What the kernel does to page-table entries, written once; whose entries they are is an argument.

A timed run clears the N pages of an area in one step, an explored program the one entry of an atom, a scenario an entry
of its own. They differ in how an entry is read, cleared and counted (`Entries`, `Stretch`, `Batch`), and in nothing
else: what is done to them, in which order and under which lock is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Generic, TypeVar

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.gather import Gathers

if TYPE_CHECKING:
    from shootdown._machine.assembler import Assembler
    from shootdown._values.kernel import Kernel
    from shootdown._values.lowering import EntryFunction, Lowering

#: The request of a flush that belongs to no gather; `calls` gives it its name.
_REQUEST = 2


class Entries(ABC):
    """Entries of one page table that a kernel function treats alike.

    Args:
        lo, hi: the base pages that they map: the first one and the one after the last.

    What a method does not write is nothing for these entries.
    """

    def __init__(self, lo: int, hi: int) -> None:
        self.lo, self.hi = lo, hi

    @property
    def pages(self) -> int:
        """How many pages they map."""
        return self.hi - self.lo

    def locked(self) -> AbstractContextManager[object]:
        """Hold the lock of their page table within: page_vma_mapped_walk()."""
        return nullcontext()

    def present(self) -> AbstractContextManager[object]:
        """Run the steps within if they map something."""
        return nullcontext()

    def writable(self) -> AbstractContextManager[object]:
        """Run the steps within if they are dirty or may be written."""
        return nullcontext()

    @contextmanager
    def each(self) -> Iterator[Entries]:
        """Run the steps within for each of them, one after another."""
        yield self

    def note(self) -> None:
        """Write that a call takes the right to them."""

    @abstractmethod
    def take(self, name: str) -> None:
        """Write that they are read and cleared by a function of this name."""

    def changed(self, by: EntryFunction) -> None:
        """Write what an architecture does in the function that cleared them."""

    def cleared(self, by: EntryFunction | None = "ptep_get_and_clear") -> None:
        """Write what an architecture does before their table is unlocked: entries of a hash table go.

        Args:
            by: the function that cleared or changed them; None: `changed` was called.
        """

    def leave_rmap(self) -> None:
        """Write what zap_present_folio_ptes() does about their pages' dirty bits and map counts."""

    def queue(self) -> None:
        """Write __tlb_remove_page(): their pages wait for the gather's flush."""

    def clean(self) -> None:
        """Write that they map the same pages again, clean and not writable."""

    def unmapped(self, *, deferred: bool) -> None:
        """Write what try_to_unmap_one() does after it has cleared them; `deferred`: their flush waits."""


class FreeableEntries(Entries):
    """Entries of pages that reclaim may drop once MADV_FREE has made them clean."""

    @abstractmethod
    def make_clean(self) -> None:
        """Write that they map the same pages again, old and clean, with the rights that they had."""


E = TypeVar("E", bound=Entries, covariant=True)


class Stretch(Generic[E]):
    """Entries that are zapped under one page-table lock, or tables in a row of which nothing differs.

    Args:
        entries: the entries.

    `delays_rmap`: pages of them leave the reverse map after the flush.
    """

    delays_rmap = False

    def __init__(self, entries: Sequence[E]) -> None:
        self.entries = entries

    def locked(self) -> AbstractContextManager[object]:
        """Hold the page-table lock within."""
        return nullcontext()

    def look_at_reclaim(self) -> None:
        """Write flush_tlb_batched_pending(), unless it was written before."""

    def flushed_early(self) -> AbstractContextManager[object] | None:
        """Run the steps within if the flush may not wait for the gather's end (`force_flush`); None: it may."""
        return None

    def flush_rmaps(self) -> None:
        """Write that those pages leave the reverse map."""

    def free_flushed(self) -> None:
        """Write that pages which were flushed are freed, after the lock was released."""

    def free_table(self) -> None:
        """Write the freeing of the page table that became empty."""


class Batch:
    """What one task has unmapped and not flushed: its tlb_ubc.

    Args:
        together: other flushes of the CPU may come first, so that what waits is named when it is flushed.
    """

    together = False

    def pend(self) -> None:
        """Write that a flush is pending."""

    def required(self) -> AbstractContextManager[object]:
        """Run the steps within if a flush is pending."""
        return nullcontext()

    def flushed(self) -> None:
        """Write that nothing is pending any more."""


class Batched(ABC):
    """What an mm knows of it: mm->tlb_flush_batched."""

    @abstractmethod
    def pending(self) -> AbstractContextManager[object]:
        """Run the steps within if pages of the mm were unmapped, and may not have been flushed."""

    @abstractmethod
    def forget(self) -> None:
        """Write that they are flushed."""


class CleanedPage(ABC):
    """A page that is cleaned to be written to its file."""

    @abstractmethod
    def mapped(self) -> AbstractContextManager[object]:
        """Run the steps within if the page is mapped (folio_mapped())."""

    @abstractmethod
    def entries(self) -> Iterable[Entries]:
        """Yield the entries that may map it; what is written to find one comes before it is yielded."""

    @abstractmethod
    def cleaned(self) -> AbstractContextManager[object]:
        """Clear its dirty flag, and run the steps within if it was set (folio_test_clear_dirty())."""

    def written(self) -> None:
        """Write that the page is written to its file."""


class PageTables:
    """Write the kernel functions that work on entries.

    Args:
        asm: the assembler.
        kernel, lowering: the kernel, and how it flushes on the platform.
        gathers: what happens to gathers.
    """

    def __init__(self, asm: Assembler, kernel: Kernel, lowering: Lowering, gathers: Gathers) -> None:
        self.asm = asm
        self.kernel = kernel
        self.lowering = lowering
        self.gathers = gathers

    # --- mm/memory.c

    @function("zap_pte_range", "mm/memory.c")
    def zap_pte_range(self, g: int, stretches: Iterable[Stretch[Entries]]) -> None:
        """Write zap_pte_range(): clear present entries and queue their pages.

        Args:
            g: the gather.
            stretches: the entries, by the lock that guards them; the next one is asked for when one is over.
        """
        self.gathers.change_page_size(g, huge=False)
        for stretch in stretches:
            with stretch.locked():
                stretch.look_at_reclaim()
                for some in stretch.entries:
                    some.note()
                    with some.present():
                        some.take("ptep_get_and_clear_full")
                        some.changed("ptep_get_and_clear")
                        some.leave_rmap()
                        some.cleared(None)
                        some.queue()
                        self.gathers.remove_entry(g, some.lo, some.hi)
                early = stretch.flushed_early()
                if early is not None:
                    with early:
                        self.gathers.flush(g)
                        if stretch.delays_rmap:
                            self.tlb_flush_rmaps(stretch)
            stretch.free_flushed()
            stretch.free_table()

    @function("madvise_free_pte_range", "mm/madvise.c")
    def madvise_free_pte_range(self, g: int, stretches: Iterable[Stretch[FreeableEntries]]) -> None:
        """Write madvise_free_pte_range(): entries of pages that are young or dirty become old and clean.

        Reclaim drops a page that is still clean: who writes to it has to set its entry's dirty bit again, so that no
        TLB may keep an entry that is dirty.

        Args:
            g: the gather.
            stretches: the entries, by the lock that guards them.
        """
        for stretch in stretches:
            with stretch.locked():
                stretch.look_at_reclaim()
                for some in stretch.entries:
                    some.note()
                    with some.present():
                        some.make_clean()
                        self.gathers.remove_entry(g, some.lo, some.hi)

    @function("tlb_flush_rmaps", "mm/mmu_gather.c")
    def tlb_flush_rmaps(self, stretch: Stretch[Entries]) -> None:
        """Write tlb_flush_rmaps(): dirty pages of a file leave the reverse map after the flush (5df397dec7c4)."""
        stretch.flush_rmaps()

    # --- mm/pgtable-generic.c

    @function("pmdp_collapse_flush", "mm/pgtable-generic.c")
    def pmdp_collapse_flush(self, table: Entries) -> None:
        """Write pmdp_collapse_flush(): the entry that leads to a table is cleared, and the table's range flushed.

        Args:
            table: the entry of the table; it maps the table's range.
        """
        table.take("pmdp_huge_get_and_clear")
        self.asm.request(_REQUEST, cleared=o.CLEARED_PTES, lo=table.lo, hi=table.hi, text="the table's range")
        flush = getattr(self.lowering, "flush_collapsed_pmd", self.lowering.flush_range)
        flush(self.asm, _REQUEST)

    # --- mm/rmap.c

    @function("ptep_clear_flush", "mm/pgtable-generic.c")
    def ptep_clear_flush(self, entry: Entries) -> None:
        """Write ptep_clear_flush(): one entry is cleared and flushed."""
        entry.take("ptep_get_and_clear")
        entry.cleared("ptep_clear_flush")
        self.asm.request(_REQUEST, cleared=o.CLEARED_PTES, lo=entry.lo, hi=entry.hi, text="one page")
        self.lowering.flush_page(self.asm, _REQUEST)

    @function("try_to_unmap_one", "mm/rmap.c")
    def try_to_unmap_one(self, entries: Entries, batch: Batch | None) -> None:
        """Write try_to_unmap_one(): with TTU_BATCH_FLUSH the flush waits, where the architecture defers it.

        Args:
            entries: what maps the pages.
            batch: what waits for its flush; None: without TTU_BATCH_FLUSH.
        """
        self._unmap(entries, batch)

    @function("try_to_migrate_one", "mm/rmap.c")
    def try_to_migrate_one(self, entries: Entries, batch: Batch | None) -> None:
        """Write try_to_migrate_one(), which has TTU_BATCH_FLUSH since 7e12beb8ca2a; arguments as above."""
        self._unmap(entries, batch if self.kernel.batched_migration else None)

    def _unmap(self, entries: Entries, batch: Batch | None) -> None:
        """Write the unmapping of pages: flushed one by one, or deferred."""
        asm, when = self.asm, self.lowering.defers_unmaps
        with entries.locked(), entries.present():
            if batch is None or when == "never":
                self._flush_each(entries)
            elif when == "always":
                self._defer(entries, batch)
            else:
                with asm.aside():
                    asm.target_mm_cpumask()
                with asm.if_targets() as remote:
                    asm.cancel(text="arch_tlbbatch_should_defer: other CPUs are in mm_cpumask")
                    self._defer(entries, batch)
                    remote.otherwise()
                    self._flush_each(entries)

    def _flush_each(self, entries: Entries) -> None:
        with entries.each() as one:
            self.ptep_clear_flush(one)
        entries.unmapped(deferred=False)

    def _defer(self, entries: Entries, batch: Batch) -> None:
        entries.take("ptep_get_and_clear")
        entries.cleared()
        self.set_tlb_ubc_flush_pending(entries, batch)
        entries.unmapped(deferred=True)

    @function("set_tlb_ubc_flush_pending", "mm/rmap.c")
    def set_tlb_ubc_flush_pending(self, entries: Entries, batch: Batch) -> None:
        """Write set_tlb_ubc_flush_pending(): entries were cleared whose flush waits."""
        if not batch.together:
            self._add(entries.lo, entries.hi)
        batch.pend()

    def _add(self, lo: int, hi: int) -> None:
        self.asm.request(_REQUEST, cleared=o.CLEARED_PTES, lo=lo, hi=hi, text="pages whose flush waits")
        self.lowering.arch_tlbbatch_add_pending(self.asm, _REQUEST, hi - lo)

    @function("try_to_unmap_flush", "mm/rmap.c")
    def try_to_unmap_flush(self, batch: Batch) -> None:
        """Write try_to_unmap_flush(): one flush for all pages that were unmapped since the last one."""
        with batch.required():
            if batch.together:  # the flush is of everything, however many pages were added
                self._add(0, 1)
            self.lowering.arch_tlbbatch_flush(self.asm, _REQUEST)
            batch.flushed()

    @function("flush_tlb_batched_pending", "mm/rmap.c")
    def flush_tlb_batched_pending(self, batched: Batched) -> None:
        """Write flush_tlb_batched_pending(): who finds entries gone may not rely on a flush that is deferred.

        Reclaim does not clear `tlb_flush_batched` when it flushes, so that the first call afterwards that looks at a
        page table flushes the mm once more (3ea277194daa, 4.13).
        """
        if self.lowering.defers_unmaps == "never" or not self.kernel.flush_batched_pending:
            return
        with batched.pending(), self.asm.because("batched unmap"):
            self.asm.request(_REQUEST, flags=o.FULLMM, text="reclaim may not have flushed yet")
            self.lowering.arch_flush_tlb_batched_pending(self.asm, _REQUEST)
            batched.forget()

    @function("folio_clear_dirty_for_io", "mm/page-writeback.c")
    def folio_clear_dirty_for_io(self, page: CleanedPage) -> None:
        """Write folio_clear_dirty_for_io(): a page is cleaned wherever it is mapped, then it is dirty no more.

        Args:
            page: the page.
        """
        with page.mapped():
            self.folio_mkclean(page)
        with page.cleaned():
            page.written()

    @function("folio_mkclean", "mm/rmap.c")
    def folio_mkclean(self, page: CleanedPage) -> None:
        """Write folio_mkclean(): the entries of a page that the reverse map knows are cleaned, one by one."""
        for entries in page.entries():
            self.page_vma_mkclean_one(entries)

    @function("page_vma_mkclean_one", "mm/rmap.c")
    def page_vma_mkclean_one(self, entries: Entries) -> None:
        """Write page_vma_mkclean_one(): dirty entries are cleared, flushed, and written again, clean and read-only."""
        with entries.locked(), entries.writable(), entries.each() as one:
            self.ptep_clear_flush(one)
            one.clean()
