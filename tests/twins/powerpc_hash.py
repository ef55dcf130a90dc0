"""A slow, obvious walk of hashed page tables, written from Power ISA 3.1, Book III, 6.7.8, 6.7.9 and 6.7.13.

It shares nothing with the package. Bit 0 is the most significant, of doublewords and of the virtual address of
78 bits, as in the ISA's figures and formulas. What the ISA leaves to software (VSIDs) is Linux's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from twins.powerpc_radix import Memory, cut


@dataclass(frozen=True)
class Slbe:
    """A segment lookaside buffer entry, as figure 27 draws it."""

    terabyte: bool
    vsid: int
    ks: int
    kp: int
    n: int
    base: int  # b: log2 of the base page's bytes


@dataclass(frozen=True)
class Linux:
    """The layout of the kernel's and a process's addresses (arch/powerpc/include/asm/book3s/64/)."""

    page: int
    context: int
    segments_1t: bool
    va_bits: int
    bases: dict[str, int]  # user, linear, vmalloc, io, vmemmap


@dataclass
class Cpu:
    """The CPU's state for the walk; `source` is ("linux", Linux), ("vsid", Slbe), ("slb", ...), ("stab", ...)."""

    origin: int
    table_bits: int
    source: tuple[Any, ...]
    new: bool = True
    tc: bool = False
    amr: int = 0
    iamr: int = 0
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    reason: str
    real: int | None = None
    page_bits: int = 0
    interrupt: str = ""
    code: int = 0


NOT_FOUND, NO_EXECUTE, PROTECTION, STORE, KEY = (1 << (63 - n) for n in (33, 35, 36, 38, 42))
BASES = {0b000: 12, 0b101: 16, 0b100: 24, 0b110: 34}  # L || LP


# --- 6.7.8: segments


def entry(esid, word, ea):
    """Return the SLBE of a pair of doublewords if it translates the address."""
    if not cut(esid, 36, 36) or cut(word, 0, 1) > 1:
        return None
    terabyte = cut(word, 0, 1) == 1
    last = 23 if terabyte else 35
    if cut(esid, 0, last) != cut(ea, 0, last):
        return None
    base = BASES.get(cut(word, 55, 55) << 2 | cut(word, 58, 59))
    if base is None:
        return None
    vsid = cut(word, 2, 39) if terabyte else cut(word, 2, 51)
    return Slbe(terabyte, vsid, cut(word, 52, 52), cut(word, 53, 53), cut(word, 54, 54), base)


def in_slb(memory, address, count, ea):
    for i in range(count):
        found = entry(memory.doubleword(address + 16 * i), memory.doubleword(address + 16 * i + 8), ea)
        if found is not None:
            return found
    return None


def in_segment_table(memory, address, q, ea):
    """Primary group for 256 MiB, for 1 TiB, then the secondary ones, of 8 entries in a table of 2**q bytes."""
    fields = [(False, cut(ea, 43 - q, 35)), (True, cut(ea, 31 - q, 23))]
    for complement in (0, (1 << (q - 7)) - 1):
        for terabyte, index in fields:
            group = address + 128 * (index ^ complement)
            for i in range(8):
                words = memory.doubleword(group + 16 * i), memory.doubleword(group + 16 * i + 8)
                found = entry(*words, ea)
                if found is not None and found.terabyte == terabyte:
                    return found
    return None


def by_linux(linux, ea):
    """mm/book3s64/slb.c and mmu-hash.h:get_vsid()."""
    large_pages = linux.page == 16
    context_bits = 49 if large_pages else 46
    kernel_contexts = 4 if large_pages else 1
    low = ea & 0x0FFF_FFFF_FFFF_FFFF
    if ea >> 60 == 0:
        if ea >= 1 << context_bits:
            return None
        context, base, ks = linux.context, linux.bases["user"], 1
        terabyte = linux.segments_1t and ea >= 1 << 40
    elif ea >> 60 == 0xC:
        ks, terabyte = 0, linux.segments_1t
        each = 1 << 49 if large_pages else 1 << 40
        start = 0xC008_0000_0000_0000 if large_pages else 0xC000_3D00_0000_0000
        if ea < start:
            context, base = 1 + (low >> context_bits), linux.bases["linear"]
        elif ea < start + each:
            context, base = kernel_contexts + 1, linux.bases["vmalloc"]
        elif ea < start + 2 * each:
            context, base = kernel_contexts + 2, linux.bases["io"]
        elif ea < start + 3 * each:
            context, base = kernel_contexts + 3, linux.bases["vmemmap"]
        else:
            return None
    else:
        return None
    if terabyte:
        number, modulus = context * 512 + (ea >> 40) % 512, 2 ** (linux.va_bits - 40) - 1
    else:
        number, modulus = context * 2**21 + (ea >> 28) % 2**21, 2 ** (linux.va_bits - 28) - 1
    vsid = number * 12538073 % modulus
    return Slbe(terabyte, vsid, ks, 1, 0, base) if vsid else None


def segment(cpu, memory, ea):
    kind, *rest = cpu.source
    if kind == "linux":
        return by_linux(rest[0], ea)
    if kind == "vsid":
        return rest[0]
    if kind == "slb":
        return in_slb(memory, *rest, ea)
    return in_segment_table(memory, *rest, ea)


# --- 6.7.9: the table


def virtual(slbe, ea):
    """The virtual address of 78 bits."""
    s = 40 if slbe.terabyte else 28
    return slbe.vsid << s | ea & (1 << s) - 1


def va_cut(va, first, last):
    return va >> (77 - last) & (1 << (last - first + 1)) - 1


def hashed(slbe, va):
    """6.7.9.2, the primary hash of 39 bits."""
    b = slbe.base
    if slbe.terabyte:
        return va_cut(va, 24, 37) << 25 ^ va_cut(va, 0, 37) ^ va_cut(va, 38, 77 - b)
    # A page of 16 GiB is larger than a segment of 256 MiB: nothing of the address is left.
    return va_cut(va, 11, 49) ^ (va_cut(va, 50, 77 - b) if b < 28 else 0)


def group_address(cpu, number):
    return cpu.origin + 128 * (number & (1 << (cpu.table_bits - 7)) - 1)


def page_bits(large, arpn_lp, base):
    """Decode L and LP in a segment of these base pages; the low-order bits of a larger page's number are zero."""
    if not large:
        return 12 if base == 12 else 0
    lp, more = arpn_lp & 0xFF, arpn_lp >> 8
    if base == 12:
        if lp & 0xF == 0b0111:
            return 16
        return 24 if lp == 0b0011_1000 and more & 0xF == 0 else 0
    if base == 16:
        if lp & 0xF == 0b0001:
            return 16
        return 24 if lp == 0b0000_1000 and more & 0xF == 0 else 0
    if base == 24:
        return 24 if lp == 0 and more & 0xF == 0 else 0
    return 34 if lp == 0b0000_0011 and more & 0x3FFF == 0 else 0


def matches(cpu, slbe, va, first, second, secondary):
    """6.7.9.3: give log2 of the page's bytes if the entry translates the address, else 0."""
    b_field, avpn = cut(first, 0, 1), cut(first, 2, 56)
    if cpu.new:
        b_field, avpn = cut(second, 4, 5), cut(first, 12, 56)
    offset_bits = min(slbe.base, 40 if slbe.terabyte else 28)
    page = va >> offset_bits << offset_bits
    if cut(first, 62, 62) != secondary or b_field != slbe.terabyte:
        return 0
    if avpn != va_cut(page, 0, 54):
        return 0
    return page_bits(cut(first, 61, 61), cut(second, 8, 51), slbe.base)


def translate(cpu, memory, ea, kind="read", user=True, set_rc=False):
    """Translate an effective address."""
    which = "instruction" if kind == "execute" else "data"
    slbe = segment(cpu, memory, ea)
    if slbe is None:
        return Outcome("segment", interrupt=f"{which} segment interrupt")

    def refuse(reason, cause):
        more = STORE if kind == "write" else 0
        return Outcome(reason, interrupt=f"{which} storage interrupt", code=cause | more)

    if kind == "execute" and slbe.n:
        return refuse("protection", NO_EXECUTE)
    va = virtual(slbe, ea)
    number = hashed(slbe, va)
    for secondary in (0,) if cpu.tc else (0, 1):
        group = group_address(cpu, ~number if secondary else number)
        for slot in range(8):
            place = group + 16 * slot
            first = memory.doubleword(place)
            if not cut(first, 63, 63):
                continue
            second = memory.doubleword(place + 8)
            bits = matches(cpu, slbe, va, first, second, secondary)
            if not bits:
                continue
            cause = refusal(cpu, slbe, second, kind, user)
            if cause:
                return refuse("protection", cause)
            if set_rc:
                memory.store(place + 8, second | 1 << 8 | (kind == "write") << 7)
            number_first = 7 if cpu.new else 4
            real = cut(second, number_first, 51) << 12
            counted = (secondary, slbe.base, bits, slbe.terabyte, kind, user)
            cpu.counts[counted] = cpu.counts.get(counted, 0) + 1
            return Outcome("ok", real >> bits << bits | ea & (1 << bits) - 1, bits)
    return refuse("not-found", NOT_FOUND)


def refusal(cpu, slbe, second, kind, user):
    """6.7.13: the cause of a storage interrupt, 0 where the access is permitted."""
    key_bit = slbe.kp if user else slbe.ks
    pp = cut(second, 0, 0) << 2 | cut(second, 62, 63)
    access = {
        (0, 0b000): "rw",
        (0, 0b001): "rw",
        (0, 0b010): "rw",
        (0, 0b011): "r",
        (0, 0b110): "r",
        (1, 0b000): "",
        (1, 0b001): "r",
        (1, 0b010): "rw",
        (1, 0b011): "r",
        (1, 0b110): "",
    }.get((key_bit, pp), "")  # other values are reserved
    page_class = cut(second, 2, 3) << 3 | cut(second, 52, 54)
    if kind == "execute":
        cause = 0
        if cut(second, 61, 61) or cut(second, 60, 60):
            cause = NO_EXECUTE
        elif "r" not in access:
            cause = PROTECTION
        if cut(cpu.iamr, 2 * page_class + 1, 2 * page_class + 1):
            cause |= KEY
        return cause
    cause = 0 if ("w" if kind == "write" else "r") in access else PROTECTION
    place = 2 * page_class + (kind == "read")
    if cut(cpu.amr, place, place):
        cause |= KEY
    return cause


__all__ = ["Cpu", "Linux", "Memory", "Outcome", "Slbe", "translate"]
