"""What each fence of one hart drops, from the RISC-V Privileged Architecture.

SFENCE.VMA: "Supervisor Memory-Management Fence Instruction". SINVAL.VMA and the fences around it: "Svinval". A hart
may always drop more; this is what it must drop. Walk-cache entries are address-translation-cache entries that hold
non-leaf PTEs: a fence that names an address need not reach them, whatever it does to their page.
"""

from __future__ import annotations

from typing import Literal

import attrs

from shootdown import ShootdownError
from shootdown.porting import NOTHING, FlushScope

Mode = Literal["sv32", "sv39", "sv48", "sv57"]
_WIDTH: dict[Mode, int] = {"sv32": 32, "sv39": 39, "sv48": 48, "sv57": 57}


@attrs.frozen(kw_only=True)
class FenceRules:
    """Say what each fence of one hart drops.

    Args:
        mode: the translation mode: which addresses are valid.
        asid_bits: ASIDLEN: how many bits of rs2 the hart looks at; 0 where satp.ASID is read-only zero.
        svinval: SINVAL.VMA, SFENCE.W.INVAL and SFENCE.INVAL.IR exist.

    Raises:
        ShootdownError: a hart that does not exist, or an instruction that it has not.
    """

    mode: Mode = "sv39"
    asid_bits: int = 16
    svinval: bool = True

    def __attrs_post_init__(self) -> None:
        if self.mode not in _WIDTH:
            raise ShootdownError(f"no translation mode is called {self.mode!r}: there is {', '.join(_WIDTH)}")
        most = 9 if self.mode == "sv32" else 16
        if not 0 <= self.asid_bits <= most:
            raise ShootdownError(f"{self.mode} with {self.asid_bits} ASID bits: satp has 0 to {most}")

    def sfence_vma(self, va: int | None = None, asid: int | None = None) -> FlushScope:
        """Say what SFENCE.VMA drops.

        rs1 = x0: entries of all addresses, non-leaf ones too. rs1 != x0: entries of leaf PTEs of the address alone.
        rs2 = x0: of every address space, global ones too. rs2 != x0: of that ASID, without global ones. An address
        that is not valid in the mode makes it do nothing.

        Args:
            va: what rs1 holds; None for x0.
            asid: what rs2 holds; None for x0. Bits beyond ASIDLEN are ignored.
        """
        if va is not None and not self._is_valid(va):
            return NOTHING
        tag = None if asid is None else asid & ((1 << self.asid_bits) - 1)
        return FlushScope(
            start=va,
            asid=tag,
            vm=None,
            global_entries=asid is None,
            walk_cache="all-of-asid" if va is None else "none",
        )

    def sinval_vma(self, va: int | None = None, asid: int | None = None) -> FlushScope:
        """Say what SINVAL.VMA drops: what SFENCE.VMA with the same operands does, ordered by the two fences alone.

        Args:
            va: what rs1 holds; None for x0.
            asid: what rs2 holds; None for x0.
        """
        self._need_svinval("SINVAL.VMA")
        return self.sfence_vma(va, asid)

    def sfence_w_inval(self) -> FlushScope:
        """Say what SFENCE.W.INVAL drops: nothing; it orders earlier stores before later SINVAL.VMAs."""
        self._need_svinval("SFENCE.W.INVAL")
        return NOTHING

    def sfence_inval_ir(self) -> FlushScope:
        """Say what SFENCE.INVAL.IR drops: nothing; it orders earlier SINVAL.VMAs before later walks."""
        self._need_svinval("SFENCE.INVAL.IR")
        return NOTHING

    def _need_svinval(self, instruction: str) -> None:
        if not self.svinval:
            raise ShootdownError(f"{instruction}: this hart has no Svinval (illegal instruction)")

    def _is_valid(self, va: int) -> bool:
        width = _WIDTH[self.mode]
        if self.mode == "sv32":
            return 0 <= va < 1 << 32
        sign = va >> (width - 1)
        return 0 <= va < 1 << 64 and sign in (0, (1 << (64 - width + 1)) - 1)
