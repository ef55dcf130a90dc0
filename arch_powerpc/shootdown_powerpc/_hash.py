"""The entries of Book3S-64 hashed page tables: Power ISA 3.1, Book III, 6.7.8 (segments), 6.7.9 (table).

An effective address is first translated to a virtual one by its segment (VSID); then the virtual page is searched in
two groups of eight entries (PTEGs) of one table that all address spaces share. `_segments.py` finds segments,
`_hash_formats.py` has the formats, `_hash_walk.py` the readable walk, `_hash_kernels.py` the compiled one,
`_hash_list.py` lists what a table maps. Bits count from the least significant, unlike in the ISA's figures.

What the ISA leaves open is as in QEMU (target/ppc/mmu-hash64.c): AVPN bits below a larger base page, and real page
number bits below a larger page, must be zero for an entry to match; values of pp that are reserved grant nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs

from shootdown.formats import Access, Settings

# --- 6.7.8.2: an SLB entry as slbmte takes it, and 6.7.8.3: the same two doublewords in a segment table.
SLB_V = 1 << 27
SLB_B = 3 << 62
SLB_KS, SLB_KP, SLB_N, SLB_LLP = 0x800, 0x400, 0x200, 0x130
SHIFT_256M, SHIFT_1T = 28, 40

# --- 6.7.9.1: an entry of the page table, first doubleword, second doubleword.
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

# --- 7.5.3 (data storage) and 7.5.5 (instruction storage): DSISR or SRR1.
STORE, NOT_FOUND, NO_EXECUTE, PROTECTION, KEY = (
    0x0200_0000,
    0x4000_0000,
    0x1000_0000,
    0x0800_0000,
    0x0020_0000,
)


class PageSize(NamedTuple):
    """A base page size with an actual page size, and its encoding in an entry.

    Attributes:
        base: log2 of the base page's bytes.
        actual: log2 of the page's bytes.
        lp: the encoding in the low-order bits of the real page number; None if L is 0.
    """

    base: int
    actual: int
    lp: int | None


PAGE_SIZES = (
    # POWER7 to POWER10: QEMU's ppc_hash64_opts_POWER7, and Linux's mmu_psize_defs as device trees fill it.
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


@attrs.frozen
class Segment:
    """A segment, which translates the upper part of an address.

    Args:
        vsid: virtual segment.
        shift: log2 of the segment's bytes, 28 or 40.
        base: log2 of the base page's bytes.
        flags: Ks, Kp and N, as in the second doubleword of an SLB entry.
        where: its source, in words.
        address: physical address of the entry; None if it is in no memory.
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
        return self._upper | self.flags | BASE_PAGES[self.base]

    @property
    def _upper(self) -> int:
        return int(self.shift == SHIFT_1T) << 62 | self.vsid << (self.shift - 16)

    def hash(self, ea: int) -> int:
        """Return the hash of the virtual page, 39 bits (6.7.9.2)."""
        page = (ea & (1 << self.shift) - 1) >> self.base
        spread = self.vsid << 25 if self.shift == SHIFT_1T else 0
        return (self.vsid ^ spread ^ page) & HASH_MASK

    def wanted(self, ea: int) -> int:
        """Return the compared bits of a matching entry's first doubleword, in a primary group (6.7.9.3)."""
        offset = ea & (1 << self.shift) - 1 & ~((1 << self.base) - 1)
        return self._upper | offset >> 23 << AVPN_SHIFT | V

    @property
    def flag_names(self) -> tuple[str, ...]:
        """The flags of the entry by name, for readers."""
        named = [name for name, mask in (("Ks", SLB_KS), ("Kp", SLB_KP), ("N", SLB_N)) if self.flags & mask]
        return (f"VSID={self.vsid:#x}", f"B={short(self.shift)}", f"base={short(self.base)}", *named)


@attrs.frozen
class Hpte:
    """An entry of the page table, in the form that it had before ISA 3.0.

    Args:
        v: first doubleword, with B in its two upper bits.
        r: second doubleword.
        rpn_mask: the mask of the real page number.
    """

    v: int
    r: int
    rpn_mask: int = RPN_OLD

    @classmethod
    def read(cls, v: int, r: int, *, new: bool) -> Hpte:
        """Decode the two doublewords in memory; `new`: in the format of ISA 3.0."""
        if new:
            size = r >> B_3_0_SHIFT & 3
            return cls(v & COMMON_3_0 | size << 62, r & ~(3 << B_3_0_SHIFT), RPN_3_0)
        return cls(v, r)

    def page_size(self, base: int | None = None) -> PageSize | None:
        """Return the page's size in a segment of these base pages, or of any; None if the entry is for another kind."""
        for size in PAGE_SIZES:
            if base not in (None, size.base) or (size.lp is None) == bool(self.v & L):
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
    def first_names(self) -> tuple[str, ...]:
        """The fields of the first doubleword by name, for readers."""
        named = [name for name, mask in (("V", V), ("H", H), ("L", L)) if self.v & mask]
        if self.v >> 62:
            named.append(f"B={self.v >> 62:#x}")
        if self.v >> 3 & 0xF:
            named.append(f"SW={self.v >> 3 & 0xF:#x}")
        return (*named, f"AVPN={(self.v & ~SLB_B) >> AVPN_SHIFT:#x}")

    @property
    def second_names(self) -> tuple[str, ...]:
        """The fields of the second doubleword by name, for readers."""
        fields = (("R", R), ("C", C), ("W", 0x40), ("I", 0x20), ("M", 0x10), ("G", G), ("N", N))
        named = [name for name, mask in fields if self.r & mask]
        if self.key:
            named.append(f"KEY={self.key:#x}")
        return (*named, f"pp={self.pp:#05b}")


RIGHTS = (
    "user_read",
    "user_write",
    "user_execute",
    "privileged_read",
    "privileged_write",
    "privileged_execute",
)
# 6.7.13.2: the values of pp that grant access, as bits: with the segment's key bit for the state 0, and 1.
READS, WRITES = (0x4F, 0x0E), (0x07, 0x04)


def granted(segment: Segment, hpte: Hpte) -> int:
    """Return the accesses that a page permits before its key is checked, as bits in the order of `RIGHTS`."""
    found = 0
    for state, mask in ((0, SLB_KP), (1, SLB_KS)):
        key = bool(segment.flags & mask)
        read, write = READS[key] >> hpte.pp & 1, WRITES[key] >> hpte.pp & 1
        execute = read and not hpte.r & (N | G) and not segment.flags & SLB_N
        found |= (read | write << 1 | int(execute) << 2) << 3 * state
    return found


def refused_by_key(hpte: Hpte, settings: Settings) -> int:
    """Return the accesses that the authority mask registers deny, likewise (6.7.13.1)."""
    place = 2 * (31 - hpte.key)
    data, fetch = settings["amr"] >> place & 3, settings["iamr"] >> place & 1
    found = data & 1 | data & 2 | fetch << 2
    return found | found << 3


def bit_of(access: Access) -> int:
    """Return the place of an access in `RIGHTS`."""
    return ("read", "write", "execute").index(access.kind) + (0 if access.user else 3)


def table_shape(root: int, settings: Settings) -> tuple[int, int]:
    """Return the page table's origin and log2 of its bytes; a size above `LARGEST` is invalid."""
    return root & ORIGIN_MASK, settings["htab_shift"] or SMALLEST + (root & SIZE_MASK)


def short(shift: int) -> str:
    """Write a power of two of bytes in short: `64K`."""
    return f"{1 << shift % 10}{' KMGTP'[shift // 10]}"
