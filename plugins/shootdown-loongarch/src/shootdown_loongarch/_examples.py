"""Entries and addresses, put together by hand from the manual's figures of entries (vol. 1, 5.4.5) and of 7.5.8.

A PTE: V 0, D 1, PLV 3:2, MAT 5:4, G 6, P 7, W 8, the page number from 12 on, NR 61, NX 62, RPLV 63. A huge page: H in
place of G, and G in bit 12.
"""

from __future__ import annotations

from shootdown.formats import AddressExample, Example, WalkExample

ENTRY = "LoongArch Reference Manual vol. 1, 5.4.5, table entry format for common pages"
HUGE = "LoongArch Reference Manual vol. 1, 5.4.5, table entry format for huge pages"
RIGHTS = "LoongArch Reference Manual vol. 1, 5.4.2, PLV, RPLV, NR and NX"
DIRECTORY = "LoongArch Reference Manual vol. 1, 5.4.5: directory entries hold physical addresses"
LAYOUT = "LoongArch Reference Manual vol. 1, 5.4.5 and 7.5.8; arch/loongarch/Kconfig, Linux 5.19, the layouts"
ENDIAN = "LoongArch Reference Manual vol. 1, 2.1.6: little-endian alone"
IGNORED = "LoongArch Reference Manual vol. 1, 5.4.5: bits that the figures leave out are ignored, V of directories too"

# What holds for every base page size.
PTES = (
    Example(
        0x9001_019F, "PTE", "leaf", ENTRY, address=0x9001_0000, user="rwx", supervisor="rwx", is_global=False
    ),
    Example(0x9001_019F, "PTE", "leaf", ENTRY, accessed=True, dirty=True),
    Example(0x9001_019E, "PTE", "leaf", ENTRY, accessed=False),
    Example(0x9001_019D, "PTE", "leaf", ENTRY, accessed=True, dirty=False),
    Example(0x9001_009D, "PTE", "leaf", ENTRY, user="rx", supervisor="rx"),
    Example(0x9001_01DF, "PTE", "leaf", ENTRY, is_global=True),
    Example(0x0000_8000_0000_019F, "PTE", "leaf", ENTRY, address=0x8000_0000_0000),
    Example(0x0001_0000_9001_019F, "PTE", "leaf", ENTRY, address=0x9001_0000),
    Example(0x2000_0000_9001_019F, "PTE", "leaf", RIGHTS, user="wx", supervisor="wx"),
    Example(0x4000_0000_9001_019F, "PTE", "leaf", RIGHTS, user="rw", supervisor="rw"),
    Example(0x9001_0193, "PTE", "leaf", RIGHTS, user="", supervisor="rwx"),
    Example(0x9001_0197, "PTE", "leaf", RIGHTS, user="", supervisor="rwx"),
    Example(0x9001_019B, "PTE", "leaf", RIGHTS, user="", supervisor="rwx"),
    Example(0x8000_0000_9001_019F, "PTE", "leaf", RIGHTS, user="rwx", supervisor=""),
    Example(0x8000_0000_9001_0197, "PTE", "leaf", RIGHTS, user="", supervisor=""),
    Example(0x8000_0000_9001_019B, "PTE", "leaf", RIGHTS, user="", supervisor=""),
    Example(0x8000_0000_9001_0193, "PTE", "leaf", RIGHTS, user="", supervisor="rwx"),
    Example(0x9001_011F, "PTE", "absent", ENTRY),
    Example(0, "PTE", "absent", ENTRY),
    Example(bytes.fromhex("9f 01 01 90 00 00 00 00"), "PTE", "leaf", ENDIAN, address=0x9001_0000),
)


def _directories(levels: tuple[str, ...], page: int, huge: int) -> tuple[Example | WalkExample, ...]:
    """Return entries of directories; the last of `levels` can hold a page of `huge` bytes, `page` is a base page."""
    last = levels[-1]
    return (
        Example(0x9000_0000_9001_0000, levels, "table", DIRECTORY, address=0x9001_0000),
        _walk(len(levels)),
        Example(page, levels, "table", DIRECTORY, address=page),
        Example(0x8000_0000_0000, levels, "table", DIRECTORY, address=0x8000_0000_0000),
        Example(0x0001_0000_9001_0000, levels, "table", DIRECTORY, address=0x9001_0000),
        Example(page | 0x19F, "PTE", "leaf", ENTRY, address=page, span=page),
        Example(huge | 0x1DF, last, "leaf", HUGE, address=huge, span=huge, user="rwx", supervisor="rwx"),
        Example(huge | 0x1DF, last, "leaf", HUGE, accessed=True, dirty=True, is_global=False),
        Example(huge | 0x1DE, last, "leaf", HUGE, accessed=False),
        Example(huge | 0x1DD, last, "leaf", HUGE, dirty=False),
        Example(huge | 0x0DD, last, "leaf", HUGE, user="rx"),
        Example(huge | 0x11DF, last, "leaf", HUGE, address=huge, is_global=True),
        Example(huge | 0x1D3, last, "leaf", HUGE, user="", supervisor="rwx"),
        Example(0x8000_0000_01DF, last, "leaf", HUGE, address=0x8000_0000_0000),
        Example(huge | 0x15F, last, "absent", HUGE),
    )


def _walk(directories: int) -> WalkExample:
    """Return the walk of address 0 through directories whose bit 0 is clear, each at a multiple of 64 KiB."""
    entries = [0x1_0000 * (each + 2) for each in range(directories)] + [0x9001_019F]
    memory = {0x1_0000 * (each + 1): entry.to_bytes(8, "little") for each, entry in enumerate(entries)}
    return WalkExample(memory, 0x1_0000, 0, 0x9001_0000, IGNORED)


def _addresses(*pairs: tuple[int, tuple[int, ...] | None]) -> tuple[AddressExample, ...]:
    """Return addresses with the indices that translate them."""
    return tuple(AddressExample(va, indices, LAYOUT) for va, indices in pairs)


EXAMPLES = {
    "loongarch-16k-3level": PTES
    + _directories(("PGD", "PMD"), 0x4000, 0x200_0000)
    + _addresses(
        (0x10_0400_C000, (1, 2, 3)),
        (0x4000_0000_0000, (1024, 0, 0)),
        (0x8000_0000_0000, None),
        (0xFFFF_8000_0000_0000, (0, 0, 0)),
    ),
    "loongarch-4k-3level": PTES
    + _directories(("PGD", "PMD"), 0x1000, 0x20_0000)
    + _addresses(
        (0x4040_3000, (1, 2, 3)),
        (0x40_0000_0000, (256, 0, 0)),
        (0x80_0000_0000, None),
        (0xFFFF_FF80_0000_0000, (0, 0, 0)),
    ),
    "loongarch-4k-4level": PTES
    + _directories(("PGD", "PUD", "PMD"), 0x1000, 0x20_0000)
    + _addresses(
        (0x80_8060_4000, (1, 2, 3, 4)),
        (0x8000_0000_0000, (256, 0, 0, 0)),
        (0x1_0000_0000_0000, None),
        (0xFFFF_0000_0000_0000, (0, 0, 0, 0)),
    ),
    "loongarch-16k-2level": PTES
    + _directories(("PGD",), 0x4000, 0x200_0000)
    + _addresses(
        (0x200_8000, (1, 2)),
        (0x8_0000_0000, (1024, 0)),
        (0x10_0000_0000, None),
        (0xFFFF_FFF0_0000_0000, (0, 0)),
    ),
    "loongarch-64k-2level": PTES
    + _directories(("PGD",), 0x1_0000, 0x2000_0000)
    + _addresses(
        (0x2002_0000, (1, 2)),
        (0x200_0000_0000, (4096, 0)),
        (0x400_0000_0000, None),
        (0xFFFF_FC00_0000_0000, (0, 0)),
    ),
}
