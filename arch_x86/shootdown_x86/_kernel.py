"""The switches that only x86 kernels have, and what a configuration selects."""

from __future__ import annotations

from typing import Any

import attrs

from shootdown import Expected, Kernel, switch
from shootdown.porting import Contradiction


@attrs.frozen
class X86Kernel:
    """What only an x86 kernel has (arch/x86/mm/tlb.c, arch/x86/include/asm/tlbflush.h, arch/x86/Kconfig)."""

    # --- configuration
    page_size: int = switch(4096, "bytes in a base page", choices=(4096,), configured=True)
    va_bits: int = switch(
        48,
        "4-level page tables, 5-level ones (57), or a 32-bit kernel",
        choices=(32, 48, 57),
        configured=True,
    )
    paravirt: bool = switch(True, "CONFIG_PARAVIRT, as distributions set it")
    pti: bool = switch(False, "page-table isolation is on: each mm has a second PCID for user mode")

    # --- what selects what
    table_free_needs_paravirt: bool = switch(
        True, "MMU_GATHER_RCU_TABLE_FREE is selected by PARAVIRT (and PT_RECLAIM) only; otherwise always"
    )
    native_tables_as_pages: bool = switch(
        True,
        "without PT_RECLAIM pv_ops.mmu.tlb_remove_table is tlb_remove_page() on bare metal: tables wait among the "
        "pages; guests of KVM, Hyper-V and Xen hand them to RCU",
    )
    pmd_sharing_on_32bit: bool = switch(True, "ARCH_WANT_HUGE_PMD_SHARE is selected on 32-bit x86 too")
    highpte: bool = switch(
        True,
        "32-bit kernels keep PTE tables in high memory: using one maps it, and unmapping is an INVLPG here",
    )
    kernel_pmd_shared: bool = switch(
        True,
        "with PAE, and without page-table isolation, all mms share one PMD table of the kernel: pgd_alloc() makes 3 "
        "tables, otherwise 4 (SHARED_KERNEL_PMD)",
    )

    # --- flushing (arch/x86/mm/tlb.c)
    tlb_single_page_flush_ceiling: int = switch(
        33, "a flush of more pages than this one flushes the whole address space", minimum=0
    )
    tlb_nr_dyn_asids: int = switch(6, "address spaces whose PCID a CPU remembers", minimum=1, maximum=4094)
    flush_range_frees_tables: bool = switch(
        False, "flush_tlb_range() passes freed_tables, so that lazy CPUs are interrupted"
    )
    initiator_in_flush_mask: bool = switch(
        True, "without freed_tables the initiator runs the remote handler too: one more in its TLB row"
    )
    flush_waits_preemptible: bool = switch(
        False,
        "flush_tlb_mm_range() has preemption on while it waits, but in guests of KVM, if kernel.ipi_waits_preemptible "
        "is set too; its flush_tlb_info lies on the task's stack",
    )
    flushes_concurrently: bool = switch(
        False,
        "the initiator flushes its own TLB while it waits for others; otherwise before it interrupts them",
    )
    ipi_scan_misses: bool = switch(
        True,
        "__x2apic_send_IPI_mask() reads each target's logical APIC id from per-CPU data, a cache line for each; "
        "otherwise from one array",
    )
    lazy_mm_cpumask: bool = switch(
        False, "a CPU that switches to another mm stays in the old mm_cpumask until a later flush trims it"
    )
    flush_checks_loaded_mm: bool = switch(
        False,
        "without freed_tables a flush spares not only lazy CPUs but also those that have another mm loaded, "
        "except once a second, to trim the mm_cpumask (should_flush_tlb)",
    )
    flush_while_switching: bool = switch(
        True, "a CPU between loading CR3 and writing loaded_mm is interrupted by a flush"
    )
    switch_mm_orders_tlb_gen: bool = switch(
        False,
        "switch_mm_irqs_off() has a barrier between loaded_mm and tlb_gen also where the CPU is in the mm_cpumask "
        "already, and sets no bit",
    )
    flush_orders_cpumask: bool = switch(
        False, "a flush reads the mm_cpumask after the change of the page table is visible to all CPUs"
    )
    flush_without_gen_is_done: bool = switch(
        True,
        "the flush of a batch, which names no tlb_gen, is done; otherwise every CPU takes it for an old one and drops "
        "nothing",
    )
    invlpgb: bool = switch(False, "multi-threaded processes are flushed by INVLPGB where the CPU has it")
    invlpgb_with_pti: bool = switch(True, "INVLPGB stays in use with page-table isolation")
    tlbsync_twice: bool = switch(
        False, "on CPUs with AMD's TLBI erratum #1718 each TLBSYNC is executed twice (__tlbsync())"
    )
    tce: bool = switch(
        False, "EFER.TCE is set where the CPU has it: INVLPG keeps unrelated walk-cache entries"
    )


def configure(kernel: Kernel) -> Kernel:
    """Return the kernel with what its configuration selects (arch/x86/Kconfig).

    Args:
        kernel: one whose `arch` is an `X86Kernel`.
    """
    own: X86Kernel = kernel.arch
    is_64bit = kernel.va_bits > 32
    pt_reclaim = kernel.pt_reclaim and is_64bit
    return attrs.evolve(
        kernel,
        arch=attrs.evolve(own, invlpgb=own.invlpgb and is_64bit),
        pt_reclaim=pt_reclaim,
        faults_lock_vmas=kernel.faults_lock_vmas
        and is_64bit,  # X86_64 alone selects ARCH_SUPPORTS_PER_VMA_LOCK
        # With PAE pgd_alloc() populates all of user space with PMD tables, and huge_pte_alloc() shares only where
        # the PUD entry is none: after a munmap() that freed a whole 1 GiB, which no program here does first.
        pmd_sharing=kernel.pmd_sharing and is_64bit,
        thp_swap=kernel.thp_swap if is_64bit else "no",
        rcu_table_free=own.paravirt or pt_reclaim or not own.table_free_needs_paravirt,
    )


def _pti_stops_invlpgb(kernel: Kernel, platform: Any) -> bool:
    return kernel.arch.pti and platform.flush == "invlpgb" and not kernel.arch.invlpgb_with_pti


CONTRADICTIONS: tuple[Contradiction, ...] = (
    Contradiction(
        ("kernel.pti", "kernel.invlpgb"),
        lambda kernel, platform: kernel.arch.pti and kernel.arch.invlpgb and not kernel.arch.invlpgb_with_pti,
        "INVLPGB is disabled with page-table isolation (94a17f2dc90b); also set kernel.invlpgb_with_pti=true",
    ),
    Contradiction(
        ("platform.invlpgb", "platform.flush"),
        lambda kernel, platform: not platform.arch.invlpgb and platform.flush == "invlpgb",
        "the CPU has no INVLPGB",
    ),
    Contradiction(
        ("platform.hypervisor", "platform.flush"),
        lambda kernel, platform: (
            (platform.flush == "kvm" and platform.hypervisor != "kvm")
            or (platform.flush == "hypercall" and platform.hypervisor not in ("xen", "hyper-v"))
        ),
        "that hypervisor offers no such flush",
    ),
    Contradiction(
        ("platform.la57", "kernel.va_bits"),
        lambda kernel, platform: not platform.arch.la57 and kernel.va_bits == 57,
        "5-level page tables need LA57",
    ),
    Contradiction(
        ("kernel.paravirt", "kernel.rcu_table_free"),
        lambda kernel, platform: (
            kernel.arch.paravirt and kernel.arch.table_free_needs_paravirt and not kernel.rcu_table_free
        ),
        "PARAVIRT selects MMU_GATHER_RCU_TABLE_FREE",
    ),
    Contradiction(
        ("kernel.pti", "platform.flush"),
        _pti_stops_invlpgb,
        "INVLPGB is disabled with page-table isolation (94a17f2dc90b); also set kernel.invlpgb_with_pti=true",
    ),
    Contradiction(
        ("kernel.invlpgb", "platform.flush"),
        lambda kernel, platform: not kernel.arch.invlpgb and platform.flush == "invlpgb",
        "no flush can be an INVLPGB in a kernel that does not use it",
    ),
    Contradiction(
        ("kernel.paravirt", "platform.flush"),
        lambda kernel, platform: not kernel.arch.paravirt and platform.flush in ("kvm", "hypercall"),
        "without CONFIG_PARAVIRT no flush asks the hypervisor",
    ),
    Contradiction(
        ("kernel.va_bits", "kernel.pt_reclaim"),
        lambda kernel, platform: kernel.va_bits == 32 and kernel.pt_reclaim,
        "PT_RECLAIM needs X86_64",
    ),
    Contradiction(
        ("kernel.va_bits", "kernel.invlpgb"),
        lambda kernel, platform: kernel.va_bits == 32 and kernel.arch.invlpgb,
        "INVLPGB is used by 64-bit kernels only",
    ),
    Contradiction(
        ("kernel.va_bits", "platform.flush"),
        lambda kernel, platform: kernel.va_bits == 32 and platform.flush == "invlpgb",
        "INVLPGB is used by 64-bit kernels only",
    ),
)
"""Settings that cannot both hold on x86."""

EXPECTED: tuple[Expected, ...] = (
    Expected(
        ("5.3",),
        "3ef938c35035 (CVE-2025-22045): flush_tlb_range() left lazy CPUs out, although a page table is withdrawn",
        about="flush_collapsed_pmd",
        when=lambda kernel, platform: not kernel.arch.flush_range_frees_tables,
    ),
)
"""What the compliance suite finds on real x86 kernels."""
