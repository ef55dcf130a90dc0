"""How Linux flushes on s390: most entries by the instruction that invalidates them, the rest by address space.

An entry that other CPUs may use must be invalidated by IPTE or IDTE, which drop its translation on every CPU at once.
If no other CPU has the mm attached, the entry is only marked, and `mm->context.flush_mm` says that a flush is due.
Then flush_tlb_range(), tlb_flush() and the like execute one IDTE for the address space.

Kernel: arch/s390/mm/pgtable.c, include/asm/{tlbflush,tlb,pgtable,mmu_context}.h; read in 6.4 and 7.0.
"""

from __future__ import annotations

from shootdown import MmRules
from shootdown.porting import NO_LIMIT, Assembler, EntryFunction, PlainLowering, mm_rules, ops
from shootdown_s390._formats import REGION3

MANUAL = "SA22-7832-12, chapter 10"
INSTRUCTIONS = {
    "ipte": f"{MANUAL}, INVALIDATE PAGE TABLE ENTRY",
    "ipte_local": f"{MANUAL}, INVALIDATE PAGE TABLE ENTRY: local-clearing control",
    "idte": f"{MANUAL}, INVALIDATE DAT TABLE ENTRY: invalidation and clearing",
    "idte_local": f"{MANUAL}, INVALIDATE DAT TABLE ENTRY: local-clearing control",
    "idte_asce": f"{MANUAL}, INVALIDATE DAT TABLE ENTRY: clearing by ASCE",
}
PGTABLE, TLBFLUSH, TLB = (
    "arch/s390/mm/pgtable.c",
    "arch/s390/include/asm/tlbflush.h",
    "arch/s390/include/asm/tlb.h",
)
REQUEST = 2
#: mm->context.lock: in the kernel one of each address space, here one of the machine.
CONTEXT_LOCK = 0


class S390Lowering(PlainLowering):
    """Invalidate each entry as it is cleared, or all of the address space at the end."""

    source, format = TLBFLUSH, REGION3
    page_instruction, all_instruction = "ipte", "idte_asce"
    native_way = "broadcast"

    @property
    def mm(self) -> MmRules:
        """CPUs stay in mm_cpumask until a flush of the mm resets it; switching keeps translations, tagged by ASCE."""
        return mm_rules(1 << self.platform.tlb.asid_bits, clear_on_switch=False)

    @property
    def machine_locks(self) -> int:
        """One, which stands for the context.lock of each address space."""
        return 1

    # --- entries, as they are cleared or changed

    def entries_changed(
        self, asm: Assembler, count: int, *, huge: bool, by: EntryFunction, first: int = 0
    ) -> None:
        """Write what arch/s390/mm/pgtable.c does about each entry, by the function that changes it."""
        if by == "ptep_get_and_clear":
            with (
                asm.if_mm_dead() as exits
            ):  # ptep_get_and_clear_full(): a store, as nobody runs the mm any more
                exits.otherwise()
                self.flush_lazy(asm, count, huge=huge, first=first)
        elif by == "ptep_set_wrprotect":
            self.flush_lazy(asm, count, huge=huge, first=first)
        else:  # ptep_clear_flush(), pmdp_invalidate(), huge_ptep_get_and_clear(): ptep_xchg_direct() and its like
            self.flush_direct(asm, count, huge=huge, first=first)

    def flush_lazy(self, asm: Assembler, count: int, *, huge: bool, first: int) -> None:
        """Write ptep_flush_lazy() or pmdp_flush_lazy(): if only this CPU has the mm attached, the flush waits."""
        with asm.function("pmdp_flush_lazy" if huge else "ptep_flush_lazy", PGTABLE):
            self.begin_entries(asm, count, huge=huge, first=first)
            with asm.if_loaded_here() as here:
                asm.target_mm_cpumask()
                asm.drop_targets_not_loaded()
                with asm.if_targets() as attached_elsewhere:
                    self.invalidate_everywhere(asm, count, huge=huge)
                    attached_elsewhere.otherwise()
                    asm.cancel(text="no other CPU has the mm attached: the entry is marked invalid")
                    asm.field("flush_mm").store(1)
                here.otherwise()
                self.invalidate_everywhere(asm, count, huge=huge)

    def flush_direct(self, asm: Assembler, count: int, *, huge: bool, first: int) -> None:
        """Write ptep_flush_direct() or pmdp_flush_direct(): here alone if no other CPU is in mm_cpumask."""
        with asm.function("pmdp_flush_direct" if huge else "ptep_flush_direct", PGTABLE):
            self.begin_entries(asm, count, huge=huge, first=first)
            self.invalidate_entries(asm, count, huge=huge)

    def begin_entries(self, asm: Assembler, count: int, *, huge: bool, first: int) -> None:
        """Write the begin of the flush of so many entries, by request 2."""
        pages = 1 << self.geometry.pmd_shift - self.geometry.page_shift if huge else 1
        cleared = ops.CLEARED_PMDS if huge else ops.CLEARED_PTES
        asm.request(REQUEST, cleared=cleared, lo=first, hi=first + count * pages)
        self.begin(asm, REQUEST, everything=False, stride=ops.PMD_STRIDES if huge else ops.BASE_STRIDES)

    def invalidate_entries(self, asm: Assembler, count: int, *, huge: bool) -> None:
        """Write IPTE or IDTE for so many entries: with the local-clearing control if no other CPU ran the mm."""
        if not self.platform.arch.local_clearing:
            self.invalidate_everywhere(asm, count, huge=huge)
            return
        with asm.if_in_mm_cpumask() as here:
            asm.target_mm_cpumask()
            with asm.if_targets() as elsewhere:
                self.invalidate_everywhere(asm, count, huge=huge)
                elsewhere.otherwise()
                name, scope = ("idte_local", ops.SCOPE_BOTH) if huge else ("ipte_local", ops.SCOPE_LEAF)
                asm.execute(
                    name, times=count, cost="page_flush_ns", text=f"{name}: this CPU alone ran the mm"
                )
                asm.flush_here(scope, text=f"{name} invalidates here")
                asm.cancel(text="no other CPU ran the mm")
            here.otherwise()
            self.invalidate_everywhere(asm, count, huge=huge)

    def invalidate_everywhere(self, asm: Assembler, count: int, *, huge: bool) -> None:
        """Write IPTE or IDTE for so many entries, each of which clears the TLBs of all CPUs."""
        name, scope = ("idte", ops.SCOPE_BOTH) if huge else ("ipte", ops.SCOPE_LEAF)
        asm.execute(name, times=count, broadcasts=True, cost="broadcast_ns", text=name)
        asm.broadcast(scope, text=f"{name} reaches every CPU")
        asm.complete(f"{name} is over once every CPU has answered")

    # --- the address space

    def tables_freed(self, asm: Assembler, g: int) -> None:
        """Write what pte_free_tlb(), pmd_free_tlb() and their like do besides (include/asm/tlb.h): flush_mm is set."""
        asm.field("flush_mm").store(1)

    def tlb_flush(self, asm: Assembler, g: int) -> None:
        """Write tlb_flush() (include/asm/tlb.h), flush_tlb_range() and flush_tlb_mm(): __tlb_flush_mm_lazy().

        Who finds flush_mm cleared by somebody else has waited by the lock until that one's flush was over.
        """
        with asm.function("__tlb_flush_mm_lazy", TLBFLUSH):
            asm.lock(CONTEXT_LOCK, write=True, sleeps=False, text="mm->context.lock")
            with asm.field("flush_mm").if_equal(0) as nothing_due:
                nothing_due.otherwise()
                asm.field("flush_mm").store(0)
                self.flush_space(asm, g)
            asm.unlock(CONTEXT_LOCK, write=True, text="mm->context.lock")

    flush_range = flush_mm = flush_hugetlb_range = tlb_flush

    def flush_page(self, asm: Assembler, g: int) -> None:
        """Write nothing: flush_tlb_page() is empty, ptep_clear_flush() has flushed."""

    def flush_pmd_range(self, asm: Assembler, g: int) -> None:
        """Write nothing: pmdp_invalidate() has flushed."""

    def flush_collapsed_pmd(self, asm: Assembler, g: int) -> None:
        """Write pmdp_collapse_flush(): pmdp_xchg_direct() of an entry that points to a page table."""
        with asm.function("pmdp_flush_direct", PGTABLE):
            self.begin(asm, g, everything=False, stride=ops.PMD_STRIDES)
            self.invalidate_entries(asm, 1, huge=True)

    def flush_space(self, asm: Assembler, g: int) -> None:
        """Write __tlb_flush_mm(): one IDTE by ASCE; mm_cpumask becomes cpu_attach_mask."""
        self.begin(asm, g, everything=True, stride=ops.BASE_STRIDES)
        asm.execute("idte_asce", broadcasts=True, cost="broadcast_ns", text="idte by ASCE")
        asm.broadcast(ops.SCOPE_BOTH, text="idte reaches every CPU")
        asm.complete("idte is over once every CPU has answered")
        asm.leave_mm_cpumask(text="mm_cpumask becomes cpu_attach_mask")

    def begin(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        """Write the begin of a flush. CPUs that it does not reach flush as they load the mm, if flush_mm is set.

        IDTE drops the translations of all pages below the entry that it invalidates.
        """
        asm.begin_flush(
            g,
            ceiling=NO_LIMIT,
            everything=everything,
            stride=stride,
            tracked=True,
            whole_strides=True,
            text="what to flush",
        )

    # --- what the hardware does

    def no_hardware_dirty(self) -> str | None:
        """Return why the hardware never sets dirty bits in entries."""
        return "s390 keeps change and reference bits in storage keys, and Linux those of entries by faults"

    def no_contiguous_entries(self) -> str | None:
        """Return why no TLB entry covers several entries of a table."""
        return "s390 has no contiguous bit"
