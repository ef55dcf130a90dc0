"""How LoongArch kernels flush, from 5.19 on: by IPI, in pairs of pages, or by a new ASID.

Sources: arch/loongarch/kernel/smp.c (who is reached), mm/tlb.c (what is invalidated), include/asm/mmu_context.h
(ASIDs), include/asm/tlb.h: tlb_flush(). That function looks at fullmm alone: freed_tables changes nothing, nor does the
level that was cleared, so that a range is always counted in pairs of base pages.
"""

from __future__ import annotations

from shootdown import Geometry, MmRules
from shootdown.formats import Format
from shootdown.porting import Assembler, PlainLowering, function, geometry_of, mm_rules, ops
from shootdown_loongarch._formats import BY_LAYOUT, FORMATS
from shootdown_loongarch._platforms import ASID_BITS, MTLB, STLB

SMP = "arch/loongarch/kernel/smp.c"
#: The request of a flush that belongs to no gather.
REQUEST = 2


class LoongarchLowering(PlainLowering):
    """Flush on the CPUs in mm_cpumask by IPI, or here alone if nobody else uses the mm."""

    source = SMP
    page_instruction, all_instruction = "invtlb_5", "csrwr_asid"
    native_way = "ipi"
    pages_in_pairs = True
    pmd_stride = hugetlb_stride = ops.BASE_STRIDES  # asm-generic: flush_tlb_range() for either
    # mm/tlb.c: local_flush_tlb_range(): at most an eighth of the TLB's entries, where there is an STLB (5.19).
    ceiling = (STLB + MTLB) // 8
    # kernel/smp.c: flush_tlb_mm(), flush_tlb_range(), flush_tlb_page(): alone, other CPUs' contexts become 0 (5.19).
    only_user_flushes_here = True
    tracked = True  # who is not reached has context 0, and gets a new ASID as it loads the mm

    @property
    def format(self) -> Format:
        """The page tables of this kernel's layout."""
        return BY_LAYOUT.get((self.kernel.page_size, self.kernel.va_bits), FORMATS[0])

    @property
    def geometry(self) -> Geometry:
        """The levels of `format`."""
        return geometry_of(self.format)

    @property
    def frees_tables_as_pages(self) -> bool:
        """Page tables go with other pages until RCU frees them (asm/pgalloc.h: __pte_free_tlb(), 5.19 to 6.19)."""
        return not self.kernel.rcu_table_free

    @property
    def tables_freed_at_once(self) -> int:
        """PMD and PUD tables, before RCU frees them: __pmd_free_tlb() is pmd_free() (asm/pgalloc.h, 5.19 and 6.4)."""
        return 0 if self.kernel.rcu_table_free else ops.CLEARED_PUDS | ops.CLEARED_P4DS

    @property
    def mm(self) -> MmRules:
        """ASIDs by CPU; switch_mm_irqs_off() leaves the old mm's mm_cpumask as it is (asm/mmu_context.h, 5.19)."""
        return mm_rules(1 << ASID_BITS, clear_on_switch=False)

    @property
    def flags_that_flush_everything(self) -> int:
        """fullmm alone (include/asm/tlb.h: tlb_flush(), 5.19)."""
        return ops.FULLMM

    @function("flush_tlb_mm", SMP)
    def flush_mm(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_mm()`: nothing once mm_users is 0, as in exit_mmap() (kernel/smp.c, 5.19)."""
        with asm.if_mm_dead() as dead:
            dead.otherwise()
            self.flush(asm, g, everything=True, stride=ops.BASE_STRIDES)

    @function("tlb_flush", "arch/loongarch/include/asm/tlb.h")
    def tlb_flush(self, asm: Assembler, g: int) -> None:
        """Write `tlb_flush()`: flush_tlb_mm() if the whole mm goes, else flush_tlb_range()."""
        with asm.if_flags(g, ops.FULLMM) as full:
            self.flush_mm(asm, g)
            full.otherwise()
            self.flush_range(asm, g)

    def choose_targets(self, asm: Assembler) -> None:
        """Write on_each_cpu_mask() of mm_cpumask; a flush of everything lets CPUs that run another mm leave it."""
        asm.target_mm_cpumask()
        with asm.if_ranged() as ranged:
            ranged.otherwise()
            asm.leave_mm_cpumask(text="drop_mmu_context(): CPUs that run another mm leave mm_cpumask")

    def entries_set(self, asm: Assembler, count: int, *, huge: bool) -> None:
        """Write set_pmd_at() for each huge page: flush_tlb_all() on every CPU (mm/pgtable.c, 6.4 and 7.0)."""
        if not huge:
            return
        with (
            asm.loop(count),
            asm.function("set_pmd_at", "arch/loongarch/mm/pgtable.c"),
            asm.because("set_pmd_at"),
        ):
            asm.request(REQUEST, flags=ops.FULLMM, text="flush_tlb_all")
            self.begin(asm, REQUEST, everything=True, stride=ops.BASE_STRIDES)
            asm.target_all_online()
            asm.execute("invtlb_1", per=ops.PER_TARGET, text="INVTLB of everything on each other CPU")
            asm.send(ops.CALL_INVALIDATE, ops.SCOPE_BOTH, text="IPI: flush_tlb_all_ipi")
            asm.execute("invtlb_1", text="INVTLB of everything here")
            asm.flush_here()
            asm.wait_for_answers()

    def writes_of_ipis(self, cpus: int) -> tuple[int, int]:
        """One CPU for each write: kernel/smp.c: loongson3_send_ipi_mask() loops over the mask (5.19)."""
        return (1, 1)

    def no_hardware_walker(self) -> str | None:
        """Return why no hardware walks (mm/tlb.c: setup_ptwalker(), 01158487af60, 6.5)."""
        if not self.platform.arch.ptw:
            return "LA464 has no page table walker: a TLB miss traps, and handle_tlb_refill() fills a pair"
        if not self.kernel.arch.enables_walker:
            return "kernels before 6.5 leave the page table walker off"
        return None

    def no_hardware_dirty(self) -> str | None:
        """Return why the hardware never sets D: without the walker, a store to a clean page traps (PME)."""
        return self.no_hardware_walker()

    def no_contiguous_entries(self) -> str | None:
        """Return why no entry covers several: there is no contiguous bit (manual, 5.4.5)."""
        return "a TLB entry holds two pages, each by a translation of its own; there is no contiguous bit"
