"""How Linux flushes on s390: most entries by the instruction that invalidates them, the rest by address space.

An entry that other CPUs may use must be invalidated by IPTE, IDTE or CSPG, which drop its translation on every CPU at once. If
no other CPU has the mm attached, the entry is only marked, and `mm->context.flush_mm` says that a flush is due. Then
flush_tlb_range(), tlb_flush() and the like execute one IDTE for the address space.

Kernel: arch/s390/mm/pgtable.c, include/asm/{tlbflush,tlb,pgtable,mmu_context}.h; read in 6.4 and 7.0.
"""

from __future__ import annotations

from shootdown import MmRules
from shootdown.porting import NO_LIMIT, Assembler, PlainLowering, mm_rules, ops

from shootdown_s390._formats import REGION3

MANUAL = "SA22-7832-12, chapter 10"
INSTRUCTIONS = {
    "ipte": f"{MANUAL}, INVALIDATE PAGE TABLE ENTRY",
    "ipte_local": f"{MANUAL}, INVALIDATE PAGE TABLE ENTRY: local-clearing control",
    "idte": f"{MANUAL}, INVALIDATE DAT TABLE ENTRY: invalidation and clearing",
    "idte_local": f"{MANUAL}, INVALIDATE DAT TABLE ENTRY: local-clearing control",
    "idte_asce": f"{MANUAL}, INVALIDATE DAT TABLE ENTRY: clearing by ASCE",
}
PGTABLE, TLBFLUSH, TLB = "arch/s390/mm/pgtable.c", "arch/s390/include/asm/tlbflush.h", "arch/s390/include/asm/tlb.h"
REQUEST = 2


class S390Lowering(PlainLowering):
    """Invalidate each entry as it is cleared, or all of the address space at the end."""

    source, format = TLBFLUSH, REGION3
    page_instruction, all_instruction = "ipte", "idte_asce"
    native_way = "broadcast"

    @property
    def mm(self) -> MmRules:
        """CPUs stay in mm_cpumask until a flush of the mm resets it; switching keeps translations, tagged by ASCE."""
        return mm_rules(1 << self.platform.tlb.asid_bits, clear_on_switch=False)

    # --- entries, as they are cleared or changed

    def entries_cleared(self, asm: Assembler, count: int, *, huge: bool, first: int = 0) -> None:
        """Write ptep_xchg_lazy() or pmdp_xchg_lazy(), of which each entry is one."""
        pages = self.pages_of(huge=huge)
        with asm.function("pmdp_flush_lazy" if huge else "ptep_flush_lazy", PGTABLE), asm.because("invalid entry"):
            cleared = ops.CLEARED_PMDS if huge else ops.CLEARED_PTES
            asm.request(REQUEST, cleared=cleared, lo=first, hi=first + count * pages)
            self.begin(asm, REQUEST, everything=False, stride=ops.BASE_STRIDES)
            with asm.if_loaded_here() as here:
                asm.target_mm_cpumask()
                asm.drop_targets_not_loaded()
                with asm.if_targets() as attached_elsewhere:
                    self.invalidate_everywhere(asm, count, huge=huge)
                    attached_elsewhere.otherwise()
                    asm.cancel(text="no other CPU has the mm attached: the entry is marked invalid")
                    asm.field("flush_mm").add(1)
                here.otherwise()
                self.invalidate_everywhere(asm, count, huge=huge)

    def flush_page(self, asm: Assembler, g: int) -> None:
        """Write ptep_clear_flush(), which is ptep_xchg_direct(); flush_tlb_page() itself does nothing."""
        self.flush_direct(asm, g, huge=False, pending=True)

    def flush_pmd_range(self, asm: Assembler, g: int) -> None:
        """Write pmdp_invalidate() and its like, which are pmdp_xchg_direct()."""
        self.flush_direct(asm, g, huge=True, pending=True)

    def flush_collapsed_pmd(self, asm: Assembler, g: int) -> None:
        """Write pmdp_collapse_flush(): pmdp_xchg_direct() of an entry that points to a page table."""
        self.flush_direct(asm, g, huge=True, pending=False)

    def flush_direct(self, asm: Assembler, g: int, *, huge: bool, pending: bool) -> None:
        """Write ptep_flush_direct() or pmdp_flush_direct() for the entry of request `g`.

        If `pending`, entries_cleared() was written before. Either it reached every CPU, or it left the flush to this.
        """
        with asm.function("pmdp_flush_direct" if huge else "ptep_flush_direct", PGTABLE):
            if not pending:
                self.invalidate_entry(asm, g, huge=huge)
                return
            with asm.field("flush_mm").if_equal(0) as reached:
                reached.otherwise()
                asm.field("flush_mm").add(-1)
                self.invalidate_entry(asm, g, huge=huge)

    def invalidate_entry(self, asm: Assembler, g: int, *, huge: bool) -> None:
        """Write one IPTE or IDTE: on this CPU alone if no other one is in mm_cpumask, else on all."""
        self.begin(asm, g, everything=False, stride=ops.BASE_STRIDES)
        if not self.platform.arch.local_clearing:
            self.invalidate_everywhere(asm, 1, huge=huge)
            return
        with asm.if_in_mm_cpumask() as here:
            asm.target_mm_cpumask()
            with asm.if_targets() as elsewhere:
                self.invalidate_everywhere(asm, 1, huge=huge)
                elsewhere.otherwise()
                name, scope = ("idte_local", ops.SCOPE_BOTH) if huge else ("ipte_local", ops.SCOPE_LEAF)
                asm.execute(name, cost="page_flush_ns", text=f"{name}: this CPU alone ran the mm")
                asm.flush_here(scope, text=f"{name} invalidates here")
                asm.cancel(text="no other CPU ran the mm")
            here.otherwise()
            self.invalidate_everywhere(asm, 1, huge=huge)

    def invalidate_everywhere(self, asm: Assembler, count: int, *, huge: bool) -> None:
        """Write IPTE or IDTE for so many entries, each of which clears the TLBs of all CPUs."""
        name, scope = ("idte", ops.SCOPE_BOTH) if huge else ("ipte", ops.SCOPE_LEAF)
        asm.execute(name, times=count, broadcasts=True, cost="broadcast_ns", text=name)
        asm.broadcast(scope, text=f"{name} reaches every CPU")
        asm.complete(f"{name} is over once every CPU has answered")

    def pages_of(self, *, huge: bool) -> int:
        """Return the base pages that an entry maps."""
        return 1 << self.geometry.pmd_shift - self.geometry.page_shift if huge else 1

    # --- the address space

    def tlb_flush(self, asm: Assembler, g: int) -> None:
        """Write tlb_flush(). pte_free_tlb() and its like have set flush_mm if the gather frees tables."""
        with asm.function("tlb_flush", TLB):
            with asm.if_flags(g, ops.FREED_TABLES):
                asm.field("flush_mm").add(1)
            self.flush_lazy(asm, g)

    def flush_range(self, asm: Assembler, g: int) -> None:
        """Write flush_tlb_range()."""
        self.flush_lazy(asm, g)

    def flush_hugetlb_range(self, asm: Assembler, g: int) -> None:
        """Write flush_hugetlb_tlb_range(), which is flush_tlb_range()."""
        self.flush_lazy(asm, g)

    def flush_mm(self, asm: Assembler, g: int) -> None:
        """Write flush_tlb_mm() after fork() has made entries read-only, which no other method tells of."""
        with asm.function("__tlb_flush_mm", TLBFLUSH):
            self.flush_space(asm, g)

    def flush_lazy(self, asm: Assembler, g: int) -> None:
        """Write __tlb_flush_mm_lazy(): a flush if one is due."""
        with asm.function("__tlb_flush_mm_lazy", TLBFLUSH), asm.field("flush_mm").if_equal(0) as nothing:
            nothing.otherwise()
            asm.field("flush_mm").store(0)
            self.flush_space(asm, g)

    def flush_space(self, asm: Assembler, g: int) -> None:
        """Write __tlb_flush_mm(): one IDTE by ASCE; mm_cpumask becomes cpu_attach_mask."""
        self.begin(asm, g, everything=True, stride=ops.BASE_STRIDES)
        asm.execute("idte_asce", broadcasts=True, cost="broadcast_ns", text="idte by ASCE")
        asm.broadcast(ops.SCOPE_BOTH, text="idte reaches every CPU")
        asm.complete("idte is over once every CPU has answered")
        asm.leave_mm_cpumask(text="mm_cpumask becomes cpu_attach_mask")

    def begin(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        """Write the begin of a flush. CPUs that it does not reach flush as they load the mm, if flush_mm is set.

        Strides are base pages: IDTE drops the translations of all pages below the entry that it invalidates.
        """
        asm.begin_flush(g, ceiling=NO_LIMIT, everything=everything, stride=stride, tracked=True, text="what to flush")

    # --- what the hardware does

    def no_hardware_dirty(self) -> str | None:
        """Return why the hardware never sets dirty bits in entries."""
        return "s390 keeps change and reference bits in storage keys, and Linux those of entries by faults"

    def no_contiguous_entries(self) -> str | None:
        """Return why no TLB entry covers several entries of a table."""
        return "s390 has no contiguous bit"
