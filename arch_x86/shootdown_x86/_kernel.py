"""The switches that only x86 kernels have, the changes that moved them, and what a configuration selects."""

from __future__ import annotations

import attrs

from shootdown._changes import Change
from shootdown._kernel import Kernel, switch


@attrs.frozen
class X86Kernel:
    """What only an x86 kernel has (arch/x86/mm/tlb.c, arch/x86/include/asm/tlbflush.h)."""

    paravirt: bool = switch(True, "CONFIG_PARAVIRT: the kernel can run under a hypervisor's TLB flush")
    pti: bool = switch(False, "page-table isolation is on: each mm has a second set of PCIDs for user mode")
    table_free_needs_paravirt: bool = switch(
        True, "MMU_GATHER_RCU_TABLE_FREE is selected by PARAVIRT only, not always"
    )
    flush_range_frees_tables: bool = switch(
        False, "flush_tlb_range() passes freed_tables, so that lazy CPUs are interrupted"
    )


CHANGES: tuple[Change, ...] = (
    Change(
        commit="a37259732a7d",
        subject="x86/mm: Make MMU_GATHER_RCU_TABLE_FREE unconditional",
        mainline="6.15-rc1",
        sets={"table_free_needs_paravirt": False},
    ),
    Change(
        commit="3ef938c35035",
        subject="x86/mm: Fix flush_tlb_range() when used for zapping normal PMDs",
        mainline="6.15-rc1",
        sets={"flush_range_frees_tables": True},
        stable={"5.10": 236, "5.15": 180, "6.1": 134, "6.6": 87, "6.12": 23, "6.13": 11, "6.14": 2},
        source="CVE-2025-22045",
    ),
)


def configure(kernel: Kernel) -> Kernel:
    """Return the kernel with what its configuration selects (arch/x86/Kconfig).

    Args:
        kernel: one whose `arch` is an `X86Kernel`.
    """
    own: X86Kernel = kernel.arch
    return attrs.evolve(kernel, rcu_table_free=own.paravirt or not own.table_free_needs_paravirt)
