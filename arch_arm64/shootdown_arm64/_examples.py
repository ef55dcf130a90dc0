"""Descriptors with their meaning, from the Arm Architecture Reference Manual (DDI 0487, issue J.a), D8.

Each number was put together by hand from the manual's figures of table, block and page descriptors, not from
`_formats.py`: that is what lets it contradict that file. Bits, as the figures have them: valid 0, table or page 1,
AP[2:1] 7:6, SH 9:8, AF 10, nG 11, DBM 51, Contiguous 52, PXN 53, UXN 54; in tables PXNTable 59, UXNTable 60, APTable
62:61.
"""

from __future__ import annotations

from typing import Any

from shootdown.formats import AddressExample, Example

_TABLE = "Arm ARM DDI 0487, D8.3.1, VMSAv8-64 Table descriptor formats"
_BLOCK = "Arm ARM DDI 0487, D8.3.1, VMSAv8-64 Block descriptor formats"
_PAGE = "Arm ARM DDI 0487, D8.3.1, VMSAv8-64 Page descriptor formats"
_INVALID = "Arm ARM DDI 0487, D8.3.1: bit 0 is 0, or bits 1:0 are 01 where there are no blocks"
_AP = "Arm ARM DDI 0487, D8.4.1, data access permissions by AP[2:1]"
_XN = "Arm ARM DDI 0487, D8.4.1, instruction execution permissions"
_WXN = "Arm ARM DDI 0487, D8.4.1: SCTLR_EL1.WXN"
_PAN = "Arm ARM DDI 0487, D8.4.1: PSTATE.PAN and SCTLR_EL1.EPAN"
_HIERARCHY = "Arm ARM DDI 0487, D8.4.2, hierarchical control of permissions"
_AF = "Arm ARM DDI 0487, D8.5.1, the Access flag"
_DBM = "Arm ARM DDI 0487, D8.5.2, hardware management of dirty state"
_NG = "Arm ARM DDI 0487, D8.13: nG"
_RUN = "Arm ARM DDI 0487, D8.7.1, the Contiguous bit"
_BYTES = "Arm ARM DDI 0487, D8.2: SCTLR_EL1.EE = 0, little-endian table walks"
_RANGE = "Arm ARM DDI 0487, D8.2, address bits resolved at each level"

K16, K64, M2, M32, M512 = 1 << 14, 1 << 16, 1 << 21, 1 << 25, 1 << 29
G1, G16, G64, G512, T4 = 1 << 30, 1 << 34, 1 << 36, 1 << 39, 1 << 42
_HAHD: dict[str, Any] = {"ha": 1, "hd": 1}

#: Page descriptors that every granule has: the page at 0x4000_0000 with all kinds of permissions.
_PAGES = (
    Example(0x4000_0403, "L3", "leaf", _AP, address=0x4000_0000, user="x", supervisor="rwx", accessed=True),
    Example(0x4000_0443, "L3", "leaf", _AP, user="rwx", supervisor="rw", dirty=True, is_global=True),
    Example(0xFF80_0000_4000_077F, "L3", "leaf", f"{_PAGE}: 63:59, 58:55, SH, NS, AttrIndx", user="rwx"),
    Example(0x4000_0483, "L3", "leaf", _AP, user="x", supervisor="rx"),
    Example(0x4000_04C3, "L3", "leaf", _AP, user="rx", supervisor="rx", dirty=False),
    Example(0x0040_0000_4000_0443, "L3", "leaf", f"{_XN}: UXN", user="rw", supervisor="rw"),
    Example(0x0040_0000_4000_0483, "L3", "leaf", f"{_XN}: UXN", user="", supervisor="rx"),
    Example(0x0020_0000_4000_0483, "L3", "leaf", f"{_XN}: PXN", user="x", supervisor="r"),
    Example(0x4000_0C43, "L3", "leaf", _NG, is_global=False),
    Example(0x4000_0043, "L3", "leaf", _AF, accessed=False),
    Example(0x0008_0000_4000_04C3, "L3", "leaf", f"{_DBM}: not enabled", user="rx", supervisor="rx"),
    Example(0x0008_0000_4000_04C3, "L3", "leaf", _DBM, user="rwx", supervisor="rw", settings=_HAHD),
    Example(
        0x0008_0000_4000_04C3, "L3", "leaf", f"{_DBM}: HD = 0", user="rx", supervisor="rx", settings={"ha": 1}
    ),
    Example(
        0x0008_0000_4000_04C3, "L3", "leaf", f"{_DBM}: HA = 0", user="rx", supervisor="rx", settings={"hd": 1}
    ),
    Example(0x4000_04C3, "L3", "leaf", f"{_DBM}: DBM = 0", user="rx", supervisor="rx", settings=_HAHD),
    Example(0x4000_0443, "L3", "leaf", _WXN, user="rw", supervisor="rw", settings={"wxn": 1}),
    Example(0x4000_0403, "L3", "leaf", _WXN, user="x", supervisor="rw", settings={"wxn": 1}),
    Example(0x4000_04C3, "L3", "leaf", _WXN, user="rx", supervisor="rx", settings={"wxn": 1}),
    Example(
        0x0008_0000_4000_04C3, "L3", "leaf", _WXN, user="rw", supervisor="rw", settings={**_HAHD, "wxn": 1}
    ),
    Example(
        0x0008_0000_4000_0483, "L3", "leaf", _WXN, user="x", supervisor="rw", settings={**_HAHD, "wxn": 1}
    ),
    Example(0x4000_0443, "L3", "leaf", _PAN, user="rwx", supervisor="", settings={"pan": 1}),
    Example(0x4000_0403, "L3", "leaf", _PAN, user="x", supervisor="rwx", settings={"pan": 1}),
    Example(0x4000_0403, "L3", "leaf", _PAN, user="x", supervisor="x", settings={"pan": 1, "epan": 1}),
    Example(bytes.fromhex("43 04 00 40 00 00 00 00"), "L3", "leaf", _BYTES, address=0x4000_0000),
    Example(0x4000_0401, "L3", "absent", _INVALID),
)


def _tables(*levels: str) -> tuple[Example, ...]:
    """Return descriptors of these levels that point to tables, and absent ones of all levels."""
    every = (*levels, "L3")
    return (
        Example(0x4000_0403, levels, "table", _TABLE, address=0x4000_0000, accessed=False),
        Example(0x4000_0003, levels, "table", _HIERARCHY, user="rwx", supervisor="rwx"),
        Example(
            0x2000_0000_4000_0003, levels, "table", f"{_HIERARCHY}: APTable[0]", user="x", supervisor="rwx"
        ),
        Example(
            0x4000_0000_4000_0003, levels, "table", f"{_HIERARCHY}: APTable[1]", user="rx", supervisor="rx"
        ),
        Example(
            0x1000_0000_4000_0003, levels, "table", f"{_HIERARCHY}: UXNTable", user="rw", supervisor="rwx"
        ),
        Example(
            0x0800_0000_4000_0003, levels, "table", f"{_HIERARCHY}: PXNTable", user="rwx", supervisor="rw"
        ),
        Example(0, every, "absent", _INVALID),
        Example(0x4000_0402, every, "absent", _INVALID),
    )


def _no_blocks(*levels: str) -> Example:
    return Example(0x4000_0441, levels, "absent", _INVALID)


_B4K = (
    Example(0x4000_0441, "L1", "leaf", _BLOCK, address=0x4000_0000, span=G1, user="rwx"),
    Example(0x0020_0441, "L2", "leaf", _BLOCK, address=0x20_0000, span=M2, user="rwx"),
    Example(0x1443, "L3", "leaf", _PAGE, address=0x1000, span=1 << 12),
    Example(0x0010_0000_4000_0441, "L1", "leaf", f"{_RUN}: 16 GiB", address=0x4000_0000, span=G16),
    Example(0x0010_0000_4000_0441, "L2", "leaf", f"{_RUN}: 32 MiB", address=0x4000_0000, span=M32),
    Example(0x0010_0000_4000_0443, "L3", "leaf", f"{_RUN}: 64 KiB", address=0x4000_0000, span=K64),
)
_B16K = (
    Example(0x0200_0441, "L2", "leaf", _BLOCK, address=0x200_0000, span=M32, user="rwx"),
    Example(0x4443, "L3", "leaf", _PAGE, address=0x4000, span=K16),
    Example(0x0010_0000_4000_0441, "L2", "leaf", f"{_RUN}: 1 GiB", address=0x4000_0000, span=G1),
    Example(0x0010_0000_4000_0443, "L3", "leaf", f"{_RUN}: 2 MiB", address=0x4000_0000, span=M2),
)
_B64K = (
    Example(0x2000_0441, "L2", "leaf", _BLOCK, address=0x2000_0000, span=M512, user="rwx"),
    Example(0x1_0443, "L3", "leaf", _PAGE, address=0x1_0000, span=K64),
    Example(0x0010_0000_4000_0441, "L2", "leaf", f"{_RUN}: 16 GiB", address=0x4000_0000, span=G16),
    Example(0x0010_0000_4000_0443, "L3", "leaf", f"{_RUN}: 2 MiB", address=0x4000_0000, span=M2),
)
_OA48 = (Example(0x8000_0000_0443, "L3", "leaf", f"{_PAGE}: OA[47:n]", address=0x8000_0000_0000),)
#: FEAT_LPA2: bits 49:n, and bits 51:50 of the address in 9:8 of the descriptor.
_LPA2 = (
    Example(0x0002_0000_0000_0443, "L3", "leaf", f"{_PAGE}, DS = 1", address=0x0002_0000_0000_0000),
    Example(0x4000_0543, "L3", "leaf", f"{_PAGE}, DS = 1: OA[51:50]", address=0x0004_0000_4000_0000),
    Example(0x4000_0643, "L3", "leaf", f"{_PAGE}, DS = 1: OA[51:50]", address=0x0008_0000_4000_0000),
)
#: FEAT_LPA: bits 47:16, and bits 51:48 of the address in 15:12 of the descriptor.
_LPA = (
    Example(0x8000_0000_0443, "L3", "leaf", f"{_PAGE}, FEAT_LPA", address=0x8000_0000_0000),
    Example(0x4000_1443, "L3", "leaf", f"{_PAGE}, FEAT_LPA: OA[51:48]", address=0x0001_0000_4000_0000),
    Example(0x4000_8443, "L3", "leaf", f"{_PAGE}, FEAT_LPA: OA[51:48]", address=0x0008_0000_4000_0000),
)


def _range(top: int, indices: tuple[int, ...]) -> tuple[AddressExample, ...]:
    """Return the highest page of the lower half, the first address above it, and the first of the upper half.

    Args:
        top: the address of that page.
        indices: of its entries.
    """
    above = 1 << top.bit_length()
    return (
        AddressExample(top, indices, _RANGE),
        AddressExample(above, None, f"{_RANGE}: neither TTBR0 nor TTBR1"),
        AddressExample((1 << 64) - above, (0,) * len(indices), f"{_RANGE}: TTBR1"),
    )


#: By page shift and address bits.
EXAMPLES: dict[tuple[int, int], tuple[Example | AddressExample, ...]] = {
    (12, 39): (*_tables("L1", "L2"), *_PAGES, *_B4K, *_OA48, *_range(0x7F_FFFF_F000, (511, 511, 511))),
    (12, 48): (
        *_tables("L0", "L1", "L2"),
        _no_blocks("L0"),
        *_PAGES,
        *_B4K,
        *_OA48,
        *_range(0xFFFF_FFFF_F000, (511, 511, 511, 511)),
    ),
    (12, 52): (
        *_tables("L-1", "L0", "L1", "L2"),
        _no_blocks("L-1"),
        *_PAGES,
        *_B4K,
        Example(0x80_0000_0441, "L0", "leaf", f"{_BLOCK}, DS = 1", address=0x80_0000_0000, span=G512),
        *_LPA2,
        *_range(0x000F_FFFF_FFFF_F000, (15, 511, 511, 511, 511)),
    ),
    (14, 36): (*_tables("L2"), *_PAGES, *_B16K, *_OA48, *_range(0xF_FFFF_C000, (2047, 2047))),
    (14, 47): (
        *_tables("L1", "L2"),
        _no_blocks("L1"),
        *_PAGES,
        *_B16K,
        *_OA48,
        *_range(0x7FFF_FFFF_C000, (2047, 2047, 2047)),
    ),
    (14, 48): (
        *_tables("L0", "L1", "L2"),
        _no_blocks("L0", "L1"),
        *_PAGES,
        *_B16K,
        *_OA48,
        *_range(0xFFFF_FFFF_C000, (1, 2047, 2047, 2047)),
    ),
    (14, 52): (
        *_tables("L0", "L1", "L2"),
        _no_blocks("L0"),
        *_PAGES,
        *_B16K,
        Example(0x10_0000_0441, "L1", "leaf", f"{_BLOCK}, DS = 1", address=0x10_0000_0000, span=G64),
        *_LPA2,
        *_range(0x000F_FFFF_FFFF_C000, (31, 2047, 2047, 2047)),
    ),
    (16, 42): (*_tables("L2"), *_PAGES, *_B64K, *_OA48, *_range(0x3FF_FFFF_0000, (8191, 8191))),
    (16, 48): (
        *_tables("L1", "L2"),
        _no_blocks("L1"),
        *_PAGES,
        *_B64K,
        *_OA48,
        *_range(0xFFFF_FFFF_0000, (63, 8191, 8191)),
    ),
    (16, 52): (
        *_tables("L1", "L2"),
        *_PAGES,
        *_B64K,
        Example(0x400_0000_0441, "L1", "leaf", f"{_BLOCK}, FEAT_LPA", address=0x400_0000_0000, span=T4),
        *_LPA,
        *_range(0x000F_FFFF_FFFF_0000, (1023, 8191, 8191)),
    ),
}
