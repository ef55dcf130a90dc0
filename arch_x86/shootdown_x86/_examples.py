"""Entries of page tables with their meaning: from the tables of the Intel SDM, vol. 3A, chapter 4, and from a dump.

Each number was put together by hand from the bit positions in a table of the manual, not from `_formats.py`:
that is what lets it contradict that file. Bytes are from page tables of Debian's kernel 6.12.74 for amd64, read out of
a QEMU guest, with the translations that QEMU's own walker made of them (tests/oracle/walks/amd64-4l).
"""

from __future__ import annotations

from typing import Any

from shootdown.formats import AddressExample, Example

_DUMP = "page tables of Debian's 6.12.74 for amd64, tests/oracle/walks/amd64-4l"
_TABLES = "Intel SDM vol. 3A, 4.5.4, formats of entries that reference a paging structure"
_PAGES = "Intel SDM vol. 3A, 4.5.4, format of a PTE that maps a 4-KByte page"
_RIGHTS = "Intel SDM vol. 3A, 4.6.1"
_FLAGS = "Intel SDM vol. 3A, 4.8"
_GLOBAL = "Intel SDM vol. 3A, 4.10.2.4"
_ABSENT = "Intel SDM vol. 3A, 4.5.4: if bit 0 is 0, all else is ignored"
_CANONICAL = "Intel SDM vol. 1, 3.3.7.1"
_ORDER = "Intel SDM vol. 1, 1.3.1: bytes are numbered from the least significant"

K4, M2, M4, G1, G512, T256 = 1 << 12, 1 << 21, 1 << 22, 1 << 30, 1 << 39, 1 << 48
_ALL: dict[str, Any] = {"user": "rwx", "supervisor": "rwx"}


def _tables(*levels: str) -> tuple[Example, ...]:
    """Return entries of 8 bytes that point to tables, and absent ones, of these levels."""
    return (
        Example(0x2027, levels, "table", _TABLES, address=0x2000, accessed=True, **_ALL),
        Example(0x2007, levels, "table", _FLAGS, address=0x2000, accessed=False),
        Example(
            0x2F5F,
            levels,
            "table",
            f"{_TABLES}: bits 11:8, 6, PWT and PCD",
            address=0x2000,
            accessed=False,
            **_ALL,
        ),
        Example(0x1005, levels, "table", _RIGHTS, address=0x1000, user="rx", supervisor="rx"),
        Example(0x2003, levels, "table", _RIGHTS, address=0x2000, user="", supervisor="rwx"),
        Example(0x8000_0000_0000_3007, levels, "table", _RIGHTS, address=0x3000, user="rw", supervisor="rw"),
    )


def _pages(level: str) -> tuple[Example, ...]:
    """Return entries of the last level, which PAE and 64-bit paging share."""
    xd = 0x8000_0000_0000_0000
    return (
        Example(0x5087, level, "leaf", f"{_PAGES}: bit 7 is PAT", address=0x5000, span=K4, **_ALL),
        Example(0x5E1F, level, "leaf", f"{_PAGES}: bits 11:9, PWT and PCD", address=0x5000, span=K4, **_ALL),
        Example(0x5003, level, "leaf", _RIGHTS, address=0x5000, user="", supervisor="rwx", is_global=False),
        Example(0x5005, level, "leaf", _RIGHTS, user="rx", supervisor="rx"),
        Example(0x5005, level, "leaf", f"{_RIGHTS}: CR0.WP", user="rx", supervisor="rwx", settings={"wp": 0}),
        Example(0x5007, level, "leaf", f"{_RIGHTS}: SMEP", user="rwx", supervisor="rw", settings={"smep": 1}),
        Example(0x5007, level, "leaf", f"{_RIGHTS}: SMAP", user="rwx", supervisor="x", settings={"smap": 1}),
        Example(0x5007, level, "leaf", f"{_RIGHTS}: EFLAGS.AC", **_ALL, settings={"smap": 1, "ac": 1}),
        Example(xd | 0x5007, level, "leaf", _RIGHTS, address=0x5000, user="rw", supervisor="rw"),
        Example(xd | 0x5007, level, "refused", "Intel SDM vol. 3A, 4.7: XD, NXE = 0", settings={"nxe": 0}),
        Example(0x5103, level, "leaf", _GLOBAL, is_global=True),
        Example(0x5043, level, "leaf", _FLAGS, accessed=False, dirty=True),
        Example(0x5023, level, "leaf", _FLAGS, accessed=True, dirty=False),
        *(
            Example(
                high | 0x5007,
                level,
                "refused",
                "Intel SDM vol. 3A, 4.7: bits 51:M",
                settings={"maxphyaddr": 46},
            )
            for high in (0x0000_4000_0000_0000, 0x0008_0000_0000_0000)
        ),
        Example(
            0x000F_FFFF_FFFF_F007,
            level,
            "leaf",
            _PAGES,
            address=0x000F_FFFF_FFFF_F000,
            settings={"maxphyaddr": 52},
        ),
        Example(bytes.fromhex("07 50 00 00 00 00 00 00"), level, "leaf", _ORDER, address=0x5000),
    )


def _large(level: str, table: str) -> tuple[Example, ...]:
    """Return entries that map 2 MiB."""
    source = f"{table}, format of a PDE that maps a 2-MByte page"
    return (
        Example(0x0020_0087, level, "leaf", source, address=0x0020_0000, span=M2, **_ALL),
        Example(0x0020_1087, level, "leaf", f"{source}: bit 12 is PAT", address=0x0020_0000),
        Example(0x0020_2087, level, "refused", f"{source}: bits 20:13"),
        Example(0x0030_0087, level, "refused", f"{source}: bits 20:13"),
    )


def _four(*above: str) -> tuple[Example, ...]:
    """Return the entries of 4-level paging; `above` are the levels that never map pages."""
    huge = "Intel SDM vol. 3A, 4.5.4, format of a PDPTE that maps a 1-GByte page"
    return (
        *_tables(*above, "PDPTE", "PDE"),
        *_pages("PTE"),
        *_large("PDE", "Intel SDM vol. 3A, 4.5.4"),
        Example(0x2087, above, "refused", f"{_TABLES}: bit 7 is reserved"),
        Example(0x4000_0087, "PDPTE", "leaf", huge, address=0x4000_0000, span=G1, **_ALL),
        Example(0x4000_1087, "PDPTE", "leaf", f"{huge}: bit 12 is PAT", address=0x4000_0000),
        Example(0x4000_2087, "PDPTE", "refused", f"{huge}: bits 29:13"),
        Example(0x6000_0087, "PDPTE", "refused", f"{huge}: bits 29:13"),
        Example(0x4000_0087, "PDPTE", "refused", "Intel SDM vol. 3A, 4.5.4: bit 7", settings={"pages_1g": 0}),
        Example(0x7FF0_0000_0000_5007, "PTE", "leaf", f"{_PAGES}: bits 62:52", address=0x5000, **_ALL),
        Example(0, (*above, "PDPTE", "PDE", "PTE"), "absent", _ABSENT),
        Example(0xFFFF_FFFF_FFFF_FFFE, (*above, "PDPTE", "PDE", "PTE"), "absent", _ABSENT),
        Example(
            bytes.fromhex("67 60 f4 0a 00 00 00 00"), "PML4E", "table", _DUMP, address=0xAF4_6000, span=G512
        ),
        Example(
            bytes.fromhex("67 a0 0d 0b 00 00 00 00"), "PDPTE", "table", _DUMP, address=0xB0D_A000, span=G1
        ),
        Example(bytes.fromhex("67 b0 0d 0b 00 00 00 00"), "PDE", "table", _DUMP, address=0xB0D_B000, span=M2),
        Example(
            bytes.fromhex("67 28 6e 03 00 00 00 80"),
            "PTE",
            "leaf",
            f"{_DUMP}: anonymous, read and write",
            address=0x36E_2000,
            span=K4,
            user="rw",
            accessed=True,
            dirty=True,
        ),
        Example(
            bytes.fromhex("25 e2 72 03 00 00 00 80"),
            "PTE",
            "leaf",
            f"{_DUMP}: the zero page",
            address=0x372_E000,
            user="r",
            supervisor="r",
            dirty=False,
        ),
        Example(
            bytes.fromhex("25 90 72 03 00 00 00 00"),
            "PTE",
            "leaf",
            f"{_DUMP}: text",
            address=0x372_9000,
            user="rx",
        ),
        Example(
            bytes.fromhex("e7 08 00 0c 00 00 00 80"),
            "PDE",
            "leaf",
            f"{_DUMP}: a transparent huge page",
            address=0xC00_0000,
            span=M2,
            user="rw",
        ),
        Example(bytes.fromhex("20 f9 91 fc ff ff 0f 04"), "PTE", "absent", f"{_DUMP}: PROT_NONE"),
    )


FOUR: tuple[Example | AddressExample, ...] = (
    *_four("PML4E"),
    AddressExample(0x194_7673_4000, (3, 81, 435, 308), _DUMP),
    AddressExample(0x7FFD_1F9E_0000, (255, 500, 252, 480), _DUMP),
    AddressExample(0xFFFF_8000_0000_0000, (256, 0, 0, 0), _CANONICAL),
    AddressExample(0x0000_8000_0000_0000, None, _CANONICAL),
)

FIVE: tuple[Example | AddressExample, ...] = (
    *_four("PML5E", "PML4E"),
    Example(0x2007, "PML5E", "table", "Intel SDM vol. 3A, 4.5.4: bits 47:0 of an address", span=T256),
    AddressExample(0x194_7673_4000, (0, 3, 81, 435, 308), _DUMP),
    AddressExample(0xFF00_0000_0000_0000, (256, 0, 0, 0, 0), f"{_CANONICAL}, for 57 bits"),
    AddressExample(0x00FF_FFFF_FFFF_F000, (255, 511, 511, 511, 511), f"{_CANONICAL}, for 57 bits"),
    AddressExample(0x0100_0000_0000_0000, None, f"{_CANONICAL}, for 57 bits"),
)

_PDPTE = "Intel SDM vol. 3A, 4.4.1, format of a PAE page-directory-pointer-table entry"
PAE: tuple[Example | AddressExample, ...] = (
    Example(0x5001, "PDPTE", "table", _PDPTE, address=0x5000, span=G1, accessed=False, **_ALL),
    Example(0x5E01, "PDPTE", "table", f"{_PDPTE}: bits 11:9", address=0x5000, **_ALL),
    Example(0x5003, "PDPTE", "refused", f"{_PDPTE}: bits 2:1"),
    Example(0x5021, "PDPTE", "refused", f"{_PDPTE}: bits 8:5"),
    Example(0x8000_0000_0000_5001, "PDPTE", "refused", f"{_PDPTE}: bits 63:M"),
    *_tables("PDE"),
    *_pages("PTE"),
    *_large("PDE", "Intel SDM vol. 3A, 4.4.2"),
    Example(0x0010_0000_0000_5007, "PTE", "refused", "Intel SDM vol. 3A, 4.4.2: bits 62:M are reserved"),
    Example(0x4000_0000_0000_5007, "PTE", "refused", "Intel SDM vol. 3A, 4.4.2: bits 62:M are reserved"),
    Example(
        0, ("PDPTE", "PDE", "PTE"), "absent", "Intel SDM vol. 3A, 4.4: if bit 0 is 0, all else is ignored"
    ),
    AddressExample(0xFFFF_F000, (3, 511, 511), "Intel SDM vol. 3A, 4.4.2: bits 31:30, 29:21, 20:12"),
    AddressExample(0x8040_1000, (2, 2, 1), "Intel SDM vol. 3A, 4.4.2: bits 31:30, 29:21, 20:12"),
    AddressExample(0x1_0000_0000, None, "Intel SDM vol. 3A, 4.1.1: 32-bit linear addresses"),
    AddressExample(0xFFFF_FFFF_8000_0000, None, "Intel SDM vol. 3A, 4.1.1: 32-bit linear addresses"),
)

_T32 = "Intel SDM vol. 3A, 4.3, format of a 32-bit PDE that references a page table"
_P32 = "Intel SDM vol. 3A, 4.3, format of a 32-bit PTE that maps a 4-KByte page"
_L32 = "Intel SDM vol. 3A, 4.3, format of a 32-bit PDE that maps a 4-MByte page"
LEGACY: tuple[Example | AddressExample, ...] = (
    Example(0x0000_2027, "PDE", "table", _T32, address=0x2000, span=M4, accessed=True, **_ALL),
    Example(0x0000_2007, "PDE", "table", _FLAGS, address=0x2000, accessed=False),
    Example(0x8000_1005, "PDE", "table", _RIGHTS, address=0x8000_1000, user="rx", supervisor="rx"),
    Example(0x0000_2003, "PDE", "table", _RIGHTS, user="", supervisor="rwx"),
    Example(0x0000_2087, "PDE", "table", f"{_T32}: CR4.PSE = 0", address=0x2000, settings={"pse": 0}),
    Example(0x0040_0087, "PDE", "leaf", _L32, address=0x40_0000, span=M4, **_ALL),
    Example(0x8000_1087, "PDE", "leaf", f"{_L32}: bit 12 is PAT", address=0x8000_0000),
    Example(0x0000_2087, "PDE", "leaf", f"{_L32}: bits 20:13 are 39:32", address=0x1_0000_0000),
    Example(0x0010_0087, "PDE", "leaf", f"{_L32}: bits 20:13 are 39:32", address=0x80_0000_0000),
    Example(0x0010_0087, "PDE", "refused", f"{_L32}: bits 20:(M-19)", settings={"maxphyaddr": 36}),
    Example(0x0060_0087, "PDE", "refused", f"{_L32}: bit 21"),
    Example(0x8000_5087, "PTE", "leaf", f"{_P32}: bit 7 is PAT", address=0x8000_5000, span=K4, **_ALL),
    Example(0x0000_5E1F, "PTE", "leaf", f"{_P32}: bits 11:9, PWT and PCD", address=0x5000, span=K4, **_ALL),
    Example(0x0000_5003, "PTE", "leaf", _RIGHTS, address=0x5000, user="", supervisor="rwx", is_global=False),
    Example(0x0000_5005, "PTE", "leaf", _RIGHTS, user="rx", supervisor="rx"),
    Example(
        0x0000_5005, "PTE", "leaf", f"{_RIGHTS}: CR0.WP", user="rx", supervisor="rwx", settings={"wp": 0}
    ),
    Example(
        0x0000_5007, "PTE", "leaf", f"{_RIGHTS}: SMEP", user="rwx", supervisor="rw", settings={"smep": 1}
    ),
    Example(0x0000_5007, "PTE", "leaf", f"{_RIGHTS}: SMAP", user="rwx", supervisor="x", settings={"smap": 1}),
    Example(0x0000_5007, "PTE", "leaf", f"{_RIGHTS}: EFLAGS.AC", **_ALL, settings={"smap": 1, "ac": 1}),
    Example(0x0000_5103, "PTE", "leaf", _GLOBAL, is_global=True),
    Example(0x0000_5043, "PTE", "leaf", _FLAGS, accessed=False, dirty=True),
    Example(0x0000_5023, "PTE", "leaf", _FLAGS, accessed=True, dirty=False),
    Example(bytes.fromhex("07 50 00 00"), "PTE", "leaf", _ORDER, address=0x5000),
    Example(0, ("PDE", "PTE"), "absent", "Intel SDM vol. 3A, 4.3: if bit 0 is 0, all else is ignored"),
    AddressExample(0xC040_1000, (769, 1), "Intel SDM vol. 3A, 4.3: bits 31:22 and 21:12"),
    AddressExample(0x1_0000_0000, None, "Intel SDM vol. 3A, 4.1.1: 32-bit linear addresses"),
    AddressExample(0xFFFF_FFFF_8000_0000, None, "Intel SDM vol. 3A, 4.1.1: 32-bit linear addresses"),
)
