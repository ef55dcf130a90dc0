"""The riscv machines that kernels run on: CPU model, how CPUs reach each other, and TLBs.

Costs are in `_costs.py`. First-level TLBs are one for data and one for instructions.
"""

from __future__ import annotations

from typing import Literal

import attrs

from shootdown import Platform, ShootdownError, switch
from shootdown.porting import CacheGeometry, FlushWay, TlbGeometry, tcg_tlb, with_entries
from shootdown_riscv import _costs

#: A range of hart ids has at most as many as Linux has CPUs.
MOST_HARTS = 8192

FLUSH_WAYS = (
    FlushWay("ipi", "IPIs whose handlers execute SFENCE.VMA"),
    FlushWay("hypercall", "an SBI call: the firmware fences on the harts of the mask"),
)
"""The ways of flushing that riscv kernels have."""

_BOOK = "RISC-V Privileged Architecture"
#: The instructions that flushes count, and where the manual has each. Those that begin with m_ the firmware executes.
INSTRUCTIONS = {
    "sfence_vma": f'{_BOOK}, "Supervisor Memory-Management Fence Instruction"',
    "sfence_vma_addr": f'{_BOOK}, "Supervisor Memory-Management Fence Instruction": rs1',
    "sfence_vma_asid": f'{_BOOK}, "Supervisor Memory-Management Fence Instruction": rs2',
    "sfence_vma_addr_asid": f'{_BOOK}, "Supervisor Memory-Management Fence Instruction": rs1 and rs2',
    "m_sfence_vma": "OpenSBI, lib/sbi/sbi_tlb.c: SFENCE.VMA in M-mode",
    "m_sfence_vma_addr": "OpenSBI, lib/sbi/sbi_tlb.c: SFENCE.VMA in M-mode, rs1",
    "m_sfence_vma_asid": "OpenSBI, lib/sbi/sbi_tlb.c: SFENCE.VMA in M-mode, rs2",
    "m_sfence_vma_addr_asid": "OpenSBI, lib/sbi/sbi_tlb.c: SFENCE.VMA in M-mode, rs1 and rs2",
    "sinval_vma_addr": f'{_BOOK}, "Svinval": SINVAL.VMA, rs1',
    "sinval_vma_addr_asid": f'{_BOOK}, "Svinval": SINVAL.VMA, rs1 and rs2',
    "sfence_w_inval": f'{_BOOK}, "Svinval": SFENCE.W.INVAL',
    "sfence_inval_ir": f'{_BOOK}, "Svinval": SFENCE.INVAL.IR',
    "ecall": 'RISC-V Unprivileged Architecture, "Environment Call and Breakpoints"; the SBI specification, RFENCE',
}


@attrs.frozen
class RiscvPlatform:
    """What only a riscv platform has: what decides how Linux flushes."""

    satp_mode: int = switch(
        39, "the widest mode that satp takes: Sv32, Sv39, Sv48 or Sv57", choices=(32, 39, 48, 57)
    )
    asid_bits: int = switch(16, "ASIDLEN, the ASID bits that satp keeps", minimum=0, maximum=16)
    native_ipis: Literal["none", "imsic", "aclint-sswi"] = switch(
        "none",
        "what S-mode can interrupt other harts with, without the firmware: AIA's IMSIC, T-Head's ACLINT SSWI",
        choices=("none", "imsic", "aclint-sswi"),
    )
    mmu_type: Literal["none", "sv39", "sv48", "sv57"] = switch(
        "none",
        "the mmu-type that the device tree gives the first CPU (riscv,sv39...)",
        choices=("none", "sv39", "sv48", "sv57"),
    )
    svinval: bool = switch(False, "Svinval: SINVAL.VMA, SFENCE.W.INVAL and SFENCE.INVAL.IR")
    svvptc: bool = switch(
        False, "Svvptc: walkers see new valid entries in bounded time, so that faults need no fence"
    )
    hart_ids: str = switch(
        "",
        "hart ids of the CPUs in their order, such as 0,65 or 0-3,64-67; further CPUs count on from the last; "
        "empty: 0, 1, 2...",
    )
    sbi_flush_limit: int = switch(
        4096,
        "of a longer range, in bytes, the firmware makes a fence of everything (OpenSBI's get_tlbr_flush_limit)",
        minimum=0,
    )
    sbi_checks_harts: bool = switch(
        False,
        "the firmware refuses a remote fence whose mask has a hart that is offline, and fences nowhere (OpenSBI 1.7)",
    )
    hart_went_offline: bool = switch(
        False, "a hart on which the process has run is offline, and no process has run there since"
    )
    cip_1200: bool = switch(
        False, "SiFive's erratum CIP-1200: a fence by address can fail (mimpid[23:0] up to 0x200630)"
    )


def hart_ids(text: str) -> tuple[int, ...]:
    """Read hart ids, such as `0,65` or `0-3,64-67`.

    Raises:
        ShootdownError: the text is none, or a hart id comes twice.
    """
    found: list[int] = []
    for part in text.replace(" ", "").split(",") if text else ():
        first, dash, last = part.partition("-")
        try:
            begin, end = int(first), int(last if dash else first)
        except ValueError:
            begin, end = 0, -1
        if not 0 <= begin <= end < 1 << 31 or end - begin >= MOST_HARTS:
            raise ShootdownError(
                f"platform.hart_ids={text:.60}: {part!r:.20} is no hart id; allowed: numbers from 0 and ranges, "
                "such as 0,65 or 0-3,64-67"
            )
        found += range(begin, end + 1)
    if len(set(found)) != len(found):
        raise ShootdownError(f"platform.hart_ids={text:.60}: a hart id comes twice")
    return tuple(found)


KIB4, KIB64, MIB2, GIB1, GIB512, TIB256 = (1 << n for n in (12, 16, 21, 30, 39, 48))
SV39, SV48, SV57 = (KIB4, MIB2, GIB1), (KIB4, MIB2, GIB1, GIB512), (KIB4, MIB2, GIB1, GIB512, TIB256)

_ASID = 'ASIDLEN is at most 16: RISC-V Privileged Architecture, "Supervisor Address Translation and Protection (satp)"'

# XiangShan Kunminghu, the open design of this class: L1 data TLB of 48 entries, fully associative, PLRU, all page
# sizes; ASIDs of 16 bits; Sv39 and Sv48; AIA; Svinval (XiangShan user guide, "Memory model"). A page cache keeps every
# level of the tables; its sizes here - 16 entries at the root, 16 below, 64 sets of 2 for the PMD level, 64 sets of 4
# sectors of 8 for leaves, 16 for superpages - are UNVERIFIED, from memory of its design documents.
KUNMINGHU = TlbGeometry(
    l1=CacheGeometry(entries=48, ways=48, page_sizes=(*SV48, KIB64), policy="tree-plru"),
    l2=(
        CacheGeometry(entries=2048, ways=4, page_sizes=(KIB4,)),
        CacheGeometry(entries=16, ways=16, page_sizes=(MIB2, GIB1, GIB512)),
    ),
    walk_caches=(
        CacheGeometry(entries=128, ways=2, page_sizes=(MIB2,)),
        CacheGeometry(entries=16, ways=16, page_sizes=(GIB1,)),
        CacheGeometry(entries=16, ways=16, page_sizes=(GIB512,)),
    ),
    levels=SV48,
    source=f'XiangShan user guide, "Memory model"; {_ASID}; estimate: the page cache',
)

# Nothing is published of the non-leaf entries that T-Head's and SiFive's cores cache: taken to be few.
_FEW = tuple(CacheGeometry(entries=8, ways=8, page_sizes=(size,)) for size in (MIB2, GIB1))

# T-Head C910 and its successor C920: UNVERIFIED, from memory of the OpenC910 manual: a uTLB of 17 entries for data and
# 32 for instructions, fully associative, and a joint TLB of 1024 entries in 4 ways (the data sheet says up to 2048
# entries).
C910 = TlbGeometry(
    l1=CacheGeometry(entries=17, ways=17, page_sizes=SV39),
    l2=CacheGeometry(entries=1024, ways=4, page_sizes=SV39),
    walk_caches=_FEW,
    levels=SV39,
    source=f"estimate: sizes as remembered of the OpenC910 manual; {_ASID}",
)

# SiFive U74: 40 entries, fully associative, for data and for instructions (d-tlb-size and d-tlb-sets in Linux's
# fu740-c000.dtsi). The second level of 512 entries, direct-mapped, and the small cache of non-leaf entries are
# UNVERIFIED, from memory of the FU740 manual. No ASIDs: Linux says "ASID allocator disabled (0 bits)" on a JH7110.
U74 = TlbGeometry(
    l1=CacheGeometry(entries=40, ways=40, page_sizes=SV39),
    l2=CacheGeometry(entries=512, ways=1, page_sizes=(KIB4,)),
    walk_caches=_FEW,
    levels=SV39,
    asid_bits=0,
    source="fu740-c000.dtsi; Linux on a JH7110: ASID allocator disabled (0 bits); estimate: second level, walk cache",
)

# The instruction side: a uTLB of 32 entries in C910, as that comment says; 48 entries in Kunminghu and 40 in U74, as
# the data side has.
C910_I = attrs.evolve(C910, l1=CacheGeometry(entries=32, ways=32, page_sizes=SV39))

TCG = tcg_tlb(SV57)


PLATFORMS: tuple[Platform, ...] = with_entries(
    Platform(
        name="rva23-server",
        summary="server class: IPIs by AIA's IMSIC, Svinval, ASIDs; TLBs as XiangShan Kunminghu's",
        costs=_costs.RVA23_SERVER,
        tlb=KUNMINGHU,
        itlb=KUNMINGHU,
        arch=RiscvPlatform(satp_mode=48, native_ipis="imsic", svinval=True),
        cpus=128,
    ),
    Platform(
        name="rva23-server-sbi",
        summary="the same machine without supervisor IPIs: remote fences are SBI calls",
        costs=_costs.RVA23_SERVER,
        tlb=KUNMINGHU,
        itlb=KUNMINGHU,
        arch=RiscvPlatform(satp_mode=48, svinval=True),
        cpus=128,
    ),
    # Its C920s have 16 ASID bits. Its ACLINT is the firmware's (sg2042-cpus.dtsi has an MSWI alone).
    Platform(
        name="sophgo-sg2042",
        summary="SOPHGO SG2042 (64 T-Head C920): remote fences are SBI calls, ASIDs, Sv39",
        costs=_costs.SG2042,
        tlb=C910,
        itlb=C910_I,
        arch=RiscvPlatform(mmu_type="sv39"),
        cpus=64,
    ),
    # Linux uses its ASIDs: the 4 percent of riscv-exit-without-flush were measured on it, and need them.
    Platform(
        name="thead-th1520",
        summary="T-Head TH1520 (4 C910): remote fences are SBI calls, ASIDs, Sv39",
        costs=_costs.TH1520,
        tlb=C910,
        itlb=C910_I,
        arch=RiscvPlatform(mmu_type="sv39"),
        cpus=4,
    ),
    # OpenSBI's platform/generic/sifive/fu740.c: a limit of 0, for CIP-1200.
    Platform(
        name="sifive-u74",
        summary="HiFive Unmatched (4 SiFive U74, FU740): SBI calls, no ASIDs, erratum CIP-1200, Sv39",
        costs=_costs.SIFIVE_U74,
        tlb=U74,
        itlb=U74,
        arch=RiscvPlatform(mmu_type="sv39", asid_bits=0, sbi_flush_limit=0, cip_1200=True),
        cpus=4,
    ),
    # Svvptc: on the newer of two QEMUs the measured kernels execute no SFENCE.VMA after faults.
    Platform(
        name="qemu-virt",
        summary="QEMU's virt machine, translated: SBI calls, Svinval, Svvptc, Sv57",
        costs=_costs.QEMU_TCG,
        tlb=TCG,
        itlb=TCG,
        walk_entries=0,
        arch=RiscvPlatform(satp_mode=57, svinval=True, svvptc=True),
        cpus=4,
    ),
    Platform(
        name="qemu-virt-aia",
        summary="the same with -machine aia=aplic-imsic: IPIs by IMSIC",
        costs=_costs.QEMU_TCG,
        tlb=TCG,
        itlb=TCG,
        walk_entries=0,
        arch=RiscvPlatform(satp_mode=57, native_ipis="imsic", svinval=True, svvptc=True),
        cpus=4,
    ),
)
