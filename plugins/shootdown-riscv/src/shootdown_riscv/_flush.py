"""How RISC-V flushes: `tlb_flush()` and `__flush_tlb_range()` as steps (arch/riscv/include/asm/tlb.h, mm/tlbflush.c).

Read in v5.10, v6.10 and v7.0; what differs between releases are switches of `RiscvKernel`. A fence, SFENCE.VMA, is
local: other CPUs execute theirs when an IPI, or the firmware below Linux, asks them to. A fence by address need not
reach non-leaf entries ("Supervisor Memory-Management Fence Instruction"), so that a flush of a short range leaves
the walk caches as they are.
"""

from __future__ import annotations

import attrs

from shootdown import Geometry, Kernel, Lowering, MmRules, Platform
from shootdown.porting import Assembler, ops
from shootdown_riscv._kernel import RiscvKernel
from shootdown_riscv._platforms import RiscvPlatform

_TLB_H = "arch/riscv/include/asm/tlb.h"
_TLBFLUSH_C = "arch/riscv/mm/tlbflush.c"
_PGTABLE_C = "arch/riscv/mm/pgtable.c"
_OPENSBI = "lib/sbi/sbi_tlb.c (OpenSBI)"

#: ASIDs that the model tells apart on one CPU; a real one has up to 2^16, and nothing here depends on that.
_MOST_ASIDS = 256

_GEOMETRY = {
    # address bits: log2 of what an entry of PTE, PMD, PUD, P4D and PGD level spans; folded levels repeat
    32: Geometry(page_shift=12, pmd_shift=22, pud_shift=22, p4d_shift=22, pgd_shift=22),
    39: Geometry(page_shift=12, pmd_shift=21, pud_shift=30, p4d_shift=30, pgd_shift=30),
    48: Geometry(page_shift=12, pmd_shift=21, pud_shift=30, p4d_shift=39, pgd_shift=39),
    57: Geometry(page_shift=12, pmd_shift=21, pud_shift=30, p4d_shift=39, pgd_shift=48),
}


@attrs.frozen
class RiscvLowering(Lowering):
    """Write flushes as a riscv kernel on a riscv platform does them; see `shootdown.Lowering`."""

    kernel: Kernel
    platform: Platform

    @property
    def _own(self) -> RiscvKernel:
        own: RiscvKernel = self.kernel.arch
        return own

    @property
    def _cpu(self) -> RiscvPlatform:
        cpu: RiscvPlatform = self.platform.arch
        return cpu

    @property
    def uses_asids(self) -> bool:
        """Whether the ASID allocator is in use: more ASIDs than twice the CPUs (asids_init())."""
        return self._own.asid_allocator and 1 << self._cpu.asid_bits > 2 * self.platform.cpus

    @property
    def mm(self) -> MmRules:
        """How context switches treat address spaces: without ASIDs each one flushes everything (set_mm_noasid()).

        Who defers flushes to the next switch interrupts those that have the mm loaded: as if others left its mask.
        """
        stays = self.uses_asids and self._own.asid_keeps_cpumask and not self._defers
        return MmRules(
            clear_on_switch=not stays,
            lazy_tlb=True,
            asids=min(1 << self._cpu.asid_bits, _MOST_ASIDS) if self.uses_asids else 1,
            tagged=self.uses_asids,
        )

    @property
    def geometry(self) -> Geometry:
        """The levels of the page tables: the widest mode that kernel and platform both have."""
        return _GEOMETRY[min(self.kernel.va_bits, self._cpu.satp_mode)]

    @property
    def way(self) -> str:
        """How fences reach other CPUs: `ipi`, or `sbi`, a call of the firmware (riscv_use_sbi_for_rfence())."""
        forced = {"ipi": "ipi", "hypercall": "sbi"}
        if self.platform.flush in forced:
            return forced[self.platform.flush]
        drivers = {"imsic": self._own.imsic_driver, "aclint-sswi": self._own.aclint_sswi_driver}
        return "ipi" if self._own.ipi_fences and drivers.get(self._cpu.native_ipis) else "sbi"

    @property
    def _defers(self) -> bool:
        return self._own.defer_flush_to_switch and self.way == "ipi"

    def no_pmd_sharing(self) -> str | None:
        """Say why hugetlb PMD tables are not shared, or None where they are."""
        if self.kernel.pmd_sharing:
            return None
        if self.kernel.va_bits == 32:
            return "32-bit riscv shares no PMD tables: ARCH_WANT_HUGE_PMD_SHARE is selected with 64BIT only"
        return "this kernel shares no hugetlb PMD tables"

    # --- what the generic code calls

    def tlb_flush(self, asm: Assembler, g: int) -> None:
        """Write `tlb_flush()`: the range at its smallest stride, unless everything goes or tables were freed."""
        with asm.function("tlb_flush", _TLB_H):
            if self._own.exit_skips_flush and self.uses_asids:
                with asm.if_flags(g, ops.FULLMM) as exits:
                    exits.otherwise()
                    self._flush_gather(asm, g)
            else:
                self._flush_gather(asm, g)

    def _flush_gather(self, asm: Assembler, g: int) -> None:
        if not self._own.gather_flushes_range:
            self.flush_mm(asm, g)
            return
        flags = ops.FULLMM | ops.NEED_FLUSH_ALL
        flags |= ops.FREED_TABLES if self.kernel.honour_freed_tables else 0
        flags |= ops.UNSHARED_TABLES if self.kernel.honour_unshared_tables else 0
        with asm.if_flags(g, flags) as everything:
            self.flush_mm(asm, g)
            everything.otherwise()
            with asm.function("flush_tlb_mm_range", _TLBFLUSH_C):
                self._flush(asm, g)

    def flush_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_range()` of an ordinary mapping: strides of base pages, whatever was cleared."""
        with asm.function("flush_tlb_range", _TLBFLUSH_C):
            self._flush(asm, g, stride=ops.BASE_STRIDES)

    def flush_pmd_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_pmd_tlb_range()`: one stride for the huge page."""
        with asm.function("flush_pmd_tlb_range", _TLBFLUSH_C):
            self._flush(asm, g, stride=ops.PMD_STRIDES)

    def flush_hugetlb_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_hugetlb_tlb_range()`, which is `flush_tlb_range()` here."""
        with asm.function("flush_tlb_range", _TLBFLUSH_C):
            self._flush(asm, g, stride=ops.PMD_STRIDES if self._own.hugetlb_stride else ops.BASE_STRIDES)

    def flush_collapsed_pmd(self, asm: Assembler, g: int) -> None:
        """Write the flush of `pmdp_collapse_flush()`: a non-leaf entry went, so all of the mm since f0293cd1f4fc."""
        with asm.function("pmdp_collapse_flush", _PGTABLE_C):
            if self._own.collapse_flushes_mm:
                self.flush_mm(asm, g)
            else:
                self.flush_range(asm, g)

    def flush_mm(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_mm()`: everything of the mm."""
        with asm.function("flush_tlb_mm", _TLBFLUSH_C):
            self._flush(asm, g, everything=True)

    def flush_page(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_page()`: one base page."""
        with asm.function("flush_tlb_page", _TLBFLUSH_C):
            self._flush(asm, g, stride=ops.BASE_STRIDES)

    # --- __flush_tlb_range()

    def _flush(self, asm: Assembler, g: int, *, everything: bool = False, stride: int = 0) -> None:
        """Flush on the CPUs of mm_cpumask: here alone if there is no other, else by SBI call or by IPI."""
        with asm.function("__flush_tlb_range", _TLBFLUSH_C), asm.because("TLB flush"):
            asm.target_mm_cpumask()
            with asm.if_targets() as remote:
                if self.way == "sbi":
                    self._call_firmware(asm, g, everything=everything)
                else:
                    self._begin(asm, g, everything=everything, stride=stride)
                    self._interrupt(asm)
                remote.otherwise()
                self._begin(asm, g, everything=everything, stride=stride)
                with asm.if_in_mm_cpumask():
                    self._fence_here(asm)
                asm.cancel(text="no other CPU")

    def _begin(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        """Choose as local_flush_tlb_range_asid() does: by address up to the threshold, else all of the ASID."""
        ceiling = self._own.tlb_flush_all_threshold
        if everything or (self._has_cip_1200 and self._own.cip_1200_no_loops):
            ceiling = 0
        asm.begin_flush(
            g,
            ceiling=ceiling,
            rounded=True,
            tracked=self._defers,
            stride=stride,
            text="by address, or all of the ASID" if ceiling else "all of the ASID",
        )

    @property
    def _has_cip_1200(self) -> bool:
        return self._own.cip_1200 and self._cpu.cip_1200

    def _fence_here(self, asm: Assembler) -> None:
        """Write local_flush_tlb_range_asid() on this CPU."""
        with asm.function("local_flush_tlb_range_asid", _TLBFLUSH_C), asm.if_ranged() as ranged:
            self._count_by_address(asm)
            asm.flush_self(
                scope=self._by_address, forced=1, text="this CPU drops the leaf entries of the addresses"
            )
            ranged.otherwise()
            asm.execute("sfence_vma", text="SFENCE.VMA x0, asid")
            asm.flush_self(forced=1, text="this CPU drops all of the ASID")

    @property
    def _svinval(self) -> bool:
        return self._own.svinval and self._cpu.svinval

    @property
    def _by_address(self) -> int:
        """What a fence by address drops: leaf entries; with the workaround of CIP-1200 it is one of everything."""
        return ops.SCOPE_BOTH if self._has_cip_1200 else ops.SCOPE_LEAF

    def _count_by_address(self, asm: Assembler, per: int = 0) -> None:
        """Count what one CPU, or with PER_TARGET each target, executes for a range."""
        if self._svinval:
            asm.execute("sfence_w_inval", 1, ops.PER_REQUEST | per, text="SFENCE.W.INVAL")
            asm.execute("sinval_vma", 1, ops.PER_STRIDE | per, text="SINVAL.VMA for each stride")
            asm.execute("sfence_inval_ir", 1, ops.PER_REQUEST | per, text="SFENCE.INVAL.IR")
        else:
            asm.execute("sfence_vma", 1, ops.PER_STRIDE | per, text="SFENCE.VMA for each stride")

    def _interrupt(self, asm: Assembler) -> None:
        """Write on_each_cpu_mask(): every CPU of the mask fences, whatever it runs; lazy ones too."""
        with asm.function("on_each_cpu_mask", "kernel/smp.c"), asm.if_ranged() as ranged:
            self._count_by_address(asm, ops.PER_TARGET)
            asm.send(ops.CALL_INVALIDATE, self._by_address, text="IPI: __ipi_flush_tlb_range_asid")
            ranged.otherwise()
            asm.execute(
                "sfence_vma", 1, ops.PER_REQUEST | ops.PER_TARGET, text="SFENCE.VMA x0, asid, for each target"
            )
            asm.send(ops.CALL_INVALIDATE, ops.SCOPE_BOTH, text="IPI: __ipi_flush_tlb_range_asid")
        with asm.if_in_mm_cpumask():
            self._fence_here(asm)
        asm.wait_for_answers()

    def _call_firmware(self, asm: Assembler, g: int, *, everything: bool) -> None:
        """Write sbi_remote_sfence_vma_asid(): the firmware fences on all harts of the mask, this one too.

        The call has no stride. OpenSBI turns a range of more bytes than its platform's limit into a fence of
        everything, else it goes by base pages.
        """
        limit = self._cpu.sbi_flush_limit >> self.geometry.page_shift
        with asm.function("sbi_remote_sfence_vma_asid", "arch/riscv/kernel/sbi.c"):
            asm.begin_flush(
                g,
                ceiling=0 if everything else limit,
                tracked=False,
                stride=ops.BASE_STRIDES,
                text="the firmware chooses: by base page, or all of the ASID",
            )
            asm.execute("ecall", text="ECALL: SBI_EXT_RFENCE, REMOTE_SFENCE_VMA_ASID")
            with asm.function("sbi_tlb_request", _OPENSBI):
                with asm.if_in_mm_cpumask(), asm.if_ranged() as ranged:
                    asm.flush_self(scope=ops.SCOPE_LEAF, forced=1, text="the firmware fences on this hart")
                    ranged.otherwise()
                    asm.flush_self(forced=1, text="the firmware fences on this hart")
                with asm.if_ranged() as ranged:
                    asm.send(ops.CALL_HYPERCALL, ops.SCOPE_LEAF, text="SBI call: fence by base page")
                    ranged.otherwise()
                    asm.send(ops.CALL_HYPERCALL, ops.SCOPE_BOTH, text="SBI call: fence all of the ASID")
                asm.wait_for_answers("all harts have fenced")
