"""LoongArch machines: 3A5000 (LA464, software refill), 3A6000 and 3C6000 (LA664, with a page table walker).

The TLB of each core: an STLB of 2048 pairs in 8 ways for base pages, and an MTLB of 64 pairs of any size. The kernel
reads both from CSR.PRCFG3 (manual, 7.4.15; arch/loongarch/kernel/cpu-probe.c: cpu_probe_common(), 5.19).
"""

from __future__ import annotations

import attrs

from shootdown import CacheGeometry, Cost, Costs, Platform, TlbGeometry, switch
from shootdown.porting import estimated_costs, with_entries

STLB, STLB_WAYS, MTLB = 2048, 8, 64
ASID_BITS = 10
TLB_SOURCE = (
    "sizes: CSR.PRCFG3 of LA464 as Linux's and QEMU's ports have them (64 MTLB; 256 sets of 8 STLB), and estimate: "
    "LA664 as LA464; ASID: LoongArch Reference Manual vol. 1, 7.5.4; no cache of directory entries is in the manual"
)


@attrs.frozen
class LoongarchPlatform:
    """What only LoongArch machines differ in."""

    ptw: bool = switch(False, "the core has a hardware page table walker (CPUCFG.2.HPTW)")


# An MTLB entry says its page size; all of the STLB has the kernel's base pages (manual, 5.4.2). An entry holds a pair.
BASE_PAGES, HUGE_PAGES = (4096, 16384, 65536), (2 << 20, 32 << 20, 512 << 20)
GEOMETRY = TlbGeometry(
    l1=CacheGeometry(MTLB, MTLB, BASE_PAGES + HUGE_PAGES, policy="random"),
    l2=CacheGeometry(STLB, STLB_WAYS, BASE_PAGES, policy="random"),
    levels=(16384, 32 << 20, 64 << 30),
    asid_bits=ASID_BITS,
    pages_in_pairs=True,
    source=TLB_SOURCE,
)


def _costs(ghz: float) -> Costs:
    """Estimate from the clock rate, but for what the kernel's source tells apart."""
    return estimated_costs(
        ghz,
        ipi_write_ns=Cost(
            60, 150, 400, "estimate: a blocking write of IOCSR IPI_Send, an uncached access on the chip"
        ),
        page_flush_ns=Cost(
            8, 20, 60, "estimate: INVTLB looks up one set of the STLB and all of the MTLB, some 50 cycles"
        ),
        full_flush_ns=Cost(
            4, 12, 40, "estimate: a new ASID in CSR.ASID, some 30 cycles; refills cost more and come later"
        ),
    )


def _machine(name: str, summary: str, *, ghz: float, cpus: int, ptw: bool) -> Platform:
    """Describe one machine."""
    return Platform(
        name,
        summary,
        _costs(ghz),
        tlb=GEOMETRY,
        arch=LoongarchPlatform(ptw=ptw),
        ghz=ghz,
        cpus=cpus,
        walk_entries=0,
    )


PLATFORMS = with_entries(
    _machine("loongson-3a6000", "Loongson 3A6000: 4 LA664, SMT, walker", ghz=2.5, cpus=8, ptw=True),
    _machine("loongson-3a5000", "Loongson 3A5000: 4 LA464, software refill", ghz=2.5, cpus=4, ptw=False),
    _machine("loongson-3c6000", "Loongson 3C6000: 16 LA664, SMT, walker", ghz=2.2, cpus=32, ptw=True),
)
