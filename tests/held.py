"""TLBs that hold something, and what a flush takes from them."""

from __future__ import annotations

from collections.abc import Iterable

from shootdown import CacheGeometry, TlbGeometry
from shootdown.porting import FlushScope, Tlb

K4, M2, G1, G512 = 1 << 12, 1 << 21, 1 << 30, 1 << 39
#: An address in the middle of tables of every level.
VA = 5 * G1 + 3 * M2
Held = set[tuple[str, int, int, int | str]]


def geometry(
    *, l1: Iterable[int], l2: Iterable[int] | None = None, asid_bits: int, vm_bits: int = 1
) -> TlbGeometry:
    """Return TLBs that hold more than a test puts there, with a walk cache for each level above the last.

    Args:
        l1, l2: the page sizes of each; the second level's are the first one's unless given.
        asid_bits, vm_bits: how wide the tags are.
    """
    first = tuple(l1)
    return TlbGeometry(
        l1=CacheGeometry(256, 16, first),
        l2=CacheGeometry(256, 16, first if l2 is None else tuple(l2)),
        walk_caches=(
            CacheGeometry(16, 16, (M2,)),
            CacheGeometry(16, 16, (G1,)),
            CacheGeometry(8, 8, (G512,)),
        ),
        levels=(K4, M2, G1, G512),
        asid_bits=asid_bits,
        vm_bits=vm_bits,
    )


def filled(geometry: TlbGeometry, *vas: int, cpus: int, lazy: bool) -> Tlb:
    """Return CPUs that each have pages at these addresses in ASIDs 1 and 2, and a global page behind VA's."""
    tlb = Tlb(geometry, cpus, lazy=lazy)
    for cpu in range(cpus):
        for asid in (1, 2):
            for va in vas:
                tlb.access(cpu, asid, va, K4)
        tlb.access(cpu, 1, VA + K4, K4, is_global=True)
    return tlb


def left(tlb: Tlb, cpu: int = 0) -> Held:
    """Return what a CPU holds in L1 and in walk caches: (level, address, bytes, ASID)."""
    return {
        (str(e["level"]), int(e["va"]), int(e["page_size"]), "G" if e["is_global"] else int(e["asid"]))
        for e in tlb.entries(cpu)
        if e["level"] != "l2"
    }


def gone(tlb: Tlb, scope: FlushScope, cpus: int | Iterable[int] = 0) -> Held:
    """Flush, and return what the first CPU does not hold any more."""
    before = left(tlb)
    tlb.flush(cpus, scope)
    return before - left(tlb)


def walk(asid: int, *vas: int, sizes: Iterable[int] = (M2, G1, G512)) -> Held:
    """Return the walk-cache entries of addresses."""
    return {("walk", va // size * size, size, asid) for va in vas for size in sizes}
