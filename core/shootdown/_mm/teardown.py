"""munmap(), madvise(MADV_DONTNEED) and exit(): VMAs are cleared through a gather, and their page tables go."""

from __future__ import annotations

from collections.abc import Callable

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.call_parts import OUTER, CallParts
from shootdown._mm.counted_entries import CountedEntries, CountedStretch
from shootdown._mm.gather import dirty_pages_flush
from shootdown._mm.mapping import Mapping


class Teardown(CallParts):
    """Write the calls that unmap (mm/mmap.c, mm/memory.c, kernel/exit.c)."""

    def munmap(
        self, mappings: tuple[Mapping, ...], *, upper_tables: int, level: int = o.CLEARED_P4DS
    ) -> None:
        """Write munmap() of whole hugetlb VMAs.

        Args:
            mappings: the VMAs, ascending.
            upper_tables: the number of tables above the PMD level that are freed with them.
            level: the level whose entries pointed to those.
        """
        with self.syscall("munmap"), self.asm.because("munmap"):
            self.unmap_region(mappings, upper_tables=upper_tables, level=level)

    def unmap_region(self, mappings: tuple[Mapping, ...], *, upper_tables: int, level: int) -> None:
        """Write unmap_region(): one gather for all VMAs, then their page tables; see `munmap`."""
        self.gathers.begin(OUTER)
        for m in mappings:
            self.zap_vma(OUTER, m, last=True)
        geometry = self.lowering.geometry
        last = (upper_tables - 1) << (geometry.p4d_shift - geometry.page_shift)

        def free() -> None:
            if not self.kernel.hugetlb_free_keeps_page_size:
                self.gathers.change_page_size(OUTER, huge=False)
            for m in mappings:
                self.hugetlb.free_exclusive(OUTER, m)
                self._free_folded(m)
            self.gathers.free_tables(OUTER, upper_tables, level, hi=last + 1)

        self.free_pgtables(free)
        self.gathers.finish(OUTER)

    @function("unmap_single_vma", "mm/memory.c")
    def zap_vma(self, g: int, m: Mapping, *, fullmm: bool = False, last: bool = False) -> None:
        """Write unmap_single_vma() of a hugetlb VMA; `last`: the VMA goes with what it maps."""
        self.hugetlb.lock_vma(write=True)
        self.hugetlb.lock_file(m)
        self.hugetlb.zap_range(g, m, fullmm=fullmm)
        if last:
            self.hugetlb.leave(m.used)
        self.hugetlb.unlock_vma(write=True)
        self.hugetlb.unlock_file(m)
        self.hugetlb.settle_late(g, lambda: self.hugetlb.flush_marked(g))

    @function("free_pgtables", "mm/memory.c")
    def free_pgtables(self, free: Callable[[], None]) -> None:
        """Write free_pgtables(): the tables that no VMA uses any more go.

        Args:
            free: writes which tables that are, and how they go.
        """
        free()

    @function("free_pud_range", "mm/memory.c")
    def _free_folded(self, m: Mapping) -> None:
        """Write free_pud_range() and free_p4d_range() where their level is folded at run time.

        The level is never empty there (p4d_none() is 0), so that they come to pud_free_tlb() and p4d_free_tlb(),
        generic ones, for each entry that the hole covers whole. Both set freed_tables and nothing is freed.
        """
        span, slot = self.lowering.folded_span, 1 << self.lowering.geometry.pud_shift
        if not span or not m.used or len(m.used) * slot < span:
            return
        self.asm.gather_add(
            OUTER,
            m.used[0] * self.hugetlb.slot_pages,
            m.used[0] * self.hugetlb.slot_pages + 1,
            flags=o.FREED_TABLES,
            cleared=o.CLEARED_P4DS,
            text="a folded level's table: nothing is freed, freed_tables is set",
        )

    def madvise(self, *mappings: Mapping) -> None:
        """Write madvise(MADV_DONTNEED) of hugetlb VMAs: zap_page_range_single(), later with the gather of the call.

        A hugetlb VMA's huge pages are freed before its locks drop (hugetlb_zap_end()), so it ends the gather that the
        call holds and leaves an empty one, which flushes nothing.
        """
        with self.syscall("madvise", "mm/madvise.c", write=False), self.asm.because("MADV_DONTNEED"):
            if self.kernel.madvise_gather:
                self.gathers.begin(OUTER)
            for m in mappings:
                if not self.kernel.madvise_gather:
                    self.gathers.begin(OUTER)
                self.zap_vma(OUTER, m)
                self.gathers.finish(OUTER)
                if self.kernel.madvise_gather:
                    self.gathers.begin(OUTER)
            if self.kernel.madvise_gather:
                self.gathers.finish(OUTER)

    def exit(
        self,
        mappings: tuple[Mapping, ...],
        *,
        dirty_shared_pages: int = 0,
        others: Callable[[], None] = lambda: None,
        tables: Callable[[], None] = lambda: None,
        freed: Callable[[], None] = lambda: None,
    ) -> None:
        """Write exit(): exit_mm() leaves the CPU lazy, exit_mmap() tears everything down through one gather.

        Args:
            mappings: hugetlb VMAs, ascending.
            dirty_shared_pages: dirty pages of shared mappings; they force a flush before their rmap is removed.
            others: writes how entries of other mappings are cleared.
            tables: writes how their page tables go, where these are single ones.
            freed: writes what is freed after the flush, where that is single pages and tables.
        """
        asm = self.asm
        self.exit_mm()

        def unmap() -> None:
            if dirty_shared_pages:
                self.zap_dirty(OUTER, dirty_shared_pages)
            others()

        with asm.because("exit"):
            self.exit_mmap(mappings, unmap, tables, freed)
            asm.work("exit_ns", text="the rest of exit() and wait()")

    @function("exit_mm", "kernel/exit.c")
    def exit_mm(self) -> None:
        """Write exit_mm(): the task leaves its address space, which its CPU keeps lazily."""
        self.asm.release_mm(text="current->mm = NULL; the CPU keeps the mm lazily")

    @function("exit_mmap", "mm/mmap.c")
    def exit_mmap(
        self,
        mappings: tuple[Mapping, ...],
        others: Callable[[], None],
        tables: Callable[[], None] = lambda: None,
        freed: Callable[[], None] = lambda: None,
    ) -> None:
        """Write exit_mmap(): an address space is torn down through one gather; see `exit`."""
        self.gathers.begin(OUTER, fullmm=True)
        for m in mappings:
            self.zap_vma(OUTER, m, fullmm=True, last=True)
        others()

        def free() -> None:
            for m in mappings:
                self.hugetlb.free_exclusive(OUTER, m)
            tables()
            self.gathers.free_tables(OUTER, 4, o.CLEARED_PMDS)

        self.free_pgtables(free)
        self.gathers.finish(OUTER)
        freed()
        self._shoot_lazies()

    def zap_dirty(self, g: int, pages: int) -> None:
        """Write zap_pte_range() over dirty pages of a file: flush before their rmap is removed."""
        with self.asm.because("dirty file pages"):
            self.page_tables.zap_pte_range(
                g,
                [
                    CountedStretch(
                        CountedEntries(self.gathers, pages, cached=True),
                        forced=dirty_pages_flush(self.kernel),
                    )
                ],
            )

    @function("cleanup_lazy_tlbs", "kernel/fork.c")
    def _shoot_lazies(self) -> None:
        """Write cleanup_lazy_tlbs(): the last reference to the mm is dropped, and no CPU may keep it loaded lazily."""
        if not self.kernel.lazy_tlb_shootdown:
            return
        asm = self.asm
        with asm.because("lazy TLB shootdown"):
            asm.target_mm_cpumask()
            with asm.if_targets():
                asm.send(o.CALL_LEAVE, 0, text="IPI: do_shoot_lazy_tlb")
                asm.wait_for_answers(preemptible=self.kernel.ipi_waits_preemptible)
