"""The x86 machines that kernels run on: CPU model, features, hypervisor and TLBs.

Costs are in `_costs.py`. Each core has TLBs for data and for instructions. No vendor fully documents its
paging-structure caches; the comments say what is known.
"""

from __future__ import annotations

import attrs

from shootdown import CacheGeometry, Platform, TlbGeometry, switch
from shootdown.porting import FlushWay, tcg_tlb, with_entries
from shootdown_x86 import _costs

FLUSH_WAYS = (
    FlushWay("ipi", "native_flush_tlb_multi(): an IPI to each CPU of mm_cpumask that is not lazy"),
    FlushWay("broadcast", "the same as invlpgb, by the name that other architectures use", global_asid=True),
    FlushWay("invlpgb", "broadcast_tlb_flush(): INVLPGB by global ASID, then TLBSYNC", global_asid=True),
    FlushWay("kvm", "kvm_flush_tlb_multi(): preempted vCPUs flush when they run again", preempts=True),
    FlushWay("hypercall", "xen_flush_tlb_multi() or hyperv_flush_tlb_multi(): the hypervisor flushes"),
)
"""The ways of flushing that x86 kernels have."""


@attrs.frozen
class X86Platform:
    """What only an x86 platform has: the CPUID features that decide how Linux flushes."""

    pcid: bool = switch(True, "CPUID.1:ECX.PCID: translations carry a process-context identifier")
    invlpgb: bool = switch(False, "CPUID 0x80000008 EBX[3]: INVLPGB and TLBSYNC invalidate on all CPUs")
    invlpgb_max_pages: int = switch(
        1,
        "pages that one INVLPGB may name: CPUID 0x80000008 EDX[15:0] plus one",
        minimum=1,
        maximum=65536,
    )
    tlbi_erratum: bool = switch(
        False, "AMD's erratum #1718: Zen 5 whose microcode does not set TLBSYNC_SFW_NO (X86_BUG_TLBI)"
    )
    tce: bool = switch(
        False, "EFER.TCE: INVLPG drops only the paging-structure entries that lead to its address"
    )
    la57: bool = switch(False, "CPUID.7.0:ECX.LA57: the CPU can walk five levels")
    x2apic: bool = switch(True, "IPIs are sent by writing one MSR rather than two memory-mapped words")
    x2apic_phys: bool = switch(
        False,
        "x2APIC in physical mode: a write for each CPU, not for each cluster of 16 (by that boot parameter, by the "
        "firmware's FADT, and in guests that have no interrupt remapping)",
    )
    ipi_shorthand: bool = switch(
        False,
        "one write interrupts all CPUs but the sender (apic_use_ipi_shorthand); costs are those of machines without",
    )


KIB4, MIB2, GIB1, GIB512 = 1 << 12, 1 << 21, 1 << 30, 1 << 39
LEVELS = (KIB4, MIB2, GIB1, GIB512)

_PCID = "12 bits of PCID: Intel SDM vol. 3A, 4.10.1, AMD APM vol. 2, 5.5.1"

# Golden Cove: 96 (6-way), 32 and 8 entries, an STLB of 2048 in 16 ways for 4 KiB and 2 MiB pages (notes on
# Hennessy and Patterson's i9-12900). UNVERIFIED: the ways of the 2 MiB and 1 GiB TLBs, replacement, what the
# second level does with 1 GiB pages (here: nothing), and the paging-structure caches (32 PDEs, 4 PDPTEs,
# 4 PML4Es: the order of size that has been inferred for earlier cores).
GOLDEN_COVE = TlbGeometry(
    l1=(
        CacheGeometry(entries=96, ways=6, page_sizes=(KIB4,)),
        CacheGeometry(entries=32, ways=4, page_sizes=(MIB2,)),
        CacheGeometry(entries=8, ways=8, page_sizes=(GIB1,)),
    ),
    l2=CacheGeometry(entries=2048, ways=16, page_sizes=(KIB4, MIB2)),
    walk_caches=(
        CacheGeometry(entries=32, ways=32, page_sizes=(MIB2,)),
        CacheGeometry(entries=4, ways=4, page_sizes=(GIB1,)),
        CacheGeometry(entries=4, ways=4, page_sizes=(GIB512,)),
    ),
    levels=LEVELS,
    source=f"notes on Hennessy and Patterson's i9-12900; {_PCID}; estimate: walk caches, ways",
)

# Its instruction side: 256 entries (8-way) for 4 KiB pages (the same notes); 32 for 2 MiB pages and the shared STLB
# are UNVERIFIED.
GOLDEN_COVE_I = attrs.evolve(
    GOLDEN_COVE,
    l1=(
        CacheGeometry(entries=256, ways=8, page_sizes=(KIB4,)),
        CacheGeometry(entries=32, ways=8, page_sizes=(MIB2,)),
    ),
)

# Zen 2 and 3: 64 entries, fully associative, every page size; a second level of 2048 that holds PDEs as well
# (WikiChip, zen_2; 1 GiB pages are smashed there). Its 16 ways are UNVERIFIED.
# A page directory cache of 64 PML4Es and PDPEs (Zen 2's optimisation guide, cited by Chips and Cheese on
# Neoverse N1 and Zen 2). The second level's PDEs are a cache of their own here, of UNVERIFIED size.
ZEN = TlbGeometry(
    l1=CacheGeometry(entries=64, ways=64, page_sizes=(KIB4, MIB2, GIB1)),
    l2=CacheGeometry(entries=2048, ways=16, page_sizes=(KIB4, MIB2)),
    walk_caches=(
        CacheGeometry(entries=64, ways=64, page_sizes=(MIB2,)),
        CacheGeometry(entries=64, ways=64, page_sizes=(GIB1, GIB512)),
    ),
    levels=LEVELS,
    source=f"WikiChip, zen_2; Zen 2's optimisation guide; {_PCID}; estimate: ways, cached PDEs",
)

# The "2048 entries in 12 ways" of Zen 2's second level are 8 ways for 4 KiB pages and 4 for 2 MiB pages, 2048 entries
# each: CPUID 0x80000006 has EAX 48006400 and EBX 68006400, and a code for 12 ways it has not. The array is one, with a
# hash for each way (a skewed-associative cache, which may hold several page sizes: Seznec 2004); that the two sizes
# share its entries is not modelled.
ZEN2 = attrs.evolve(
    ZEN,
    l2=(
        CacheGeometry(entries=2048, ways=8, page_sizes=(KIB4,)),
        CacheGeometry(entries=2048, ways=4, page_sizes=(MIB2,)),
    ),
)


def _fetches(data: TlbGeometry, entries: int, ways: int) -> TlbGeometry:
    """Return the instruction side of a Zen core: 64 entries for every page size, and a second level of its own."""
    return attrs.evolve(
        data,
        l1=CacheGeometry(entries=64, ways=64, page_sizes=(KIB4, MIB2, GIB1)),
        l2=CacheGeometry(entries=entries, ways=ways, page_sizes=(KIB4, MIB2)),
    )


# 512 entries in 8 ways (7-cpu.com, Zen2: 4 KiB and 2 MiB pages; 1 GiB pages take the entries of 2 MiB). The walk
# caches are those of the data side.
ZEN_I = _fetches(ZEN, 512, 8)

# Zen 5: 96 and 4096 entries for data, 64 and 2048 for instructions. CPUID 0x80000006 has 12 bits for a size, and 4096
# needs 13: 228200f695c0 mends what Linux prints of it. UNVERIFIED: the sizes of the first levels and all ways, from
# memory of the software optimization guide for family 1Ah.
ZEN5 = attrs.evolve(
    ZEN,
    l1=CacheGeometry(entries=96, ways=96, page_sizes=(KIB4, MIB2, GIB1)),
    l2=CacheGeometry(entries=4096, ways=16, page_sizes=(KIB4, MIB2)),
    source=f"CPUID 0x80000006 and 228200f695c0; {_PCID}; estimate: first levels, ways",
)
ZEN5_I = _fetches(ZEN5, 2048, 8)

TCG = tcg_tlb(LEVELS)


def _untagged(tlb: TlbGeometry) -> TlbGeometry:
    """Return the geometry without PCIDs."""
    return attrs.evolve(tlb, asid_bits=0)


PLATFORMS: tuple[Platform, ...] = with_entries(
    Platform(
        name="intel-server",
        summary="Intel Xeon (Sapphire Rapids) on bare metal: native IPIs, PCID",
        costs=_costs.INTEL_SERVER,
        tlb=GOLDEN_COVE,
        itlb=GOLDEN_COVE_I,
        arch=X86Platform(la57=True),
        cpus=196,
    ),
    Platform(
        name="intel-client",
        summary="Intel Core (Golden Cove): native IPIs, PCID",
        costs=_costs.INTEL_CLIENT,
        tlb=GOLDEN_COVE,
        itlb=GOLDEN_COVE_I,
        arch=X86Platform(),
        cpus=16,
    ),
    Platform(
        name="amd-server",
        summary="AMD EPYC (Zen 3 and later) on bare metal: INVLPGB and TLBSYNC",
        costs=_costs.AMD_SERVER,
        tlb=ZEN,
        itlb=ZEN_I,
        # 8 pages in one INVLPGB: UNVERIFIED. It matters for ranges of 2 to 33 pages only.
        arch=X86Platform(invlpgb=True, invlpgb_max_pages=8, tce=True),
        cpus=196,
    ),
    Platform(
        name="amd-server-zen2",
        summary="AMD EPYC (Zen 2) on bare metal: native IPIs, no PCID, no INVLPGB",
        costs=_costs.AMD_SERVER_ZEN2,
        tlb=_untagged(ZEN2),
        itlb=_untagged(ZEN_I),
        arch=X86Platform(pcid=False, tce=True),
        cpus=196,
    ),
    Platform(
        name="kvm-guest",
        summary="guest of KVM on an Intel server, with the paravirtual TLB flush",
        costs=_costs.KVM_GUEST,
        tlb=attrs.evolve(GOLDEN_COVE, vm_bits=8),
        itlb=attrs.evolve(GOLDEN_COVE_I, vm_bits=8),
        arch=X86Platform(la57=True),
        cpus=196,
        hypervisor="kvm",
    ),
    # KVM doesn't offer INVLPGB: its ASID would have to be one for all vCPUs, which only SEV guests have
    # (Lendacky, 12 Feb 2025, on the INVLPGB series). A guest on family 1Ah shows 0x80000008 EBX[3] = 0,
    # and no TCE.
    Platform(
        name="kvm-guest-amd",
        summary="guest of KVM on an AMD server, with the paravirtual TLB flush, without INVLPGB",
        costs=_costs.KVM_GUEST_AMD,
        tlb=attrs.evolve(ZEN5, vm_bits=8),
        itlb=attrs.evolve(ZEN5_I, vm_bits=8),
        arch=X86Platform(),
        cpus=196,
        hypervisor="kvm",
    ),
    Platform(
        name="hyper-v-guest",
        summary="guest of Hyper-V on an Intel server, flushed by hypercall",
        costs=_costs.HYPER_V_GUEST,
        tlb=attrs.evolve(GOLDEN_COVE, vm_bits=8),
        itlb=attrs.evolve(GOLDEN_COVE_I, vm_bits=8),
        arch=X86Platform(),
        cpus=196,
        hypervisor="hyper-v",
    ),
    Platform(
        name="xen-pv-guest",
        summary="paravirtual guest of Xen, flushed by hypercall; it has no huge pages",
        costs=_costs.XEN_PV_GUEST,
        tlb=_untagged(GOLDEN_COVE),
        itlb=_untagged(GOLDEN_COVE_I),
        arch=X86Platform(pcid=False),
        cpus=128,
        hypervisor="xen",
    ),
    # The machine of tests/oracle: it offers no KVM features, so kernels take it for bare metal.
    Platform(
        name="qemu-tcg",
        summary="QEMU's own translator, as the rows of the oracle were measured: native IPIs, no PCID",
        costs=_costs.QEMU_TCG,
        tlb=TCG,
        itlb=TCG,
        walk_entries=0,
        arch=X86Platform(pcid=False, x2apic=False),
        cpus=4,
    ),
)
