"""The compiled hash walk: `_segments.py` and `_hash_walk.py` on words of memory. Imported when a walk first runs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from shootdown.formats import Reason
from shootdown.kernels import Walk, find, kernel, peek, poke, swap_word
from shootdown_powerpc import _hash, _segments

U0, U1, U2, U3, U4, U7, U8 = (np.uint64(n) for n in (0, 1, 2, 3, 4, 7, 8))
U16, U23, U25, U31 = (np.uint64(n) for n in (16, 23, 25, 31))
ONES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)

OK = np.uint64(Reason.OK)
NOT_PRESENT = np.uint64(Reason.NOT_PRESENT)
PERMISSION = np.uint64(Reason.PERMISSION)
NONCANONICAL = np.uint64(Reason.NONCANONICAL)
MALFORMED = np.uint64(Reason.MALFORMED)
NO_MEMORY = np.uint64(Reason.NO_MEMORY)

SHIFT_256M, SHIFT_1T = np.uint64(_hash.SHIFT_256M), np.uint64(_hash.SHIFT_1T)
SLB_V, SLB_LLP = np.uint64(_hash.SLB_V), np.uint64(_hash.SLB_LLP)
SLB_KS, SLB_KP, SLB_N = np.uint64(_hash.SLB_KS), np.uint64(_hash.SLB_KP), np.uint64(_hash.SLB_N)
WITHOUT_B = np.uint64(~_hash.SLB_B & 0xFFFF_FFFF_FFFF_FFFF)
BASE_SHIFTS = np.array(list(_hash.BASE_PAGES), dtype=np.uint64)
BASE_LLPS = np.array(list(_hash.BASE_PAGES.values()), dtype=np.uint64)

V, H, L = np.uint64(_hash.V), np.uint64(_hash.H), np.uint64(_hash.L)
COMPARED, COMMON = np.uint64(_hash.COMPARED), np.uint64(_hash.COMMON_3_0)
B_3_0_SHIFT, B_SHIFT = np.uint64(_hash.B_3_0_SHIFT), np.uint64(62)
RPN_OLD, RPN_3_0 = np.uint64(_hash.RPN_OLD), np.uint64(_hash.RPN_3_0)
PP, R, C = np.uint64(_hash.PP), np.uint64(_hash.R), np.uint64(_hash.C)
NO_FETCH = np.uint64(_hash.N | _hash.G)
READS = np.array(_hash.READS, dtype=np.uint64)
WRITES = np.array(_hash.WRITES, dtype=np.uint64)
HASH_MASK = np.uint64(_hash.HASH_MASK)
ORIGIN_MASK, SIZE_MASK = np.uint64(_hash.ORIGIN_MASK), np.uint64(_hash.SIZE_MASK)
SMALLEST, LARGEST = np.uint64(_hash.SMALLEST), np.uint64(_hash.LARGEST)
MULTIPLIER = np.uint64(_segments.MULTIPLIER)
ESID_256M, ESID_1T = (np.uint64(_segments.ESID_BITS[shift]) for shift in (28, 40))

# For each size: the base page, the actual page, and the required low-order bits of the real page number.
SIZES = len(_hash.PAGE_SIZES)
SIZE_BASES = np.array([size.base for size in _hash.PAGE_SIZES], dtype=np.uint64)
SIZE_ACTUALS = np.array([size.actual for size in _hash.PAGE_SIZES], dtype=np.uint64)
SIZE_L = np.array([0 if size.lp is None else _hash.L for size in _hash.PAGE_SIZES], dtype=np.uint64)
SIZE_MASKS = np.array(
    [0 if s.lp is None else (1 << s.actual) - 1 & _hash.RPN_OLD for s in _hash.PAGE_SIZES], dtype=np.uint64
)
SIZE_LPS = np.array([(size.lp or 0) << 12 for size in _hash.PAGE_SIZES], dtype=np.uint64)

LINUX, VSID, SLB = (np.uint64(n) for n in (0, 1, 2))


class Segment(NamedTuple):
    """A segment, or the reason why there is none.

    Attributes:
        reason: OK, NONCANONICAL or NO_MEMORY.
        vsid: virtual segment.
        shift: log2 of its bytes.
        base: log2 of the base page's bytes.
        flags: Ks, Kp and N.
    """

    reason: np.uint64
    vsid: np.uint64
    shift: np.uint64
    base: np.uint64
    flags: np.uint64


@kernel
def linux_segment(check: Any, va: Any) -> Any:
    """Return the segment by Linux's rule."""
    offset = va & WITHOUT_B
    found = offset >> check.range_bits == U0
    context, base, flags, large = check.context, check.bases[0], SLB_KS | SLB_KP, check.segments_1t
    region = va >> np.uint64(60)
    if region == U0:
        found = found and va >> check.ea_bits == U0
        if va >> SHIFT_1T == U0:
            large = U0
    elif region == np.uint64(0xC):
        flags = SLB_KP
        if va >= check.virtual_start:
            region = (va - check.virtual_start) >> check.region_bits
            context = check.linear_contexts + U1 + region
            if region == U0:
                base = check.bases[2]
            elif region == U1:
                base = check.bases[3]
            else:
                base = check.bases[4]
                found = found and region == U2
        else:
            context = U1 + (offset >> check.ea_bits)
            base = check.bases[1]
    else:
        found = False
    shift, bits = SHIFT_256M, ESID_256M
    if large != U0:
        shift, bits = SHIFT_1T, ESID_1T
    width = check.va_bits - shift
    modulus = (U1 << width) - U1
    vsid = ((context << bits) | ((va >> shift) & ((U1 << bits) - U1))) * MULTIPLIER % modulus
    return Segment(OK if found and vsid != U0 else NONCANONICAL, vsid, shift, base, flags)


@kernel
def scan(memory: Any, address: Any, count: Any, wanted: Any, va: Any) -> Any:
    """Search the entries of an SLB or of a group of a segment table.

    Args:
        memory: `PhysicalMemory.view`.
        address: the address of the first entry.
        count: the number of entries.
        wanted: log2 of the segment's bytes; 0: any.
        va: the address.
    """
    found = Segment(NONCANONICAL, U0, U0, U0, U0)
    i = U0
    while i < count and found.reason == NONCANONICAL:
        place = address + (i << U4)
        first, second = find(memory, place), find(memory, place + U8)
        i += U1
        if first == U0 or second == U0:
            found = Segment(NO_MEMORY, U0, U0, U0, U0)
        else:
            esid, word = swap_word(peek(first)), swap_word(peek(second))
            shift = SHIFT_1T if word >> B_SHIFT == U1 else SHIFT_256M
            base = U0
            for n in range(BASE_LLPS.size):
                if word & SLB_LLP == BASE_LLPS[n]:
                    base = BASE_SHIFTS[n]
            if (
                esid & SLB_V
                and word >> np.uint64(63) == U0
                and base != U0
                and wanted in (U0, shift)
                and esid >> shift == va >> shift
            ):
                vsid = (word & WITHOUT_B) >> (shift - U16)
                found = Segment(OK, vsid, shift, base, word & (SLB_KS | SLB_KP | SLB_N))
    return found


@kernel
def segment_of(memory: Any, check: Any, va: Any) -> Any:
    """Return an address's segment."""
    if check.source == LINUX:
        found = linux_segment(check, va)
    elif check.source == VSID:
        found = Segment(OK, check.place, check.count, check.bases[0], SLB_KS | SLB_KP)
    elif check.source == SLB:
        found = scan(memory, check.place, check.count, U0, va)
    else:
        found = Segment(NONCANONICAL, U0, U0, U0, U0)
        mask = (U1 << check.count) - U1
        for turn in range(4):
            if found.reason == NONCANONICAL:
                shift = SHIFT_1T if turn & 1 else SHIFT_256M
                index = va >> shift
                if turn >= 2:
                    index = ~index
                found = scan(memory, check.place + ((index & mask) << U7), U8, shift, va)
    return found


@kernel
def actual_page(v: Any, r: Any, base: Any) -> Any:
    """Return log2 of the page's bytes, 0 if the entry is not for a segment of these base pages."""
    actual = U0
    for n in range(SIZES):
        if actual == U0 and SIZE_BASES[n] == base and v & L == SIZE_L[n] and r & SIZE_MASKS[n] == SIZE_LPS[n]:
            actual = SIZE_ACTUALS[n]
    return actual


@kernel
def rights_of(check: Any, flags: Any, r: Any) -> Any:
    """Return the accesses that the page permits, as bits in the order of `_hash.RIGHTS`."""
    pp = ((r >> np.uint64(63)) << U2) | (r & PP)
    key = ((r >> np.uint64(57)) & np.uint64(0x18)) | ((r >> np.uint64(9)) & U7)
    place = (U31 - key) << U1
    data, fetch = (check.amr >> place) & U3, (check.iamr >> place) & U1
    rights = U0
    for state in range(2):
        keyed = flags & SLB_KS if state else flags & SLB_KP
        column = 1 if keyed != U0 else 0
        read = (READS[column] >> pp) & U1
        write = (WRITES[column] >> pp) & U1
        execute = read
        if r & NO_FETCH or flags & SLB_N or fetch:
            execute = U0
        if data & U1:
            read = U0
        if data & U2:
            write = U0
        rights |= (read | (write << U1) | (execute << U2)) << np.uint64(3 * state)
    return rights


@kernel
def first_read(memory: Any, check: Any, root: Any, va: Any) -> Any:
    """Return the address of the primary group, which `walk` reads first; any address if it reads none."""
    segment = segment_of(memory, check, va)
    table_bits = check.table_bits
    if table_bits == U0:
        table_bits = SMALLEST + (root & SIZE_MASK)
    hashed = segment.vsid ^ ((va & ((U1 << segment.shift) - U1)) >> segment.base)
    if segment.shift == SHIFT_1T:
        hashed ^= segment.vsid << U25
    return (root & ORIGIN_MASK) + ((hashed & HASH_MASK & ((U1 << (table_bits - U7)) - U1)) << U7)


@kernel
def walk(memory: Any, check: Any, root: Any, va: Any) -> Any:
    """Walk one address; `CustomFormat.walk` documents arguments and result."""
    segment = segment_of(memory, check, va)
    table_bits = check.table_bits
    if table_bits == U0:
        table_bits = SMALLEST + (root & SIZE_MASK)
    reason: Any = NOT_PRESENT
    level: Any = U1
    pa: Any = U0
    entry: Any = U0
    shift: Any = U0
    rights: Any = U0
    if segment.reason != OK:
        reason, level = segment.reason, U0
    elif check.fetch != U0 and segment.flags & SLB_N:
        reason, level = PERMISSION, U0
    elif table_bits > LARGEST:
        reason = MALFORMED
    else:
        offset = va & ((U1 << segment.shift) - U1)
        page = offset >> segment.base
        hashed = segment.vsid ^ page
        wanted = V | (segment.vsid << (segment.shift - U16))
        wanted |= ((page << segment.base) >> U23) << U7
        if segment.shift == SHIFT_1T:
            hashed ^= segment.vsid << U25
            wanted |= U1 << B_SHIFT
        hashed &= HASH_MASK
        mask = (U1 << (table_bits - U7)) - U1
        for turn in range(1 if check.primary_only else 2):
            if turn:
                hashed, wanted = ~hashed, wanted | H
            group = (root & ORIGIN_MASK) + ((hashed & mask) << U7)
            for slot in range(8):
                if reason != NOT_PRESENT:
                    break
                place = group + (np.uint64(slot) << U4)
                first, second = find(memory, place), find(memory, place + U8)
                if first == U0 or second == U0:
                    reason = NO_MEMORY
                    break
                v, r = swap_word(peek(first)), swap_word(peek(second))
                numbers = RPN_OLD
                if check.new != U0:
                    v = (v & COMMON) | (((r >> B_3_0_SHIFT) & U3) << B_SHIFT)
                    r &= ~(U3 << B_3_0_SHIFT)
                    numbers = RPN_3_0
                if v & COMPARED != wanted:
                    continue
                actual = actual_page(v, r, segment.base)
                if actual == U0:
                    continue
                rights = rights_of(check, segment.flags, r)
                entry, shift = swap_word(peek(second)), actual
                reason = PERMISSION
                if (check.allowed >> rights) & U1:
                    reason = OK
                    low = (U1 << actual) - U1
                    pa = (r & numbers & ~low) | (va & low)
                    used = entry | R
                    if check.write != U0:
                        used |= C
                    if check.sets_rc != U0 and used != entry:
                        entry = used
                        poke(second, swap_word(used))
    return Walk(pa, entry, reason, level, shift, rights)
