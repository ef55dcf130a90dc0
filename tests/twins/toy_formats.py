"""Small formats with features that x86 lacks; none is a real architecture."""

from __future__ import annotations

from shootdown.formats import (
    Attribute,
    CodeBit,
    Contiguous,
    Deny,
    Fault,
    Format,
    Level,
    Piece,
    Reason,
    Refused,
    Reserved,
    Setting,
    Test,
    UsedFlags,
    bit,
    bits,
)

# Leaf by any of three bits, napot runs, refused patterns, a shifted address, sign extension, faulting flags.
BY_ANY_BIT = Format(
    name="toy-any-bit",
    summary="a leaf is an entry with any of three bits",
    levels=(
        Level("L2", "pmd2", 9, leaf="flag"),
        Level("L1", "pmd1", 9, leaf="flag"),
        Level("L0", "pte", 9, leaf="flag"),
    ),
    page_shift=12,
    va_bits=39,
    present=Test(1, 1),
    points_to_table=Test(0b1110, 0),
    address=(Piece(bits(10, 53), up=2),),
    attributes=(Attribute("r", 1), Attribute("w", 2), Attribute("x", 3), Attribute("u", 4)),
    deny=(
        Deny(user=True, lacks=("u",)),
        Deny(kinds=("read",), lacks=("r",), unless=("mxr",)),
        Deny(kinds=("read",), lacks=("r", "x")),
        Deny(kinds=("write",), lacks=("w",)),
        Deny(kinds=("execute",), lacks=("x",)),
        Deny(kinds=("execute",), user=False, has=("u",)),
        Deny(kinds=("read", "write"), user=False, has=("u",), unless=("sum",)),
    ),
    used=UsedFlags(accessed=bit(6), on_tables=False, dirty_set=bit(7), hardware="hardware_flags"),
    root_mask=bits(12, 55),
    reserved=(
        Reserved(bits(54, 60)),
        Reserved(bits(4, 7), slot="table"),
        Reserved(bits(10, 18), levels=("L1",), slot="leaf"),
        Reserved(bits(10, 27), levels=("L2",), slot="leaf"),
        Reserved(bit(63), levels=("L1", "L2")),
    ),
    refused=(
        Refused(Test(0b110, 0b100)),
        *(Refused(Test(bit(63) | bit(n), bit(63) | bit(n)), levels=("L0",)) for n in (10, 11, 12)),
        Refused(Test(bit(63) | bit(13), bit(63)), levels=("L0",)),
    ),
    contiguous=(Contiguous("L0", Test(bit(63), bit(63)), 4, napot=True),),
    table_bits=1,
    leaf_bits=1,
    settings_known=(
        Setting("mxr", False, "executable pages can be read"),
        Setting("sum", True, "supervisor mode may access user pages"),
        Setting("hardware_flags", True, "hardware sets the flags"),
    ),
    faults=(
        Fault(
            "page fault",
            code=(
                CodeBit(12, kinds=("execute",)),
                CodeBit(13, kinds=("read",)),
                CodeBit(15, kinds=("write",)),
            ),
        ),
    ),
)

# Big-endian, the next table's size in the entry, a large root, no check above the translated bits but zeros.
SIZED = Format(
    name="toy-sized",
    summary="big-endian, entries hold the size of the next table",
    levels=(
        Level("L1", "pgd", 13, leaf="flag"),
        Level("L2", "pud", 9, leaf="flag"),
        Level("L3", "pmd", 9, leaf="flag"),
        Level("L4", "pte", 9, leaf="flag"),
    ),
    page_shift=12,
    va_bits=52,
    va_upper="zero",
    va_ignored=bits(62, 63),
    root_mask=bits(12, 59),
    big_endian=True,
    present=Test(bit(63), bit(63)),
    points_to_table=Test(bit(62), 0),
    address=(Piece(bits(8, 53)),),
    next_bits=bits(0, 4),
    attributes=(
        Attribute("execute", 0),
        Attribute("write", 1),
        Attribute("read", 2),
        Attribute("privileged", 3),
    ),
    deny=(
        Deny(user=True, has=("privileged",)),
        Deny(kinds=("read",), lacks=("read", "write")),
        Deny(kinds=("write",), lacks=("write",)),
        Deny(kinds=("execute",), lacks=("execute",)),
    ),
    used=UsedFlags(accessed=bit(8), on_tables=False, dirty_set=bit(7)),
    reserved=(Reserved(bits(61, 62), slot="table"),),
    table_bits=bit(63),
    leaf_bits=bit(63) | bit(62),
)

# Descriptors: two-bit types, table attributes elsewhere, runs, a split address, an output limit, two halves.
DESCRIPTORS = Format(
    name="toy-descriptors",
    summary="descriptors with table attributes and contiguous runs",
    levels=(
        Level("L0", "pgd", 9, leaf="never", present=Test(3, 3)),
        Level("L1", "pud", 9, leaf="flag"),
        Level("L2", "pmd", 9, leaf="flag"),
        Level("L3", "pte", 9, leaf="always", present=Test(3, 3), leaf_bits=3 | bit(10)),
    ),
    page_shift=12,
    va_bits=48,
    va_upper="either",
    va_ignored=bits(56, 63),
    present=Test(1, 1),
    points_to_table=Test(2, 2),
    address=(Piece(bits(12, 49)), Piece(bits(8, 9), up=42)),
    attributes=(
        Attribute("el0", 6, table=61, combine="and-not"),
        Attribute("read_only", 7),
        Attribute("table_read_only", None, table=62, combine="or"),
        Attribute("uxn", 54, table=60, combine="or"),
        Attribute("pxn", 53, table=59, combine="or"),
        Attribute("dbm", 51),
    ),
    deny=(
        Deny(user=True, kinds=("read", "write"), lacks=("el0",)),
        Deny(kinds=("write",), has=("table_read_only",)),
        Deny(kinds=("write",), has=("read_only",), unless=("hd",)),
        Deny(kinds=("write",), has=("read_only",), lacks=("dbm",), when=("hd",)),
        Deny(kinds=("execute",), user=True, has=("uxn",)),
        Deny(kinds=("execute",), user=False, has=("pxn",)),
    ),
    used=UsedFlags(
        accessed=bit(10), on_tables=False, dirty_clear=bit(7), hardware="ha", before_permission=True
    ),
    output_bits="output_bits",
    contiguous=(
        Contiguous("L3", Test(bit(52), bit(52)), 4),
        Contiguous("L2", Test(bit(52), bit(52)), 4),
    ),
    table_bits=3,
    leaf_bits=1 | bit(10),
    settings_known=(
        Setting("ha", True, "hardware sets the access flag"),
        Setting("hd", True, "hardware makes DBM pages writable"),
        Setting("output_bits", 44, "bits of an output address", minimum=32, maximum=52),
    ),
    faults=(
        Fault(
            "abort",
            code=(
                CodeBit(0b000100, reasons=(Reason.NOT_PRESENT, Reason.NONCANONICAL), level_shift=0),
                CodeBit(0b000000, reasons=(Reason.ADDRESS_SIZE,), level_shift=0),
                CodeBit(0b001000, reasons=(Reason.ACCESS_FLAG,), level_shift=0),
                CodeBit(0b001100, reasons=(Reason.PERMISSION,), level_shift=0),
                CodeBit(1 << 6, kinds=("write",)),
            ),
        ),
    ),
)
