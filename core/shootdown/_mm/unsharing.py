"""Calls that unshare page tables of a range through a gather of their own, or without one (mm/hugetlb.c)."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.call_parts import INNER, SCRATCH, CallParts
from shootdown._mm.mapping import Mapping


class Unsharing(CallParts):
    """Write hugetlb_unshare_pmds(), and how what was unshared is recorded and flushed in other calls too."""

    @function("hugetlb_unshare_pmds", "mm/hugetlb.c")
    def unshare_all(self, m: Mapping) -> None:
        """Write hugetlb_unshare_pmds(): unshare every table of a range and change nothing else."""
        asm, kernel = self.asm, self.kernel
        if kernel.unshare_gather:
            self.gathers.begin(INNER, vma=True)
        self.hugetlb.lock_vma(write=True)
        self.hugetlb.lock_file(m)
        self.hugetlb.skip_unused(m)
        with asm.loop(len(m.used)):
            self.hugetlb.pick(m.used)
            asm.load_pud(o.CLASS, cost="skip_ns")
            with asm.if_nonzero(o.CLASS), asm.if_shared():
                self.hugetlb.lock_table()
                self.hugetlb.unshare(INNER)
                self._record(m, whole=True)
                self.hugetlb.unlock_table()
        self._flush_unshared(m)
        self.hugetlb.unlock_file(m)
        self.hugetlb.unlock_vma(write=True)
        self._flush_unshared_late(m)

    def _record(self, m: Mapping, *, whole: bool) -> None:
        """Record in the inner gather, if the kernel has one, what changed in the table of register SLOT."""
        if not self.kernel.unshare_gather or (whole and self.kernel.unshare_flush == "none"):
            return
        first, last = (0, self.hugetlb.recorded_pages) if whole else self.hugetlb.touched(m)
        self.asm.gather_slot(INNER, first, last, cleared=o.CLEARED_PMDS, text="tlb_remove_huge_tlb_entry")

    def _flush_unshared(self, m: Mapping) -> None:
        """Flush before i_mmap_rwsem drops: through the gather, or flush_hugetlb_tlb_range() of the whole range."""
        self.hugetlb.settle(INNER, lambda: self._flush_changed(m))

    def _flush_unshared_late(self, m: Mapping) -> None:
        """Finish the call's own gather; in the wrong order (a what-if), flush and sync only here."""
        self.hugetlb.settle_late(INNER, lambda: self._flush_changed(m))
        if self.kernel.unshare_gather:
            self.gathers.finish(INNER)
        else:
            self.asm.clear_flags(INNER, o.UNSHARED_TABLES | o.FULLY_UNSHARED | o.FREED_TABLES)

    def _flush_changed(self, m: Mapping) -> None:
        if self.kernel.unshare_gather:
            self.gathers.flush(INNER)
            return
        asm = self.asm
        pages = self.hugetlb.slot_pages
        lo = m.used[0] * pages if m.used else 0
        hi = (m.used[-1] + 1) * pages if m.used else pages
        asm.request(SCRATCH, cleared=o.CLEARED_PMDS, lo=lo, hi=hi, text="the whole range")
        for flag in (o.UNSHARED_TABLES, o.FREED_TABLES):
            with asm.if_flags(INNER, flag):
                asm.set_flags(SCRATCH, flag, text="tables were unshared")
        self.lowering.flush_hugetlb_range(asm, SCRATCH)
