"""Entries of page tables with their meaning, from the RISC-V Privileged Architecture, version 20240411.

Each number was put together by hand from the manual's figures of a PTE - V 0, R 1, W 2, X 3, U 4, G 5, A 6, D 7,
RSW 9:8, the PPN from bit 10 on, PBMT 62:61, N 63 - and not from `_formats.py`: that is what lets it contradict that
file.
"""

from __future__ import annotations

from shootdown.formats import AddressExample, Example

_BOOK = "RISC-V Privileged Architecture"
_PTE = f'{_BOOK}, "Sv39", figure of a page table entry'
_RWX = f'{_BOOK}, "Sv32", encoding of the R, W and X bits'
_U = f'{_BOOK}, "Sv32", "Addressing and Memory Protection": the U bit'
_SUM = f'{_BOOK}, "Memory Privilege in mstatus Register": SUM'
_MXR = f'{_BOOK}, "Memory Privilege in mstatus Register": MXR'
_AD = f'{_BOOK}, "Sv32", "Addressing and Memory Protection": A and D'
_G = f'{_BOOK}, "Sv32", "Addressing and Memory Protection": G'
_STEPS = f'{_BOOK}, "Virtual Address Translation Process"'
_NONLEAF = f'{_BOOK}, "Sv32": for non-leaf PTEs, D, A and U are reserved'
_WIDE = f'{_BOOK}, "Sv39": bits 63:54'
_NAPOT = f'{_BOOK}, "Svnapot", encoding of page table entries'
_PBMT = f'{_BOOK}, "Svpbmt"'
_BYTES = f"{_BOOK}, SBE = 0: page tables are read little-endian"

K4, K64, M2, M4, G1, G512, T256 = 1 << 12, 1 << 16, 1 << 21, 1 << 22, 1 << 30, 1 << 39, 1 << 48


def _shared(levels: tuple[str, ...], last: str, span: int) -> tuple[Example, ...]:
    """Return what Sv32 and the modes of RV64 have in common: the low 31 bits of an entry."""
    return (
        Example(0x801, levels, "table", _RWX, address=0x2000, user="rwx", supervisor="rwx", accessed=False),
        Example(0x2000_14DF, last, "leaf", _PTE, address=0x8000_5000, span=span, user="rwx", supervisor=""),
        Example(0x2000_17DF, last, "leaf", f"{_PTE}: RSW", address=0x8000_5000),
        Example(0x2000_14D3, last, "leaf", _RWX, user="r", supervisor=""),
        Example(0x2000_14D7, last, "leaf", _RWX, user="rw", supervisor=""),
        Example(0x2000_14D9, last, "leaf", _RWX, user="x", supervisor=""),
        Example(0x2000_14D9, last, "leaf", _MXR, user="rx", supervisor="", settings={"mxr": 1}),
        Example(0x2000_14DB, last, "leaf", _RWX, user="rx", supervisor=""),
        Example(0x2000_14CF, last, "leaf", _U, user="", supervisor="rwx", is_global=False),
        Example(0x2000_14C9, last, "leaf", _U, user="", supervisor="x"),
        Example(0x2000_14DF, last, "leaf", _SUM, user="rwx", supervisor="rw", settings={"sum": 1}),
        Example(0x2000_14EF, last, "leaf", _G, is_global=True),
        Example(0x2000_149F, last, "leaf", _AD, accessed=False, dirty=True),
        Example(0x2000_145F, last, "leaf", _AD, accessed=True, dirty=False),
        Example(0x2000_14D5, last, "refused", f"{_RWX}: W without R"),
        Example(0x2000_14DD, last, "refused", f"{_RWX}: W without R"),
        Example(0x811, levels, "refused", _NONLEAF),
        Example(0x841, levels, "refused", _NONLEAF),
        Example(0x881, levels, "refused", _NONLEAF),
        Example(0, levels, "absent", f"{_STEPS}, step 3: V = 0"),
        Example(0x2000_14DE, levels, "absent", f"{_STEPS}, step 3: V = 0"),
    )


SV32: tuple[Example | AddressExample, ...] = (
    *_shared(("PTE1", "PTE0"), "PTE0", K4),
    Example(0x2000_00DF, "PTE1", "leaf", f'{_BOOK}, "Sv32": megapages', address=0x8000_0000, span=M4),
    Example(0x2000_04DF, "PTE1", "refused", f"{_STEPS}, step 6: a misaligned superpage"),
    Example(0x2008_00DF, "PTE1", "refused", f"{_STEPS}, step 6: a misaligned superpage"),
    Example(0x8000_00DF, "PTE0", "leaf", f'{_BOOK}, "Sv32": PPN 31:10', address=0x2_0000_0000),
    Example(bytes.fromhex("df 14 00 20"), "PTE0", "leaf", _BYTES, address=0x8000_5000),
    AddressExample(0xC040_1000, (769, 1), f'{_BOOK}, "Sv32": VPN[1] 31:22, VPN[0] 21:12'),
    AddressExample(0x1_0000_0000, None, f'{_BOOK}, "Sv32": 32-bit virtual addresses'),
    AddressExample(0xFFFF_FFFF_8000_0000, None, f'{_BOOK}, "Sv32": 32-bit virtual addresses'),
)


def _wide(levels: tuple[str, ...]) -> tuple[Example, ...]:
    """Return what the modes of RV64 have in common: entries of 64 bits."""
    above = levels[:-1]
    n = 0x8000_0000_0000_0000
    return (
        *_shared(levels, "PTE0", K4),
        Example(0x0020_0000_0000_00DF, "PTE0", "leaf", f"{_PTE}: PPN 53:10", address=0x80_0000_0000_0000),
        Example(0x0040_0000_2000_14DF, "PTE0", "refused", f"{_WIDE}, reserved"),
        Example(0x0400_0000_2000_14DF, "PTE0", "refused", f"{_WIDE}, reserved"),
        Example(0x0800_0000_2000_14DF, "PTE0", "refused", f"{_WIDE}, reserved without Svrsw60t59b"),
        Example(0x1000_0000_2000_14DF, "PTE0", "refused", f"{_WIDE}, reserved without Svrsw60t59b"),
        Example(0x1800_0000_2000_14DF, "PTE0", "leaf", "Svrsw60t59b 1.0", settings={"svrsw60t59b": 1}),
        Example(
            n | 0x2000_20DF, "PTE0", "leaf", f"{_NAPOT}: 64 KiB", address=0x8000_0000, span=K64, user="rwx"
        ),
        Example(
            n | 0x2000_20DF, "PTE0", "refused", f"{_WIDE}, reserved without Svnapot", settings={"svnapot": 0}
        ),
        Example(n | 0x2000_24DF, "PTE0", "refused", f"{_NAPOT}: PPN[0] is xxxx1 or the like"),
        Example(n | 0x2000_28DF, "PTE0", "refused", f"{_NAPOT}: PPN[0] is xxx1x or the like"),
        Example(n | 0x2000_30DF, "PTE0", "refused", f"{_NAPOT}: PPN[0] is xx1xx or the like"),
        Example(n | 0x2000_00DF, "PTE0", "refused", f"{_NAPOT}: PPN[0] is 0xxx"),
        Example(n | 0x2000_00DF, "PTE1", "refused", f"{_NAPOT}: reserved above level 0"),
        Example(n | 0x0801, levels, "refused", f"{_NAPOT}: non-leaf PTEs"),
        Example(0x2000_0000_2000_14DF, "PTE0", "leaf", f"{_PBMT}: NC", address=0x8000_5000),
        *(
            Example(
                pbmt | 0x2000_14DF,
                "PTE0",
                "refused",
                f"{_WIDE}, reserved without Svpbmt",
                settings={"svpbmt": 0},
            )
            for pbmt in (0x2000_0000_0000_0000, 0x4000_0000_0000_0000)
        ),
        Example(0x6000_0000_2000_14DF, "PTE0", "refused", f"{_PBMT}: 3 is reserved"),
        Example(0x2000_0000_0000_0801, levels, "refused", f"{_PBMT}: non-leaf PTEs"),
        Example(bytes.fromhex("df 14 00 20 00 00 00 00"), "PTE0", "leaf", _BYTES, address=0x8000_5000),
        *(one for one in _SUPERPAGES if set(one.levels) <= set(above)),
    )


_MISALIGNED = f"{_STEPS}, step 6: a misaligned superpage"
_SUPERPAGES = (
    Example(0x2000_00DF, "PTE1", "leaf", f'{_BOOK}, "Sv39": megapages', address=0x8000_0000, span=M2),
    Example(0x1000_00DF, "PTE2", "leaf", f'{_BOOK}, "Sv39": gigapages', address=0x4000_0000, span=G1),
    Example(0x20_0000_00DF, "PTE3", "leaf", f'{_BOOK}, "Sv48": terapages', address=0x80_0000_0000, span=G512),
    Example(
        0x4000_0000_00DF, "PTE4", "leaf", f'{_BOOK}, "Sv57": petapages', address=0x1_0000_0000_0000, span=T256
    ),
    Example(0x2000_04DF, "PTE1", "refused", _MISALIGNED),
    Example(0x2004_00DF, "PTE1", "refused", _MISALIGNED),
    Example(0x1000_04DF, "PTE2", "refused", _MISALIGNED),
    Example(0x1800_00DF, "PTE2", "refused", _MISALIGNED),
    Example(0x20_0000_04DF, "PTE3", "refused", _MISALIGNED),
    Example(0x30_0000_00DF, "PTE3", "refused", _MISALIGNED),
    Example(0x4000_0000_04DF, "PTE4", "refused", _MISALIGNED),
    Example(0x6000_0000_00DF, "PTE4", "refused", _MISALIGNED),
)

_SIGN = "bits above must all equal the highest bit of VPN, or else a page-fault exception occurs"
SV39: tuple[Example | AddressExample, ...] = (
    *_wide(("PTE2", "PTE1", "PTE0")),
    AddressExample(0x3F_FFFF_F000, (255, 511, 511), f'{_BOOK}, "Sv39"'),
    AddressExample(0xFFFF_FFC0_0040_1000, (256, 2, 1), f'{_BOOK}, "Sv39": {_SIGN}'),
    AddressExample(0x40_0000_0000, None, f'{_BOOK}, "Sv39": {_SIGN}'),
)
SV48: tuple[Example | AddressExample, ...] = (
    *_wide(("PTE3", "PTE2", "PTE1", "PTE0")),
    AddressExample(0x7FFF_FFFF_F000, (255, 511, 511, 511), f'{_BOOK}, "Sv48"'),
    AddressExample(0xFFFF_8000_0040_1000, (256, 0, 2, 1), f'{_BOOK}, "Sv48": {_SIGN}'),
    AddressExample(0x8000_0000_0000, None, f'{_BOOK}, "Sv48": {_SIGN}'),
)
SV57: tuple[Example | AddressExample, ...] = (
    *_wide(("PTE4", "PTE3", "PTE2", "PTE1", "PTE0")),
    AddressExample(0xFF_FFFF_FFFF_F000, (255, 511, 511, 511, 511), f'{_BOOK}, "Sv57"'),
    AddressExample(0xFF00_0000_0040_1000, (256, 0, 0, 2, 1), f'{_BOOK}, "Sv57": {_SIGN}'),
    AddressExample(0x100_0000_0000_0000, None, f'{_BOOK}, "Sv57": {_SIGN}'),
)
