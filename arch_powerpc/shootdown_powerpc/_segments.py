"""Where segments come from: Linux's rule for VSIDs, one VSID, an SLB's image, or a segment table.

A memory image has no SLB. By default an address has the segment that Linux would load for it: Linux computes a
process's VSIDs from its context id (`mm->context.id`) and the kernel's from the region. Settings can override that:
`vsid` is the VSID of all addresses, `slb` the address of entries in the format of slbmte (as Linux stores its bolted
entries in `struct slb_shadow`), `segment_table` the address of a segment table of ISA 3.0 (6.7.8.3; Linux uses none).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from shootdown import ShootdownError
from shootdown.formats import Settings
from shootdown_powerpc._hash import (
    BASE_PAGES,
    SHIFT_1T,
    SHIFT_256M,
    SLB_B,
    SLB_KP,
    SLB_KS,
    SLB_LLP,
    SLB_N,
    SLB_V,
    SMALLEST,
    Segment,
)

if TYPE_CHECKING:
    from shootdown.formats import PhysicalMemory

_BASE_BY_LLP = {llp: base for base, llp in BASE_PAGES.items()}


@attrs.frozen
class LinuxLayout:
    """Linux's layout of effective addresses, which depends on CONFIG_PAGE_SIZE_*.

    Args:
        page: log2 of a page's bytes.
        ea_bits: log2 of the bytes that one context covers, MAX_EA_BITS_PER_CONTEXT.
        range_bits: log2 of H_PGTABLE_RANGE.
        virtual_start: H_KERN_VIRT_START; vmalloc, I/O and vmemmap follow one another from there.
        region_bits: log2 of the bytes of each of the three.
        linear_contexts: the number of contexts of the linear map, MAX_KERNEL_CTX_CNT.
    """

    page: int
    ea_bits: int
    range_bits: int
    virtual_start: int
    region_bits: int
    linear_contexts: int

    @property
    def first_user_context(self) -> int:
        """MIN_USER_CONTEXT: the first that a process can have."""
        return self.linear_contexts + 5


# arch/powerpc/include/asm/book3s/64/{hash-4k.h,hash-64k.h,hash.h,mmu-hash.h}: all kernel regions in 0xc since v5.2
# (0034d395f89d); 4K's regions of 1 TiB since v5.9 (7746406baa3b); the first user context as since v5.6.
LINUX_4K = LinuxLayout(12, 46, 46, 0xC000_3D00_0000_0000, 40, 1)
LINUX_64K = LinuxLayout(16, 49, 52, 0xC008_0000_0000_0000, 49, 4)
MULTIPLIER = 12_538_073  # VSID_MULTIPLIER_256M and _1T, a prime of 24 bits
ESID_BITS = {SHIFT_256M: 21, SHIFT_1T: 9}
MAX_CONTEXT, MAX_CONTEXT_65 = (1 << 19) - 2, (1 << 16) - 2  # MAX_USER_CONTEXT, MAX_USER_CONTEXT_65BIT_VA
USER, KERNEL = 0x0, 0xC  # the upper four bits of an address
REGIONS = ("vmalloc", "io", "vmemmap")
SOURCES = ("context", "vsid", "slb", "segment_table")


class NoMemoryError(Exception):
    """An entry lies outside of the memory image: the only argument is its physical address."""


def segments_from(settings: Settings) -> str:
    """Return the name of the setting with the source of segments, and refuse contradictory settings."""
    chosen = [name for name in SOURCES[1:] if settings[name]]
    if len(chosen) > 1:
        raise ShootdownError(f"hashed page tables: {' and '.join(chosen)} each say what the segments are")
    for name in settings:
        if name.endswith("_page_shift") and settings[name] not in BASE_PAGES:
            sizes = ", ".join(map(str, BASE_PAGES))
            raise ShootdownError(f"hashed page tables: {name} is one of {sizes}, not {settings[name]}")
    if not settings["va_68"] and settings["context"] > MAX_CONTEXT_65:
        raise ShootdownError(
            f"hashed page tables: with 65-bit virtual addresses context is at most {MAX_CONTEXT_65}"
        )
    if 0 < settings["htab_shift"] < SMALLEST:
        raise ShootdownError(f"hashed page tables: htab_shift is 0, or at least {SMALLEST}")
    return chosen[0] if chosen else SOURCES[0]


def modulus(shift: int, settings: Settings) -> int:
    """Return the modulus of Linux's VSIDs for a segment size."""
    return (1 << ((68 if settings["va_68"] else 65) - shift)) - 1


def scramble(context: int, ea: int, shift: int, settings: Settings) -> int:
    """Return Linux's VSID (`get_vsid()`, arch/powerpc/include/asm/book3s/64/mmu-hash.h); 0 is no VSID."""
    bits = ESID_BITS[shift]
    return (context << bits | ea >> shift & (1 << bits) - 1) * MULTIPLIER % modulus(shift, settings)


def unscramble(vsid: int, shift: int, settings: Settings) -> tuple[int, int]:
    """Return the context and the low bits of the ESID from which `scramble` makes a VSID."""
    by = modulus(shift, settings)
    number = vsid * pow(MULTIPLIER, -1, by) % by
    return number >> ESID_BITS[shift], number & (1 << ESID_BITS[shift]) - 1


def _linux_segment(linux: LinuxLayout, ea: int, settings: Settings) -> Segment | None:
    """Return the segment that `slb_allocate_user()` or `slb_allocate_kernel()` (mm/book3s64/slb.c) would load."""
    offset = ea & ~SLB_B  # EA_MASK
    large = bool(settings["segments_1t"])
    if offset >> linux.range_bits:
        return None
    if ea >> 60 == USER:
        if ea >> linux.ea_bits:
            return None  # each further part of a process's address space has a context of its own
        context, base, flags = settings["context"], "base_page_shift", SLB_KS | SLB_KP
        large = large and ea >= 1 << SHIFT_1T
        where = f"Linux, context {context}"
    elif ea >> 60 == KERNEL:
        flags = SLB_KP
        if ea >= linux.virtual_start:
            region = (ea - linux.virtual_start) >> linux.region_bits
            if region >= len(REGIONS):
                return None
            context = linux.linear_contexts + 1 + region
            base, where = f"{REGIONS[region]}_page_shift", f"Linux, {REGIONS[region]}"
        else:
            context = 1 + (offset >> linux.ea_bits)
            base, where = "linear_page_shift", "Linux, linear map"
    else:
        return None
    shift = SHIFT_1T if large else SHIFT_256M
    vsid = scramble(context, ea, shift, settings)
    return Segment(vsid, shift, settings[base], flags, where) if vsid else None


def linux_addresses(linux: LinuxLayout, vsid: int, shift: int, settings: Settings) -> list[int]:
    """Return the effective addresses at which Linux's segments with this VSID begin (there may be none)."""
    context, esid = unscramble(vsid, shift, settings)
    starts = [esid << shift] if context == settings["context"] else []
    if 1 <= context <= linux.linear_contexts:
        starts.append(KERNEL << 60 | (context - 1) << linux.ea_bits | esid << shift)
    elif 0 < context - linux.linear_contexts <= len(REGIONS):
        # get_vsid() uses only the low bits of the ESID: the rest follows from the region.
        low = 1 << shift + ESID_BITS[shift]
        region = linux.virtual_start + (context - linux.linear_contexts - 1 << linux.region_bits)
        starts.append((region & ~(low - 1)) | esid << shift)
    return [start for start in starts if _is_at(_linux_segment(linux, start, settings), vsid, shift)]


def _is_at(segment: Segment | None, vsid: int, shift: int) -> bool:
    return segment is not None and (segment.vsid, segment.shift) == (vsid, shift)


def entry_segment(esid: int, word: int, where: str, address: int) -> tuple[int, Segment] | None:
    """Decode an entry of an SLB or segment table; return None if it is invalid or has a reserved size.

    Args:
        esid: its first doubleword.
        word: its second.
        where: the segment's `where`.
        address: the segment's `address`.

    Returns:
        The effective address at which the segment begins, and the segment.
    """
    base = _BASE_BY_LLP.get(word & SLB_LLP)
    if not esid & SLB_V or word >> 63 or base is None:
        return None
    shift = SHIFT_1T if word >> 62 else SHIFT_256M
    vsid = (word & ~SLB_B) >> (shift - 16)
    flags = word & (SLB_KS | SLB_KP | SLB_N)
    return esid >> shift << shift, Segment(vsid, shift, base, flags, where, address)


def entries(memory: PhysicalMemory, address: int, count: int, where: str) -> Iterator[tuple[int, Segment]]:
    """Yield the valid entries of an SLB's image or of a segment table, and where their segments begin."""
    for i in range(count):
        place = address + 16 * i
        if not memory.reaches(place):
            raise NoMemoryError(place)
        esid, word = (memory.read_entry(place + n, big_endian=True) for n in (0, 8))
        found = entry_segment(esid, word, f"{where} {i}", place)
        if found is not None:
            yield found


def segment_of(linux: LinuxLayout, memory: PhysicalMemory, ea: int, settings: Settings) -> Segment | None:
    """Return the segment of an address, None if it has none; raise `NoMemoryError` if the image lacks its table."""
    source = segments_from(settings)
    if source == "vsid":
        shift = SHIFT_1T if settings["vsid_1t"] else SHIFT_256M
        return Segment(settings["vsid"], shift, settings["base_page_shift"], SLB_KS | SLB_KP, "vsid")
    if source == "slb":
        for begin, segment in entries(memory, settings["slb"], settings["slb_entries"], "SLBE"):
            if begin == ea >> segment.shift << segment.shift:
                return segment
        return None
    if source == "segment_table":
        return _table_segment(memory, ea, settings)
    return _linux_segment(linux, ea, settings)


def _table_segment(memory: PhysicalMemory, ea: int, settings: Settings) -> Segment | None:
    """Search a segment table: a primary group for either size, then a secondary one (6.7.8.3.1 to 6.7.8.3.4)."""
    groups = 1 << (settings["segment_table_shift"] - 7)
    for secondary in (False, True):
        for shift in (SHIFT_256M, SHIFT_1T):
            index = (~(ea >> shift) if secondary else ea >> shift) & groups - 1
            address = settings["segment_table"] + (index << 7)
            for begin, segment in entries(memory, address, 8, f"STEG {index:#x}, STE"):
                if segment.shift == shift and begin == ea >> shift << shift:
                    return segment
    return None
