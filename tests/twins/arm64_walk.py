"""A slow, obvious VMSAv8-64 stage 1 walk, written from the Arm ARM's rules (DDI 0487, D8), one after another.

It shares nothing with the package: plain integers, a dictionary of tables, the rules in the manual's order. Only
translation by the EL1&0 regime, little-endian, without TBI, HPD, E0PD, permission indirection and stage 2.

A contiguous run whose entries contradict one another is constrained unpredictable; here, as the manual permits, each
entry then translates for itself.
"""

from __future__ import annotations

from dataclasses import dataclass

# DDI 0487, ESR_EL1, ISS encoding for an exception from an Instruction or Data Abort: DFSC and IFSC.
STATUS = {
    ("address size", -1): 0b101001,
    ("address size", 0): 0b000000,
    ("address size", 1): 0b000001,
    ("address size", 2): 0b000010,
    ("address size", 3): 0b000011,
    ("translation", -1): 0b101011,
    ("translation", 0): 0b000100,
    ("translation", 1): 0b000101,
    ("translation", 2): 0b000110,
    ("translation", 3): 0b000111,
    ("access flag", 0): 0b001000,
    ("access flag", 1): 0b001001,
    ("access flag", 2): 0b001010,
    ("access flag", 3): 0b001011,
    ("permission", 0): 0b001100,
    ("permission", 1): 0b001101,
    ("permission", 2): 0b001110,
    ("permission", 3): 0b001111,
    ("external abort", -1): 0b010011,
    ("external abort", 0): 0b010100,
    ("external abort", 1): 0b010101,
    ("external abort", 2): 0b010110,
    ("external abort", 3): 0b010111,
}
# Exception class: instruction and data aborts, taken from EL0 (a lower level) and from EL1 itself.
CLASS = {
    (True, True): 0b100000,
    (True, False): 0b100001,
    (False, True): 0b100100,
    (False, False): 0b100101,
}


@dataclass(frozen=True)
class Regime:
    """TCR_EL1, SCTLR_EL1 and PSTATE as far as a walk looks at them."""

    granule: int  # log2 of the bytes in a page: 12, 14, 16
    va_bits: int  # 64 - TxSZ
    ds: bool  # TCR_EL1.DS with FEAT_LPA2
    lpa: bool  # FEAT_LPA: the CPU has 52 bits of physical address, and the granule is 64K
    output_bits: int
    ha: bool = False
    hd: bool = False
    wxn: bool = False
    pan: bool = False
    epan: bool = False


@dataclass(frozen=True)
class Outcome:
    what: str  # "ok", or the kind of fault
    level: int
    pa: int = 0
    size: int = 0  # log2 of the bytes that translate as one
    esr: int = 0


class Tables(dict):
    """Lists of descriptors by page number of the granule. Memory comes in sections; elsewhere nothing answers.

    A page of a section that was not written reads as zeros.
    """

    SECTION = 27

    def __init__(self, granule, pages):
        super().__init__(pages)
        self.in_section = self.SECTION - granule
        self.sections = {0} | {page >> self.in_section for page in pages}
        self.zeros = [0] * (1 << granule - 3)

    def __missing__(self, page):
        return self.zeros if page >> self.in_section in self.sections else None


def syndrome(what, level, kind, user):
    code = CLASS[kind == "execute", user] << 26 | 1 << 25 | STATUS[what, level]
    return code | 1 << 6 if kind == "write" else code


def block_allowed(regime, level):
    """Which levels have block descriptors, by granule, DS and FEAT_LPA."""
    if regime.granule == 12:
        return level in (1, 2) or (level == 0 and regime.ds)
    if regime.granule == 14:
        return level == 2 or (level == 1 and regime.ds)
    return level == 2 or (level == 1 and regime.lpa)


def run_of(regime, level):
    """The descriptors in a contiguous run; 1 where the bit is RES0."""
    if regime.granule == 12:
        return 16 if level >= 1 else 1
    if regime.granule == 14:
        return {3: 128, 2: 32}.get(level, 1)
    return 32 if level >= 2 else 1


def output_address(regime, descriptor, align):
    """The address field: bits 47 to `align`, and where 52-bit addresses keep their upper bits."""
    address = descriptor % (1 << 48) >> align << align
    if regime.ds:
        address += (descriptor >> 48 & 3) << 48
        address += (descriptor >> 8 & 3) << 50
    elif regime.lpa:
        address += (descriptor >> 12 & 15) << 48
    return address


def table_base(regime, ttbr, first_entries):
    """The first table is aligned to its size, and to 64 bytes where a base has more than 48 bits."""
    size = first_entries * 8
    if regime.ds or regime.lpa:
        size = max(size, 64)
    return ttbr // size * size


def rights(regime, descriptor, ap_table, uxn_table, pxn_table):
    """Who may do what: reads, writes and fetches of EL1, then of EL0, before PAN."""
    no_write = descriptor >> 7 & 1
    if regime.ha and regime.hd and descriptor >> 51 & 1:
        no_write = 0  # the page is dirty-managed: a write would clear AP[2]
    to_el0 = descriptor >> 6 & 1
    p_read, p_write = True, not no_write
    u_read, u_write = bool(to_el0), bool(to_el0 and not no_write)
    if ap_table & 1:
        u_read = u_write = False
    if ap_table & 2:
        p_write = u_write = False
    p_execute = not (descriptor >> 53 & 1 or pxn_table or u_write)
    u_execute = not (descriptor >> 54 & 1 or uxn_table)
    may_be_fetched_by_el0 = u_execute
    if regime.wxn:
        p_execute = p_execute and not p_write
        u_execute = u_execute and not u_write
    if regime.pan and (u_read or u_write or (regime.epan and may_be_fetched_by_el0)):
        p_read = p_write = False
    return (p_read, p_write, p_execute), (u_read, u_write, u_execute)


def translate(regime, tables, ttbr, va, kind="read", user=True, update=False):
    """Translate one address; with `update`, what hardware would write into the descriptor is written."""
    g, stride = regime.granule, regime.granule - 3
    top = va >> regime.va_bits
    if top not in (0, (1 << (64 - regime.va_bits)) - 1):
        return Outcome("translation", 0, esr=syndrome("translation", 0, kind, user))
    level = 3
    while regime.va_bits > g + stride * (4 - level):
        level -= 1

    def fault(what):
        return Outcome(what, level, esr=syndrome(what, level, kind, user))

    shift = g + stride * (3 - level)
    base = table_base(regime, ttbr, 1 << (regime.va_bits - shift))
    entries = regime.va_bits - shift
    ap_table = uxn_table = pxn_table = 0
    while True:
        index = va >> shift & ((1 << entries) - 1)
        at = base + index * 8
        table = tables[at >> g]
        if table is None:
            return fault("external abort")
        slot = at % (1 << g) // 8
        descriptor = table[slot]
        if descriptor % 2 == 0:
            return fault("translation")
        if level == 3:
            if descriptor & 2 == 0:
                return fault("translation")
            break
        if descriptor & 2 == 0:
            if not block_allowed(regime, level):
                return fault("translation")
            break
        base = output_address(regime, descriptor, g)
        if base >> regime.output_bits:
            return fault("address size")
        ap_table |= descriptor >> 61 & 3
        uxn_table |= descriptor >> 60 & 1
        pxn_table |= descriptor >> 59 & 1
        level, shift, entries = level + 1, shift - stride, stride

    address = output_address(regime, descriptor, shift)
    if address >> regime.output_bits:
        return fault("address size")
    if not descriptor >> 10 & 1 and not regime.ha:
        return fault("access flag")
    el1, el0 = rights(regime, descriptor, ap_table, uxn_table, pxn_table)
    if not (el0 if user else el1)[("read", "write", "execute").index(kind)]:
        return fault("permission")
    if update and regime.ha:
        descriptor |= 1 << 10
        if kind == "write" and regime.hd:
            descriptor &= ~(1 << 7)
        table[slot] = descriptor
    size = shift
    if descriptor >> 52 & 1:
        size += run_of(regime, level).bit_length() - 1
    return Outcome("ok", level, address | va & ((1 << shift) - 1), size)
