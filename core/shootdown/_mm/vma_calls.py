"""mprotect(), mremap() and the split of a VMA: they change or move what a process maps, and unshare tables for it."""

from __future__ import annotations

import attrs

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.call_parts import INNER, OUTER
from shootdown._mm.mapping import Mapping
from shootdown._mm.teardown import Teardown
from shootdown._mm.unsharing import Unsharing


class VmaCalls(Teardown, Unsharing):
    """Write these calls on hugetlb VMAs (mm/mprotect.c, mm/mremap.c, mm/hugetlb.c)."""

    def mprotect(self, mappings: tuple[Mapping, ...], *, to_class: int | None = None) -> None:
        """Write mprotect() of hugetlb VMAs: hugetlb_change_protection().

        Args:
            mappings: the VMAs, with the classes of their tables before.
            to_class: ignored; accepted so that scenarios of `api=1` that pass it still run.
        """
        del to_class
        outer = self.kernel.mprotect_gather
        with self.syscall("mprotect", "mm/mprotect.c"), self.asm.because("mprotect"):
            if outer:
                self.gathers.begin(OUTER)
            for m in mappings:
                self._change_protection(m)
            if outer:
                self.gathers.finish(OUTER)

    @function("hugetlb_change_protection", "mm/hugetlb.c")
    def _change_protection(self, m: Mapping) -> None:
        asm, kernel = self.asm, self.kernel
        if kernel.unshare_gather:
            self.gathers.begin(INNER, vma=True)
        self.hugetlb.lock_vma(write=True)
        self.hugetlb.lock_file(m)
        self.hugetlb.skip_unused(m)
        with asm.loop(len(m.used)):
            self.hugetlb.pick(m.used)
            asm.load_pud(o.CLASS, cost="skip_ns")
            with asm.if_nonzero(o.CLASS):
                self.hugetlb.lock_table()
                with asm.if_shared() as branch:
                    self.hugetlb.unshare(INNER)
                    self._record(m, whole=True)
                    branch.otherwise()
                    asm.work("zap_huge_ns", m.pages, text="change the entries")
                    self.gathers.cleared(m.pages, huge=True, by="huge_ptep_get_and_clear")
                    self._record(m, whole=False)
                self.hugetlb.unlock_table()
        self._flush_unshared(m)
        self.hugetlb.unlock_file(m)
        self.hugetlb.unlock_vma(write=True)
        self._flush_unshared_late(m)

    def mremap(self, m: Mapping, *, upper_tables: int = 0, level: int = o.CLEARED_P4DS) -> None:
        """Write mremap() of a hugetlb VMA to another place.

        move_hugetlb_page_tables() unshares without a page-table lock; then move_vma() unmaps the old place, where only
        tables without any present entry are left, which the move skips.

        Args:
            m: the VMA.
            upper_tables, level: as for `munmap`, of the old place.
        """
        asm, kernel = self.asm, self.kernel
        with self.syscall("mremap", "mm/mremap.c"), asm.because("mremap"):
            if kernel.unshare_gather:
                self.gathers.begin(INNER, vma=True)
            self.hugetlb.lock_vma(write=True)
            self.hugetlb.lock_file(m)
            self.hugetlb.skip_unused(m)
            with asm.function("move_hugetlb_page_tables", "mm/hugetlb.c"), asm.loop(len(m.used)):
                self.hugetlb.pick(m.used)
                asm.load_pud(o.CLASS, cost="skip_ns")
                with asm.if_nonzero(o.CLASS):
                    if m.pages:
                        with asm.if_shared() as branch:
                            self.hugetlb.unshare(INNER)
                            self._record(m, whole=True)
                            branch.otherwise()
                            asm.work("zap_huge_ns", m.pages, text="move the entries")
                            self.gathers.cleared(m.pages, huge=True, by="huge_ptep_get_and_clear")
                            self._record(m, whole=False)
            self._flush_unshared(m)
            self.hugetlb.unlock_file(m)
            self.hugetlb.unlock_vma(write=True)
            self._flush_unshared_late(m)
            self.unmap_region((attrs.evolve(m, pages=0),), upper_tables=upper_tables, level=level)

    def split(self, m: Mapping) -> None:
        """Write munmap() of half of a mapping's first table: the VMA splits, which unshares that table first."""
        first = Mapping(m.used[:1], pages=m.pages, first=m.first, last=m.last, klass=m.klass, file=m.file)
        half = self.hugetlb.slot_pages // self.hugetlb.huge_pages // 2
        with self.syscall("munmap"), self.asm.because("munmap"):
            if self.kernel.unshare_at_split != "never":
                self.unshare_all(first)
            self.gathers.begin(OUTER)
            rest = Mapping(
                first.used,
                pages=max(m.pages // 2, 1),
                first=min(m.first, half - 1),
                last=m.first + 1 if m.pages < 3 and m.last > half else min(m.last, half),
                klass=m.klass,
                file=m.file,
            )
            self.zap_vma(OUTER, rest)
            self.gathers.finish(OUTER)
