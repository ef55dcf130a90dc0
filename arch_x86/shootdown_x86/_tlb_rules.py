"""What each x86 invalidation drops, from the manuals.

Intel SDM: volume 3A, section 4.10.4.1 "Operations that Invalidate TLBs and Paging-Structure Caches" (5.10.4.1
in editions where paging is chapter 5). AMD APM: volume 2, section 5.5.2 "TLB Management", section 3.1.7 for
EFER.TCE; volume 3 for INVLPGB and TLBSYNC. A processor may always drop more; this is what it must drop.

Paging-structure caches are never global (SDM 4.10.3): their entries belong to a PCID.
"""

from __future__ import annotations

from typing import Literal

import attrs

from shootdown import ShootdownError
from shootdown.porting import NOTHING, FlushScope, WalkScope

PTE_STRIDE = 1 << 12
PMD_STRIDE = 1 << 21
PCIDS = 1 << 12
COUNT_BITS = 16  # INVLPGB: ECX[15:0] is the number of pages less one


@attrs.frozen(kw_only=True)
class TlbRules:
    """Say what each instruction of one x86 CPU drops.

    Args:
        vendor: whose manual holds.
        tce: EFER.TCE is set (AMD only).
        pcide: CR4.PCIDE is set; without it the only PCID is 0.
        invlpgb_count_max: pages that one INVLPGB may name: CPUID 8000_0008h EDX[15:0] + 1; 0 without INVLPGB.

    Raises:
        ShootdownError: a CPU that does not exist, or an instruction that would fault on it.
    """

    vendor: Literal["intel", "amd"]
    tce: bool = False
    pcide: bool = True
    invlpgb_count_max: int = 0

    def __attrs_post_init__(self) -> None:
        if self.vendor == "intel" and (self.tce or self.invlpgb_count_max):
            raise ShootdownError("an Intel CPU has neither EFER.TCE nor INVLPGB: use vendor 'amd'")
        if not 0 <= self.invlpgb_count_max <= 1 << COUNT_BITS:
            raise ShootdownError(
                f"INVLPGB of {self.invlpgb_count_max} pages: the count has {COUNT_BITS} bits"
            )

    def _pcid(self, pcid: int) -> int:
        if not 0 <= pcid < (PCIDS if self.pcide else 1):
            there_is = f"0 to {PCIDS - 1}" if self.pcide else "only 0 while CR4.PCIDE is clear"
            raise ShootdownError(f"PCID {pcid}: there is {there_is}")
        return pcid

    @property
    def _upper_levels(self) -> WalkScope:
        """Say which upper levels go with a page (APM volume 2, 3.1.7, "Translation Cache Extension").

        With TCE, those that lead to the page. Without it "all upper-level table entries": here all of the
        PCID, the least that the sentence can mean; whether other PCIDs' go too is UNVERIFIED.
        """
        return "leading-to-va" if self.tce else "all-of-asid"

    def invlpg(self, va: int, pcid: int) -> FlushScope:
        """Say what INVLPG drops: the page's entries of the current PCID, and global ones whatever their PCID.

        Intel: and every paging-structure-cache entry of the current PCID, regardless of address (SDM
        4.10.4.1). AMD: upper levels as EFER.TCE says (APM volume 2, 3.1.7 and 5.5.2).

        Args:
            va: the linear address.
            pcid: the current PCID.
        """
        return FlushScope(start=va, asid=self._pcid(pcid), global_entries=True, walk_cache=self._upper_levels)

    def mov_cr3(self, pcid: int, *, no_flush: bool = False) -> FlushScope:
        """Say what MOV to CR3 drops (SDM 4.10.4.1; APM volume 2, 5.5.2).

        With CR4.PCIDE and bit 63 set, nothing. Otherwise all entries of the PCID that is loaded except global
        ones, and all its paging-structure-cache entries.

        Args:
            pcid: bits 11:0 of the value loaded; 0 while CR4.PCIDE is clear.
            no_flush: bit 63 of the value loaded.
        """
        if no_flush and not self.pcide:
            raise ShootdownError("MOV to CR3 with bit 63 set: it faults (#GP) while CR4.PCIDE is clear")
        return NOTHING if no_flush else FlushScope(asid=self._pcid(pcid))

    def invpcid(self, kind: int, *, pcid: int = 0, va: int = 0) -> FlushScope:
        """Say what INVPCID drops (SDM 4.10.4.1; APM volume 3, INVPCID).

        Type 0, individual address: what would be used to translate the address with the PCID, except global
        entries. On Intel that names the paging-structure-cache entries on the way to the address only, unlike
        INVLPG; on AMD upper levels go as EFER.TCE says. Type 1, single context: all of the PCID except global
        entries. Type 2: everything. Type 3: everything except global entries.

        Args:
            kind: the INVPCID type, 0 to 3.
            pcid: of the descriptor; types 0 and 1 use it.
            va: of the descriptor; type 0 uses it.
        """
        if kind == 0:
            walk: WalkScope = "leading-to-va" if self.vendor == "intel" else self._upper_levels
            return FlushScope(start=va, asid=self._pcid(pcid), walk_cache=walk)
        if kind == 1:
            return FlushScope(asid=self._pcid(pcid))
        if kind in (2, 3):
            return FlushScope(asid=None, global_entries=kind == 2)
        raise ShootdownError(f"INVPCID type {kind}: it faults (#GP); there is 0, 1, 2 and 3")

    def mov_cr4_pge(self) -> FlushScope:
        """Say what a MOV to CR4 that changes PGE drops: everything, global entries too (SDM 4.10.4.1)."""
        return FlushScope(asid=None, global_entries=True)

    def invlpgb(
        self,
        *,
        va: int | None = None,
        pcid: int | None = None,
        asid: int | None = None,
        include_global: bool = False,
        final_translation_only: bool = False,
        include_nested: bool = False,
        count: int = 1,
        pmd_stride: bool = False,
    ) -> FlushScope:
        """Say what INVLPGB drops on every CPU of the machine (APM volume 3, INVLPGB).

        None for the address, PCID or ASID means that its valid bit is clear: any matches. Linux always sets
        the ASID's (634ab76159a8, v6.15), 0 for the host. With an address, upper levels go as EFER.TCE says;
        without one, all that match.

        Args:
            va: rAX[63:12] with rAX[0], the address of the first page.
            pcid: EDX[27:16] with rAX[1].
            asid: EDX[15:0] with rAX[2]: the VM, 0 for the host.
            include_global: rAX[3].
            final_translation_only: rAX[4]: upper-level entries stay.
            include_nested: rAX[5]: nested translations too. Those map guest-physical addresses; nothing here
                holds them apart, so it drops nothing more.
            count: pages named: ECX[15:0] + 1. One address in each stride, and nothing between them.
            pmd_stride: ECX[31]: 2 MiB from page to page rather than 4 KiB.
        """
        if not 1 <= count <= self.invlpgb_count_max:
            raise ShootdownError(
                f"INVLPGB of {count} pages: "
                + (
                    f"this CPU takes 1 to {self.invlpgb_count_max}, more fault (#GP)"
                    if self.invlpgb_count_max
                    else "this CPU has no INVLPGB (#UD)"
                )
            )
        walk: WalkScope = "all-of-asid" if va is None else self._upper_levels
        return FlushScope(
            start=None if va is None else va & -PTE_STRIDE,
            count=1 if va is None else count,
            stride=PMD_STRIDE if pmd_stride else PTE_STRIDE,
            asid=None if pcid is None else self._pcid(pcid),
            vm=asid,
            global_entries=include_global,
            walk_cache="none" if final_translation_only else walk,
        )

    def tlbsync(self) -> FlushScope:
        """Say what TLBSYNC drops: nothing; it waits until this CPU's INVLPGBs are done (APM volume 3)."""
        return NOTHING
