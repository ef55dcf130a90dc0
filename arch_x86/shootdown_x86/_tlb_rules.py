"""What an x86 invalidation by address must drop, from the manuals. A processor may always drop more.

Intel SDM: volume 3A, section 4.10.4.1 "Operations that Invalidate TLBs and Paging-Structure Caches" (5.10.4.1 in
editions where paging is chapter 5). AMD APM: volume 2, section 5.5.2 "TLB Management", section 3.1.7 for EFER.TCE;
volume 3 for INVLPGB. Paging-structure caches are never global (SDM 4.10.3): their entries belong to a PCID.
"""

from __future__ import annotations

from shootdown.porting import FlushScope, WalkScope

PTE_STRIDE = 1 << 12
PMD_STRIDE = 1 << 21


def _upper_levels(tce: bool) -> WalkScope:
    """Return the upper-level entries that are dropped with a page (APM volume 2, 3.1.7, "Translation Cache Extension").

    With TCE, those that lead to the page. Without it "all upper-level table entries": here all of the PCID, the weakest
    reading; whether those of other PCIDs are dropped too is UNVERIFIED.
    """
    return "leading-to-va" if tce else "all-of-asid"


def invlpg(va: int, pcid: int, *, tce: bool = False) -> FlushScope:
    """Return what INVLPG drops: the page's entries of the current PCID, and global ones whatever their PCID.

    On Intel it also drops every paging-structure-cache entry of the current PCID, regardless of address (SDM 4.10.4.1);
    on AMD, upper-level entries as EFER.TCE says (APM volume 2, 3.1.7 and 5.5.2).

    Args:
        va: the linear address.
        pcid: the current PCID.
        tce: EFER.TCE is set (AMD only).
    """
    return FlushScope(start=va, asid=pcid, global_entries=True, walk_cache=_upper_levels(tce))


def invlpgb(
    va: int | None, pcid: int, *, count: int = 1, pmd_stride: bool = False, tce: bool = False
) -> FlushScope:
    """Return what INVLPGB as Linux uses it drops on every CPU of the machine (APM volume 3, INVLPGB).

    The valid bits of PCID and ASID are set (634ab76159a8, v6.15), the ASID is the host's, 0; those of global pages and
    of final translations alone are not. With an address, upper levels are dropped as EFER.TCE says; without one, all
    entries of the PCID are dropped.

    Args:
        va: rAX[63:12], the address of the first page; None while its valid bit is clear.
        pcid: EDX[27:16].
        count: the number of pages, ECX[15:0] + 1: one address in each stride, and nothing between them.
        pmd_stride: ECX[31]: 2 MiB from page to page rather than 4 KiB.
        tce: EFER.TCE is set.
    """
    return FlushScope(
        start=None if va is None else va & -PTE_STRIDE,
        count=1 if va is None else count,
        stride=PMD_STRIDE if pmd_stride else PTE_STRIDE,
        asid=pcid,
        walk_cache="all-of-asid" if va is None else _upper_levels(tce),
    )
