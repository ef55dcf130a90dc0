"""Entries and what they mean, put together by hand from the bits in figures of manuals.

PoP: z/Architecture Principles of Operation, SA22-7832-12, chapter 3, "Translation Tables": the figures of region-table,
segment-table and page-table entries. z/VM: the control blocks SEGG of z/VM 6.4 and PAG64 of 7.3, which have the same
bits.
"""

from __future__ import annotations

from shootdown.formats import AddressExample, Example

PTE = "PoP, Page-Table Entries; z/VM 7.3, PAG64"
STE = "PoP, Segment-Table Entries; z/VM 6.4, SEGG"
RTE = "PoP, Region-Table Entries"
BY_LEVEL = {
    "PTE": (
        Example(
            0x0000_0000_1234_5000,
            "PTE",
            "leaf",
            PTE,
            address=0x1234_5000,
            span=4096,
            user="rwx",
            supervisor="rwx",
        ),
        Example(0x0000_0000_1234_5200, "PTE", "leaf", PTE, address=0x1234_5000, user="rx", supervisor="rx"),
        Example(0x0000_0000_1234_5100, "PTE", "leaf", PTE, user="rw", supervisor="rw"),
        Example(0x0000_0000_1234_5100, "PTE", "leaf", PTE, user="rwx", supervisor="rwx", settings={"iep": 0}),
        Example(0x8000_0000_0000_10FF, "PTE", "leaf", PTE, address=0x8000_0000_0000_1000, user="rwx"),
        Example(bytes.fromhex("00 00 00 00 12 34 53 00"), "PTE", "leaf", PTE, address=0x1234_5000, user="r"),
        Example(0x0000_0000_0000_0400, "PTE", "absent", PTE),
        Example(0x0000_0000_1234_5600, "PTE", "absent", PTE),
        Example(0x0000_0000_1234_5800, "PTE", "refused", PTE),
    ),
    "STE": (
        Example(
            0x0000_0000_1234_5800, "STE", "table", STE, address=0x1234_5800, user="rwx", supervisor="rwx"
        ),
        Example(0x0000_0000_1234_5A00, "STE", "table", STE, address=0x1234_5800, user="rx", supervisor="rx"),
        Example(0x8000_0000_1234_5100, "STE", "table", STE, address=0x8000_0000_1234_5000, user="rwx"),
        Example(0x0000_0000_1230_0400, "STE", "leaf", STE, address=0x1230_0000, span=1 << 20, user="rwx"),
        Example(
            0x8000_0000_1230_0700, "STE", "leaf", STE, address=0x8000_0000_1230_0000, user="r", supervisor="r"
        ),
        Example(0x0000_0000_1230_0500, "STE", "leaf", STE, user="rw", supervisor="rw"),
        Example(
            0x0000_0000_1230_0400, "STE", "table", STE, address=0x1230_0000, settings={"edat1": 0, "edat2": 0}
        ),
        Example(0x0000_0000_0000_0020, "STE", "absent", STE),
        Example(0x0000_0000_1234_5820, "STE", "absent", STE),
        Example(0x0000_0000_1234_5804, "STE", "refused", STE),
        Example(0x0000_0000_1234_5808, "STE", "refused", STE),
        Example(0x0000_0000_1230_040C, "STE", "refused", STE),
    ),
    "RTTE": (
        Example(
            0x0000_0000_1234_4007, "RTTE", "table", RTE, address=0x1234_4000, user="rwx", supervisor="rwx"
        ),
        Example(0x8000_0000_1234_5207, "RTTE", "table", RTE, address=0x8000_0000_1234_5000, user="rx"),
        Example(0x0000_0001_8000_0404, "RTTE", "leaf", RTE, address=0x1_8000_0000, span=1 << 31, user="rwx"),
        Example(
            0x8000_0001_8000_0704,
            "RTTE",
            "leaf",
            RTE,
            address=0x8000_0001_8000_0000,
            user="r",
            supervisor="r",
        ),
        Example(0x0000_0001_8000_0504, "RTTE", "leaf", RTE, user="rw", supervisor="rw"),
        Example(0x0000_0000_1234_4407, "RTTE", "table", RTE, address=0x1234_4000, settings={"edat2": 0}),
        Example(0x0000_0000_0000_0024, "RTTE", "absent", RTE),
        Example(0x0000_0000_1234_4003, "RTTE", "refused", RTE),
        Example(0x0000_0000_1234_400B, "RTTE", "refused", RTE),
        Example(0x0000_0000_1234_400F, "RTTE", "refused", RTE),
    ),
    "RSTE": (
        Example(0x0000_0000_1234_400B, "RSTE", "table", RTE, address=0x1234_4000, user="rwx"),
        Example(0x8000_0000_1234_540B, "RSTE", "table", RTE, address=0x8000_0000_1234_5000, user="rwx"),
        Example(0x0000_0000_1234_420B, "RSTE", "table", RTE, user="rx", supervisor="rx"),
        Example(0x0000_0000_0000_0028, "RSTE", "absent", RTE),
        Example(0x0000_0000_1234_4003, "RSTE", "refused", RTE),
        Example(0x0000_0000_1234_4007, "RSTE", "refused", RTE),
        Example(0x0000_0000_1234_400F, "RSTE", "refused", RTE),
    ),
    "RFTE": (
        Example(0x0000_0000_1234_400F, "RFTE", "table", RTE, address=0x1234_4000, user="rwx"),
        Example(0x8000_0000_1234_540F, "RFTE", "table", RTE, address=0x8000_0000_1234_5000, user="rwx"),
        Example(0x0000_0000_1234_420F, "RFTE", "table", RTE, user="rx", supervisor="rx"),
        Example(0x0000_0000_0000_002C, "RFTE", "absent", RTE),
        Example(0x0000_0000_1234_4003, "RFTE", "refused", RTE),
        Example(0x0000_0000_1234_4007, "RFTE", "refused", RTE),
        Example(0x0000_0000_1234_400B, "RFTE", "refused", RTE),
    ),
}
ASCE_TYPE = "PoP, Lookup in a Table Designated by an Address-Space-Control Element: ASCE-type exception"
# One address with another index at each level: 1, 2, 3, 4, 5 and byte 0x678 of the page.
PLACE = "PoP, Virtual-Address Fields: region first, second and third index, segment index, page index"
ADDRESS = 1 << 53 | 2 << 42 | 3 << 31 | 4 << 20 | 5 << 12 | 0x678
INDICES = (1, 2, 3, 4, 5)
LAST = (2047, 2047, 2047, 2047, 255)


def examples_of(names: list[str], va_bits: int) -> tuple[Example | AddressExample, ...]:
    """Return the examples of a format with these levels and so many address bits."""
    whole, count = (1 << va_bits) - 1, len(names)
    addresses = [
        AddressExample(ADDRESS & whole, INDICES[-count:], PLACE),
        AddressExample(whole, LAST[-count:], PLACE),
    ]
    if va_bits < 64:
        addresses += [
            AddressExample(1 << va_bits, None, ASCE_TYPE),
            AddressExample((1 << 64) - 4096, None, ASCE_TYPE),
        ]
    return tuple(one for name in names for one in BY_LEVEL[name]) + tuple(addresses)
