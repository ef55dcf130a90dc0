"""The arm64 machines that kernels run on: CPU model, features and TLBs.

Costs are in `_costs.py`. Fetches and data have first levels of their own and share the
second. Cores since Cortex-A76 keep intermediate
results of walks in their second-level TLB, and Arm doesn't say how many (Cortex-A76 Technical Reference Manual,
A5.2.3); here walk caches are caches of their own.

FEAT_TLBIRANGE and FEAT_TTL are mandatory from Armv8.4 on (DDI 0487, A2.7): Neoverse V2 and Cortex-X3 (Armv9.0) have
them, Cortex-A76 and A78 and Neoverse N1 (Armv8.2), ThunderX2 (Armv8.1) and eMAG (Armv8.0) do not. FEAT_TTCNP is
mandatory from Armv8.2 on. Which cores have the TLBI erratum: arch/arm64/kernel/cpu_errata.c with cfd391e74134.
"""

from __future__ import annotations

from typing import Literal

import attrs

from shootdown import CacheGeometry, Platform, TlbGeometry, switch
from shootdown.porting import FlushWay, tcg_tlb, with_entries
from shootdown_arm64 import _costs

FLUSH_WAYS = (
    FlushWay("ipi", "a what-if: each CPU that has the mm loaded is interrupted, and invalidates for itself"),
    FlushWay("broadcast", "TLBI to the Inner Shareable domain, then DSB ISH"),
)
"""The ways of flushing that can be asked for."""

#: The instructions that flushes count, and where the manual has each.
INSTRUCTIONS = {
    "tlbi_aside1is": "Arm ARM DDI 0487, C5.5, TLBI ASIDE1IS",
    "tlbi_rvae1is": "Arm ARM DDI 0487, C5.5, TLBI RVAE1IS",
    "tlbi_rvale1is": "Arm ARM DDI 0487, C5.5, TLBI RVALE1IS",
    "tlbi_vae1is": "Arm ARM DDI 0487, C5.5, TLBI VAE1IS",
    "tlbi_vale1": "Arm ARM DDI 0487, C5.5, TLBI VALE1",
    "tlbi_vale1is": "Arm ARM DDI 0487, C5.5, TLBI VALE1IS",
}


@attrs.frozen
class Arm64Platform:
    """What only an arm64 platform has: the features that decide how Linux flushes."""

    tlbirange: bool = switch(True, "FEAT_TLBIRANGE: one TLBI names a range of up to 2^21 pages")
    asid_bits: int = switch(
        16, "ID_AA64MMFR0_EL1.ASIDBits: address spaces that the TLB tells apart", choices=(8, 16)
    )
    hafdbs: bool = switch(True, "FEAT_HAFDBS: walkers set the access flag and the dirty state of entries")
    bbm: Literal["never", "bbml2", "bbml3"] = switch(
        "never",
        "entries of a contiguous block may change without a flush between: bbml2, since 6.17 on "
        "cores that Linux lists "
        "(Cortex-X4, Neoverse-V3, V3AE; later Olympus, AmpereOne); bbml3, since 7.3 on more (Cortex-A715, A725, "
        "Neoverse-N3, C1) and where ID_AA64MMFR2_EL1.BBM is 3",
        choices=("never", "bbml2", "bbml3"),
    )
    tlbi_erratum: Literal["none", "1286807", "4118414"] = switch(
        "none",
        "the erratum for which TLBIs are repeated: Cortex-A76 up to r3p0 (1286807), or the one of many cores "
        "that CVE-2025-10263 is about (4118414)",
        choices=("none", "1286807", "4118414"),
    )
    sme_erratum: bool = switch(
        False,
        "erratum 4193714 of C1-Pro up to r1p2: TLBI and DSB don't wait for accesses of the SME unit; every thread that "
        "computes uses it",
    )


KIB4, KIB16, KIB64 = 1 << 12, 1 << 14, 1 << 16
MIB2, MIB32, MIB512 = 1 << 21, 1 << 25, 1 << 29
GIB1, GIB512 = 1 << 30, 1 << 39
LEVELS = (KIB4, MIB2, GIB1, GIB512)
#: The page sizes of TLB entries, for the three granules.
SIZES = (KIB4, KIB16, KIB64, MIB2, MIB32, MIB512)

# Cortex-A55's manual is the only one that gives a size: 64 entries in 4 ways, the results of walks up to but not
# including the last level (Agilex 5 manual 814346, table 48). Taken for all cores here; how that is split between
# levels is UNVERIFIED: half leads to last-level tables, half is above.
_WALK = (
    CacheGeometry(entries=32, ways=4, page_sizes=(MIB2,)),
    CacheGeometry(entries=32, ways=4, page_sizes=(GIB1, GIB512)),
)


_ASID = "ASIDs of 16 bits: Arm ARM DDI 0487, D8.15 and ID_AA64MMFR0_EL1.ASIDBits; estimate: walk caches"


def _geometry(
    l1: int, l2: int, ways: int, source: str, *, l1_sizes: tuple[int, ...] = SIZES, asid_bits: int = 16
) -> TlbGeometry:
    """Return the geometry of a core with one first-level TLB for all page sizes, and one second-level TLB."""
    return TlbGeometry(
        l1=CacheGeometry(entries=l1, ways=l1, page_sizes=l1_sizes),
        l2=CacheGeometry(entries=l2, ways=ways, page_sizes=(*SIZES, GIB1)),
        walk_caches=_WALK,
        levels=LEVELS,
        asid_bits=asid_bits,
        source=f"{source}; {_ASID}",
    )


# Cortex-A76, whose server sibling Neoverse N1 is: data L1 of 48 entries, fully associative, for 4K, 16K, 64K, 2M and
# 512M; L2 of 1280 in 5 ways for every block size, and walks (Cortex-A76 Technical Reference Manual 100798, A5.2).
# 16 bits of ASID: A5.1.
NEOVERSE_N1 = _geometry(
    48, 1280, 5, "Cortex-A76 TRM 100798, A5.1 and A5.2", l1_sizes=(KIB4, KIB16, KIB64, MIB2, MIB512)
)

# Neoverse V2, a sibling of Cortex-X3. Data L1: 48 entries since Cortex-X2 (AnandTech, "Arm announces mobile Armv9 CPU
# microarchitectures"). UNVERIFIED: L2 of 2048 entries in 8 ways.
NEOVERSE_V2 = _geometry(48, 2048, 8, "AnandTech on Cortex-X2; estimate: the second level")

# ThunderX2: an STLB of 2048 entries for pages of 4 KiB to 16 GiB (WikiChip, cavium/microarchitectures/vulcan).
# UNVERIFIED: its ways; 64 entries before it.
THUNDERX2 = _geometry(64, 2048, 8, "WikiChip, cavium/microarchitectures/vulcan; estimate: first level, ways")

# Ampere eMAG: nothing published was found. UNVERIFIED: taken to be as Cortex-A72, 32 and 1024 in 4 ways (Cortex-A72
# Technical Reference Manual 100095, 5.2.3).
EMAG = _geometry(32, 1024, 4, "estimate: as Cortex-A72, TRM 100095, 5.2.3")

# Cortex-A78. UNVERIFIED: 32 entries and 1024 in 4 ways.
CORTEX_A78 = _geometry(32, 1024, 4, "estimate: of the class of Cortex-A76")

# The instruction side: 48 entries in Cortex-A76 (A5.2) and Cortex-A72 (5.2.1), as the data side has in Cortex-A76.
# UNVERIFIED: that Neoverse V2, ThunderX2 and Cortex-A78 have as many for instructions as for data.
EMAG_I = _geometry(48, 1024, 4, "estimate: as Cortex-A72, TRM 100095, 5.2.1")

TCG = tcg_tlb(LEVELS)


# FEAT_HAFDBS is of Armv8.1: eMAG and Cortex-A72 are Armv8.0. UNVERIFIED: ThunderX2 (Armv8.1) is taken to lack it.
PLATFORMS: tuple[Platform, ...] = with_entries(
    Platform(
        name="neoverse-v2",
        summary="server with range operations: Neoverse V2 (AWS Graviton4, two sockets)",
        costs=_costs.NEOVERSE_V2,
        tlb=NEOVERSE_V2,
        itlb=NEOVERSE_V2,
        arch=Arm64Platform(tlbi_erratum="4118414"),
        cpus=192,
    ),
    Platform(
        name="neoverse-n1",
        summary="server without range operations: Neoverse N1 (AWS Graviton2)",
        costs=_costs.NEOVERSE_N1,
        tlb=NEOVERSE_N1,
        itlb=NEOVERSE_N1,
        arch=Arm64Platform(tlbirange=False, tlbi_erratum="4118414"),
        cpus=64,
    ),
    Platform(
        name="emag",
        summary="server without range operations: Ampere eMAG, 32 CPUs on one socket",
        costs=_costs.EMAG,
        tlb=EMAG,
        itlb=EMAG_I,
        arch=Arm64Platform(tlbirange=False, hafdbs=False),
        cpus=32,
    ),
    Platform(
        name="thunderx2",
        summary="two-socket server without range operations: Cavium ThunderX2, four threads a core",
        costs=_costs.THUNDERX2,
        tlb=THUNDERX2,
        itlb=THUNDERX2,
        arch=Arm64Platform(tlbirange=False, hafdbs=False),
        cpus=224,
    ),
    Platform(
        name="cortex-a78",
        summary="phone or tablet without range operations: Cortex-A78 class (Snapdragon 888)",
        costs=_costs.CORTEX_A78,
        tlb=CORTEX_A78,
        itlb=CORTEX_A78,
        arch=Arm64Platform(tlbirange=False, tlbi_erratum="4118414"),
        cpus=8,
    ),
    Platform(
        name="cortex-x3",
        summary="phone or laptop with range operations: Cortex-X3 class (Snapdragon 8 Gen 2)",
        costs=_costs.CORTEX_X3,
        tlb=NEOVERSE_V2,
        itlb=NEOVERSE_V2,
        arch=Arm64Platform(tlbi_erratum="4118414"),
        cpus=8,
    ),
    Platform(
        name="qemu-tcg",
        summary="QEMU's own translator as the rows of the oracle were measured: cortex-a72, no range operations",
        costs=_costs.QEMU_TCG,
        tlb=TCG,
        itlb=TCG,
        walk_entries=0,
        arch=Arm64Platform(tlbirange=False, hafdbs=False),
        cpus=4,
    ),
    Platform(
        name="qemu-tcg-max",
        summary="the same with the CPU model `max`, which has FEAT_TLBIRANGE",
        costs=_costs.QEMU_TCG,
        tlb=TCG,
        itlb=TCG,
        walk_entries=0,
        arch=Arm64Platform(),
        cpus=4,
    ),
)
