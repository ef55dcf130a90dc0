"""Book3S-64 hashed page tables, the readable walk: Power ISA 3.1, Book III, 6.7.8 (segments) and 6.7.9 (table).

An effective address is first given a virtual segment (VSID) by its segment, then the virtual page is looked for
in two groups of eight entries (PTEGs) of one table that all address spaces share. `_hash_kernels.py` has the same
walk compiled, `_hash_list.py` lists what a table maps.

Where segments come from is a setting, because a memory image holds no SLB: by default Linux's own rule gives the
VSID of an address (`_linux_segment`), from the `context` of the process; or `vsid` says it, or `slb` or
`segment_table` says where entries lie in memory.

Not modelled: virtual real mode areas, partition-scoped real addresses of guests, 4 KiB subpages of Linux's own
making (they are 4 KiB segments to the hardware: set `base_page_shift`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import attrs
import numpy as np

from shootdown._errors import ShootdownError
from shootdown._format import (
    Access,
    Attribute,
    CodeBit,
    CustomFormat,
    Fault,
    Level,
    Reason,
    Setting,
    Settings,
)
from shootdown._memory import PhysicalMemory
from shootdown._steps import Step, Trace

# --- 6.7.8.2, figure 27: an SLB entry as slbmte takes it, and 6.7.8.3: the same pair in a segment table.
SLB_V = 1 << 27
SLB_B = 3 << 62
SLB_KS, SLB_KP, SLB_N, SLB_LLP = 0x800, 0x400, 0x200, 0x130
SHIFT_256M, SHIFT_1T = 28, 40

# --- 6.7.9.1, figure 30: an entry of the page table, first doubleword, second doubleword.
V, H, L = 1 << 0, 1 << 1, 1 << 2
AVPN_SHIFT = 7
COMPARED = 0xFFFF_FFFF_FFFF_FF83  # B, AVPN, H and V
PP, N, G, C, R = 0x3, 0x4, 0x8, 0x80, 0x100
PP0, KEY_HIGH, KEY_LOW = 1 << 63, 0x3000_0000_0000_0000, 0xE00
RPN_OLD, RPN_3_0 = 0x0FFF_FFFF_FFFF_F000, 0x01FF_FFFF_FFFF_F000
# Since ISA 3.0 B lies in the second doubleword and the AVPN is shorter.
COMMON_3_0, B_3_0_SHIFT = 0x000F_FFFF_FFFF_FFFF, 58

ENTRIES, ENTRY_BYTES, GROUP_SHIFT = 8, 16, 7
HASH_MASK = (1 << 39) - 1
ORIGIN_MASK, SIZE_MASK = 0x0FFF_FFFF_FFFC_0000, 0x1F  # HTABORG, HTABSIZE
SMALLEST, LARGEST = 18, 46  # log2 of a table's bytes


class PageSize(NamedTuple):
    """A size of base pages with a size of actual pages, and how the entry's LP field says so."""

    base: int
    actual: int
    lp: int | None
    """The low-order bits of the real page number; None: L is 0."""


PAGE_SIZES = (
    # POWER7 to POWER10, as Linux's mmu_psize_defaults_gp (mm/book3s64/hash_utils.c) and the device trees have them.
    PageSize(12, 12, None),
    PageSize(12, 16, 0x7),
    PageSize(12, 24, 0x38),
    PageSize(16, 16, 0x1),
    PageSize(16, 24, 0x8),
    PageSize(24, 24, 0x0),
    PageSize(34, 34, 0x3),
)
BASE_PAGES = {12: 0x000, 16: 0x110, 24: 0x100, 34: 0x120}
"""L and LP of an SLB entry, by log2 of the base page's bytes."""
_BASE_BY_LLP = {llp: base for base, llp in BASE_PAGES.items()}


@attrs.frozen
class LinuxLayout:
    """Where Linux puts what in effective addresses, which depends on CONFIG_PAGE_SIZE_*.

    Args:
        ea_bits: log2 of the bytes that one context covers, MAX_EA_BITS_PER_CONTEXT.
        range_bits: log2 of H_PGTABLE_RANGE.
        linear_bits: log2 of the linear map's limit, H_MAX_PHYSMEM_BITS.
        virtual_start: H_KERN_VIRT_START; vmalloc, IO and vmemmap follow one another from there.
        region_bits: log2 of the bytes of each of the three.
        linear_contexts: how many contexts the linear map has, MAX_KERNEL_CTX_CNT.
    """

    ea_bits: int
    range_bits: int
    linear_bits: int
    virtual_start: int
    region_bits: int
    linear_contexts: int

    @property
    def first_user_context(self) -> int:
        """MIN_USER_CONTEXT: the first that a process can have."""
        return self.linear_contexts + 5


# arch/powerpc/include/asm/book3s/64/{hash-4k.h,hash-64k.h,hash.h,mmu-hash.h}: all regions in 0xc since v5.2
# (0034d395f89d), 4K's smaller regions since v5.9 (7746406baa3b), the first user context since v5.6.
LINUX = {
    12: LinuxLayout(46, 46, 46, 0xC000_3D00_0000_0000, 40, 1),
    16: LinuxLayout(49, 52, 51, 0xC008_0000_0000_0000, 49, 4),
}
MULTIPLIER = 12_538_073  # VSID_MULTIPLIER_256M and _1T, a prime of 24 bits
ESID_BITS = {SHIFT_256M: 21, SHIFT_1T: 9}
_KERNEL_REGIONS = ("vmalloc", "io", "vmemmap")


@attrs.frozen
class Segment:
    """What translates the upper part of an address.

    Args:
        vsid: virtual segment.
        shift: log2 of the segment's bytes, 28 or 40.
        base: log2 of the base page's bytes.
        flags: Ks, Kp and N, as in the second doubleword of an SLB entry.
        where: who says so.
        address: physical address of the entry; None where it lies in no memory.
    """

    vsid: int
    shift: int
    base: int
    flags: int
    where: str
    address: int | None = None

    @property
    def word(self) -> int:
        """The second doubleword of the SLB entry."""
        size = int(self.shift == SHIFT_1T) << 62
        return size | self.vsid << (self.shift - 16) | self.flags | BASE_PAGES[self.base]

    def hash(self, ea: int) -> int:
        """Give the hash of the virtual page, 39 bits."""
        page = (ea & (1 << self.shift) - 1) >> self.base
        spread = self.vsid << 25 if self.shift == SHIFT_1T else 0
        return (self.vsid ^ spread ^ page) & HASH_MASK

    def wanted(self, ea: int) -> int:
        """Give what the compared bits of a matching entry's first doubleword are, in a primary group."""
        offset = ea & (1 << self.shift) - 1 & ~((1 << self.base) - 1)
        size = int(self.shift == SHIFT_1T) << 62
        return size | self.vsid << (self.shift - 16) | offset >> 23 << AVPN_SHIFT | V

    @property
    def flag_names(self) -> tuple[str, ...]:
        """What a person should see of the entry."""
        named = [name for name, mask in (("Ks", SLB_KS), ("Kp", SLB_KP), ("N", SLB_N)) if self.flags & mask]
        return (f"VSID={self.vsid:#x}", _bytes(self.shift), f"{_bytes(self.base)} pages", *named)


@attrs.frozen
class Hpte:
    """An entry of the page table, in the form that it had before ISA 3.0.

    Args:
        v: first doubleword, B in its two upper bits.
        r: second doubleword.
        rpn_mask: of the real page number.
    """

    v: int
    r: int
    rpn_mask: int

    @classmethod
    def read(cls, v: int, r: int, settings: Settings) -> Hpte:
        """Take the two doublewords as they lie in memory."""
        if settings["hpte_3_0"]:
            size = r >> B_3_0_SHIFT & 3
            return cls(v & COMMON_3_0 | size << 62, r & ~(3 << B_3_0_SHIFT), RPN_3_0)
        return cls(v, r, RPN_OLD)

    def page_size(self, base: int) -> PageSize | None:
        """Give the page's size in a segment of these base pages; None where the entry is not for such a one."""
        for size in PAGE_SIZES:
            if size.base != base or (size.lp is None) == bool(self.v & L):
                continue
            if size.lp is None or self.r & (1 << size.actual) - 1 & RPN_OLD == size.lp << 12:
                return size
        return None

    @property
    def key(self) -> int:
        """The virtual page class key."""
        return (self.r & KEY_HIGH) >> 57 | (self.r & KEY_LOW) >> 9

    @property
    def pp(self) -> int:
        """The protection bits, pp0 the highest."""
        return (self.r & PP0) >> 61 | self.r & PP

    @property
    def flag_names(self) -> tuple[str, ...]:
        """What a person should see of the entry."""
        single = [(self.v, (("V", V), ("H", H), ("L", L)))]
        single += [
            (self.r, (("R", R), ("C", C), ("W", 0x40), ("I", 0x20), ("M", 0x10), ("G", G), ("N", N))),
        ]
        named = [name for word, fields in single for name, mask in fields if word & mask]
        if self.v >> 62:
            named.append(f"B={self.v >> 62}")
        if self.v >> 3 & 0xF:
            named.append(f"SW={self.v >> 3 & 0xF:#x}")
        named.append(f"AVPN={(self.v & ~(3 << 62)) >> AVPN_SHIFT:#x}")
        if self.key:
            named.append(f"KEY={self.key}")
        return (*named, f"pp={self.pp:#05b}")


RIGHTS = (
    "user_read",
    "user_write",
    "user_execute",
    "privileged_read",
    "privileged_write",
    "privileged_execute",
)
# 6.7.13.2: what pp grants, bit n for pp = n, where the segment's key bit for the state is 0, is 1.
READS, WRITES = (0x4F, 0x0E), (0x07, 0x04)

STORE, NOT_FOUND, NO_EXECUTE, PROTECTION, KEY = (
    0x0200_0000,
    0x4000_0000,
    0x1000_0000,
    0x0800_0000,
    0x0020_0000,
)


def rights_of(segment: Segment, hpte: Hpte, settings: Settings) -> tuple[int, int]:
    """Give what a page may be used for, as bits in the order of `RIGHTS`: before keys are looked at, and after."""
    granted = 0
    for state, mask in ((0, SLB_KP), (1, SLB_KS)):
        key = bool(segment.flags & mask)
        read, write = READS[key] >> hpte.pp & 1, WRITES[key] >> hpte.pp & 1
        execute = read and not hpte.r & (N | G) and not segment.flags & SLB_N
        granted |= (read | write << 1 | int(execute) << 2) << 3 * state
    data = settings["amr"] >> 2 * (31 - hpte.key) & 3
    fetch = settings["iamr"] >> 2 * (31 - hpte.key) & 1
    refused = (data & 1) | data & 2 | fetch << 2
    return granted, granted & ~(refused | refused << 3)


def bit_of(access: Access) -> int:
    """Give the place of an access in `RIGHTS`."""
    return ("read", "write", "execute").index(access.kind) + (0 if access.user else 3)


# --- segments


def _base_page(settings: Settings, name: str) -> int:
    shift = settings[name]
    if shift not in BASE_PAGES:
        sizes = ", ".join(map(str, BASE_PAGES))
        raise ShootdownError(f"hashed page tables: {name} is one of {sizes}, not {shift}")
    return shift


def segments_from(settings: Settings) -> str:
    """Name the setting that says where segments come from; `context` is Linux's rule."""
    chosen = [name for name in ("vsid", "slb", "segment_table") if settings[name]]
    if len(chosen) > 1:
        raise ShootdownError(f"hashed page tables: {' and '.join(chosen)} each say what the segments are")
    for name in (name for name in settings if name.endswith("_page_shift")):
        _base_page(settings, name)
    if settings["htab_shift"] and settings["htab_shift"] < SMALLEST:
        raise ShootdownError(f"hashed page tables: htab_shift is 0 or at least {SMALLEST}")
    return chosen[0] if chosen else "context"


def scramble(context: int, ea: int, shift: int, settings: Settings) -> int:
    """Give Linux's VSID (`get_vsid()`, arch/powerpc/include/asm/book3s/64/mmu-hash.h); 0 is no VSID."""
    bits = ESID_BITS[shift]
    modulus = (1 << ((68 if settings["va_68"] else 65) - shift)) - 1
    return (context << bits | ea >> shift & (1 << bits) - 1) * MULTIPLIER % modulus


def _linux_segment(linux: LinuxLayout, ea: int, settings: Settings) -> Segment | None:
    """Do as `slb_allocate_user()` and `slb_allocate_kernel()` (mm/book3s64/slb.c) do when a segment is missing."""
    offset = ea & ~(3 << 62)
    large = bool(settings["segments_1t"])
    if offset >> linux.range_bits:
        return None
    if ea >> 60 == 0:
        if ea >> linux.ea_bits:
            return None  # further contexts of the process
        context, base, flags = settings["context"], "base_page_shift", SLB_KS | SLB_KP
        large = large and ea >= 1 << SHIFT_1T
        where = f"Linux, context {context}"
    elif ea >> 60 == 0xC:
        flags = SLB_KP
        if ea >= linux.virtual_start:
            region = (ea - linux.virtual_start) >> linux.region_bits
            if region >= len(_KERNEL_REGIONS):
                return None
            context = linux.linear_contexts + 1 + region
            base, where = f"{_KERNEL_REGIONS[region]}_page_shift", f"Linux, {_KERNEL_REGIONS[region]}"
        else:
            context = 1 + (offset >> linux.ea_bits)
            base, where = "linear_page_shift", "Linux, linear map"
    else:
        return None
    shift = SHIFT_1T if large else SHIFT_256M
    vsid = scramble(context, ea, shift, settings)
    return Segment(vsid, shift, settings[base], flags, where) if vsid else None


def entry_segment(esid: int, word: int, where: str, address: int) -> tuple[int, Segment] | None:
    """Take an entry of an SLB or segment table; None for one that is invalid or has a reserved size.

    Args:
        esid: its first doubleword.
        word: its second.
        where: for the segment.
        address: for the segment.

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


def _entries(address: int, count: int, where: str, memory: PhysicalMemory) -> Iterator[tuple[int, Segment]]:
    """Yield the valid entries of an SLB's image or of a segment table's group."""
    for i in range(count):
        place = address + 16 * i
        if not memory.reaches(place):
            raise _NoMemoryError(place)
        esid, word = (memory.read_entry(place + n, big_endian=True) for n in (0, 8))
        found = entry_segment(esid, word, f"{where} {i}", place)
        if found is not None:
            yield found


class _NoMemoryError(Exception):
    """A table lies where there is no memory."""


def segment_of(linux: LinuxLayout, memory: PhysicalMemory, ea: int, settings: Settings) -> Segment | None:
    """Find the segment of an address; None where there is none, `_NoMemoryError` where its table is missing."""
    source = segments_from(settings)
    if source == "vsid":
        shift = SHIFT_1T if settings["vsid_1t"] else SHIFT_256M
        return Segment(settings["vsid"], shift, settings["base_page_shift"], SLB_KS | SLB_KP, "vsid")
    if source == "slb":
        for begin, segment in _entries(settings["slb"], settings["slb_entries"], "SLB", memory):
            if begin == ea >> segment.shift << segment.shift:
                return segment
        return None
    if source == "segment_table":
        return _table_segment(memory, ea, settings)
    return _linux_segment(linux, ea, settings)


def _table_segment(memory: PhysicalMemory, ea: int, settings: Settings) -> Segment | None:
    """Search a segment table: 6.7.8.3 has a primary group for either size, then a secondary one for either."""
    groups = 1 << (settings["segment_table_shift"] - 7)
    for secondary in (False, True):
        for shift in (SHIFT_256M, SHIFT_1T):
            index = (~(ea >> shift) if secondary else ea >> shift) & groups - 1
            address = settings["segment_table"] + (index << 7)
            for begin, segment in _entries(address, 8, f"STEG {index:#x}, STE", memory):
                if segment.shift == shift and begin == ea >> shift << shift:
                    return segment
    return None


# --- the walk


def table_shape(root: int, settings: Settings) -> tuple[int, int]:
    """Give the page table's origin and log2 of its bytes; a size above 46 is none."""
    return root & ORIGIN_MASK, settings["htab_shift"] or SMALLEST + (root & SIZE_MASK)


@attrs.define
class _Walking:
    linux: LinuxLayout
    memory: PhysicalMemory
    root: int
    ea: int
    access: Access
    settings: Settings
    steps: list[Step] = attrs.field(factory=list)
    rights: int = 0
    page_shift: int = 0
    code: int = 0

    def walk(self) -> tuple[Reason, int, int | None]:
        """Give the reason, the level, and the translation."""
        segment = self._segment()
        if isinstance(segment, Reason):
            return segment, 0, None
        found = self._search(segment)
        if isinstance(found, Reason):
            return found, 1, None
        address, hpte, size = found
        reason = self._permission(segment, hpte)
        low = (1 << size.actual) - 1
        pa = hpte.r & hpte.rpn_mask & ~low | self.ea & low
        self.page_shift = size.actual
        note = f"{_bytes(size.actual)} page, {_bytes(size.base)} base pages"
        self._step(address, hpte, "leaf", note, None if reason else pa)
        return reason, 1, None if reason else pa

    def _segment(self) -> Segment | Reason:
        try:
            segment = segment_of(self.linux, self.memory, self.ea, self.settings)
        except _NoMemoryError as missing:
            place = missing.args[0]
            note = "no physical memory here"
            self.steps.append(Step(0, "SLBE", "segment", place, 0, place, None, "absent", (), None, note))
            return Reason.NO_MEMORY
        index = self.ea >> (segment.shift if segment else SHIFT_256M)
        if segment is None:
            note = f"no segment ({segments_from(self.settings)})"
            self.steps.append(Step(0, "SLBE", "segment", 0, index, 0, 0, "absent", (), None, note))
            return Reason.NONCANONICAL
        refused = self.access.kind == "execute" and segment.flags & SLB_N
        origin, shift = table_shape(self.root, self.settings)
        group = origin + ((segment.hash(self.ea) & (1 << shift - GROUP_SHIFT) - 1) << GROUP_SHIFT)
        place = segment.address or 0
        self.steps.append(
            Step(
                level=0,
                name="SLBE",
                linux="segment",
                table=place,
                index=index,
                address=place,
                entry=segment.word,
                kind="table",
                flags=segment.flag_names,
                target=None if refused else group,
                note=segment.where,
            )
        )
        self.code = NO_EXECUTE
        return Reason.PERMISSION if refused else segment

    def _search(self, segment: Segment) -> tuple[int, Hpte, PageSize] | Reason:
        """Look through the primary group, then the secondary one."""
        _, table_bits = table_shape(self.root, self.settings)
        if table_bits > LARGEST:
            return Reason.MALFORMED
        for secondary in (False,) if self.settings["tc"] else (False, True):
            wanted = segment.wanted(self.ea) | (H if secondary else 0)
            group = self._group(segment, secondary=secondary)
            entries = []
            for place in range(group, group + ENTRIES * ENTRY_BYTES, ENTRY_BYTES):
                if not self.memory.reaches(place):
                    self._missing(place)
                    return Reason.NO_MEMORY
                hpte = Hpte.read(*self._pair(place), self.settings)
                size = hpte.page_size(segment.base)
                if hpte.v & COMPARED == wanted and size is not None:
                    return place, hpte, size
                entries.append((place, hpte))
            self._note_misses(entries, segment, wanted)
        return Reason.NOT_PRESENT

    def _pair(self, place: int) -> tuple[int, int]:
        v, r = (self.memory.read_entry(place + n, big_endian=True) for n in (0, 8))
        return v, r

    def _group(self, segment: Segment, *, secondary: bool) -> int:
        origin, table_bits = table_shape(self.root, self.settings)
        hashed = segment.hash(self.ea)
        index = (~hashed if secondary else hashed) & (1 << table_bits - GROUP_SHIFT) - 1
        return origin + (index << GROUP_SHIFT)

    def _note_misses(self, entries: list[tuple[int, Hpte]], segment: Segment, wanted: int) -> None:
        valid = [(place, hpte) for place, hpte in entries if hpte.v & V]
        which = "secondary" if wanted & H else "primary"
        for place, hpte in valid:
            if (hpte.v ^ wanted) & COMPARED & ~H:
                note = f"{which} group: another page"
            elif (hpte.v ^ wanted) & H:
                note = f"{which} group: hashed the other way"
            else:
                note = f"{which} group: not for {_bytes(segment.base)} base pages"
            self._step(place, hpte, "absent", note, None)
        if not valid:
            self._step(*entries[0], "absent", f"{which} group: no valid entry", None)

    def _missing(self, place: int) -> None:
        table, _ = table_shape(self.root, self.settings)
        index = (place - table) // ENTRY_BYTES
        note = "no physical memory here"
        self.steps.append(Step(1, "PTE", "hpte", table, index, place, None, "absent", (), None, note))

    def _step(self, place: int, hpte: Hpte, kind: str, note: str, target: int | None) -> None:
        table, _ = table_shape(self.root, self.settings)
        v, r = self._pair(place)
        flags = hpte.flag_names if hpte.v & V else ()
        index = (place - table) // ENTRY_BYTES
        entry = v << 64 | r
        self.steps.append(Step(1, "PTE", "hpte", table, index, place, entry, kind, flags, target, note))

    def _permission(self, segment: Segment, hpte: Hpte) -> Reason:
        granted, self.rights = rights_of(segment, hpte, self.settings)
        bit = bit_of(self.access)
        if self.rights >> bit & 1:
            return Reason.OK
        read = granted >> (0 if self.access.user else 3) & 1
        if self.access.kind == "execute":
            # 7.5.5: no-execute or guarded, else protection; and the key's refusal beside either.
            self.code = 0 if granted >> bit & 1 else PROTECTION if not hpte.r & (N | G) else NO_EXECUTE
            assert granted >> bit & 1 or not read or hpte.r & (N | G)
            if self.settings["iamr"] >> 2 * (31 - hpte.key) & 1:
                self.code |= KEY
        else:
            self.code = 0 if granted >> bit & 1 else PROTECTION
            mask = 2 if self.access.kind == "write" else 1
            if self.settings["amr"] >> 2 * (31 - hpte.key) & mask:
                self.code |= KEY
        return Reason.PERMISSION


def _bytes(shift: int) -> str:
    unit = shift // 10
    return f"{1 << shift % 10}{' KMGTP'[unit]}iB"


# --- 7.5.3 to 7.5.6: the codes by reason; `steps` says which of the causes of a protection fault it was.
_DATA = (
    CodeBit(NOT_FOUND, reasons=(Reason.NOT_PRESENT,)),
    CodeBit(PROTECTION, reasons=(Reason.PERMISSION,)),
    CodeBit(STORE, kinds=("write",)),
)
_FETCH = (
    CodeBit(NOT_FOUND, reasons=(Reason.NOT_PRESENT,)),
    CodeBit(NO_EXECUTE, reasons=(Reason.PERMISSION,)),
)
_FAULTS = (
    Fault("instruction segment interrupt", reasons=(Reason.NONCANONICAL,), kinds=("execute",)),
    Fault("data segment interrupt", reasons=(Reason.NONCANONICAL,)),
    Fault("machine check", reasons=(Reason.NO_MEMORY, Reason.MALFORMED)),
    Fault("instruction storage interrupt", code=_FETCH, kinds=("execute",)),
    Fault("data storage interrupt", code=_DATA),
)


class HashCheck(NamedTuple):
    """What `_hash_kernels.walk` reads; all are `uint64`.

    Attributes:
        bit: the access's place in `RIGHTS`.
        sets_rc: R and C are written.
        amr: as the register.
        iamr: as the register.
        table_bits: log2 of the table's bytes, 0: the root says.
        primary_only: LPCR[TC].
        new: entries are those of ISA 3.0.
        source: of segments: 0 Linux, 1 `vsid`, 2 `slb`, 3 `segment_table`.
        place: the VSID, or where the SLB or segment table lies.
        count: bits of the VSID's segment, entries of the SLB, or log2 of the segment table's groups.
        bases: log2 of base pages: user, linear map, vmalloc, IO, vmemmap.
        context: Linux's.
        segments_1t: segments of 1 TiB exist.
        va_bits: of virtual addresses, 68 or 65.
        ea_bits: as in `LinuxLayout`, and so the others.
        range_bits: see there.
        virtual_start: see there.
        region_bits: see there.
        linear_contexts: see there.
    """

    bit: Any
    sets_rc: Any
    amr: Any
    iamr: Any
    table_bits: Any
    primary_only: Any
    new: Any
    source: Any
    place: Any
    count: Any
    bases: tuple[Any, Any, Any, Any, Any]
    context: Any
    segments_1t: Any
    va_bits: Any
    ea_bits: Any
    range_bits: Any
    virtual_start: Any
    region_bits: Any
    linear_contexts: Any


_SOURCES = ("context", "vsid", "slb", "segment_table")
_BASES = ("base_page_shift", "linear_page_shift", "vmalloc_page_shift", "io_page_shift", "vmemmap_page_shift")


@attrs.frozen
class _HashWalk:
    """The functions of one format."""

    linux: LinuxLayout

    def check(self, access: Access, settings: Settings, hardware_sets_flags: bool) -> HashCheck:
        source = segments_from(settings)
        count = {
            "context": 0,
            "vsid": SHIFT_1T if settings["vsid_1t"] else SHIFT_256M,
            "slb": settings["slb_entries"],
            "segment_table": settings["segment_table_shift"] - 7,
        }[source]
        u = np.uint64
        return HashCheck(
            bit=u(bit_of(access)),
            sets_rc=u(hardware_sets_flags),
            amr=u(settings["amr"]),
            iamr=u(settings["iamr"]),
            table_bits=u(settings["htab_shift"]),
            primary_only=u(settings["tc"]),
            new=u(settings["hpte_3_0"]),
            source=u(_SOURCES.index(source)),
            place=u(settings[source]),
            count=u(count),
            bases=tuple(u(settings[name]) for name in _BASES),  # type: ignore[arg-type]
            context=u(settings["context"]),
            segments_1t=u(settings["segments_1t"]),
            va_bits=u(68 if settings["va_68"] else 65),
            ea_bits=u(self.linux.ea_bits),
            range_bits=u(self.linux.range_bits),
            virtual_start=u(self.linux.virtual_start),
            region_bits=u(self.linux.region_bits),
            linear_contexts=u(self.linux.linear_contexts),
        )

    def steps(self, memory: PhysicalMemory, root: int, va: int, access: Access, settings: Settings) -> Trace:
        walking = _Walking(self.linux, memory, root, va, access, settings)
        reason, level, pa = walking.walk()
        held = frozenset(name for i, name in enumerate(RIGHTS) if walking.rights >> i & 1)
        fault, code = "", 0
        if reason:
            form = BY_LAYOUT[self.linux]
            fault, code = form.fault(reason, access, settings, level=level)
            if reason is Reason.PERMISSION:
                code = walking.code | (STORE if access.kind == "write" else 0)
        return Trace(va, pa, reason, level, walking.page_shift, held, fault, code, tuple(walking.steps))


def _settings(page: int) -> tuple[Setting, ...]:
    most = (1 << 64) - 1
    first = LINUX[page].first_user_context
    return (
        Setting(
            "htab_shift",
            0,
            "log2 of the page table's bytes; 0: HTABSIZE says, the root's low 5 bits",
            0,
            LARGEST,
        ),
        Setting("hpte_3_0", True, "entries are those of ISA 3.0 and later, B in the second doubleword"),
        Setting("tc", False, "LPCR[TC]: secondary groups are not searched"),
        Setting("amr", 0, "the AMR: two bits for each key, no store and no load", 0, most),
        Setting("iamr", 0, "the IAMR: the second of two bits for each key, no fetch", 0, most),
        Setting(
            "context",
            first,
            "Linux's context id of the process, from which segments follow",
            1,
            (1 << 19) - 2,
        ),
        Setting("segments_1t", True, "Linux uses segments of 1 TiB: for the kernel, for users from 1 TiB on"),
        Setting(
            "va_68", True, "virtual addresses have 68 bits, and Linux's VSIDs follow; off: 65 (before POWER6)"
        ),
        Setting(
            "base_page_shift", page, "log2 of the base page's bytes in user segments: 12, 16, 24, 34", 12, 34
        ),
        Setting("linear_page_shift", 24, "the same in Linux's linear map", 12, 34),
        Setting("vmalloc_page_shift", page, "the same in Linux's vmalloc region", 12, 34),
        Setting("io_page_shift", page, "the same in Linux's I/O region", 12, 34),
        Setting("vmemmap_page_shift", 24, "the same in Linux's vmemmap region", 12, 34),
        Setting("vsid", 0, "the VSID of every address, instead of Linux's; 0: none", 0, (1 << 50) - 1),
        Setting("vsid_1t", False, "the segment of `vsid` has 1 TiB, not 256 MiB"),
        Setting(
            "slb",
            0,
            "physical address of SLB entries as slbmte takes them, RB then RS; 0: none",
            0,
            (1 << 56) - 1,
        ),
        Setting("slb_entries", 32, "how many", 1, 512),
        Setting("segment_table", 0, "real address of a segment table; 0: none", 0, (1 << 56) - 1),
        Setting("segment_table_shift", 12, "log2 of its bytes: STABSIZE + 12", 12, 27),
    )


def _hash(page: int, name: str, text: str) -> CustomFormat:
    walk = _HashWalk(LINUX[page])
    return CustomFormat(
        name=name,
        summary=f"powerpc hashed page table as Linux with {text} pages uses it: 4 KiB, 64 KiB, 16 MiB, 16 GiB",
        source="Power ISA 3.1, Book III, 6.7.8, 6.7.9",
        va_bits=64,
        walk="shootdown_powerpc._hash_kernels:walk",
        check=walk.check,
        steps=walk.steps,
        attributes=tuple(Attribute(right, None) for right in RIGHTS),
        settings_known=_settings(page),
        faults=_FAULTS,
        entry_bytes=ENTRY_BYTES,
        big_endian=True,
        levels=(
            Level("SLBE", "segment", 64 - SHIFT_256M, leaf="never"),
            Level("PTE", "hpte", SHIFT_256M - page, leaf="always"),
        ),
    )


HASH_4K = _hash(12, "ppc64-hash-4k", "4 KiB")
HASH_64K = _hash(16, "ppc64-hash-64k", "64 KiB")
BY_LAYOUT = {LINUX[12]: HASH_4K, LINUX[16]: HASH_64K}
