"""What a TLBI must drop on a CPU that it reaches (Arm ARM DDI 0487, D8 "TLB maintenance", and C5.5).

A processor may always drop more. Walk-cache entries are table descriptors; they are never global.
"""

from __future__ import annotations

from shootdown.porting import FlushScope, WalkScope


def _by_address(va: int, asid: int, pages: int, granule: int, walk: WalkScope) -> FlushScope:
    return FlushScope(
        start=va // granule * granule,
        count=pages,
        stride=granule,
        asid=asid,
        global_entries=True,
        walk_cache=walk,
    )


def vae1(va: int, asid: int, *, pages: int = 1, granule: int = 4096) -> FlushScope:
    """Return what TLBI VAE1IS and, for several pages, RVAE1IS drop: entries for the addresses at every level.

    They drop the ASID's leaf entries and global ones, and the table descriptors that lead to the addresses.

    Args:
        va: the first address.
        asid: the operand's ASID.
        pages: the number of base pages.
        granule: bytes of a base page.
    """
    return _by_address(va, asid, pages, granule, "leading-to-va")


def vale1(va: int, asid: int, *, pages: int = 1, granule: int = 4096) -> FlushScope:
    """Return what TLBI VALE1IS and RVALE1IS drop: the same, but only entries of the last level of the walk.

    Args:
        va, asid, pages, granule: as in `vae1()`.
    """
    return _by_address(va, asid, pages, granule, "none")


def aside1(asid: int) -> FlushScope:
    """Return what TLBI ASIDE1IS drops: all of the ASID, at every level, but no global entry.

    Args:
        asid: the operand's ASID.
    """
    return FlushScope(asid=asid)
