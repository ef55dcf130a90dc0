"""The switches that only riscv kernels have, the changes that moved them, and what a configuration selects."""

from __future__ import annotations

import attrs

from shootdown import Change, Expected, Kernel, switch
from shootdown.porting import Contradiction

_REVIEW = "the stable review 6.6.17-rc1 of 2024-02-13"
_GHITI = "20231030133027.19542-1-alexghiti@rivosinc.com, v6, applied to riscv's for-next on 2023-11-05"
_HOLLAND = "20240327045035.368512-1-samuel.holland@sifive.com, v6; the pull request for 6.10"


@attrs.frozen
class RiscvKernel:
    """What only a riscv kernel has (arch/riscv/include/asm/tlb.h, arch/riscv/mm/tlbflush.c and context.c)."""

    # --- configuration
    va_bits: int = switch(
        39,
        "the widest mode that the kernel tries, Sv39, Sv48 or Sv57, narrowed to what the platform has; 32 is a "
        "32-bit kernel with Sv32",
        choices=(32, 39, 48, 57),
    )

    page_table_levels: int = switch(
        3,
        "levels that a 64-bit kernel is built with (CONFIG_PGTABLE_LEVELS); those that the mode lacks are folded at "
        "run time, and pud_free_tlb() sets freed_tables of them though nothing is freed",
        choices=(3, 4, 5),
    )
    mmu_type_limits_mode: bool = switch(
        False, "the device tree's mmu-type narrows the mode to Sv39 or Sv48 (set_satp_mode_from_fdt())"
    )

    # --- who is reached, and how
    ipi_fences: bool = switch(
        False,
        "remote fences are IPIs where a driver can send them from S-mode; otherwise SBI calls (riscv_sbi_for_rfence)",
    )
    imsic_driver: bool = switch(False, "there is a driver for AIA's IMSIC, which sends IPIs from S-mode")
    aclint_sswi_driver: bool = switch(
        False, "there is a driver for T-Head's ACLINT SSWI, which sends IPIs from S-mode"
    )
    asid_allocator: bool = switch(
        False, "address spaces get ASIDs, where there are more than twice as many of them as CPUs"
    )
    asid_keeps_cpumask: bool = switch(
        False,
        "with ASIDs a CPU that switches to another mm stays in the old mm_cpumask, as its TLB still has entries",
    )
    defer_flush_to_switch: bool = switch(
        False,
        "where fences are IPIs, a CPU that has another mm loaded is not interrupted: it flushes when it switches",
    )

    offline_leaves_cpumask: bool = switch(
        False, "a hart that goes offline leaves the mm_cpumask of every process"
    )

    # --- how much is flushed
    gather_flushes_range: bool = switch(
        False, "tlb_flush() flushes the gather's range by its smallest stride; otherwise all of the mm"
    )
    tlb_flush_all_threshold: int = switch(
        1, "a local flush of more strides than this one flushes everything of the ASID", minimum=0
    )
    hugetlb_stride: bool = switch(
        False, "flush_tlb_range() of a hugetlb mapping goes by its huge pages; otherwise by base pages"
    )
    collapse_flushes_mm: bool = switch(
        False,
        "pmdp_collapse_flush() flushes all of the mm: a fence by address need not reach non-leaf entries",
    )
    svinval: bool = switch(
        False,
        "ranges are invalidated by SINVAL.VMA between SFENCE.W.INVAL and SFENCE.INVAL.IR, where there is Svinval",
    )
    svvptc: bool = switch(
        False, "after a fault no new entry is fenced where there is Svvptc (update_mmu_cache_range())"
    )
    svinval_after_faults: bool = switch(
        False, "after a fault new entries are fenced by SINVAL.VMA, of the mm's ASID, where there is Svinval"
    )
    exit_skips_flush: bool = switch(
        False,
        "with ASIDs exit does not flush (fullmm): the ASID is not given away before a flush of everything",
    )

    # --- SiFive's erratum CIP-1200: SFENCE.VMA by address can fail
    cip_1200: bool = switch(
        False,
        "on cores with the erratum each fence by address is one of everything (CONFIG_ERRATA_SIFIVE_CIP_1200)",
    )
    cip_1200_no_loops: bool = switch(False, "and a range is one fence, not one for each stride")


CHANGES: tuple[Change, ...] = (
    Change(
        commit="before v5.10",
        subject="riscv frees page tables at once and has no GUP-fast",
        mainline="5.10",
        sets={"rcu_table_free": False, "gup_fast": False},
        source="69be3fb111e7 and 3f910b7a522e select both for the first time",
    ),
    Change(
        commit="65d4b9c53017",
        subject="RISC-V: Implement ASID allocator",
        mainline="5.12-rc1",
        sets={"asid_allocator": True},
        note="fences name the ASID since 3f1e782998cd (5.15); before, a fence was for all of them",
        source="the pull request for 5.12",
    ),
    Change(
        commit="bff3ff525460",
        subject='riscv: sifive: Apply errata "cip-1200" patch',
        mainline="5.13-rc1",
        sets={"cip_1200": True},
        source="the pull request for 5.13",
    ),
    Change(
        commit="e8a62cc26ddf",
        subject="riscv: Implement sv48 support",
        mainline="5.17-rc1",
        sets={"va_bits": 48, "page_table_levels": 4},
        note="before, the PUD level was folded when compiled, and pud_free_tlb() empty (asm-generic/pgtable-nopud.h)",
    ),
    Change(
        commit="011f09d12052",
        subject="riscv: mm: Set sv57 on defaultly",
        mainline="5.18-rc1",
        sets={"va_bits": 57, "page_table_levels": 5},
    ),
    Change(
        commit="4f83145721f3",
        subject="mm: avoid unnecessary flush on change_huge_pmd()",
        mainline="5.19-rc1",
        sets={"thp_mprotect_flushes": True},
        note="x86 got a pmdp_invalidate_ad() that doesn't flush; riscv has the generic one, which does",
        source="78fc63ffa781, a fix of 4a18419f71cd of the same series, says 5.19",
    ),
    Change(
        commit="87f81e66e2e8",
        subject="riscv: enable THP_SWAP for RV64",
        mainline="6.1-rc1",
        sets={"thp_swap": "yes"},
        source="20220829145742.3139-1-jszhang@kernel.org; arch/riscv/Kconfig of 6.5 and 7.0",
    ),
    Change(
        commit="f0293cd1f4fc",
        subject="riscv: mm: Implement pmdp_collapse_flush for THP",
        mainline="6.2-rc8",
        sets={"collapse_flushes_mm": True},
        unverified=("5.15", "6.1"),
        source="the announcement of 6.2-rc8",
    ),
    Change(
        commit="82dd33fde026",
        subject="riscv: asid: Fixup stale TLB entry cause application crash",
        mainline="6.3",
        sets={"asid_keeps_cpumask": True},
        stable={"5.15": 104, "6.1": 21, "6.2": 8},
        note="until then a CPU that left an mm kept its entries, and no flush reached them. 4bd1d80efb5a, in for a "
        "few weeks before and in stable releases too, flushed those at the next switch instead; not modelled",
        source="the stable reviews of 2023-03-20, which revert 4bd1d80efb5a too (e921050022f1); the announcement of "
        "6.1.21",
    ),
    Change(
        commit="18d2199d8105",
        subject="RISC-V: Use IPIs for remote TLB flush when possible",
        mainline="6.4-rc1",
        sets={"ipi_fences": True},
        note="the only driver was that of M-mode kernels' CLINT, so that S-mode kernels went on with SBI calls. "
        "dc892fb44322 (6.10) makes IPIs the default and SBI the exception, with the same outcome",
        source="v18, applied to the irqchip tree on 2023-04-08",
    ),
    Change(
        commit="648321fa0d97",
        subject="riscv: mm: try VMA lock-based page fault handling first",
        mainline="6.5-rc1",
        sets={"faults_lock_vmas": True},
        source="listed among the commits of 6.5-rc1",
    ),
    Change(
        commit="c5e9b2c2ae82",
        subject="riscv: Improve tlb_flush()",
        mainline="6.7-rc1",
        sets={"gather_flushes_range": True, "honour_freed_tables": False},
        stable={"6.6": 17},
        source=f"{_GHITI}; {_REVIEW}",
    ),
    Change(
        commit="c962a6e74639",
        subject="riscv: Improve flush_tlb_range() for hugetlb pages",
        mainline="6.7-rc1",
        sets={"hugetlb_stride": True},
        note="not in the 6.6.17 that has the other patches of its series",
        source=f"{_GHITI}; {_REVIEW}",
    ),
    Change(
        commit="9d4e8d5fa7db",
        subject="riscv: Make __flush_tlb_range() loop over pte instead of flushing the whole tlb",
        mainline="6.7-rc1",
        sets={"tlb_flush_all_threshold": 64},
        stable={"6.6": 17},
        source=f"{_GHITI}; {_REVIEW}",
    ),
    Change(
        commit="54d7431af73e",
        subject="riscv: Add support for BATCHED_UNMAP_TLB_FLUSH",
        mainline="6.8-rc1",
        sets={"batched_unmap": True},
        source="merged by riscv-for-linus-6.8-mw4 (2024-01-20); Documentation/features/vm/TLB/arch-support.txt",
    ),
    Change(
        commit="97cf301fa42e",
        subject="riscv: Flush the tlb when a page directory is freed",
        mainline="6.8",
        sets={"honour_freed_tables": True},
        stable={"6.6": 17, "6.7": 5},
        note="fixes c5e9b2c2ae82: a fence by address need not reach non-leaf entries",
        source=f"20240128120405.25876-1-alexghiti@rivosinc.com; {_REVIEW}; 6.7.5 of the same day is UNVERIFIED",
    ),
    Change(
        commit="69be3fb111e7",
        subject="riscv: enable MMU_GATHER_RCU_TABLE_FREE for SMP && MMU",
        mainline="6.9-rc1",
        sets={"rcu_table_free": True},
        note="where fences are IPIs tables were still freed without RCU, behind the flush, until "
        '"riscv: pgtable: unconditionally use tlb_remove_ptdesc()" (6.15); here by RCU throughout',
        source="the pull request for 6.9",
    ),
    Change(
        commit="3f910b7a522e",
        subject="riscv: enable HAVE_FAST_GUP if MMU",
        mainline="6.9-rc1",
        sets={"gup_fast": True},
        source="the pull request for 6.9",
    ),
    Change(
        commit="21a8f8a0eb35",
        subject="irqchip: Add RISC-V incoming MSI controller early driver",
        mainline="6.10-rc1",
        sets={"imsic_driver": True},
        source="v16 of 2024-03-07, applied to the irqchip tree after 6.9-rc1",
    ),
    Change(
        commit="d6dcdabafcd7",
        subject="riscv: Avoid TLB flush loops when affected by SiFive CIP-1200",
        mainline="6.10-rc1",
        sets={"cip_1200_no_loops": True},
        source=_HOLLAND,
    ),
    Change(
        commit="7a21b2e370da",
        subject="riscv: Stop emitting preventive sfence.vma for new userspace mappings with Svvptc",
        mainline="6.12-rc1",
        sets={"svvptc": True},
        source="arch/riscv/include/asm/pgtable.h of 6.12.118, which has it; absent in 6.1.192",
    ),
    Change(
        commit="25caea955cc9",
        subject="irqchip: Add T-HEAD C900 ACLINT SSWI driver",
        mainline="6.14-rc1",
        sets={"aclint_sswi_driver": True},
        note="the release is UNVERIFIED: posted in October 2024, in linux-next of December",
    ),
    Change(
        commit="a56972698810",
        subject="riscv: mm: Add support for Svinval extension",
        mainline="6.16-rc1",
        sets={"svinval": True},
        note="the hash is that of riscv's for-next; 64 entries take half as many cycles on a Banana Pi F3",
        source="793ac05a-66ce-46ca-b588-bcd3cfc5058e@ghiti.fr",
    ),
    Change(
        commit="17e9521044c9",
        subject="riscv: mm: Use mmu-type from FDT to limit SATP mode",
        mainline="6.18-rc1",
        sets={"mmu_type_limits_mode": True},
        stable={"6.17": 6},
        note="with f3243bed39c2, which gives the mode of no4lvl and no5lvl; before, only the command line did",
        source="the announcement of 6.17.6; absent in 6.12.118",
    ),
    Change(
        commit="ae9e9f3d67dc",
        subject="RISC-V: clear hot-unplugged cores from all task mm_cpumasks to avoid rfence errors",
        mainline="6.18-rc1",
        sets={"offline_leaves_cpumask": True},
        stable={"5.10": 247, "5.15": 197, "6.1": 159, "6.6": 117, "6.12": 59, "6.17": 9},
        source="the logs of the pushes of mainline before net-6.18-rc1, of 6.12.59, and of 6.1.159-cip50; the stable "
        "reviews of 5.10.247 (20251203152407.072293592@linuxfoundation.org), 5.15.197 "
        "(20251203152422.718637808@linuxfoundation.org) and 6.6.117 (20251121130244.651722017@linuxfoundation.org); "
        "the push of 6.17.9-rc1 of 2025-11-21",
    ),
    Change(
        commit="53cd7a06274d",
        subject="mm: make PT_RECLAIM depends on MMU_GATHER_RCU_TABLE_FREE",
        mainline="7.0-rc1",
        sets={"pt_reclaim": True},
        note="the hash is that of one linux-next; mm-unstable was rebased since",
        source="the source of 7.0: def_bool y, on every architecture with RCU table freeing",
    ),
    Change(
        commit="a2e67bcc19ff",
        subject="riscv: mm: Use Svinval if present in update_mmu_cache_range()",
        mainline="7.3",
        sets={"svinval_after_faults": True},
        note="the hash is that of riscv/linux, for-next, of 2026-07-15; that branch was rebased several times",
        source="arch/riscv/include/asm/pgtable.h: in 7.3.4, not in 7.2.13; posted by Xu Lu on 2025-09-01",
    ),
    Change(
        commit="v1",
        subject="riscv: mm: Defer tlb flush to context_switch (Xu Lu, 2025-10-30)",
        mainline=None,
        sets={"defer_flush_to_switch": True},
        proposal="riscv-defer-flush",
        note="its author counted 108 thousand flush IPIs before and 46 thousand after, in LTP's mmapstress01",
        source="20251030135652.63837-1-luxu.kernel@bytedance.com",
    ),
    Change(
        commit="v2",
        subject="riscv: tlb: avoid tlb flushing if fullmm == 1 (Jisheng Zhang, 2023-12-28)",
        mainline=None,
        sets={"exit_skips_flush": True},
        proposal="riscv-exit-without-flush",
        note="4 percent more process creations on a T-Head TH1520, by its author's measurement; needs the same "
        "series' fix of fullmm",
        source="20231228084642.1765-3-jszhang@kernel.org",
    ),
)
"""The changes of arch/riscv, in the order of their mainline releases; proposals last."""

EXPECTED = (
    Expected(
        ("6.1", "6.2"),
        "82dd33fde026: a CPU that left an mm kept its entries of the ASID, and no flush reached them",
        when=lambda kernel, platform: kernel.arch.asid_allocator and not kernel.arch.asid_keeps_cpumask,
    ),
    Expected(
        ("5.1", "5.2", "5.3", "6.1"),
        "nested gathers set fullmm too: it needs its series' fix of that (20231228084642.1765-3-jszhang@kernel.org)",
        about="tlb_flush",
        when=lambda kernel, platform: kernel.arch.exit_skips_flush,
    ),
)
"""What the compliance suite finds on real kernels and proposals of arch/riscv."""


def configure(kernel: Kernel) -> Kernel:
    """Return the kernel with what its configuration selects (arch/riscv/Kconfig).

    Args:
        kernel: one whose `arch` is a `RiscvKernel`.
    """
    return attrs.evolve(kernel, pmd_sharing=kernel.pmd_sharing and kernel.va_bits > 32)


CONTRADICTIONS: tuple[Contradiction, ...] = (
    Contradiction(
        ("kernel.va_bits",),
        lambda kernel, platform: kernel.va_bits > platform.arch.satp_mode,
        "the platform's satp has no such mode; set platform.satp_mode too",
    ),
    Contradiction(
        ("kernel.va_bits", "kernel.pmd_sharing"),
        lambda kernel, platform: kernel.va_bits == 32 and kernel.pmd_sharing,
        "Sv32 has two levels: the PMD table is the root and nothing can point to it twice",
    ),
    Contradiction(
        ("platform.flush",),
        lambda kernel, platform: platform.flush not in ("auto", "ipi", "hypercall"),
        "a fence of RISC-V is local; there is ipi, and hypercall for the SBI call",
    ),
    Contradiction(
        ("kernel.svinval", "platform.svinval"),
        lambda kernel, platform: kernel.arch.svinval and not platform.arch.svinval,
        "the platform has no SINVAL.VMA",
    ),
)
"""Settings that cannot both hold on riscv."""
