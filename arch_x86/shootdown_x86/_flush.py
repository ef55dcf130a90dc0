"""How x86 flushes: `tlb_flush()` and `flush_tlb_mm_range()` as steps (arch/x86/mm/tlb.c).

Read in v5.10 to v7.0; what differs between releases are switches of `X86Kernel`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import attrs

from shootdown import Geometry, Kernel, Lowering, MmRules, Platform
from shootdown.porting import Assembler, Place, function, geometry_of, scope_of, table_flags
from shootdown.porting import ops as o
from shootdown_x86._formats import X86_64_4LEVEL, X86_64_5LEVEL, X86_PAE
from shootdown_x86._kernel import X86Kernel
from shootdown_x86._platforms import FLUSH_WAYS, X86Platform
from shootdown_x86._tlb_rules import invlpg, invlpgb

_TLB_C = "arch/x86/mm/tlb.c"
_TLB_H = "arch/x86/include/asm/tlb.h"
_TLBFLUSH_H = "arch/x86/include/asm/tlbflush.h"

#: An mm gets a global ASID when it runs on more than three CPUs (consider_global_asid(), v6.15).
GLOBAL_ASID_CPUS = 4

#: CPUs that one write can interrupt: an x2APIC cluster, xAPICs in logical flat mode (Intel SDM vol. 3A, 12.6.2).
X2APIC_CLUSTER, XAPIC_FLAT = 16, 8

#: By address bits. With PAE the PUD level is folded into the four page-directory pointers.
_GEOMETRY = {
    32: geometry_of(X86_PAE),
    48: geometry_of(X86_64_4LEVEL),
    57: geometry_of(X86_64_5LEVEL),
}


@attrs.frozen
class X86Lowering(Lowering):
    """Write flushes as an x86 kernel on an x86 platform does them; see `shootdown.Lowering`."""

    kernel: Kernel
    platform: Platform

    @property
    def _own(self) -> X86Kernel:
        own: X86Kernel = self.kernel.arch
        return own

    @property
    def _cpu(self) -> X86Platform:
        cpu: X86Platform = self.platform.arch
        return cpu

    @property
    def mm(self) -> MmRules:
        """How context switches treat address spaces: PCID slots, lazy TLB, who stays in mm_cpumask."""
        return MmRules(
            clear_on_switch=not self._own.lazy_mm_cpumask,
            lazy_tlb=True,
            asids=self._own.tlb_nr_dyn_asids if self._cpu.pcid else 1,
            tagged=self._cpu.pcid,
        )

    @property
    def geometry(self) -> Geometry:
        """The levels of the page tables."""
        return _GEOMETRY[self.kernel.va_bits]

    @property
    def needs_table_invalidate(self) -> bool:
        """Whether tables must be flushed before they are freed: hardware walks them (tlb_needs_table_invalidate())."""
        return True

    @property
    def frees_tables_as_pages(self) -> bool:
        """Whether tables are freed as pages: on bare metal before 6.15 without PT_RECLAIM (see paravirt.c)."""
        guest = self._own.paravirt and self.platform.hypervisor != "none"
        return self._own.native_tables_as_pages and not self.kernel.pt_reclaim and not guest

    @property
    def _pae(self) -> bool:
        """Whether this is a 32-bit kernel; those modelled are built with PAE."""
        return self.kernel.va_bits == 32

    @property
    def frees_pmd_tables_with_all(self) -> bool:
        """Whether ___pmd_free_tlb() sets need_flush_all: with PAE, whose four PDPTEs are loaded with CR3."""
        return self._pae

    @property
    def new_mm_flushes(self) -> int:
        """pud_populate() ends in flush_tlb_mm(), for each PMD table that pgd_alloc() makes (arch/x86/mm/pgtable.c).

        They are 3 or 4 (PREALLOCATED_PMDS), and with page-table isolation one for user mode (PREALLOCATED_USER_PMDS).
        """
        if not self._pae:
            return 0
        pti = self._own.pti
        return (3 if self._own.kernel_pmd_shared and not pti else 4) + int(pti)

    @property
    def spans_one_table(self) -> bool:
        """Whether user space has so few PMD tables (three or four) that each maps more than one huge page."""
        return self._pae

    @property
    def way(self) -> str:
        """How flushes reach other CPUs: `ipi`, `invlpgb`, `kvm` or `hypercall`."""
        if self.platform.flush != "auto":
            return self.platform.flush
        if self._own.paravirt and self.platform.hypervisor == "kvm":
            return "kvm"
        if self._own.paravirt and self.platform.hypervisor in ("xen", "hyper-v"):
            return "hypercall"
        if self._cpu.invlpgb and self._own.invlpgb and (self._own.invlpgb_with_pti or not self._own.pti):
            return "invlpgb"
        return "ipi"

    @property
    def sync_redundant_natively(self) -> bool:
        """Whether `proposal:skip-redundant-sync` skips the sync: native IPIs and no INVLPGB."""
        return self.way == "ipi"

    @property
    def global_asid_from_start(self) -> bool:
        """Whether every mm has a global ASID from the start: with a forced broadcast flush."""
        return any(way.global_asid for way in FLUSH_WAYS if way.name == self.platform.flush)

    def writes_of_ipis(self, cpus: int) -> tuple[int, int]:
        """One MSR for each cluster of 16 x2APICs, or CPU; without x2APIC two words for each CPU, or for up to eight.

        arch/x86/kernel/apic/x2apic_cluster.c: __x2apic_send_IPI_mask(); apic_flat_64.c: flat_send_IPI_mask() in logical
        flat mode, which can name eight CPUs; default_send_IPI_mask_sequence_phys() with more.
        """
        if self._cpu.x2apic:
            return 1 if self._cpu.x2apic_phys else X2APIC_CLUSTER, 1
        return (XAPIC_FLAT, 2) if cpus <= XAPIC_FLAT else (1, 2)

    def controller_ids(self, places: Sequence[Place]) -> tuple[int, ...]:
        """APIC ids: bits of the thread, of the core, of the socket (Intel SDM vol. 3A, 9.9.1)."""
        threads = max(place.thread for place in places).bit_length()
        cores = max(place.core for place in places).bit_length()
        return tuple((place.socket << cores | place.core) << threads | place.thread for place in places)

    @property
    def interrupts_all_at_once(self) -> bool:
        """arch/x86/kernel/apic/ipi.c: native_send_call_func_ipi(), if all present CPUs were booted once (since 5.4)."""
        return self._cpu.ipi_shorthand

    @property
    def ipi_scan_misses(self) -> bool:
        """Before cc95a07fef06, where IPIs go by x2APIC clusters."""
        return self._own.ipi_scan_misses and self._cpu.x2apic and not self._cpu.x2apic_phys

    @property
    def global_asid_rule(self) -> str:
        """The condition of consider_global_asid(), where flushes are by IPI until it is met."""
        if self.way != "invlpgb" or self.global_asid_from_start:
            return ""
        return (
            f"a flush gives an mm one if it runs on {GLOBAL_ASID_CPUS} CPUs or more, and looks in one jiffy of 32 only "
            "(consider_global_asid())"
        )

    @property
    def global_asid_instruction(self) -> str | None:
        """INVLPGB, where the CPU has it and the kernel uses it."""
        return "INVLPGB" if self._cpu.invlpgb and self._own.invlpgb else None

    @property
    def other_flushes(self) -> Mapping[str, tuple[str, ...]]:
        """Where INVLPGB is in use, an mm that runs on enough CPUs has a global ASID and is flushed by it."""
        if self.way != "invlpgb" or self.platform.flush != "auto":
            return {}
        return {"walker of an mm with a global ASID": ("platform.flush=invlpgb",)}

    def no_thp(self) -> str | None:
        """Return why there are no transparent huge pages, or None where there are: they need PSE."""
        if self.way == "hypercall" and self.platform.hypervisor == "xen":
            return "Xen PV guests have no huge pages (no PSE)"
        return None

    def no_pmd_sharing(self) -> str | None:
        """Return why hugetlb PMD tables are not shared, or None where they are."""
        if not self.kernel.pmd_sharing and self._pae and self._own.pmd_sharing_on_32bit:
            return (
                "PAE preallocates all PMD tables of user space, so that hugetlb shares none before a munmap() has "
                "freed a whole 1 GiB; for processes that all did so: kernel.pmd_sharing=true"
            )
        if not self.kernel.pmd_sharing:
            return "this kernel shares no hugetlb PMD tables"
        if self.way == "hypercall" and self.platform.hypervisor == "xen":
            return "Xen PV guests have no huge pages (no PSE), so hugetlb and PMD sharing do not exist there"
        return None

    def no_hardware_dirty(self) -> str | None:
        """Walkers set the dirty bit by a locked cycle before the first write (Intel SDM vol. 3A, 5.8)."""
        return None

    def no_break_before_make(self) -> str | None:
        """Return why entries may change size in place: a TLB then holds both, and may use either until it is flushed.

        Linux breaks huge entries before it makes small ones all the same, for AMD's erratum 383 (family 10h), whose
        processors are not modelled (__split_huge_pmd_locked(), mm/huge_memory.c).
        """
        return "a TLB may hold translations of both sizes and use either (Intel SDM vol. 3A, 5.10.2.3)"

    def no_contiguous_entries(self) -> str | None:
        """Return why no TLB entry covers several page-table entries: there is no contiguous bit."""
        return "x86 entries have no contiguous bit"

    # --- what the generic code calls

    @function("tlb_flush", _TLB_H)
    def tlb_flush(self, asm: Assembler, g: int) -> None:
        """Write `tlb_flush()`: the gather's range at its smallest stride, with its freed_tables."""
        self._flush_mm_range(asm, g)

    def flush_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_range()`: passes freed_tables since 3ef938c35035."""
        self._with_freed_tables(asm, g, self._own.flush_range_frees_tables)

    def flush_pmd_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_pmd_tlb_range()`, which is `flush_tlb_range()` here."""
        self.flush_range(asm, g)

    def flush_hugetlb_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_hugetlb_tlb_range()`, which is `flush_tlb_range()` here."""
        self._with_freed_tables(asm, g, self._own.flush_range_frees_tables)

    def flush_mm(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_mm()`: everything, with freed_tables."""
        self._with_freed_tables(asm, g, True)

    def flush_page(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_page()`: one page, without freed_tables."""
        self._with_freed_tables(asm, g, False)

    # --- kernel addresses

    def no_kernel_ranges(self) -> str | None:
        """Flushes of kernel addresses are those of bare metal, under every hypervisor."""
        return None

    @property
    def _broadcasts_kernel(self) -> bool:
        """Whether kernel addresses are flushed by INVLPGB: no hypervisor's own way takes its place."""
        if self.platform.flush != "auto":
            return self.way in ("invlpgb", "broadcast")
        return self._cpu.invlpgb and self._own.invlpgb and (self._own.invlpgb_with_pti or not self._own.pti)

    @function("flush_tlb_kernel_range", _TLB_C)
    def flush_kernel_addresses(self, asm: Assembler) -> None:
        """Write `flush_tlb_kernel_range()` of more pages than the ceiling: do_flush_tlb_all() on all online CPUs.

        Where the kernel uses INVLPGB, one invalidates everything (invlpgb_flush_all(), since 6.15).
        """
        with asm.because("TLB flush"):
            asm.kernel_begin(0, cost="flush_ns", text="more pages than the ceiling: everything")
            if self._broadcasts_kernel:
                asm.target_every(text="all CPUs, this one too")
                asm.send(o.CALL_BROADCAST, text="INVLPGB of everything, global entries too")
                asm.complete("TLBSYNC")
                return
            asm.target_all_online()
            with asm.if_targets() as some:
                asm.send(o.CALL_KERNEL, text="IPI: do_flush_tlb_all")
                asm.kernel_self(text="do_flush_tlb_all on this CPU")
                asm.wait_for_answers()
                some.otherwise()
                asm.kernel_self(text="do_flush_tlb_all on this CPU")
                asm.cancel(text="no other CPU")

    # --- reclaim

    @property
    def defers_unmaps(self) -> Literal["never", "remote", "always"]:
        """Reclaim puts a flush off if another CPU is in mm_cpumask (arch_tlbbatch_should_defer())."""
        return "remote" if self.kernel.batched_unmap else "never"

    @function("arch_tlbbatch_add_pending", _TLBFLUSH_H)
    def arch_tlbbatch_add_pending(self, asm: Assembler, g: int, pages: int) -> None:
        """Write a new tlb_gen; the batch's flush reaches the CPUs of mm_cpumask, and is of everything.

        Who has left mm_cpumask until then is behind in tlb_gen, and flushes when it comes back.
        """
        asm.note(o.NOTE_FLUSH_RANGE)  # a request that is no flush_tlb_mm_range(): rows count those
        asm.begin_flush(
            g, ceiling=0, everything=True, text="new tlb_gen; the flush waits for that of the batch"
        )

    @function("arch_tlbbatch_flush", _TLB_C)
    def arch_tlbbatch_flush(self, asm: Assembler, g: int) -> None:
        """Write INVLPGB of every PCID but global entries, where there is INVLPGB, else the flush of a whole mm."""
        with asm.because("TLB flush"):
            if self.way not in ("invlpgb", "broadcast"):
                self._interrupt_for_batch(asm, g)
                return
            asm.target_every(text="all CPUs, this one too")
            asm.send(o.CALL_BROADCAST, text="INVLPGB of all that is not global")
            for _ in range(2 if self._own.tlbsync_twice and self._cpu.tlbi_erratum else 1):
                asm.complete("TLBSYNC")

    def _interrupt_for_batch(self, asm: Assembler, g: int) -> None:
        """Interrupt the CPUs of mm_cpumask that are not lazy, whatever they have loaded: the flush names no mm.

        should_flush_tlb() is true for a flush without an mm (6db2526c1d69).
        """
        asm.target_mm_cpumask()
        done = self._own.flush_without_gen_is_done
        with asm.if_targets() as branch:
            if self.way == "hypercall":
                self._hypercall(asm, g)
            else:
                if self.way == "kvm":
                    self._kvm_flush_multi(asm)
                asm.drop_lazy_targets()
                if done:
                    asm.send_flush_ipis(self._page_scope)
                    self._flush_here(asm, own_handler=self._own.initiator_in_flush_mask)
                else:
                    asm.send(
                        o.CALL_INVALIDATE, 0, text="IPI: flush_tlb_func takes tlb_gen 0 for an old flush"
                    )
                asm.wait_for_answers()
            branch.otherwise()
            if done:
                with asm.if_loaded_here():
                    asm.flush_this_cpu(self._page_scope)
            asm.cancel(text="no other CPU")

    def _with_freed_tables(self, asm: Assembler, g: int, freed: bool) -> None:
        if freed:
            asm.set_flags(g, o.FREED_TABLES)
        self._flush_mm_range(asm, g)

    # --- flush_tlb_mm_range()

    @property
    def _tce(self) -> bool:
        """Whether the kernel has set EFER.TCE."""
        return self._own.tce and self._cpu.tce

    @property
    def _page_scope(self) -> int:
        """What a flush of a range drops on a CPU, by one INVLPG for each page."""
        return scope_of(invlpg(0, 0, tce=self._tce))

    @function("flush_tlb_mm_range", _TLB_C)
    def _flush_mm_range(self, asm: Assembler, g: int) -> None:
        with asm.because("TLB flush"):
            if not self._own.flush_orders_cpumask:
                self.target_cpumask(asm)
            self.begin_flush(asm, g)
            if self.way in ("invlpgb", "broadcast"):
                with asm.if_global_asid() as branch:
                    self._broadcast(asm)
                    branch.otherwise()
                    self._interrupt(asm, g)
            else:
                self._interrupt(asm, g)

    # --- what a flush reads of other CPUs; a scenario in which one of them switches has cells of its own for it

    def begin_flush(self, asm: Assembler, g: int) -> None:
        """Write inc_mm_tlb_gen(), a full barrier, and the choice of how much to flush."""
        asm.begin_flush(g, ceiling=self._own.tlb_single_page_flush_ceiling)

    def target_cpumask(self, asm: Assembler) -> None:
        """Write the reading of mm_cpumask."""
        asm.target_mm_cpumask()

    def drop_targets_not_loaded(self, asm: Assembler) -> None:
        """Write should_flush_tlb(): what other CPUs have in cpu_tlbstate.loaded_mm."""
        asm.drop_targets_not_loaded()

    @function("broadcast_tlb_flush", _TLB_C)
    def _broadcast(self, asm: Assembler) -> None:
        """broadcast_tlb_flush(): INVLPGB for the global ASID, then TLBSYNC; lazy CPUs and flags don't matter."""
        for pcid in ("the kernel's", "the user's") if self._own.pti else ("its",):
            asm.target_every(text="all CPUs, this one too")
            asm.send(
                o.CALL_BROADCAST,
                scope_of(invlpgb(0, 0, tce=self._tce)),
                each=self._cpu.invlpgb_max_pages,
                text=f"INVLPGB of {pcid} PCID",
            )
        for _ in range(2 if self._own.tlbsync_twice and self._cpu.tlbi_erratum else 1):
            asm.complete("TLBSYNC")
        with (
            asm.if_in_transition(),
            asm.function("finish_asid_transition", _TLB_C),
            asm.because("ASID transition"),
        ):
            asm.target_mm_cpumask()
            asm.send(o.CALL_TRANSITION, text="IPI: move to the global ASID")
            asm.wait_for_answers()
            asm.end_transition(text="all CPUs use the global ASID")

    def _interrupt(self, asm: Assembler, g: int) -> None:
        """Interrupt other CPUs in mm_cpumask if there are any, else flush here if the mm is loaded."""
        if self._own.flush_orders_cpumask:
            self.target_cpumask(asm)
        with asm.if_targets() as branch:
            self._flush_multi(asm, g)
            if self.way == "invlpgb":
                with asm.function("consider_global_asid", _TLB_C):
                    asm.consider_global(GLOBAL_ASID_CPUS, text="a global ASID, if enough CPUs run the mm")
            branch.otherwise()
            with asm.if_loaded_here():
                asm.flush_this_cpu(self._page_scope)
            asm.cancel(text="no other CPU")

    def _flush_multi(self, asm: Assembler, g: int) -> None:
        if self.way == "hypercall":
            self._hypercall(asm, g)
            return
        if self.way == "kvm":
            self._kvm_flush_multi(asm)
        self._native_flush_multi(asm, g)

    @function("kvm_flush_tlb_multi", "arch/x86/kernel/kvm.c")
    def _kvm_flush_multi(self, asm: Assembler) -> None:
        asm.flag_preempted_targets()

    @function("native_flush_tlb_multi", _TLB_C)
    def _native_flush_multi(self, asm: Assembler, g: int) -> None:
        wakes_lazy = table_flags(self.kernel)
        if wakes_lazy:
            with asm.if_flags(g, wakes_lazy) as branch:
                self._flush_there_and_here(asm, own_handler=False)
                branch.otherwise()
                self._send_filtered(asm)
        else:
            self._send_filtered(asm)

    def _send_filtered(self, asm: Assembler) -> None:
        """on_each_cpu_cond_mask(): CPUs that are not lazy, since v6.14 only those that loaded the mm."""
        asm.drop_lazy_targets()
        if self._own.flush_checks_loaded_mm:
            self.drop_targets_not_loaded(asm)
        self._flush_there_and_here(asm, own_handler=self._own.initiator_in_flush_mask)

    def _flush_there_and_here(self, asm: Assembler, *, own_handler: bool) -> None:
        """Flush on the targets and on this CPU: at the same time since 4ce94eabac16, here first before it."""
        if not self._own.flushes_concurrently:
            self._flush_here(asm, own_handler=own_handler)
        asm.send_flush_ipis(self._page_scope)
        if self._own.flushes_concurrently:
            self._flush_here(asm, own_handler=own_handler)
        asm.wait_for_answers(preemptible=self._waits_preemptibly)

    @property
    def _waits_preemptibly(self) -> bool:
        """Whether flush_tlb_mm_range() waits with preemption on; kvm_flush_tlb_multi() turns it off (ae397bb32d2a)."""
        return self.kernel.ipi_waits_preemptible and self._own.flush_waits_preemptible and self.way != "kvm"

    def _flush_here(self, asm: Assembler, *, own_handler: bool) -> None:
        with asm.if_loaded_here():
            asm.flush_self(self._page_scope, own_handler=own_handler, text="flush_tlb_func on this CPU")

    def _hypercall(self, asm: Assembler, g: int) -> None:
        """Xen ignores lazy mode and flags; Hyper-V leaves lazy vCPUs out unless tables are freed."""
        if self.platform.hypervisor != "xen":
            wakes_lazy = table_flags(self.kernel)
            if wakes_lazy:
                with asm.if_flags(g, wakes_lazy) as branch:
                    branch.otherwise()
                    asm.drop_lazy_targets()
            else:
                asm.drop_lazy_targets()
        where = "xen_flush_tlb_multi" if self.platform.hypervisor == "xen" else "hyperv_flush_tlb_multi"
        with asm.function(where, "arch/x86/hyperv/mmu.c" if where[0] == "h" else "arch/x86/xen/mmu_pv.c"):
            self._flush_here(asm, own_handler=False)
            asm.send(o.CALL_HYPERCALL, text="flush hypercall")
            asm.wait_for_answers("the hypervisor has flushed")
