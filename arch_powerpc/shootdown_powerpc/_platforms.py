"""The POWER machines that kernels run on: CPU, MMU, hypervisor and TLBs.

Costs are in `_costs.py`. TLB figures are the data side's; the instruction side is taken to be as large (UNVERIFIED).
"""

from __future__ import annotations

from typing import Literal

import attrs

from shootdown import CacheGeometry, Platform, TlbGeometry, switch
from shootdown.porting import FlushWay, tcg_tlb, with_entries
from shootdown_powerpc import _costs

FLUSH_WAYS = (
    FlushWay("ipi", "IPIs whose handlers execute tlbiel, as with disable_tlbie"),
    FlushWay("broadcast", "tlbie, which the fabric broadcasts, then tlbsync"),
    FlushWay("hypercall", "H_RPT_INVALIDATE, as in a guest without GTSE"),
)
"""The ways of flushing that radix kernels have."""

_ISA = "Power ISA 3.1, Book III, 6.9.3.3"
#: The instructions that flushes count, and where the manual has each. RIC, PRS and R are operands.
INSTRUCTIONS = {
    "tlbie_ric0_prs1_r1": f"{_ISA}, tlbie: entries of a page",
    "tlbie_ric1_prs1_r1": f"{_ISA}, tlbie: the page walk cache",
    "tlbie_ric2_prs1_r1": f"{_ISA}, tlbie: everything of a process",
    "tlbiel_ric0_prs1_r1": f"{_ISA}, tlbiel: entries of a page",
    "tlbiel_ric1_prs1_r1": f"{_ISA}, tlbiel: the page walk cache",
    "tlbiel_ric2_prs1_r1": f"{_ISA}, tlbiel: everything of a process",
    "tlbie_ric0_prs0_r0": f"{_ISA}, tlbie: entries of a hashed page",
    "tlbie_ric0_prs0_r1": f"{_ISA}, tlbie: what the POWER9 erratum asks for, of PID 0",
    "tlbiel_ric0_prs0_r0": f"{_ISA}, tlbiel: entries of a hashed page",
    "tlbsync": f"{_ISA}, tlbsync",
    "h_rpt_invalidate": "PAPR, as arch/powerpc/include/asm/hvcall.h:H_RPT_INVALIDATE has it",
}


@attrs.frozen
class PowerPlatform:
    """What only a POWER platform has: the features that decide how Linux flushes."""

    mmu: Literal["radix", "hash"] = switch(
        "radix",
        "radix page tables, or the hash table (before POWER9, with disable_radix, or by the hypervisor's choice)",
        choices=("radix", "hash"),
    )
    isa: Literal["2.07", "3.0", "3.1"] = switch(
        "3.0", "Power ISA: 2.07 is POWER8, 3.0 POWER9, 3.1 POWER10 and 11", choices=("2.07", "3.0", "3.1")
    )
    gtse: bool = switch(
        True,
        "guest translation shootdown enable (MMU_FTR_GTSE): the kernel may execute tlbie; always so on bare metal",
    )
    p9_tlbie_erat_bug: bool = switch(
        False, "CPU_FTR_P9_TLBIE_ERAT_BUG (every POWER9): one more tlbie, of PID 0, after each kind of tlbie"
    )
    p9_tlbie_stq_bug: bool = switch(
        False, "CPU_FTR_P9_TLBIE_STQ_BUG (POWER9 before Nimbus DD2.3, and guests): the last tlbie is repeated"
    )
    coprocessors: bool = switch(
        False, "accelerators translate for each mm through the nest MMU (mm->context.copros): it needs tlbie"
    )
    lockless_tlbie: bool = switch(
        True,
        "MMU_FTR_LOCKLESS_TLBIE (POWER5 and later): CPUs may execute tlbie at once; else native_tlbie_lock (hash)",
    )
    pid_bits: int = switch(
        20, "bits of a radix PID; 19 in guests with the radix prefetch bug", minimum=1, maximum=32
    )


KIB4, KIB64, MIB2, MIB16, GIB1, GIB512 = 1 << 12, 1 << 16, 1 << 21, 1 << 24, 1 << 30, 1 << 39
LEVELS = (KIB4, MIB2, GIB1, GIB512)

_PID = "PIDs of 20 bits: arch/powerpc/mm/init_64.c, mmu_pid_bits"

# UNVERIFIED: replacement, and how many entries of the tables' upper levels the page walk cache holds; IBM says that
# there is one (POWER9 Processor User's Manual 2.0).
_PAGE_WALK = (
    CacheGeometry(entries=32, ways=32, page_sizes=(MIB2,)),
    CacheGeometry(entries=16, ways=16, page_sizes=(GIB1, GIB512)),
)
_RADIX_SIZES = (KIB4, KIB64, MIB2, GIB1)

# ERAT of 64 entries, fully associative; TLB of 1024 in four ways: UNVERIFIED, from memory of that manual. The kernel
# goes through 256 sets with the hash MMU, which is as many, and through 128 with radix (radix_tlb.c, _tlbiel_pid()).
POWER9 = TlbGeometry(
    l1=CacheGeometry(entries=64, ways=64, page_sizes=(KIB4, KIB64, MIB2)),
    l2=CacheGeometry(entries=1024, ways=4, page_sizes=_RADIX_SIZES),
    walk_caches=_PAGE_WALK,
    levels=LEVELS,
    asid_bits=20,
    source=f"arch/powerpc/mm/book3s64/radix_tlb.c, _tlbiel_pid(); {_PID}; estimate: sizes, walk cache",
)

# TLB four times as large as POWER9's (Starke and Thompto, IBM's POWER10 Processor, Hot Chips 32). UNVERIFIED: ways.
POWER10 = attrs.evolve(POWER9, l2=CacheGeometry(entries=4096, ways=4, page_sizes=_RADIX_SIZES))
POWER10 = attrs.evolve(
    POWER10, source=f"Starke and Thompto, Hot Chips 32; {_PID}; estimate: ways, walk cache"
)

# POWER8: ERAT of 48 entries, TLB of 2048 in four ways: UNVERIFIED, from memory of its user's manual. The TLB holds
# virtual addresses of segments; nothing caches Linux' own tree, which the hardware doesn't know.
POWER8 = TlbGeometry(
    l1=CacheGeometry(entries=48, ways=48, page_sizes=(KIB4, KIB64, MIB16)),
    l2=CacheGeometry(entries=2048, ways=4, page_sizes=(KIB4, KIB64, MIB2, MIB16)),
    levels=LEVELS,
    asid_bits=20,
    source=f"estimate: sizes as remembered of POWER8's user's manual; {_PID}",
)

TCG = tcg_tlb(LEVELS)


_P9_GUEST = PowerPlatform(p9_tlbie_erat_bug=True, p9_tlbie_stq_bug=True)

PLATFORMS: tuple[Platform, ...] = with_entries(
    # PVR of Nimbus DD2.3: the store-queue bug is fixed (update_tlbie_feature_flag(), kernel/dt_cpu_ftrs.c).
    Platform(
        name="power9",
        summary="two-socket POWER9 (Nimbus DD2.3) on bare metal: radix, tlbie, four threads a core",
        costs=_costs.POWER9,
        tlb=POWER9,
        itlb=POWER9,
        arch=PowerPlatform(p9_tlbie_erat_bug=True),
        cpus=176,
    ),
    Platform(
        name="power10",
        summary="POWER10 on bare metal: radix, tlbie, a PID by one tlbiel, eight threads a core",
        costs=_costs.POWER10,
        tlb=POWER10,
        itlb=POWER10,
        arch=PowerPlatform(isa="3.1"),
        cpus=240,
    ),
    # The guest has the CPU features common to all POWER9s, because it may be migrated (09ce98cacd51).
    Platform(
        name="power9-guest",
        summary="pseries guest of KVM on POWER9: radix, and the kernel may execute tlbie (GTSE)",
        costs=_costs.POWER9_GUEST,
        tlb=attrs.evolve(POWER9, vm_bits=3),
        itlb=attrs.evolve(POWER9, vm_bits=3),
        arch=attrs.evolve(_P9_GUEST, pid_bits=19),
        cpus=64,
        hypervisor="kvm",
    ),
    Platform(
        name="power10-lpar",
        summary="partition of PowerVM on POWER10: radix without GTSE, flushed by H_RPT_INVALIDATE",
        costs=_costs.POWER10_LPAR,
        tlb=attrs.evolve(POWER10, vm_bits=3),
        itlb=attrs.evolve(POWER10, vm_bits=3),
        arch=PowerPlatform(isa="3.1", gtse=False),
        cpus=192,
        hypervisor="powervm",
    ),
    Platform(
        name="power8",
        summary="two-socket POWER8 on bare metal: hash table, tlbie by virtual page number, eight threads a core",
        costs=_costs.POWER8,
        tlb=POWER8,
        itlb=POWER8,
        arch=PowerPlatform(mmu="hash", isa="2.07"),
        cpus=160,
        # Two threads do 1.43 times what one does, four twice as much (AnandTech, as `smt_slowed` cites).
        smt_slowed=40,
    ),
    Platform(
        name="power9-hash",
        summary="the same POWER9 booted with disable_radix: hash table",
        costs=_costs.POWER9_HASH,
        tlb=attrs.evolve(POWER9, walk_caches=()),
        itlb=attrs.evolve(POWER9, walk_caches=()),
        arch=PowerPlatform(mmu="hash", p9_tlbie_erat_bug=True),
        cpus=176,
    ),
    # The machine of tests/oracle, inferred from its counts: tlbie by a guest with GTSE, both fix-ups.
    Platform(
        name="qemu-tcg",
        summary="QEMU's own translator as the rows of the oracle were measured: POWER9, radix",
        costs=_costs.QEMU_TCG,
        tlb=TCG,
        itlb=TCG,
        walk_entries=0,
        arch=_P9_GUEST,
        cpus=4,
    ),
)
