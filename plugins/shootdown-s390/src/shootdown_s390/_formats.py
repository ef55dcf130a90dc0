"""Page tables of z/Architecture: two to five levels, of which the ASCE names the highest.

Bits are numbered from the least significant one, as Linux's masks are. The manual (z/Architecture Principles of
Operation, SA22-7832) counts from the most significant one: its bit 53 of an entry is bit 10 here.
"""

from __future__ import annotations

from shootdown.formats import (
    Attribute,
    BitField,
    Deny,
    Fault,
    Format,
    Level,
    Piece,
    Reason,
    Refused,
    Setting,
    bit,
    bits,
)
from shootdown.formats import Test as EntryTest
from shootdown_s390._examples import examples_of

MANUAL = "SA22-7832-12, chapter 3, Dynamic Address Translation"
INVALID, TYPE, LENGTH = bit(5), bits(2, 3), bits(0, 1)
PAGE_INVALID, PROTECT, NO_EXEC, LARGE = bit(10), bit(9), bit(8), bit(10)


def _table(name: str, linux: str, kind: int) -> Level:
    """Return a region table: its entries carry their type and the length of the next table, which Linux makes whole."""
    leaf = "flag" if name == "RTTE" else "never"
    return Level(
        name,
        linux,
        11,
        leaf=leaf,  # type: ignore[arg-type]
        leaf_needs="edat2" if leaf == "flag" else None,
        present=EntryTest(INVALID, 0),
        empty=INVALID | kind << 2,
        table_bits=kind << 2 | LENGTH,
        leaf_bits=kind << 2 | LARGE,
        leaf_address=(Piece(bits(31, 63)),),
    )


LEVELS = (
    _table("RFTE", "pgd", 3),
    _table("RSTE", "p4d", 2),
    _table("RTTE", "pud", 1),
    Level(
        "STE",
        "pmd",
        11,
        leaf="flag",
        leaf_needs="edat1",
        present=EntryTest(INVALID, 0),
        empty=INVALID,
        leaf_bits=LARGE,
        leaf_address=(Piece(bits(20, 63)),),
    ),
    Level(
        "PTE",
        "pte",
        8,
        leaf="always",
        empty=PAGE_INVALID,
        leaf_address=(Piece(bits(12, 63)),),
        present=EntryTest(PAGE_INVALID, 0),
    ),
)
KINDS = {"RFTE": 3, "RSTE": 2, "RTTE": 1, "STE": 0}


def _format(name: str, summary: str, top: int, va_bits: int) -> Format:
    """Return the format whose tables begin at one of the levels."""
    levels = LEVELS[top:]
    names = [level.name for level in levels]
    return Format(
        name=name,
        summary=summary,
        levels=levels,
        page_shift=12,
        va_bits=va_bits,
        va_upper="zero",
        big_endian=True,
        present=EntryTest(PAGE_INVALID, 0),
        points_to_table=EntryTest(LARGE, 0),
        address=(Piece(bits(11, 63)),),
        attributes=(
            Attribute("protected", 9, 9, combine="or"),
            Attribute("no_execute", 8),
        ),
        deny=(
            Deny(kinds=("write",), has=("protected",), why=f"{MANUAL}: DAT-protection bit"),
            Deny(
                kinds=("execute",),
                has=("no_execute",),
                when=("iep",),
                why=f"{MANUAL}: instruction-execution protection",
            ),
        ),
        refused=(
            *(
                Refused(EntryTest(TYPE, other << 2), levels=(level,), why=f"{MANUAL}: table-type bits")
                for level, kind in KINDS.items()
                if level in names
                for other in range(4)
                if other != kind
            ),
            Refused(
                EntryTest(bit(11), bit(11)),
                levels=("PTE",),
                why=f"{MANUAL}: bit 52 of a valid page-table entry",
            ),
        ),
        settings_known=(
            Setting("edat1", True, "enhanced DAT 1: segment-table entries map pages of 1 MiB"),
            Setting("edat2", True, "enhanced DAT 2: region-third-table entries map pages of 2 GiB"),
            Setting(
                "iep", True, "instruction-execution protection is enabled (bit 20 of control register 0)"
            ),
        ),
        faults=(
            Fault("protection exception", reasons=(Reason.PERMISSION,)),
            *((Fault("ASCE-type exception", reasons=(Reason.NONCANONICAL,)),) if va_bits < 64 else ()),
            Fault("translation-specification exception", reasons=(Reason.RESERVED, Reason.MALFORMED)),
            Fault("addressing exception", reasons=(Reason.NO_MEMORY,)),
            Fault("translation exception of level {level}"),
        ),
        fields=(
            BitField("I", PAGE_INVALID, levels=("PTE",)),
            BitField("I", INVALID, levels=tuple(names[:-1])),
            BitField("P", PROTECT),
            BitField("IEP", NO_EXEC, slot="leaf"),
            BitField("FC", LARGE, slot="leaf", levels=tuple(n for n in names if n in ("RTTE", "STE"))),
            BitField("TT", TYPE, levels=tuple(names[:-1])),
            BitField("TL", LENGTH, slot="table", levels=tuple(n for n in names if n.startswith("R"))),
        ),
        root_mask=bits(12, 63),
        first_level=len(names) - 1,
        level_step=-1,
        source=MANUAL,
        examples=examples_of(names, va_bits),
    )


REGION3 = _format("s390x-region3", "z/Architecture: 42-bit addresses, as Linux starts every process", 2, 42)
FORMATS = (
    REGION3,
    _format("s390x-region2", "z/Architecture: 53-bit addresses", 1, 53),
    _format("s390x-region1", "z/Architecture: 64-bit addresses", 0, 64),
    _format("s390x-segment", "z/Architecture: 31-bit addresses", 3, 31),
)
