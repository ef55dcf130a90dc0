"""What only a kernel of s390 decides, and the commits that changed it."""

from __future__ import annotations

import attrs

from shootdown import Change, Kernel, switch


@attrs.frozen
class S390Kernel:
    """What only a kernel of s390 decides: `--set kernel.NAME=` changes it."""

    va_bits: int = switch(42, "bits of user virtual address that the page tables translate", choices=(42,))


CHANGES: tuple[Change, ...] = (
    Change(
        "e06f47a16573",
        "s390/mm: try VMA lock-based page fault handling first",
        mainline="6.4",
        sets={"faults_lock_vmas": True},
        source="arch/s390/Kconfig of 6.4 selects ARCH_SUPPORTS_PER_VMA_LOCK",
    ),
    Change(
        "53cd7a06274d",
        "mm: make PT_RECLAIM depends on MMU_GATHER_RCU_TABLE_FREE",
        mainline="7.0-rc1",
        sets={"pt_reclaim": True},
        source="mm/Kconfig of 7.0: s390 has MMU_GATHER_RCU_TABLE_FREE and no HAVE_ARCH_TLB_REMOVE_TABLE",
    ),
)


def configure(kernel: Kernel) -> Kernel:
    """Set what follows from the configuration of s390's kernels (arch/s390/Kconfig, 6.4 and 7.0)."""
    return attrs.evolve(
        kernel,
        va_bits=kernel.arch.va_bits,
        pmd_sharing=False,  # ARCH_WANT_HUGE_PMD_SHARE is not selected
        merge_vmas=True,  # MMU_GATHER_MERGE_VMAS
        gather_pages=False,  # MMU_GATHER_NO_GATHER
        batched_unmap=False,  # ARCH_WANT_BATCHED_UNMAP_TLB_FLUSH is not selected
        thp_swap="unknown",  # ARCH_WANTS_THP_SWAP is selected in 7.0, and not in 6.5
        thp_zap_flushes=False,  # pmdp_huge_get_and_clear_full() flushes lazily
        thp_mprotect_flushes=True,  # pmdp_invalidate() is pmdp_xchg_direct()
    )
