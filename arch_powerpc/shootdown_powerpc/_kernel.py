"""The switches that only powerpc kernels have, the changes that moved them, and what a configuration selects.

Book3S-64 alone: the radix and the hash MMU of POWER servers.
"""

from __future__ import annotations

from typing import Any

import attrs

from shootdown import Change, Kernel, switch
from shootdown.porting import Contradiction

#: Why the kernel never shares hugetlb PMD tables; what begins with these words is not a defect but a fact.
NO_SHARING = (
    "not applicable: no hugetlb PMD sharing: arch/powerpc/Kconfig does not select ARCH_WANT_HUGE_PMD_SHARE "
    "in any release; what if it did: --set kernel.pmd_sharing=true"
)


@attrs.frozen
class PowerpcKernel:
    """What only a powerpc kernel has (arch/powerpc/mm/book3s64, arch/powerpc/Kconfig)."""

    # --- configuration
    page_size: int = switch(
        4096,
        "bytes in a base page: CONFIG_PPC_4K_PAGES or CONFIG_PPC_64K_PAGES",
        choices=(4096, 65536),
        words={"4k": 4096, "64k": 65536},
        configured=True,
    )
    va_bits: int = switch(
        52,
        "bits of user virtual address that the page tables translate: 52, but 46 with the hash MMU and 4K pages",
        choices=(46, 52),
        configured=True,
    )
    thp: bool = switch(
        True,
        "CONFIG_TRANSPARENT_HUGEPAGE: flush_tlb_range() also invalidates 2M translations of whole PMD entries",
    )
    disable_tlbie: bool = switch(
        False,
        "disable_tlbie on the command line, or tlbie_enabled off in debugfs (radix only): IPIs and tlbiel instead",
    )

    # --- how much a flush invalidates (radix_tlb.c)
    page_ceiling: int = switch(
        33,
        "a global flush of more pages invalidates the PID (tlb_single_page_flush_ceiling in debugfs)",
        minimum=0,
    )
    local_page_ceiling: int = switch(
        256,
        "a local flush of more pages invalidates the PID (tlb_local_single_page_flush_ceiling in debugfs)",
        minimum=0,
    )
    collapse_serializes: bool = switch(
        True, "pmdp_collapse_flush() of radix kernels interrupts mm_cpumask first, to wait for lockless walks"
    )
    range_drops_page_walk_cache: bool = switch(
        False,
        "flush_tlb_range() of a PMD entry or more drops the page walk cache, as does that of hugetlb PUDs",
    )
    one_tlbiel_on_isa31: bool = switch(
        False, "on ISA 3.1 one tlbiel invalidates a PID; otherwise one for each of 128 sets does"
    )
    escalates_on_isa31: bool = switch(
        True, "a PID flush drops the page walk cache where an accelerator is attached on ISA 3.1 too"
    )

    # --- whom a flush reaches (flush_type_needed(), radix__tlb_flush())
    unused_mm_needs_no_flush: bool = switch(
        False, "an mm whose mm_cpumask is empty is not flushed; otherwise it takes a tlbie"
    )
    trim_period: int = switch(
        0,
        "each so many global flushes of one CPU try to trim mm_cpumask by IPIs (tlb_mm_cpumask_trim_timer); "
        "0 never",
        minimum=0,
    )
    exit_flush_shoots_lazies: bool = switch(
        False, "the flush of exit interrupts the CPUs in mm_cpumask, which leave the mm, and spares a tlbie"
    )


CHANGES: tuple[Change, ...] = (
    Change(
        commit="before v5.10",
        subject="CONFIG_MMU_GATHER_PAGE_SIZE; tlb_start_vma() and tlb_end_vma() are empty",
        mainline="5.10",
        sets={"gather_page_size": True, "merge_vmas": True},
        note="the latter by the name of CONFIG_MMU_GATHER_MERGE_VMAS since 1e9fdf21a433",
        source="the patch of 1e9fdf21a433, which removes the empty macros of arch/powerpc",
    ),
    Change(
        commit="before v5.10",
        subject="hugetlb_free_pgd_range() of arch/powerpc/mm/hugetlbpage.c, which knows hugepd",
        mainline="5.10",
        sets={"hugetlb_free_keeps_page_size": True},
        note="free_pgd_range() calls tlb_change_page_size(), and this one does not",
        source="arch/powerpc/mm/hugetlbpage.c in v6.5; the oracle: munmap() of hugetlb memory on 6.1.176",
    ),
    Change(
        commit="75358ea359e7",
        subject="powerpc/mm/book3s64: Fix MADV_DONTNEED and parallel page fault race",
        mainline="5.10",
        sets={"thp_zap_flushes": True},
        note="merged for 5.8: pmdp_huge_get_and_clear_full() flushes the entry unless all of the mm goes",
        source="the oracle: 6.12.95 flushes a THP once more than its gather does",
    ),
    Change(
        commit="e80639405c40",
        subject="powerpc/mm: Update tlbiel loop on POWER10",
        mainline="5.11-rc1",
        sets={"one_tlbiel_on_isa31": True},
        source="applied to powerpc/next on 2020-11-25, 160630540077.2174375.16552927002109921815.b4-ty@ellerman.id.au",
    ),
    Change(
        commit="54bb503345b8",
        subject="powerpc/64s/radix: Check for no TLB flush required",
        mainline="5.12-rc1",
        sets={"unused_mm_needs_no_flush": True},
        source="posted for 5.12 as 20201217134731.488135-1-npiggin@gmail.com",
    ),
    Change(
        commit="9393544842d6",
        subject="powerpc/64s/radix: occasionally attempt to trim mm_cpumask",
        mainline="5.12-rc1",
        sets={"trim_period": 1073},
        note="with 780de40601aa, which lets those who do not run the mm trim it",
        source="posted for 5.12 as 20201217134731.488135-1-npiggin@gmail.com",
    ),
    Change(
        commit="cec6515abbda",
        subject="powerpc/book3s64/mm: update flush_tlb_range to flush page walk cache",
        mainline="5.14-rc1",
        sets={"range_drops_page_walk_cache": True},
        source="posted to -mm for 5.14 as 20210616045735.374532-3-aneesh.kumar@linux.ibm.com",
    ),
    Change(
        commit="4f83145721f3",
        subject="mm: avoid unnecessary flush on change_huge_pmd()",
        mainline="5.19-rc1",
        sets={"thp_mprotect_flushes": True},
        note="x86 got a pmdp_invalidate_ad() that doesn't flush; powerpc has the generic one, which does",
        source="the oracle: two flushes of a THP by mprotect() on 6.12.95; 78fc63ffa781 says 5.19",
    ),
    Change(
        commit="abf0878ce95f",
        subject="powerpc/64s: POWER10 nest MMU does not require flush escalation workaround",
        mainline="6.0-rc1",
        sets={"escalates_on_isa31": False},
        source="posted as 20220525022358.780745-2-npiggin@gmail.com, after the 5.19 merge window had opened",
    ),
    Change(
        commit="bedf03416913",
        subject="powerpc/64s/radix: don't need to broadcast IPI for radix pmd collapse flush",
        mainline="6.0-rc8",
        sets={"collapse_serializes": False},
        stable={"5.10": 148, "5.15": 73, "5.19": 14},
        note="GUP-fast rechecks the PMD entry since 70cbc3cc78a9; the withdrawn table had nothing until 2ba99c5e0881",
        source="behind 70cbc3cc78a9 in the pull of 6.0-rc8 and in the stable queues of 2022-10-07; the log of the push "
        "of 5.19.14",
    ),
    Change(
        commit="b11931e9adc1",
        subject="powerpc/64s: add pte_needs_flush and huge_pmd_needs_flush",
        mainline="6.1-rc1",
        sets={"widening_flushes": False, "unchanged_flushes": False},
        source="a fix of it names v6.1 (20230302225947.81083-1-bgray@linux.ibm.com); the oracle: none on 6.12.95",
    ),
    Change(
        commit="70d4cbc80c88",
        subject="powerc/mm: try VMA lock-based page fault handling first",
        mainline="6.4-rc1",
        sets={"faults_lock_vmas": True},
        source="v4 of 2023-02-27, 20230227173632.3292573-1-surenb@google.com; merged for 6.4",
    ),
    Change(
        commit="77f68ebeee20",
        subject="powerpc/64s: enable MMU_LAZY_TLB_SHOOTDOWN",
        mainline="6.4-rc1",
        sets={"lazy_tlb_shootdown": True},
        source="v7 is 20230203071837.1136453-6-npiggin@gmail.com, taken into -mm after 6.3-rc1",
    ),
    Change(
        commit="e43c0a0c3c28",
        subject="powerpc/64s/radix: combine final TLB flush and lazy tlb mm shootdown IPIs",
        mainline="6.6-rc1",
        sets={"exit_flush_shoots_lazies": True},
        note="with 20045f0155ab of 6.6-rc7, which flushes everywhere after that if an accelerator is attached",
        source="the pull request of powerpc-6.6-1; the oracle: exit on 6.12.95",
    ),
    Change(
        commit="0c22e4b2949b",
        subject="powerpc/mm: remove hugepd leftovers",
        mainline="6.11-rc1",
        sets={"hugetlb_free_keeps_page_size": False},
        note="arch/powerpc has no hugetlb_free_pgd_range() any more",
        source="the pull of -mm for 6.11; the oracle: munmap() of hugetlb memory on 6.1.176 and 6.12.107",
    ),
)
"""The changes of arch/powerpc, in the order of their mainline releases."""


def configure(kernel: Kernel) -> Kernel:
    """Return the kernel with what its configuration selects (arch/powerpc/Kconfig).

    Args:
        kernel: one whose `arch` is a `PowerpcKernel`.
    """
    return attrs.evolve(kernel, pmd_sharing=False, pt_reclaim=False)


def _is_hash(platform: Any) -> bool:
    return bool(platform.arch.mmu == "hash")


CONTRADICTIONS: tuple[Contradiction, ...] = (
    Contradiction(
        ("platform.flush",),
        lambda kernel, platform: platform.flush not in ("auto", "ipi", "broadcast", "hypercall"),
        "POWER has tlbie, tlbiel with IPIs (ipi) and the hypercall H_RPT_INVALIDATE (hypercall)",
    ),
    Contradiction(
        ("platform.flush",),
        lambda kernel, platform: platform.flush != "auto" and _is_hash(platform),
        "the hash MMU flushes entry by entry, locally or by tlbie; only radix kernels have a choice",
    ),
    Contradiction(
        ("kernel.disable_tlbie",),
        lambda kernel, platform: kernel.arch.disable_tlbie and _is_hash(platform),
        "disable_tlbie is refused with the hash MMU (arch/powerpc/mm/book3s64/pgtable.c)",
    ),
    Contradiction(
        ("platform.mmu",),
        lambda kernel, platform: not _is_hash(platform) and platform.arch.isa == "2.07",
        "the radix MMU came with ISA 3.0 (POWER9)",
    ),
    Contradiction(
        ("platform.isa",),
        lambda kernel, platform: not _is_hash(platform) and platform.arch.isa == "2.07",
        "the radix MMU came with ISA 3.0 (POWER9)",
    ),
)
"""Settings that cannot both hold on powerpc."""
