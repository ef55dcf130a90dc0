"""How RISC-V flushes: `tlb_flush()` and `__flush_tlb_range()` as steps (arch/riscv/include/asm/tlb.h, mm/tlbflush.c).

Read in v5.10, v6.10 and v7.0; what differs between releases are switches of `RiscvKernel`. A fence, SFENCE.VMA, is
local: other CPUs execute theirs when an IPI, or the firmware below Linux, asks them to. A fence by address need not
reach non-leaf entries (RISC-V Privileged Architecture, "Supervisor Memory-Management Fence Instruction"), so that a
flush of a short range leaves the walk caches as they are.
"""

from __future__ import annotations

from typing import Literal

import attrs

from shootdown import MmRules
from shootdown.formats import Format
from shootdown.porting import (
    Assembler,
    FlushScope,
    PlainLowering,
    WalkScope,
    function,
    mm_rules,
    ops,
    scope_of,
    table_flags,
)
from shootdown_riscv._formats import SV32, SV39, SV48, SV57
from shootdown_riscv._kernel import RiscvKernel
from shootdown_riscv._platforms import RiscvPlatform, hart_ids

#: The stride of flush_tlb_page(): a huge page, of which only one base page is asked for.
_ONE_PAGE = ops.BASE_STRIDES | ops.PMD_STRIDES

_FORMATS = {32: SV32, 39: SV39, 48: SV48, 57: SV57}


def sfence_vma(va: int | None = None, asid: int | None = None) -> FlushScope:
    """Return what SFENCE.VMA must drop; SINVAL.VMA between its two fences drops the same ("Svinval").

    rs1 = x0: entries of all addresses, non-leaf ones too. rs1 != x0: entries of leaf PTEs of the address alone, so
    that walk caches, which hold non-leaf PTEs, may keep what leads there. rs2 = x0: of every address space, global
    ones too. rs2 != x0: of that ASID, without global ones. A hart may always drop more.

    Args:
        va: what rs1 holds; None for x0.
        asid: what rs2 holds; None for x0.
    """
    walk: WalkScope = "all-of-asid" if va is None else "none"
    return FlushScope(start=va, asid=asid, vm=None, global_entries=asid is None, walk_cache=walk)


_LEAVES, _ALL = scope_of(sfence_vma(va=0, asid=0)), scope_of(sfence_vma(asid=0))


@attrs.frozen
class RiscvLowering(PlainLowering):
    """Write flushes as a riscv kernel on a riscv platform does them; see `shootdown.Lowering`.

    Args:
        kernel, platform: what it is for.
        every_asid: its fences name no ASID (FLUSH_TLB_NO_ASID).
    """

    every_asid: bool = attrs.field(default=False, kw_only=True)

    source = "arch/riscv/mm/tlbflush.c"
    flush_function = "__flush_tlb_range"
    local_function = "local_flush_tlb_range_asid"
    handler = "__ipi_flush_tlb_range_asid"
    addresses_in_words = "the leaf entries of the addresses"
    everything_in_words = "all of the ASID"
    pmd_stride = ops.PMD_STRIDES

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

        A kernel that defers flushes to the next switch interrupts the CPUs that have the mm loaded, as if the others
        had left its mm_cpumask.
        """
        stays = self.uses_asids and self._own.asid_keeps_cpumask and not self.tracked
        return mm_rules(1 << self._cpu.asid_bits if self.uses_asids else 1, clear_on_switch=not stays)

    @property
    def format(self) -> Format:
        """The page-table format of the widest mode that kernel and platform both have (set_satp_mode()).

        From 17e9521044c9 on the device tree's mmu-type narrows it, but only where it says Sv39 or Sv48.
        """
        widest = min(self.kernel.va_bits, self._cpu.satp_mode)
        told = {"sv39": 39, "sv48": 48}.get(self._cpu.mmu_type, widest)
        return _FORMATS[min(widest, told) if self._own.mmu_type_limits_mode else widest]

    @property
    def folded_span(self) -> int:
        """The span of a root entry, if a kernel with more levels than the mode folds those between at run time."""
        levels = self.format.levels
        if self.kernel.va_bits == 32 or len(levels) >= self._own.page_table_levels:
            return 0
        return 1 << self.geometry.page_shift + sum(level.bits for level in levels[1:])

    @property
    def native_way(self) -> str:
        """How fences reach other CPUs: by IPI, or by an SBI call of the firmware (riscv_use_sbi_for_rfence())."""
        drivers = {"imsic": self._own.imsic_driver, "aclint-sswi": self._own.aclint_sswi_driver}
        return "ipi" if self._own.ipi_fences and drivers.get(self._cpu.native_ipis) else "hypercall"

    @property
    def numbers_below(self) -> tuple[int, ...]:
        """The hart ids, by which the firmware knows the CPUs."""
        return hart_ids(self._cpu.hart_ids)

    @property
    def reach_of_calls(self) -> int:
        """An SBI call has a mask of XLEN bits and the hart id that its first bit stands for (__sbi_rfence_v02())."""
        return 32 if self.kernel.va_bits == 32 else 64

    @property
    def tracked(self) -> bool:
        """Whether a CPU that has another mm loaded flushes when it switches; it is told before it is left out."""
        return self._own.defer_flush_to_switch and self.way == "ipi"

    def no_pmd_sharing(self) -> str | None:
        """Return why hugetlb PMD tables are not shared, or None where they are."""
        if self.kernel.va_bits == 32 and not self.kernel.pmd_sharing:
            return "32-bit riscv shares no PMD tables: ARCH_WANT_HUGE_PMD_SHARE is selected with 64BIT only"
        return PlainLowering.no_pmd_sharing(self)

    # --- what the generic code calls

    @function("tlb_flush", "arch/riscv/include/asm/tlb.h")
    def tlb_flush(self, asm: Assembler, g: int) -> None:
        """Write `tlb_flush()`: the range at its smallest stride, unless everything goes or tables were freed."""
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
        with asm.if_flags(g, ops.FULLMM | ops.NEED_FLUSH_ALL | table_flags(self.kernel)) as everything:
            self.flush_mm(asm, g)
            everything.otherwise()
            with asm.function("flush_tlb_mm_range", self.source):
                self.flush(asm, g, stride=0)

    @property
    def hugetlb_stride(self) -> int:
        """Huge pages since c962a6e74639, base pages before."""
        return ops.PMD_STRIDES if self._own.hugetlb_stride else ops.BASE_STRIDES

    def flush_collapsed_pmd(self, asm: Assembler, g: int) -> None:
        """Write the flush of `pmdp_collapse_flush()`: a non-leaf entry went, so all of the mm since f0293cd1f4fc."""
        flush = self.flush_mm if self._own.collapse_flushes_mm else self.flush_range
        flush(asm, g)

    def flush_page(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_page()`: PAGE_SIZE by the address, of a huge page too (huge_ptep_clear_flush())."""
        asm.note(ops.NOTE_FLUSH_PAGE)
        with asm.function("flush_tlb_page", self.source):
            self.flush(asm, g, stride=_ONE_PAGE)

    def flush_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_range()`."""
        asm.note(ops.NOTE_FLUSH_RANGE)
        PlainLowering.flush_range(self, asm, g)

    def flush_pmd_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_pmd_tlb_range()`."""
        asm.note(ops.NOTE_FLUSH_RANGE)
        PlainLowering.flush_pmd_range(self, asm, g)

    def flush_hugetlb_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_range()` of a hugetlb mapping."""
        asm.note(ops.NOTE_FLUSH_RANGE)
        PlainLowering.flush_hugetlb_range(self, asm, g)

    def entries_mapped(self, asm: Assembler, faults: int, *, entries: int = 1) -> None:
        """Write update_mmu_cache_range(): a fence of this hart by the address of each entry, as stores may be late.

        With Svvptc a walker sees a new valid entry in time and nothing is fenced.
        """
        if self._own.svvptc and self._cpu.svvptc:
            return
        source = "arch/riscv/include/asm/pgtable.h"
        with asm.function("update_mmu_cache_range", source), asm.because("new entries"):
            if self._own.svinval_after_faults and self._cpu.svinval:
                asm.execute("sfence_w_inval", faults, text="SFENCE.W.INVAL")
                asm.execute(
                    self._name("sinval_vma", address=True),
                    faults * entries,
                    cost="page_flush_ns",
                    text="SINVAL.VMA for each entry",
                )
                asm.execute("sfence_inval_ir", faults, text="SFENCE.INVAL.IR")
            else:
                asm.execute(
                    "sfence_vma_addr",
                    faults * entries,
                    cost="page_flush_ns",
                    text="SFENCE.VMA va for each entry, of every ASID",
                )

    @property
    def defers_unmaps(self) -> Literal["never", "remote", "always"]:
        """Reclaim puts its flushes off: arch_tlbbatch_should_defer() is true."""
        return "always" if self.kernel.batched_unmap else "never"

    @function("arch_tlbbatch_flush", source)
    def arch_tlbbatch_flush(self, asm: Assembler, g: int) -> None:
        """Write `arch_tlbbatch_flush()`: everything of every ASID, on the CPUs of mm_cpumask."""
        attrs.evolve(self, every_asid=True).flush(asm, g, everything=True, stride=0)

    # --- kernel addresses

    def no_kernel_ranges(self) -> str | None:
        """Flushes of kernel addresses go to all harts that are online, by IPI or by SBI call."""
        return None

    @function("flush_tlb_all", source)
    def flush_kernel_addresses(self, asm: Assembler) -> None:
        """Write `flush_tlb_kernel_range()` of more pages than the threshold: everything, on all online harts."""
        with asm.because("TLB flush"):
            asm.kernel_begin(0, cost="flush_ns", text="everything")
            if self.way == "ipi":
                asm.target_all_online()
                asm.execute("sfence_vma", text="SFENCE.VMA")
                with asm.if_targets() as some:
                    asm.execute("sfence_vma", 1, ops.PER_TARGET, text="SFENCE.VMA, for each target")
                    asm.send(ops.CALL_KERNEL, text="IPI: __ipi_flush_tlb_all")
                    asm.kernel_self(text="local_flush_tlb_all")
                    asm.wait_for_answers()
                    some.otherwise()
                    asm.kernel_self(text="local_flush_tlb_all")
                    asm.cancel(text="no other CPU")
                return
            asm.target_every(text="all online harts")
            asm.execute(
                "ecall", 1, ops.PER_CALL_BELOW, text="ECALL: SBI_EXT_RFENCE, for each window of hart ids"
            )
            asm.execute("m_sfence_vma", 1, ops.PER_TARGET, text="the firmware: SFENCE.VMA on each hart")
            asm.send(ops.CALL_HYPERCALL, _ALL, text="SBI call: fence everything")
            asm.wait_for_answers("all harts have fenced")

    # --- __flush_tlb_range()

    @property
    def _refused(self) -> bool:
        """Whether the firmware refuses each remote fence: a hart of the mask is offline (before ae9e9f3d67dc)."""
        stays = self._cpu.hart_went_offline and not self._own.offline_leaves_cpumask
        return self.way == "hypercall" and self._cpu.sbi_checks_harts and stays

    def flush(
        self, asm: Assembler, g: int, *, everything: bool = False, stride: int = ops.BASE_STRIDES
    ) -> None:
        """Write a flush; where the firmware refuses it the kernel does not look at what the call returns."""
        if not self._refused:
            PlainLowering.flush(self, asm, g, everything=everything, stride=stride)
            return
        with asm.because("TLB flush"):
            self.call_below(asm, g, everything=everything, stride=stride)

    def _name(self, instruction: str, *, address: bool) -> str:
        """Name a fence by what it is told: `_addr` where rs1 is not x0, `_asid` where rs2 is not."""
        return (
            instruction
            + ("_addr" if address else "")
            + ("_asid" if self.uses_asids and not self.every_asid else "")
        )

    def begin(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        """Choose as local_flush_tlb_range_asid() does: by address up to the threshold, else all of the ASID.

        A range of at most one stride is one fence of its first address, an empty one too: `size <= stride`, as in
        __sbi_tlb_flush_range() of 5.10. The firmware, which goes by base page, fences nothing then (`call_below`).
        """
        ceiling = self._own.tlb_flush_all_threshold
        if everything or (self.page_scope == _ALL and self._own.cip_1200_no_loops):
            ceiling = 0
        asm.begin_flush(
            g,
            ceiling=ceiling,
            rounded=True,
            tracked=self.tracked,
            stride=stride,
            everything=everything,
            empty_too=True,
            text="by address, or all of the ASID" if ceiling else "all of the ASID",
        )

    @property
    def page_scope(self) -> int:
        """What a fence by address drops: leaf entries; with the workaround of CIP-1200 it is one of everything."""
        return _ALL if self._own.cip_1200 and self._cpu.cip_1200 else _LEAVES

    def count_pages(self, asm: Assembler, per: int = ops.PER_REQUEST) -> None:
        """Count what one CPU, or with PER_TARGET each target, executes for a range.

        local_flush_tlb_range_asid() gives a range of one stride to an SFENCE.VMA, with Svinval too.
        """
        fence = self._name("sfence_vma", address=self.page_scope == _LEAVES)
        if self._own.svinval and self._cpu.svinval:
            many = per | ops.MORE_STRIDES
            asm.execute(fence, 1, per | ops.ONE_STRIDE, text="SFENCE.VMA va, asid for a single stride")
            asm.execute("sfence_w_inval", 1, many, text="SFENCE.W.INVAL")
            asm.execute(
                self._name("sinval_vma", address=True),
                1,
                ops.PER_STRIDE | many,
                text="SINVAL.VMA for each of several strides",
            )
            asm.execute("sfence_inval_ir", 1, many, text="SFENCE.INVAL.IR")
        else:
            asm.execute(fence, 1, ops.PER_STRIDE | per, text="SFENCE.VMA for each stride")

    def count_all(self, asm: Assembler, per: int = ops.PER_REQUEST) -> None:
        """Count the fence of everything."""
        name = self._name("sfence_vma", address=False)
        asm.execute(name, 1, per, text="SFENCE.VMA x0, asid" + (", for each target" if per else ""))

    def call_below(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        """Write sbi_remote_sfence_vma_asid(): the firmware fences on all harts of the mask, this one too.

        The call has no stride. OpenSBI turns a range of more bytes than its platform's limit into a fence of
        everything, else it goes by base pages. There is one call for each window of hart ids
        (`reach_of_calls`), one after another.
        """
        with asm.function("sbi_remote_sfence_vma_asid", "arch/riscv/kernel/sbi.c"):
            asm.begin_flush(
                g,
                ceiling=0 if everything else self._cpu.sbi_flush_limit >> self.geometry.page_shift,
                tracked=False,
                stride=stride if stride == _ONE_PAGE else ops.BASE_STRIDES,
                everything=everything,
                text="the firmware chooses: by base page, or all of the ASID",
            )
            asm.execute(
                "ecall",
                1,
                ops.PER_CALL_BELOW,
                text="ECALL: SBI_EXT_RFENCE, REMOTE_SFENCE_VMA_ASID, for each window of hart ids",
            )
            if self._refused:
                asm.cancel(text="SBI_ERR_INVALID_PARAM, as a hart of the mask is offline: nothing is fenced")
                return
            with asm.function("sbi_tlb_request", "lib/sbi/sbi_tlb.c (OpenSBI)"):
                with asm.if_in_mm_cpumask(), asm.if_ranged() as ranged:
                    self._firmware_fences(asm, ops.PER_REQUEST, address=True)
                    asm.invalidate_this_cpu(_LEAVES, text="the firmware fences on this hart")
                    ranged.otherwise()
                    self._firmware_fences(asm, ops.PER_REQUEST, address=False)
                    asm.invalidate_this_cpu(_ALL, text="the firmware fences on this hart")
                with asm.if_ranged() as ranged:
                    self._firmware_fences(asm, ops.PER_TARGET, address=True)
                    asm.send(ops.CALL_HYPERCALL, _LEAVES, text="SBI call: fence by base page")
                    ranged.otherwise()
                    self._firmware_fences(asm, ops.PER_TARGET, address=False)
                    asm.send(ops.CALL_HYPERCALL, _ALL, text="SBI call: fence all of the ASID")
                asm.wait_for_answers("all harts have fenced")

    def _firmware_fences(self, asm: Assembler, per: int, *, address: bool) -> None:
        """Count the fences that M-mode executes on a hart: `m_` in front of their names."""
        name = self._name("m_sfence_vma", address=address)
        each = ops.PER_STRIDE | per if address else per
        asm.execute(
            name, 1, each, text="the firmware: SFENCE.VMA" + (" for each base page" if address else "")
        )
