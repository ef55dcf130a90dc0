"""The VMSAv8-64 stage 1 formats of the EL1&0 regime, from the Arm Architecture Reference Manual (DDI 0487), D8.

Section numbers are those of issue J.a. A root is one of the two tables: its addresses begin with all zeros
(TTBR0_EL1) or all ones (TTBR1_EL1), and the walk takes either. Formats up to 48 bits have neither FEAT_LPA nor
TCR_EL1.DS; `4k-52` and `16k-52` have DS = 1 (FEAT_LPA2), `64k-52` has FEAT_LVA and FEAT_LPA. Not modelled: TBI,
HPD, E0PD, permission indirection and overlays, the 128-bit descriptors, stage 2, the size check of TTBR itself.
"""

from __future__ import annotations

from shootdown.formats import (
    Attribute,
    BitField,
    CodeBit,
    Contiguous,
    Deny,
    Fault,
    Format,
    Level,
    Piece,
    Reason,
    Setting,
    Test,
    UsedFlags,
    bit,
    bits,
)
from shootdown_arm64._examples import EXAMPLES

VALID, TABLE = bit(0), bit(1)  # D8.3.1: 0b01 is a block, 0b11 a table, or at level 3 a page
AP1, AP2, AF, NG, DBM, CONTIGUOUS = bit(6), bit(7), bit(10), bit(11), bit(51), bit(52)
PAGE = VALID | TABLE

# --- D8.4: permissions. `el0` is AP[1], `read_only` is AP[2]; APTable[0] takes EL0's access away, APTable[1]
# write access. With hardware dirty state a set DBM makes AP[2] count as clear (D8.5.2).
_ATTRIBUTES = (
    Attribute("el0", 6, table=61, combine="and-not"),
    Attribute("read_only", 7),
    Attribute("table_read_only", None, table=62, combine="or"),
    Attribute("uxn", 54, table=60, combine="or"),
    Attribute("pxn", 53, table=59, combine="or"),
    Attribute("dbm", 51),
)


def _deny_where_writable(
    user: bool, has: tuple[str, ...], when: tuple[str, ...], why: str
) -> tuple[Deny, Deny]:
    """Refuse execution of writable pages: those with AP[2] clear, or with DBM under hardware dirty state."""
    return (
        Deny(
            kinds=("execute",),
            user=user,
            has=has,
            lacks=("read_only", "table_read_only"),
            when=when,
            why=why,
        ),
        Deny(
            kinds=("execute",),
            user=user,
            has=(*has, "dbm"),
            lacks=("table_read_only",),
            when=(*when, "ha", "hd"),
            why=why,
        ),
    )


_DENY = (
    Deny(kinds=("read", "write"), user=True, lacks=("el0",), why="D8.4.1: AP[1]"),
    Deny(kinds=("write",), has=("table_read_only",), why="D8.4.2: APTable[1]"),
    Deny(kinds=("write",), has=("read_only",), lacks=("dbm",), why="D8.4.1: AP[2]"),
    Deny(kinds=("write",), has=("read_only",), unless=("ha",), why="D8.5.2: TCR_EL1.HD needs HA"),
    Deny(kinds=("write",), has=("read_only",), unless=("hd",), why="D8.5.2: TCR_EL1.HD"),
    Deny(kinds=("execute",), user=True, has=("uxn",), why="D8.4.1: UXN"),
    Deny(kinds=("execute",), user=False, has=("pxn",), why="D8.4.1: PXN"),
    *_deny_where_writable(False, ("el0",), (), "D8.4.1: what EL0 can write, EL1 does not execute"),
    *_deny_where_writable(True, ("el0",), ("wxn",), "D8.4.1: SCTLR_EL1.WXN"),
    *_deny_where_writable(False, (), ("wxn",), "D8.4.1: SCTLR_EL1.WXN"),
    Deny(kinds=("read", "write"), user=False, has=("el0",), when=("pan",), why="D8.4.1: PSTATE.PAN"),
    Deny(kinds=("read", "write"), user=False, lacks=("uxn",), when=("pan", "epan"), why="D8.4.1: EPAN"),
)

# --- D24.2 (ESR_EL1): exception class, IL, WnR and the fault status code.
_CLASS = (
    CodeBit(0x20 << 26, kinds=("execute",), user=True),
    CodeBit(0x21 << 26, kinds=("execute",), user=False),
    CodeBit(0x24 << 26, kinds=("read", "write"), user=True),
    CodeBit(0x25 << 26, kinds=("read", "write"), user=False),
    CodeBit(bit(25)),
    CodeBit(bit(6), kinds=("write",)),
)
_FROM_0 = (0, 1, 2, 3)


def _status(name: str, reasons: tuple[Reason, ...], code: int, below_0: int | None = None) -> Fault:
    """Describe a fault whose status code has the level in bits 1:0, and a different code at level -1."""
    return Fault(
        name,
        reasons=reasons,
        code=(
            *_CLASS,
            CodeBit(code, levels=_FROM_0, level_shift=0),
            *((CodeBit(below_0, levels=(-1,)),) if below_0 is not None else ()),
        ),
        code_name="ESR_EL1",
    )


_FAULTS = (
    # An address that neither table translates: the fault is reported at level 0, whatever the first level is.
    Fault(
        "level 0 translation fault",
        reasons=(Reason.NONCANONICAL,),
        code=(*_CLASS, CodeBit(0b000100)),
        code_name="ESR_EL1",
    ),
    _status("level {level} address size fault", (Reason.ADDRESS_SIZE,), 0b000000, 0b101001),
    _status("level {level} access flag fault", (Reason.ACCESS_FLAG,), 0b001000),
    _status("level {level} permission fault", (Reason.PERMISSION,), 0b001100),
    _status("level {level} external abort on walk", (Reason.NO_MEMORY,), 0b010100, 0b010011),
    _status("level {level} translation fault", (), 0b000100, 0b101011),
)

_LEAF_FIELDS = (
    BitField("AttrIndx", bits(2, 4), slot="leaf"),
    BitField("NS", bit(5), slot="leaf"),
    BitField("AP[1]", AP1, slot="leaf"),
    BitField("AP[2]", AP2, slot="leaf"),
)
_UPPER_FIELDS = (
    BitField("AF", AF),  # in tables with FEAT_HAFT
    BitField("nG", NG, slot="leaf"),
    BitField("GP", bit(50), slot="leaf"),
    BitField("DBM", DBM, slot="leaf"),
    BitField("Contiguous", CONTIGUOUS, slot="leaf"),
    BitField("PXN", bit(53), slot="leaf"),
    BitField("UXN", bit(54), slot="leaf"),
    # D8.3.1 leaves 58:55 to software; the names are Linux's, arch/arm64/include/asm/pgtable-prot.h: DEVMAP until
    # it lost its bit (in 6.17, UNVERIFIED), UFFD_WP in valid entries since 6.10 (before that, 58 was PROT_NONE,
    # in invalid ones alone).
    BitField("DIRTY", bit(55), slot="leaf", software=True),
    BitField("SPECIAL", bit(56), slot="leaf", software=True),
    BitField("DEVMAP", bit(57), slot="leaf", software=True),
    BitField("UFFD_WP", bit(58), slot="leaf", software=True),
    BitField("PBHA", bits(59, 62), slot="leaf"),
    BitField("PXNTable", bit(59), slot="table"),
    BitField("UXNTable", bit(60), slot="table"),
    BitField("APTable", bits(61, 62), slot="table"),
    BitField("NSTable", bit(63), slot="table"),
)

# D8.2: the levels with block descriptors, without and with 52-bit output addresses; Linux's names by depth.
_BLOCKS = {12: ((1, 2), (0, 1, 2)), 14: ((2,), (1, 2)), 16: ((2,), (1, 2))}
_LINUX = {
    2: ("pgd", "pte"),
    3: ("pgd", "pmd", "pte"),
    4: ("pgd", "pud", "pmd", "pte"),
    5: ("pgd", "p4d", "pud", "pmd", "pte"),
}
# D8.7.1: log2 of the descriptors in a contiguous run, by level; at other levels the bit is RES0. If software sets it in
# descriptors that are not a run, each translates on its own here, which is one of the permitted outcomes.
RUNS = {12: {1: 4, 2: 4, 3: 4}, 14: {2: 5, 3: 7}, 16: {2: 5, 3: 5}}


def _levels(page_shift: int, va_bits: int, *, wide: bool) -> tuple[tuple[Level, ...], int]:
    """Return the levels of a granule, and the number of the first."""
    stride = page_shift - 3
    depth = -(-(va_bits - page_shift) // stride)
    first = 4 - depth
    rows = []
    for number, linux in zip(range(first, 4), _LINUX[depth], strict=True):
        resolved = stride if number > first else va_bits - page_shift - stride * (depth - 1)
        if number == 3:
            page = Test(PAGE, PAGE)
            rows.append(Level("L3", linux, resolved, leaf="always", present=page, leaf_bits=PAGE | AF))
        elif number in _BLOCKS[page_shift][wide]:
            rows.append(Level(f"L{number}", linux, resolved, leaf="flag"))
        else:
            # D8.3.1: a block where there are none is an invalid descriptor.
            rows.append(Level(f"L{number}", linux, resolved, leaf="never", present=Test(PAGE, PAGE)))
    return tuple(rows), first


def _format(page_shift: int, va_bits: int) -> Format:
    """Return the format of one granule and address size."""
    wide = va_bits == 52
    levels, first = _levels(page_shift, va_bits, wide=wide)
    if not wide:
        address: tuple[Piece, ...] = (Piece(bits(page_shift, 47)),)
    elif page_shift == 16:
        address = (Piece(bits(16, 47)), Piece(bits(12, 15), up=36))  # FEAT_LPA: bits 51:48 in 15:12
    else:
        address = (Piece(bits(page_shift, 49)), Piece(bits(8, 9), up=42))  # DS: bits 51:50 in 9:8
    shareable = () if wide and page_shift != 16 else (BitField("SH", bits(8, 9), slot="leaf"),)
    names = {level.name for level in levels}
    shifts = [page_shift + (page_shift - 3) * (3 - int(level.name[1:])) for level in levels]
    leaves = [s for s, level in zip(shifts, levels, strict=True) if level.leaf != "never"]
    pages = ", ".join(_bytes(shift) for shift in reversed(leaves))
    return Format(
        name=f"arm64-{1 << (page_shift - 10)}k-{va_bits}",
        summary=f"arm64, granule of {_bytes(page_shift)}: {va_bits}-bit addresses; {pages}",
        source="Arm ARM DDI 0487, D8.2 to D8.7",
        levels=levels,
        page_shift=page_shift,
        va_bits=va_bits,
        va_upper="either",
        # D8.2: the first table is aligned to its size, and to 64 bytes where its address has more than 48 bits.
        root_mask=bits(max(6, levels[0].bits + 3), 51) if wide else bits(levels[0].bits + 3, 47),
        present=Test(VALID, VALID),
        points_to_table=Test(TABLE, TABLE),
        address=address,
        attributes=_ATTRIBUTES,
        deny=_DENY,
        used=UsedFlags(accessed=AF, on_tables=False, dirty_clear=AP2, hardware="ha", before_permission=True),
        output_bits="output_bits",
        contiguous=tuple(
            Contiguous(f"L{number}", Test(CONTIGUOUS, CONTIGUOUS), run)
            for number, run in RUNS[page_shift].items()
            if f"L{number}" in names and number >= min(_BLOCKS[page_shift][wide])
        ),
        table_bits=PAGE,
        leaf_bits=VALID | AF,
        global_page=Test(NG, 0),
        settings_known=(
            Setting("ha", False, "TCR_EL1.HA: hardware sets the access flag; otherwise a clear one faults"),
            Setting("hd", False, "TCR_EL1.HD: with HA, hardware makes pages with DBM writable"),
            Setting("wxn", False, "SCTLR_EL1.WXN: what can be written is not executed"),
            Setting("pan", False, "PSTATE.PAN: EL1 can't access what EL0 can"),
            Setting("epan", False, "SCTLR_EL1.EPAN: nor what EL0 can only execute"),
            Setting(
                "output_bits",
                52 if wide else 48,
                "TCR_EL1.IPS and the CPU's PARange: bits of an output address",
                minimum=32,
                maximum=52 if wide else 48,
            ),
        ),
        faults=_FAULTS,
        fields=(*_LEAF_FIELDS, *shareable, *_UPPER_FIELDS),
        first_level=first,
        examples=EXAMPLES[page_shift, va_bits],
    )


def _bytes(shift: int) -> str:
    return f"{1 << shift % 10} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[shift // 10]}"


FORMATS = (
    _format(12, 39),
    _format(12, 48),
    _format(12, 52),
    _format(14, 36),
    _format(14, 47),
    _format(14, 48),
    _format(14, 52),
    _format(16, 42),
    _format(16, 48),
    _format(16, 52),
)
