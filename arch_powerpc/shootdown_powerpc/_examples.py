"""Entries of radix tables, and of the hashed one, with their meaning: from Power ISA 3.1, Book III, and from a dump.

Each number was put together by hand from the figures of the manual, whose bit 0 is the most significant one, and not
from `_formats.py`: that is what lets it contradict that file. Bytes are from page tables of Debian's kernel 6.12.95 for
ppc64el, read out of a QEMU guest, with the translations that QEMU's own walker made of them
(tests/oracle/walks/ppc-radix).
"""

from __future__ import annotations

from shootdown.formats import AddressExample, Example, WalkExample

_DUMP = "page tables of Debian's 6.12.95 for ppc64el on POWER9, tests/oracle/walks/ppc-radix"
_PDE = "Power ISA 3.1, Book III, 6.7.10.1, figure of a Page Directory Entry: V 0, L 1, NLB 4:55, NLS 59:63"
_PTE = "Power ISA 3.1, Book III, 6.7.10.2, figure of a Page Table Entry: V 0, L 1, RPN 7:51, R 55, C 56, ATT 58:59"
_EAA = "Power ISA 3.1, Book III, 6.7.10.2, Encoded Access Authority 60:63"
_ATT = "Power ISA 3.1, Book III, 6.7.10.2, Attributes 58:59"
_AMR = "Power ISA 3.1, Book III, 6.7.13: AMR and IAMR, key 0"
_EA = "Power ISA 3.1, Book III, 6.7.10, and POWER9 User's Manual, 4.10.4.1: 52 bits by 13, 9, 9 and the rest"
_LINUX = "arch/powerpc/include/asm/book3s/64/radix.h:RADIX_PMD_BAD_BITS, v4.7"
_ABOVE = ("PDE1", "PDE2", "PDE3")
_EVERY = (*_ABOVE, "PTE")

K4, K64, M2, G1, G512 = 1 << 12, 1 << 16, 1 << 21, 1 << 30, 1 << 39

_BOTH: tuple[Example | AddressExample, ...] = (
    Example(
        bytes.fromhex("80 00 00 00 04 9e 80 09"),
        "PDE1",
        "table",
        _DUMP,
        address=0x49E_8000,
        span=G512,
        next_bits=9,
    ),
    Example(
        bytes.fromhex("80 00 00 00 02 36 30 09"),
        "PDE2",
        "table",
        _DUMP,
        address=0x236_3000,
        span=G1,
        next_bits=9,
    ),
    Example(
        bytes.fromhex("80 00 00 00 02 36 20 09"),
        "PDE3",
        "table",
        _DUMP,
        address=0x236_2000,
        span=M2,
        next_bits=9,
    ),
    Example(
        bytes.fromhex("c0 00 00 00 3f 80 03 86"),
        "PDE3",
        "leaf",
        f"{_DUMP}: a hugetlb page",
        address=0x3F80_0000,
        span=M2,
        user="rw",
        accessed=True,
        dirty=True,
    ),
    Example(
        0xC000_0000_4000_0006, "PDE2", "leaf", _PTE, address=0x4000_0000, span=G1, user="rw", accessed=False
    ),
    Example(
        0xC000_0080_0000_0006,
        "PDE1",
        "leaf",
        "QEMU, target/ppc/mmu-radix64.c",
        address=0x80_0000_0000,
        span=G512,
    ),
    Example(0x8000_0000_0000_0105, "PDE3", "table", _PDE, address=0x100, next_bits=5, accessed=False),
    Example(
        0x8000_0000_0001_0019, "PDE3", "table", f"{_PDE}: NLS has five bits", address=0x1_0000, next_bits=25
    ),
    Example(0xFE00_0000_0020_0E46, "PTE", "leaf", f"{_PTE}: SW 2 and 52:54, reserved 3:6", user="rw"),
    Example(0x8800_0000_0000_0009, _ABOVE, "table", _PDE, address=0x0800_0000_0000_0000, next_bits=9),
    Example(0x8000_0000_0001_0009, _ABOVE, "table", _PDE, address=0x1_0000, user="rwx", supervisor="rwx"),
    Example(0xA000_0000_0001_0009, _ABOVE, "refused", _LINUX, settings={"bad_bits": 1}),
    Example(0x8000_0000_0001_0029, _ABOVE, "refused", _LINUX, settings={"bad_bits": 1}),
    Example(
        0x8000_0000_0001_0009, "PTE", "table", f"{_PDE}: no page, though the last level", address=0x1_0000
    ),
    Example(0xC000_0000_0020_0006, "PDE3", "leaf", _PTE, address=0x20_0000, span=M2, user="rw"),
    Example(0xC100_0000_0000_0006, _EVERY, "leaf", _PTE, address=0x0100_0000_0000_0000, dirty=False),
    Example(0xC000_0000_0020_0106, "PTE", "leaf", _PTE, address=0x20_0000, accessed=True, dirty=False),
    Example(0xC000_0000_0020_0086, "PTE", "leaf", _PTE, address=0x20_0000, accessed=False, dirty=True),
    Example(0xC000_0000_0020_000E, "PTE", "leaf", f"{_EAA}: privileged", user="", supervisor="rw"),
    Example(0xC000_0000_0020_0004, "PTE", "leaf", f"{_EAA}: read", user="r", supervisor="r"),
    Example(0xC000_0000_0020_0002, "PTE", "leaf", f"{_EAA}: read and write", user="rw", supervisor="rw"),
    Example(0xC000_0000_0020_0001, "PTE", "leaf", f"{_EAA}: execute", user="x", supervisor="x"),
    Example(0xC000_0000_0020_0005, "PTE", "leaf", _EAA, user="rx", supervisor="rx"),
    Example(0xC000_0000_0020_0000, "PTE", "leaf", _EAA, user="", supervisor=""),
    Example(
        0xC000_0000_0020_0025,
        "PTE",
        "leaf",
        f"{_ATT}: non-idempotent I/O is guarded",
        user="r",
        supervisor="r",
    ),
    Example(0xC000_0000_0020_0035, "PTE", "leaf", f"{_ATT}: tolerant I/O", user="rx", supervisor="rx"),
    Example(0xC000_0000_0020_0015, "PTE", "leaf", f"{_ATT}: strong access order", user="rx", supervisor="rx"),
    Example(0xC000_0000_0020_0006, "PTE", "leaf", _AMR, user="rw", supervisor="w", settings={"amr_read": 1}),
    Example(0xC000_0000_0020_0006, "PTE", "leaf", _AMR, user="rw", supervisor="r", settings={"amr_write": 1}),
    Example(0xC000_0000_0020_0005, "PTE", "leaf", _AMR, user="rx", supervisor="r", settings={"iamr": 1}),
    Example(0, _EVERY, "absent", f"{_PTE}: V = 0"),
    Example(0x7FFF_FFFF_FFFF_FFFF, _EVERY, "absent", f"{_PTE}: V = 0"),
    AddressExample(0x0010_0000_0000_0000, None, _EA),
    AddressExample(0x3FFF_FFFF_FFFF_F000, None, _EA),
)

RADIX_4K: tuple[Example | AddressExample, ...] = (
    *_BOTH,
    Example(
        bytes.fromhex("c0 00 00 00 5f 42 a3 86"),
        "PTE",
        "leaf",
        f"{_DUMP}: anonymous, read and write",
        address=0x5F42_A000,
        span=K4,
        user="rw",
        accessed=True,
        dirty=True,
    ),
    Example(
        bytes.fromhex("c0 00 00 00 02 76 25 04"),
        "PTE",
        "leaf",
        f"{_DUMP}: the zero page",
        address=0x276_2000,
        user="r",
        accessed=True,
        dirty=False,
    ),
    Example(
        bytes.fromhex("c0 00 00 00 02 d2 51 05"),
        "PTE",
        "leaf",
        f"{_DUMP}: text",
        address=0x2D2_5000,
        user="rx",
    ),
    Example(bytes.fromhex("c0 00 00 00 5f 42 c3 80"), "PTE", "leaf", f"{_DUMP}: PROT_NONE", user=""),
    AddressExample(0x194_7673_4000, (3, 81, 435, 308), _DUMP),
    AddressExample(0x3FFF_F873_1000, (127, 511, 451, 305), _DUMP),
    AddressExample(0x000F_FFFF_FFFF_F000, (8191, 511, 511, 511), _EA),
    AddressExample(0xC000_0000_0000_1000, (0, 0, 0, 1), f"{_EA}; EA bits 0:1 are the quadrant"),
)

RADIX_64K: tuple[Example | AddressExample, ...] = (
    *_BOTH,
    Example(0xC000_0000_0001_0386, "PTE", "leaf", _PTE, address=0x1_0000, span=K64, user="rw"),
    AddressExample(0x000F_FFFF_FFFF_0000, (8191, 511, 511, 31), _EA),
    AddressExample(0xC000_0000_0001_0000, (0, 0, 0, 1), f"{_EA}; EA bits 0:1 are the quadrant"),
)

_HASH = "Power ISA 3.1, Book III, 6.7.9.2, by hand: 0x123 xor page 5 is 0x126, the group at 0x126 * 128"
_SECOND = "Power ISA 3.1, Book III, 6.7.9.2, by hand: the complement of 0x126 in 11 bits is 0x6d9"
_HPTE = "Power ISA 3.1, Book III, 6.7.9.3, figure of a Page Table Entry: AVA 12:56, H 62, V 63; "
"ARPN, R 55, C 56, PP 62:63"
#: Pages of 4 KiB in a segment of 256 MiB whose VSID is 0x123; a table of 2**18 bytes at 1 MiB.
_SEGMENT = {"vsid": 0x123, "base_page_shift": 12}
HASHED = (
    WalkExample(
        {0x10_9300: bytes.fromhex("00 00 00 00 00 12 30 01 00 00 00 00 77 70 01 12")},
        0x10_0000,
        0x5678,
        0x7770_0678,
        _HASH,
        settings=_SEGMENT,
    ),
    WalkExample(
        {0x10_9310: bytes.fromhex("00 00 00 00 00 12 30 01 00 00 00 00 77 70 01 12")},
        0x10_0000,
        0x5678,
        0x7770_0678,
        f"{_HASH}; any of the eight entries of a group",
        settings=_SEGMENT,
    ),
    WalkExample(
        {0x13_6C80: bytes.fromhex("00 00 00 00 00 12 30 03 00 00 00 00 77 70 01 12")},
        0x10_0000,
        0x5678,
        0x7770_0678,
        f"{_SECOND}; H = 1",
        settings=_SEGMENT,
    ),
    WalkExample(
        {0x10_9300: bytes.fromhex("00 00 00 00 00 12 30 00 00 00 00 00 77 70 01 12")},
        0x10_0000,
        0x5678,
        None,
        f"{_HPTE}: V = 0",
        settings=_SEGMENT,
    ),
    WalkExample(
        {0x10_9300: bytes.fromhex("00 00 00 00 00 12 30 81 00 00 00 00 77 70 01 12")},
        0x10_0000,
        0x5678,
        None,
        f"{_HPTE}: another AVA",
        settings=_SEGMENT,
    ),
    WalkExample(
        {0x10_9300: bytes.fromhex("00 00 00 00 00 12 30 01 00 00 00 00 77 70 01 13")},
        0x10_0000,
        0x5678,
        None,
        f"{_HPTE}: PP = 3 is read-only",
        access="write",
        settings=_SEGMENT,
    ),
)
