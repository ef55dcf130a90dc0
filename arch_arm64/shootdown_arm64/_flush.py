"""How arm64 flushes: `tlb_flush()` and `__flush_tlb_range()` as steps (arch/arm64/include/asm/tlb.h, tlbflush.h).

Read in v5.10, v7.0, v7.2 and v7.3; what differs between releases are switches of `Arm64Kernel`. A flush is DSB
ISHST, TLBIs that the hardware broadcasts to all CPUs, and DSB ISH, which waits for them. mm_cpumask is not used, no
CPU is left out, no interrupt is sent, but for erratum 4193714.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Literal

import attrs

from shootdown import Geometry, Kernel, Lowering, MmRules, Platform
from shootdown.porting import (
    NO_LIMIT,
    Assembler,
    EntryFunction,
    function,
    geometry_of,
    mm_rules,
    scope_of,
    table_flags,
)
from shootdown.porting import ops as o
from shootdown_arm64._contpte import BLOCK_PAGES, conversions
from shootdown_arm64._formats import FORMATS
from shootdown_arm64._kernel import Arm64Kernel, why_no_sharing
from shootdown_arm64._platforms import Arm64Platform
from shootdown_arm64._tlb_rules import aside1, vae1, vale1

_TLB_H = "arch/arm64/include/asm/tlb.h"
_TLBFLUSH_H = "arch/arm64/include/asm/tlbflush.h"
_CONTPTE_C = "arch/arm64/mm/contpte.c"

#: The request that flushes between two steps of a call may use.
_SCRATCH = 2

#: Pages that one range operation can name: 32 * 2^(5 * 3 + 1), `__TLBI_RANGE_PAGES(31, 3)`.
MAX_TLBI_RANGE_PAGES = 1 << 21
#: Scopes of the three instructions: leaf entries of a range, all entries of a range, an ASID.
_LEAVES, _EVERY_LEVEL, _ASID = scope_of(vale1(0, 0)), scope_of(vae1(0, 0)), scope_of(aside1(0))

#: By page size and address bits.
_GEOMETRY = {(1 << each.page_shift, each.va_bits): geometry_of(each) for each in FORMATS}


@attrs.frozen
class Arm64Lowering(Lowering):
    """Write flushes as an arm64 kernel on an arm64 platform does them; see `shootdown.Lowering`."""

    kernel: Kernel
    platform: Platform

    @property
    def _own(self) -> Arm64Kernel:
        own: Arm64Kernel = self.kernel.arch
        return own

    @property
    def _cpu(self) -> Arm64Platform:
        cpu: Arm64Platform = self.platform.arch
        return cpu

    @property
    def mm(self) -> MmRules:
        """How context switches treat address spaces: ASIDs outlive them, and an idle CPU keeps TTBR0.

        With KPTI each mm takes a pair of ASIDs, so that there are half as many (arch/arm64/mm/context.c).
        """
        asids = (1 << self._cpu.asid_bits) >> int(self._own.kpti)
        return mm_rules(asids)

    @property
    def geometry(self) -> Geometry:
        """The levels of the page tables."""
        return _GEOMETRY[self.kernel.page_size, self.kernel.va_bits]

    @property
    def needs_table_invalidate(self) -> bool:
        """Whether tables must be flushed before they are freed: hardware walks them (tlb_needs_table_invalidate())."""
        return True

    @property
    def way(self) -> str:
        """How flushes reach other CPUs: `broadcast`, or `ipi` in a what-if."""
        return "ipi" if self.platform.flush == "ipi" else "broadcast"

    @property
    def sync_redundant_natively(self) -> bool:
        """Whether `proposal:skip-redundant-sync` skips the sync: only where a flush interrupts."""
        return self.way == "ipi"

    @property
    def global_asid_from_start(self) -> bool:
        """Whether each mm starts with a global ASID: a notion of INVLPGB; arm64's ASIDs are machine-wide anyway."""
        return False

    def no_pmd_sharing(self) -> str | None:
        """Return why hugetlb PMD tables are not shared, or None where they are."""
        if self.kernel.pmd_sharing:
            return None
        return why_no_sharing(self.kernel) or "this kernel shares no hugetlb PMD tables"

    def no_hardware_dirty(self) -> str | None:
        """Return why DBM entries are made dirty by faults: no FEAT_HAFDBS, whose walkers clear AP[2] themselves."""
        return None if self._cpu.hafdbs else "this CPU has no FEAT_HAFDBS: faults set dirty bits"

    def no_break_before_make(self) -> str | None:
        """Break-before-make is required: TLB entries that conflict may abort, or be amalgamated (50e1881ddde2).

        FEAT_BBM level 2 lifts that. Linux changes block sizes of its own mappings so (v6.18, UNVERIFIED), and folds and
        unfolds contiguous blocks of user mappings on cores that it lists (83bbd6be7d17, v6.17).
        """
        return None

    def no_contiguous_entries(self) -> str | None:
        """A block with the Contiguous bit may be one TLB entry (DDI 0487A.k, D4-1762, as in d8bdcff28764)."""
        return None

    # --- what the generic code calls

    @function("tlb_flush", _TLB_H)
    def tlb_flush(self, asm: Assembler, g: int) -> None:
        """Write `tlb_flush()`: leaf entries only unless tables were freed; in exit nothing unless they were.

        An exiting mm's ASID is not given away before the whole TLB is flushed, so that its leaf entries may stay.
        """
        walk = table_flags(self.kernel)
        exits = walk & ~o.UNSHARED_TABLES if self._own.exit_ignores_unshared_tables else walk
        with asm.if_flags(g, o.FULLMM) as whole:
            with asm.if_flags(g, exits):
                self.flush_mm(asm, g)
            whole.otherwise()
            with asm.if_flags(g, walk) as tables:
                self._flush_range(asm, g, leaf_only=False)
                tables.otherwise()
                self._flush_range(asm, g, leaf_only=True)

    def flush_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_range()`: strides of base pages, walk-cache entries too."""
        self._flush_range(asm, g, leaf_only=False)

    def flush_pmd_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_pmd_tlb_range()`: a stride of a huge page, walk-cache entries too."""
        asm.copy_range(g, cleared=o.CLEARED_PMDS, text="one stride of a huge page")
        self._flush_range(asm, _SCRATCH, leaf_only=False)

    def flush_hugetlb_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_hugetlb_tlb_range()`: strides of huge pages, walk-cache entries too."""
        self._flush_range(asm, g, leaf_only=False)

    def flush_mm(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_mm()`: everything of the ASID."""
        with asm.because("TLB flush"):
            self._flush_tlb_mm(asm, g)

    @function("flush_tlb_mm", _TLBFLUSH_H)
    def _flush_tlb_mm(self, asm: Assembler, g: int, begun: bool = False) -> None:
        """Write `flush_tlb_mm()`; `begun`: a range was too long, whose flush has begun."""
        if not begun:
            asm.begin_flush(g, ceiling=0, text="everything of the ASID")
        self._execute(asm, "tlbi_aside1is")
        self._finish(asm, _ASID)

    @function("flush_tlb_page", _TLBFLUSH_H)
    def flush_page(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_page()`: one leaf entry."""
        with asm.because("TLB flush"):
            asm.begin_flush(g, ceiling=NO_LIMIT, text="one page")
            self._execute(asm, "tlbi_vale1is")
            self._finish(asm, _LEAVES)

    def entries_changed(
        self, asm: Assembler, count: int, *, huge: bool, by: EntryFunction, first: int = 0
    ) -> None:
        """Write what a fault does that makes entries writable or dirty: their old copies go, one by one."""
        if by == "ptep_set_access_flags":
            with asm.loop(count) if count > 1 else nullcontext():
                self._set_access_flags(asm, first)

    @function("ptep_set_access_flags", "arch/arm64/mm/fault.c")
    def _set_access_flags(self, asm: Assembler, page: int) -> None:
        """Write the flush of one page (5.10, 20200930131859.16989-1-will@kernel.org); here alone since cb1fa2e99955."""
        asm.request(_SCRATCH, cleared=o.CLEARED_PTES, lo=page, hi=page + 1, text="the entry allows more now")
        if self._own.reuse_fault_flushes_locally:
            self._local_flush_tlb_page(asm)
        else:
            self.flush_page(asm, _SCRATCH)

    @function("local_flush_tlb_page", _TLBFLUSH_H)
    def _local_flush_tlb_page(self, asm: Assembler) -> None:
        """Write TLBI VALE1, which no other CPU hears of: one that keeps the old entry takes a fault, and flushes it."""
        with asm.because("TLB flush"):
            asm.begin_flush(_SCRATCH, ceiling=NO_LIMIT, text="DSB NSHST; one page")
            asm.execute("tlbi_vale1", 2 if self._own.kpti else 1, text="TLBI VALE1")
            asm.flush_here(_LEAVES, text="TLBI VALE1 reaches this CPU")
            asm.cancel(text="DSB NSH")

    # --- reclaim

    @property
    def defers_unmaps(self) -> Literal["never", "remote", "always"]:
        """Reclaim waits once for the TLBIs of many pages, but where each TLBI has a DSB of its own for an erratum."""
        return "always" if self.kernel.batched_unmap and self._repeats != "each" else "never"

    @function("arch_tlbbatch_add_pending", _TLBFLUSH_H)
    def arch_tlbbatch_add_pending(self, asm: Assembler, g: int, pages: int) -> None:
        """Write `__flush_tlb_page_nosync()` of each page: TLBI VALE1IS, which nobody waits for yet."""
        with asm.because("TLB flush"), asm.loop(pages, o.SCRATCH2) if pages > 1 else nullcontext():
            asm.begin_flush(g, ceiling=NO_LIMIT, text="DSB ISHST; one page")
            if self.way != "ipi":
                self._execute(asm, "tlbi_vale1is")
                asm.broadcast(_LEAVES, text="TLBI reaches every CPU, sooner or later")

    @function("arch_tlbbatch_flush", _TLBFLUSH_H)
    def arch_tlbbatch_flush(self, asm: Assembler, g: int) -> None:
        """Write DSB ISH, which waits for the TLBIs of this CPU."""
        with asm.because("TLB flush"):
            if self.way == "ipi":
                self._interrupt(asm, _LEAVES)
            else:
                self._complete(asm)
                self._sme_do_dvmsync(asm)

    def arch_flush_tlb_batched_pending(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_mm()`; before 4b634918384c DSB ISH, which does not wait for another CPU's TLBIs."""
        if self._own.batched_pending_flushes_mm:
            self.flush_mm(asm, g)
            return
        with asm.function("arch_flush_tlb_batched_pending", _TLBFLUSH_H):
            asm.note(
                o.NOTE_COMPLETION, text="DSB ISH: waits for the TLBIs of this CPU, which has none under way"
            )

    def folio_entries_changed(self, asm: Assembler, count: int, *, first: int, clears: bool) -> None:
        """Write contpte_convert() of each block that is (un)folded: clear its entries, flush, write them again."""
        if not self._own.contpte or self._converts_in_place:
            return
        block = BLOCK_PAGES[self.kernel.page_size]
        for _ in conversions(first, count, block, batched=clears or self._own.mprotect_batches):
            self._contpte_convert(asm, block)

    @function("contpte_convert", _CONTPTE_C)
    def _contpte_convert(self, asm: Assembler, block: int) -> None:
        with asm.because("contiguous block"):
            asm.request(_SCRATCH, cleared=o.CLEARED_PTES, hi=block, text="all entries of the block")
            self._flush_range(asm, _SCRATCH, leaf_only=True)

    @property
    def _converts_in_place(self) -> bool:
        """Whether kernel and CPU need no flush between the old entries of a block and the new ones."""
        levels = ("never", "bbml2", "bbml3")
        return 0 < levels.index(self._cpu.bbm) <= levels.index(self._own.contpte_elision)

    # --- __flush_tlb_range()

    @function("__flush_tlb_range", _TLBFLUSH_H)
    def _flush_range(self, asm: Assembler, g: int, *, leaf_only: bool) -> None:
        """Flush the range of request `g`, rounded to its stride; the ASID if it is too long.

        An empty range, which `range_truncation_16k` makes, executes the barriers and no TLBI.
        """
        with asm.because("TLB flush"), asm.if_not_empty(g) as some:
            asm.begin_flush(
                g,
                ceiling=self._most_strides,
                pages=self._most_pages,
                rounded=True,
                in_pages=self._cpu.tlbirange,
                text="DSB ISHST; range or ASID",
            )
            with asm.if_ranged() as ranged:
                self._by_address(asm, leaf_only=leaf_only)
                ranged.otherwise()
                self._flush_tlb_mm(asm, g, begun=True)
            some.otherwise()
            asm.complete("DSB ISH: the range is empty, nothing was invalidated")

    @property
    def _most_strides(self) -> int:
        """Strides that a flush without range operations may have: one less than MAX_DVM_OPS."""
        if self._cpu.tlbirange:
            return NO_LIMIT
        return (self._own.max_dvm_ops or self.kernel.page_size // 8) - 1

    @property
    def _most_pages(self) -> int:
        """Base pages that a flush may have; 0 where strides alone decide."""
        if self._cpu.tlbirange or self._own.range_limit_without_tlbirange:
            return MAX_TLBI_RANGE_PAGES - int(self._own.range_limit_includes_max)
        return 0

    def _by_address(self, asm: Assembler, *, leaf_only: bool) -> None:
        """Invalidate by address: TLBI VALE1IS or VAE1IS for each stride, or range operations.

        One range operation names (num + 1) * 2^(5 * scale + 1) pages: one for each 5-bit digit of half the pages that
        is not zero, and a last odd page by itself (tests/twins/arm64_ranges.py has it operation by operation). A
        range is taken to begin at a multiple of 64 KiB: with LPA2 the pages before one go one by one.
        """
        last = "l" if leaf_only else ""
        if self._cpu.tlbirange:
            self._execute(asm, f"tlbi_rva{last}e1is", o.PER_RANGE_DIGIT)
            self._execute(asm, f"tlbi_va{last}e1is", o.PER_ODD_STRIDE)
        else:
            self._execute(asm, f"tlbi_va{last}e1is", o.PER_STRIDE)
        self._finish(asm, _LEAVES if leaf_only else _EVERY_LEVEL)

    def no_kernel_ranges(self) -> str | None:
        """Return why flushes of kernel addresses can't be counted: only in the what-if of a flush by IPIs."""
        return None if self.way != "ipi" else "the what-if of flushes by IPIs is of user addresses alone"

    @function("flush_tlb_kernel_range", _TLBFLUSH_H)
    def flush_kernel_addresses(self, asm: Assembler) -> None:
        """Write `flush_tlb_kernel_range()` of more pages than MAX_DVM_OPS: flush_tlb_all(), one TLBI VMALLE1IS."""
        with asm.because("TLB flush"):
            asm.kernel_begin(0, cost="flush_ns", text="more pages than MAX_DVM_OPS: everything")
            asm.execute(
                "tlbi_vmalle1is",
                2 if self._repeats == "each" else 1,
                broadcasts=True,
                cost="broadcast_ns",
                text="TLBI VMALLE1IS",
            )
            asm.broadcast(o.SCOPE_BOTH, text="TLBI reaches every CPU")
            self._complete(asm)

    @function("__tlbi", _TLBFLUSH_H, named=False)
    def _execute(self, asm: Assembler, name: str, per: int = o.PER_REQUEST) -> None:
        """Broadcast a TLBI by ASID: for both ASIDs of a pair, and twice where an erratum asks for it.

        In the what-if of a flush by IPIs nothing is broadcast: the targets invalidate for themselves.
        """
        if self.way == "ipi":
            return
        times = (2 if self._own.kpti else 1) * (2 if self._repeats == "each" else 1)
        asm.execute(
            name, times, per, broadcasts=True, cost="broadcast_ns", text=name.replace("_", " ").upper()
        )

    @property
    def _repeats(self) -> str:
        """How the workaround of this CPU's erratum repeats TLBIs: `each`, `once` or `never`."""
        erratum = self._cpu.tlbi_erratum
        known = erratum == "1286807" or (erratum == "4118414" and self._own.erratum_4118414)
        return self._own.repeat_tlbi if known else "never"

    @function("__tlbi_sync_s1ish", _TLBFLUSH_H, named=False)
    def _finish(self, asm: Assembler, scope: int) -> None:
        """Wait for the TLBIs: DSB ISH; with an erratum one more VALE1IS of nothing and one more DSB."""
        if self.way == "ipi":
            self._interrupt(asm, scope)
            return
        asm.broadcast(scope, text="TLBI reaches every CPU")
        self._complete(asm)
        self._sme_do_dvmsync(asm)

    def _sme_do_dvmsync(self, asm: Assembler) -> None:
        """Interrupt the CPUs whose SME unit may still access what was invalidated; taking that completes it.

        The kernel keeps those in mm_cpumask that run the mm in user mode with SME (0baba94a9779). Here all that run a
        thread of it do.
        """
        if not (self._own.erratum_4193714 and self._cpu.sme_erratum):
            return
        with asm.function("sme_do_dvmsync", "arch/arm64/kernel/fpsimd.c"):
            asm.target_mm_cpumask()
            asm.target_current(text="those that run the mm in user mode with SME")
            with asm.if_targets() as some:
                asm.send(o.CALL_INVALIDATE, 0, text="IPI: sme_dvmsync_ipi, which does nothing")
                asm.wait_for_answers(preemptible=self.kernel.ipi_waits_preemptible)
                some.otherwise()
                asm.cancel(text="no other CPU")

    def _complete(self, asm: Assembler) -> None:
        asm.complete("DSB ISH")
        if self._repeats == "once":
            with asm.function("__tlbi_sync_s1ish"):  # only what the erratum adds is told under this name
                asm.execute(
                    "tlbi_vale1is",
                    broadcasts=True,
                    cost="broadcast_ns",
                    text="TLBI VALE1IS of nothing: erratum",
                )
                asm.broadcast(0, text="nothing to drop")
                asm.complete("DSB ISH again: erratum")

    def _interrupt(self, asm: Assembler, scope: int) -> None:
        """Write the what-if of a flush by IPIs: each CPU that has the mm loaded invalidates for itself."""
        asm.target_mm_cpumask()
        with asm.if_targets() as branch:
            asm.send_flush_ipis(scope)
            with asm.if_loaded_here():
                asm.flush_this_cpu(scope)
            asm.wait_for_answers()
            branch.otherwise()
            with asm.if_loaded_here():
                asm.flush_this_cpu(scope)
            asm.cancel(text="no other CPU")
