"""The arm64 machines that kernels run on: CPU model, features and TLBs.

What things cost on them is in `_costs.py`. TLB figures are the data side's. Walk caches are UNVERIFIED throughout:
Arm says that the second-level TLB also holds intermediate results of walks, not how many (Cortex-A76 Technical
Reference Manual, A5.2.3).
"""

from __future__ import annotations

from typing import Literal

import attrs

from shootdown._kernel import switch
from shootdown._platform import Platform
from shootdown._tlb.geometry import CacheGeometry, TlbGeometry
from shootdown_arm64 import _costs


@attrs.frozen
class Arm64Platform:
    """What only an arm64 platform has: the features that decide how Linux flushes."""

    tlbirange: bool = switch(True, "FEAT_TLBIRANGE: one TLBI names a range of up to 2^21 pages")
    ttl: bool = switch(True, "FEAT_TTL: a TLBI by address may say at which level its leaf is")
    asid_bits: int = switch(
        16, "ID_AA64MMFR0_EL1.ASIDBits: address spaces that the TLB tells apart", choices=(8, 16)
    )
    cnp: bool = switch(True, "FEAT_TTCNP: threads of a core share TLB entries of one address space")
    tlbi_erratum: Literal["none", "1286807", "4118414"] = switch(
        "none",
        "the erratum for which TLBIs are repeated: Cortex-A76 up to r3p0 (1286807), or the one of many cores "
        "that CVE-2025-10263 is about (4118414)",
        choices=("none", "1286807", "4118414"),
    )


KIB4, KIB16, KIB64 = 1 << 12, 1 << 14, 1 << 16
MIB2, MIB32, MIB512 = 1 << 21, 1 << 25, 1 << 29
GIB1, GIB512 = 1 << 30, 1 << 39
LEVELS = (KIB4, MIB2, GIB1, GIB512)
#: Page sizes that an entry can hold; those of the three granules.
SIZES = (KIB4, KIB16, KIB64, MIB2, MIB32, MIB512)

_WALK = (
    CacheGeometry(entries=16, ways=16, page_sizes=(MIB2,)),
    CacheGeometry(entries=16, ways=16, page_sizes=(GIB1, GIB512)),
)

# Cortex-A76, whose server sibling Neoverse N1 is: L1 48 entries, fully associative; L2 1280 in 5 ways, for all block
# sizes, and walks (Cortex-A76 Technical Reference Manual, A5.2; Agilex 5 manual 814346).
NEOVERSE_N1 = TlbGeometry(
    l1=CacheGeometry(entries=48, ways=48, page_sizes=SIZES),
    l2=CacheGeometry(entries=1280, ways=5, page_sizes=(*SIZES, GIB1)),
    walk_caches=_WALK,
    levels=LEVELS,
    asid_bits=16,
)

# Neoverse V2: UNVERIFIED, from memory of its Technical Reference Manual: L1 48 entries, L2 2048 in 8 ways.
NEOVERSE_V2 = TlbGeometry(
    l1=CacheGeometry(entries=48, ways=48, page_sizes=SIZES),
    l2=CacheGeometry(entries=2048, ways=8, page_sizes=(*SIZES, GIB1)),
    walk_caches=_WALK,
    levels=LEVELS,
    asid_bits=16,
)

# ThunderX2: UNVERIFIED; nothing published was found. Taken to be as Neoverse N1.
THUNDERX2 = NEOVERSE_N1

# Cortex-A78: UNVERIFIED beyond what it shares with Cortex-A76: L1 32 entries, L2 1024 in 4 ways.
CORTEX_A78 = TlbGeometry(
    l1=CacheGeometry(entries=32, ways=32, page_sizes=SIZES),
    l2=CacheGeometry(entries=1024, ways=4, page_sizes=(*SIZES, GIB1)),
    walk_caches=_WALK,
    levels=LEVELS,
    asid_bits=16,
)

# QEMU's translator caches translations of single base pages in a direct-mapped table of each MMU mode, 256 entries
# at first (accel/tcg/cputlb.c; it grows with use), without ASIDs, and nothing of the tables' upper levels.
TCG = TlbGeometry(
    l1=CacheGeometry(entries=256, ways=1, page_sizes=LEVELS[:3]),
    levels=LEVELS,
    asid_bits=0,
    global_entries=False,
)


def _with_entries(platform: Platform) -> Platform:
    """Count from the TLB geometry what can point into a PMD table, or hold a huge page, on one CPU."""
    tlb: TlbGeometry = platform.tlb
    pointing = sum(cache.entries for cache in tlb.walk_caches if GIB1 in cache.page_sizes)
    huge = sum(cache.entries for cache in (*tlb.l1, *tlb.l2) if MIB2 in cache.page_sizes)
    return attrs.evolve(platform, walk_entries=max(pointing, 1), huge_entries=max(huge, 1))


PLATFORMS: tuple[Platform, ...] = tuple(
    _with_entries(platform)
    for platform in (
        Platform(
            name="neoverse-v2",
            summary="server with range operations: Neoverse V2 (AWS Graviton4, two sockets)",
            costs=_costs.NEOVERSE_V2,
            tlb=NEOVERSE_V2,
            arch=Arm64Platform(tlbi_erratum="4118414"),
            cpus=192,
        ),
        Platform(
            name="neoverse-n1",
            summary="server without range operations: Neoverse N1 (AWS Graviton2)",
            costs=_costs.NEOVERSE_N1,
            tlb=NEOVERSE_N1,
            arch=Arm64Platform(tlbirange=False, ttl=False, tlbi_erratum="4118414"),
            cpus=64,
        ),
        Platform(
            name="thunderx2",
            summary="two-socket server without range operations: Cavium ThunderX2, four threads a core",
            costs=_costs.THUNDERX2,
            tlb=THUNDERX2,
            arch=Arm64Platform(tlbirange=False, ttl=False, cnp=False),
            cpus=224,
        ),
        Platform(
            name="cortex-a78",
            summary="phone or tablet without range operations: Cortex-A78 class (Snapdragon 888)",
            costs=_costs.CORTEX_A78,
            tlb=CORTEX_A78,
            arch=Arm64Platform(tlbirange=False, ttl=False, tlbi_erratum="4118414"),
            cpus=8,
        ),
        Platform(
            name="qemu-tcg",
            summary="QEMU's own translator as the rows of the oracle were measured: cortex-a72, no range operations",
            costs=_costs.QEMU_TCG,
            tlb=TCG,
            arch=Arm64Platform(tlbirange=False, ttl=False, cnp=False),
            cpus=4,
        ),
        Platform(
            name="qemu-tcg-max",
            summary="the same with the CPU model `max`, which has FEAT_TLBIRANGE",
            costs=_costs.QEMU_TCG,
            tlb=TCG,
            arch=Arm64Platform(),
            cpus=4,
        ),
    )
)
