"""Changes that were read and stand in no table of changes, each with the reason.

`tools/changes_from_git.py` does not propose them again, and docs/reference/left-out.md shows them.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class LeftOut:
    """One change that moves no switch.

    Args:
        commit: the mainline commit, abbreviated to 12 digits, or the message id of a posting; empty if not found.
        subject: its subject line, or what it is called.
        first: the first releases that have it, as far as known; `proposed` if none has.
        why: why no table has it.
    """

    commit: str
    subject: str
    first: str
    why: str


_WITH_SMP = "part of what 8df8a6028309 does, which has a switch: ipi_waits_preemptible"
_WITH_FLUSH = "part of what a5a162fe1ae1 does, which has a switch: flush_waits_preemptible"
_PREPARES = "prepares a5a162fe1ae1: neither what is flushed nor who waits changes"
_DEVICE = "the walker is a device (SVA), which no program here has"

LEFT_OUT: tuple[LeftOut, ...] = (
    # --- merged for a mainline release
    LeftOut(
        "38cf307c1f20",
        "mm: fix kthread_use_mm() vs TLB invalidate",
        "5.9",
        "of handlers that look at active_mm: alpha's, ia64's and xtensa's, which no architecture here is",
    ),
    LeftOut(
        "503638e0babf",
        "riscv: Stop emitting preventive sfence.vma for new vmalloc mappings",
        "6.12",
        "what riscv fences for new kernel addresses, or does in a fault on them, is not counted, and they are not "
        "explored",
    ),
    LeftOut(
        "953753db887f",
        "x86/mm/tlb: Also remove local CPU from mm_cpumask if stale",
        "6.14",
        "a flush of the own CPU for an mm that it does not have loaded, which printed a warning; counts were not read",
    ),
    LeftOut(
        "5ba2f0a15564", "mm: introduce deferred freeing for kernel page tables", "7.0 or earlier", _DEVICE
    ),
    LeftOut(
        "e37d5a2d60a3",
        "iommu/sva: invalidate stale IOTLB entries for kernel address space",
        "7.0 or earlier",
        f"{_DEVICE} (CVE-2025-71202)",
    ),
    LeftOut(
        "",
        "mm: try_get_and_clear_pmd() and mm/pt_reclaim.c give way to zap_empty_pte_table()",
        "7.2",
        "names only",
    ),
    LeftOut("66344732b058", "smp: Remove preempt_disable() from smp_call_function()", "7.3", _WITH_SMP),
    LeftOut("947c397f5991", "smp: Remove preempt_disable() from on_each_cpu_cond_mask()", "7.3", _WITH_SMP),
    LeftOut("33c179b50205", "x86/mm: Factor out flush_tlb_info initialization", "7.3", _PREPARES),
    LeftOut("c86f522bb57b", "x86/mm: Cap flush_tlb_info alignment at 64 bytes", "7.3", _PREPARES),
    LeftOut("ed15468787dd", "x86/mm: Move flush_tlb_info back to the stack", "7.3", _WITH_FLUSH),
    LeftOut("ae397bb32d2a", "x86/kvm: Disable preemption in kvm_flush_tlb_multi()", "7.3", _WITH_FLUSH),
    LeftOut(
        "",
        "userfaultfd: read-write protection (RWP)",
        "7.3",
        "write protection by userfaultfd is counted; the right to read that RWP takes away is not, and PMD tables of "
        "such mappings are not shared",
    ),
    LeftOut(
        "228200f695c0",
        "x86/CPU/AMD: Fix Zen5 TLB sizes reporting",
        "UNVERIFIED",
        "what the kernel prints; the geometries of platforms are from manuals",
    ),
    # --- known from point releases
    LeftOut(
        "f7491d7c81db",
        "x86/mm: Fix user-space data loss with MADV_FREE and THP",
        "6.12.111, 7.2.7",
        "of a dirty bit that mprotect() loses and reclaim of a whole huge page reads; here reclaim splits it first",
    ),
    LeftOut(
        "",
        "mm/hugetlb: preserve mremap address delta when skipping page tables",
        "6.1.191, 6.12.112, 7.2.9",
        "where pages behind a hole go, if old and new place lie differently in a table's range; here they lie alike",
    ),
    LeftOut(
        "",
        "mm/rmap: don't discard lazyfree THPs at PMD level",
        "6.12.117, 7.3.2",
        "of reclaim that frees a huge page whole; here reclaim splits it first",
    ),
    LeftOut(
        "",
        "arm64 mm: restrict transparent contpte mappings to valid PTEs",
        "6.12.117, 7.3.4; absent in 7.2.13",
        "entries of programs here are valid",
    ),
    LeftOut(
        "",
        "mm/hugetlb: unmap the page where the other VMA maps it",
        "6.12.118, 7.3.4",
        "copy on write of private hugetlb mappings is not modelled",
    ),
    LeftOut(
        "",
        "mm/khugepaged: flush deferred unmaps before dropping a failed folio",
        "6.12.118; absent in 7.3.4",
        "the collapse of files is not modelled",
    ),
    # --- posted
    LeftOut(
        "20260921095359.3784458-1",
        "preemption stays on while a flush of a kernel range waits",
        "posted",
        "not in 7.3.4; timed runs preempt nobody who waits, and flushes of kernel addresses are not explored",
    ),
    LeftOut(
        "20251114150133",
        "NOHZ_FULL: defer flushes of kernel ranges",
        "posted",
        "not in 7.3.4; no CPU of a program is isolated (nohz_full=), and flushes of kernel addresses are not explored",
    ),
    LeftOut(
        "20260925-rcu-pagetable-freeing-v5-0-31e91065fea4",
        "page tables are freed by RCU on every architecture",
        "posted",
        "not in 7.3; what if: --set kernel.rcu_table_free=true, kernel.khugepaged_deposits_new_table=true",
    ),
    LeftOut(
        "20260523134710.3827956-1",
        "arm64: a TLBI of one CPU for an mm that ran on one CPU",
        "posted",
        "not in 7.3.4; what if: --patch docs/examples/patches/arm64-local-tlbi.py",
    ),
    LeftOut("", "arm64: FEAT_TLBID, TLBIs for a set of CPUs", "posted", "not in 7.3.4"),
    LeftOut(
        "20250619200442.1694583-1",
        "x86: Remote Action Requests (RAR)",
        "posted",
        "no costs of the hardware are published",
    ),
)
"""What was read from 7.0 on, and what it builds upon: merged, then known from point releases, then posted."""
