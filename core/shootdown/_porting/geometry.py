"""Geometries derived from others: levels from a page-table format, counts of entries from a TLB."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from shootdown._pagetables.format import Format
from shootdown._tlb.geometry import TAG_BITS, CacheGeometry, TlbGeometry
from shootdown._values.errors import shown, typed
from shootdown._values.lowering import Geometry
from shootdown._values.platform import Platform
from shootdown._values.sites import mistake

#: PTE, PMD, PUD, P4D and PGD: the levels that Linux names.
LEVELS = 5


def geometry_of(table: Format) -> Geometry:
    """Return the levels of a page-table format as flushes see them; levels above its top are folded, as in Linux.

    Args:
        table: the format, whose last level maps base pages.

    Raises:
        ShootdownError: it has more levels than Linux has names for.
    """
    _is("geometry_of()", table, Format)
    shifts = table.shifts[::-1]
    if len(shifts) > LEVELS:
        raise mistake(f"format {table.name} has {len(shifts)} levels: Linux names {LEVELS}")
    return Geometry(*shifts, *[shifts[-1]] * (LEVELS - len(shifts)))


def with_entries(*platforms: Platform) -> tuple[Platform, ...]:
    """Return platforms with `walk_entries` and `huge_entries` counted from their `tlb`.

    `walk_entries` are the walk-cache entries that can point to a PMD table: those that cover as much as an entry two
    levels above the base page; at least 1, unless the platform says itself that it has no walk cache
    (`walk_entries=0`). `huge_entries` are the TLB entries for pages one level above it, at least 1.

    Args:
        platforms: platforms whose `tlb` is a `TlbGeometry` with `levels`, or a dict of them by page size. The latter
            stay as they are: their entries are counted when the kernel is known.
    """
    for platform in platforms:
        _is("with_entries()", platform, Platform)
        tlb = platform.tlb
        for one in tlb.values() if isinstance(tlb, Mapping) else (tlb,):
            _is(f"with_entries(): the tlb of platform {platform.name!r} is", one, TlbGeometry)
    return tuple(each if isinstance(each.tlb, Mapping) else _with_entries(each) for each in platforms)


def sized(platform: Platform, page_size: int) -> Platform:
    """Return the platform as a kernel with base pages of this size uses it: one geometry, and entries counted from it.

    Args:
        platform: as its plugin wrote it.
        page_size: bytes.
    """
    with_pages = platform.with_pages(page_size)
    return platform if with_pages is platform or with_pages.tlb is None else _with_entries(with_pages)


def _is(what: str, value: object, wanted: type[object]) -> None:
    """Refuse a value of another type."""
    if not isinstance(value, wanted):
        raise mistake(f"{what}{'' if what.endswith(' is') else ':'} {typed(value)}, not {typed(wanted)}")


def _with_entries(platform: Platform) -> Platform:
    tlb: TlbGeometry = platform.tlb
    least = 1 if platform.walk_entries else 0
    huge, above = (*tlb.levels, 0, 0, 0)[1:3]
    pointing = sum(cache.entries for cache in tlb.walk_caches if above in cache.page_sizes)
    holding = sum(cache.entries for cache in (*tlb.l1, *tlb.l2) if huge in cache.page_sizes)
    return attrs.evolve(platform, walk_entries=max(pointing, least), huge_entries=max(holding, 1))


def typical_tlb(table: Format, *, asid_bits: int = 0) -> TlbGeometry:
    """Return a typical TLB geometry, for a CPU of which nothing better is known.

    The sizes are UNVERIFIED by their nature: those of cores around the year 2020 (Cortex-A76, Zen 2, Golden Cove). 64
    entries for every page size, fully associative; 1024 in 8 ways for base pages and the smallest huge ones; 32
    walk-cache entries that point to tables of base pages, and 8 for each level above.

    Args:
        table: the format of the page tables that the CPU walks.
        asid_bits: bits of the ASID that tags entries; 0 if entries are not tagged.
    """
    _is("typical_tlb()", table, Format)
    if isinstance(asid_bits, bool) or not isinstance(asid_bits, int) or not 0 <= asid_bits <= TAG_BITS:
        raise mistake(f"typical_tlb(): asid_bits is {shown(asid_bits)}: a whole number from 0 to {TAG_BITS}")
    levels = tuple(1 << shift for shift in table.shifts[::-1])
    sizes = tuple(size for size in table.page_sizes if size in levels)
    return TlbGeometry(
        l1=CacheGeometry(entries=64, ways=64, page_sizes=sizes),
        l2=CacheGeometry(entries=1024, ways=8, page_sizes=sizes[:2]),
        walk_caches=tuple(
            CacheGeometry(entries=entries, ways=entries, page_sizes=(size,))
            for size, entries in zip(levels[1:], (32, *[8] * LEVELS), strict=False)
        ),
        levels=levels,
        asid_bits=asid_bits,
        global_entries=any(table.global_test(level) is not None for level in range(len(table.levels))),
        source="estimate: sizes typical of cores around the year 2020; nothing is known of this one",
    )


def tcg_tlb(levels: tuple[int, ...]) -> TlbGeometry:
    """Return the TLB geometry of QEMU's translator (TCG), which is the same for every machine that it emulates.

    It keeps translations of single pages in a direct-mapped table of each MMU mode, 256 entries at first
    (accel/tcg/cputlb.c; the table grows with use), without ASIDs, and nothing of the tables' upper levels: a platform
    with it says `walk_entries=0`. A vCPU takes other vCPUs' flushes between blocks of code, never in the middle of a
    walk (QEMU, multi-thread-tcg.rst, "Memory maps and TLBs").

    Args:
        levels: bytes covered by one entry at each level of the page table, leaf level first.
    """
    return TlbGeometry(
        l1=CacheGeometry(entries=256, ways=1, page_sizes=levels[:3]),
        levels=levels,
        asid_bits=0,
        global_entries=False,
        source="QEMU, accel/tcg/cputlb.c",
    )
