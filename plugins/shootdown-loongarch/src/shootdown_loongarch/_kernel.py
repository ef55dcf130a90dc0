"""What LoongArch kernels decide, and the commits that changed it. First release: 5.19."""

from __future__ import annotations

import attrs

from shootdown import Change, Kernel, switch
from shootdown.porting import Contradiction
from shootdown_loongarch._formats import BY_LAYOUT

# Each page size's layout that Linux offers with the most levels below 49 bits (arch/loongarch/Kconfig, 5.19).
DEFAULT_VA_BITS = {4096: 48, 16384: 47, 65536: 42}


@attrs.frozen
class LoongarchKernel:
    """What only a LoongArch kernel decides: `--set kernel.NAME=` changes it."""

    page_size: int = switch(
        16384,
        "bytes in a base page (CONFIG_16KB_3LEVEL is the default)",
        choices=(4096, 16384, 65536),
        configured=True,
    )
    va_bits: int = switch(
        47,
        "bits of user virtual address, from page size and levels",
        choices=(36, 39, 42, 47, 48),
        configured=True,
    )
    enables_walker: bool = switch(
        False, "the kernel turns the hardware page table walker on, where the core has one"
    )


CHANGES = (
    Change(
        "09cfefb7fa70",
        "LoongArch: Add memory management",
        mainline="5.19-rc1",
        sets={"rcu_table_free": False, "merge_vmas": True, "pmd_sharing": False},
        note="__pte_free_tlb() queues a table with pages; arch/loongarch/include/asm/pgalloc.h, Kconfig",
    ),
    Change(
        "01158487af60",
        "LoongArch: Introduce hardware page table walker",
        mainline="6.5-rc1",
        sets={"enables_walker": True},
    ),
    Change(
        "5fc530fb210d",
        "LoongArch: mm: enable MMU_GATHER_RCU_TABLE_FREE",
        mainline="7.0-rc1",
        sets={"rcu_table_free": True},
        note="the commit is that of linux-mm's tree; docs/facts/flushes.md has the release",
    ),
)


def configure(kernel: Kernel) -> Kernel:
    """Set what follows from the configuration of LoongArch's kernels."""
    # No ARCH_WANT_HUGE_PMD_SHARE, nor its successor, in arch/loongarch/Kconfig, from 5.19 on.
    va_bits = kernel.va_bits
    if (kernel.page_size, va_bits) not in BY_LAYOUT:
        va_bits = DEFAULT_VA_BITS[kernel.page_size]
    return attrs.evolve(
        kernel,
        pmd_sharing=False,
        thp_swap="unknown",  # ARCH_WANTS_THP_SWAP is selected in 7.0, and not in 6.5
        va_bits=va_bits,
        arch=attrs.evolve(kernel.arch, va_bits=va_bits),
    )


CONTRADICTIONS = (
    Contradiction(
        ("kernel.va_bits",),
        lambda kernel, platform: (kernel.page_size, kernel.va_bits) not in BY_LAYOUT,
        "Linux has layouts of 4 KiB with 39 or 48 bits, 16 KiB with 36 or 47, 64 KiB with 42: give kernel.page_size",
    ),
)
