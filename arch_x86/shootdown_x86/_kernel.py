"""The switches that only x86 kernels have, the changes that moved them, and what a configuration selects."""

from __future__ import annotations

from typing import Any

import attrs

from shootdown import Change, Expected, Kernel, switch
from shootdown.porting import SKIP_REDUNDANT_SYNC, Contradiction


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


CHANGES: tuple[Change, ...] = (
    Change(
        commit="5a281062af1d",
        subject="userfaultfd: wp: add WP pagetable tracking to x86",
        mainline="5.10",
        sets={"userfaultfd_wp": True},
        note="in 5.7 already",
        source="arch/x86/Kconfig: HAVE_ARCH_USERFAULTFD_WP if X86_64 && USERFAULTFD",
    ),
    Change(
        commit="before v5.10",
        subject="tlb_start_vma() and tlb_end_vma() are empty on x86",
        mainline="5.10",
        sets={"merge_vmas": True},
        note="since 1e9fdf21a433 (5.19) by the name of CONFIG_MMU_GATHER_MERGE_VMAS",
        source="the source of 5.10.262",
    ),
    Change(
        commit="72b252aed506",
        subject="mm: send one IPI per CPU to TLB flush all entries after unmapping pages",
        mainline="5.10",
        sets={"batched_unmap": True},
        note="in 4.3 already; arch/x86/Kconfig selects ARCH_WANT_BATCHED_UNMAP_TLB_FLUSH since then",
        source="the source of 5.10.262",
    ),
    Change(
        commit="71b3c126e611",
        subject="x86/mm: Add barriers and document switch_mm()-vs-flush synchronization",
        mainline="5.10",
        sets={"flush_orders_cpumask": True},
        note="in 4.5 already; later the increment of tlb_gen is the barrier",
        source="the source of 5.10.262",
    ),
    Change(
        commit="4ce94eabac16",
        subject="x86/mm/tlb: Flush remote and local TLBs concurrently",
        mainline="5.13-rc1",
        sets={"initiator_in_flush_mask": False, "flushes_concurrently": True},
        source="the oracle: 5.10 counts the initiator, 6.1 does not",
    ),
    Change(
        commit="cc95a07fef06",
        subject="x86/apic: Reduce cache line misses in __x2apic_send_IPI_mask()",
        mainline="5.16-rc1",
        sets={"ipi_scan_misses": False},
        note="a broadcast to 256 CPUs of two sockets takes 11 us instead of 33",
        source="tip-bot of 29 Oct 2021: the x86/apic branch that was pulled for 5.16",
    ),
    Change(
        commit="aa44284960d5",
        subject="x86/mm/tlb: Avoid reading mm_tlb_gen when possible",
        mainline="6.0-rc1",
        sets={"flush_without_gen_is_done": False},
        note="no release has it without the next one, which came to the same branch six weeks later",
        source="tip's x86/mm of June 2022",
    ),
    Change(
        commit="8f1d56f64f8d",
        subject="x86/mm/tlb: Ignore f->new_tlb_gen when zero",
        mainline="6.0-rc1",
        sets={"flush_without_gen_is_done": True},
        source="tip's x86/mm of 2022-07-19; v2 20220710232837.3618-1-namit@vmware.com",
    ),
    Change(
        commit="0bff0aaea03e",
        subject="x86/mm: try VMA lock-based page fault handling first",
        mainline="6.4-rc1",
        sets={"faults_lock_vmas": True},
        source="v4 of 2023-02-27, 20230227173632.3292573-1-surenb@google.com; merged for 6.4",
    ),
    Change(
        commit="4817f70c25b6",
        subject="x86: select ARCH_SUPPORTS_PT_RECLAIM if X86_64",
        mainline="6.14-rc1",
        sets={"pt_reclaim": True},
        note="PT_RECLAIM is user-selectable and on by default until 7.0, then always on",
    ),
    Change(
        commit="209954cbc7d0",
        subject="x86/mm/tlb: Update mm_cpumask lazily",
        mainline="6.14-rc1",
        sets={"lazy_mm_cpumask": True},
        source="not in 6.1, 6.6 and 6.12: Debian's changelogs, the stable list on 6.6, the oracle on 6.12",
    ),
    Change(
        commit="6db2526c1d69",
        subject="x86/mm/tlb: Only trim the mm_cpumask once a second",
        mainline="6.14",
        sets={"flush_checks_loaded_mm": True, "flush_while_switching": False},
        stable={"5.15": 179, "6.1": 129, "6.6": 79, "6.12": 16, "6.13": 4},
        source="CVE-2025-37964, as the releases that fea4e317f9e7 fixes",
    ),
    Change(
        commit="3ef938c35035",
        subject="x86/mm: Fix flush_tlb_range() when used for zapping normal PMDs",
        mainline="6.15-rc1",
        sets={"flush_range_frees_tables": True},
        stable={"5.10": 236, "5.15": 180, "6.1": 134, "6.6": 87, "6.12": 23, "6.13": 11, "6.14": 2},
        source="CVE-2025-22045; the oracle has 5.10.223 without and 5.10.251 with it",
    ),
    Change(
        commit="a37259732a7d",
        subject="x86/mm: Make MMU_GATHER_RCU_TABLE_FREE unconditional",
        mainline="6.15-rc1",
        sets={"table_free_needs_paravirt": False},
    ),
    Change(
        commit="f2c5c2105827",
        subject="x86/mm: Remove pv_ops.mmu.tlb_remove_table call",
        mainline="6.15-rc1",
        sets={"native_tables_as_pages": False},
        source="merged with a37259732a7d of the same series",
    ),
    Change(
        commit="4afeb0ed1753",
        subject="x86/mm: Enable broadcast TLB invalidation for multi-threaded processes",
        mainline="6.15-rc1",
        sets={"invlpgb": True},
    ),
    Change(
        commit="440a65b7d25f",
        subject="x86/mm: Enable AMD translation cache extensions",
        mainline="6.15-rc1",
        sets={"tce": True},
    ),
    Change(
        commit="0081fdeccbf6",
        subject="x86/mm: Drop support for CONFIG_HIGHPTE",
        mainline="6.15-rc1",
        sets={"highpte": False},
        source="in the source of 7.0, not in that of 6.12.118",
    ),
    Change(
        commit="fea4e317f9e7",
        subject="x86/mm: Eliminate window where TLB flushes may be inadvertently skipped",
        mainline="6.15-rc6",
        sets={"flush_while_switching": True},
        stable={"5.15": 183, "6.1": 139, "6.6": 91, "6.12": 29, "6.14": 7},
        source="CVE-2025-37964",
    ),
    Change(
        commit="454e65b4fb38",
        subject="x86/mm: Preallocate all PAE page tables",
        mainline="6.16-rc1",
        sets={"kernel_pmd_shared": False},
        note="with eaa607deb29e, which removes SHARED_KERNEL_PMD",
        source="in the source of 7.0, not in that of 6.12.118; no backport in Debian's changelogs",
    ),
    Change(
        commit="94a17f2dc90b",
        subject="x86/mm: Disable INVLPGB when PTI is enabled",
        mainline="6.16",
        sets={"invlpgb_with_pti": False},
        stable={"6.15": 4},
        source="the stable review 6.15.4-rc1 of 2025-06-23",
    ),
    Change(
        commit="76303ee8d54b",
        subject="x86/mm: Disable hugetlb page table sharing on 32-bit",
        mainline="6.16",
        sets={"pmd_sharing_on_32bit": False},
        stable={"5.10": 240, "5.15": 189, "6.1": 146, "6.6": 99, "6.12": 39, "6.15": 7},
        source="the stable reviews of 2025-07-15; Debian's changelogs (5.10.244-1, 6.1.147-1, 6.12.41-1)",
    ),
    Change(
        commit="83b0177a6c48",
        subject="x86/mm: Fix SMP ordering in switch_mm_irqs_off()",
        mainline="6.18",
        sets={"switch_mm_orders_tlb_gen": True},
        stable={"6.17": 5},
        note="fixes 209954cbc7d0; before 6.14 a CPU sets its bit in mm_cpumask in each switch",
        source="CVE-2025-40174: 6.14 to 6.17.4; the log of the push of 6.17.5",
    ),
    Change(
        commit="87db7795cbaa",
        subject="x86/CPU/AMD: Fix AMD TLBI Erratum #1718",
        mainline="7.3-rc1",
        sets={"tlbsync_twice": True},
        stable={"7.2": 11},
        note="the commit is that of a stable tree; whether 6.18, 7.0 and 7.1 got it is UNVERIFIED, and no "
        "result says so: it matters where platform.tlbi_erratum is set alone",
        source="the source of 7.3.4; Debian's changelog, under 7.2.11; no changelog of 7.3.1 to 7.3.4 has it",
    ),
    Change(
        commit="a5a162fe1ae1",
        subject="x86/mm: Re-enable preemption before flush_tlb_multi()",
        mainline="7.3-rc1",
        sets={"flush_waits_preemptible": True},
        note="with ed15468787dd (flush_tlb_info is on the stack again) and ae397bb32d2a (kvm_flush_tlb_multi() has "
        "preemption off) of the same series",
        source="tip's x86/mm; in the source of 7.3.4, whose counts are those of before in 205 measured windows",
    ),
    Change(
        commit="v10",
        subject="x86/tlb: skip redundant sync IPIs for native TLB flush (Lance Yang, 2026-04-24)",
        mainline=None,
        sets={"honour_unshared_tables": True},
        proposal=SKIP_REDUNDANT_SYNC,
        note="tlb_flush() passes freed_tables || unshared_tables, so that the flush reaches lazy CPUs",
    ),
)
"""The changes of arch/x86, in the order of their mainline releases; proposals last."""


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
