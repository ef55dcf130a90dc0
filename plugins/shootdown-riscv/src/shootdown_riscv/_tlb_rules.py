"""What a fence of one hart drops (RISC-V Privileged Architecture, "Supervisor Memory-Management Fence Instruction")."""

from __future__ import annotations

from shootdown.porting import FlushScope


def sfence_vma(va: int | None = None, asid: int | None = None) -> FlushScope:
    """Say what SFENCE.VMA must drop; SINVAL.VMA between its two fences drops the same ("Svinval").

    rs1 = x0: entries of all addresses, non-leaf ones too. rs1 != x0: entries of leaf PTEs of the address alone, so
    that walk caches, which hold non-leaf PTEs, may keep what leads there. rs2 = x0: of every address space, global
    ones too. rs2 != x0: of that ASID, without global ones. A hart may always drop more.

    Args:
        va: what rs1 holds; None for x0.
        asid: what rs2 holds; None for x0.
    """
    return FlushScope(
        start=va,
        asid=asid,
        vm=None,
        global_entries=asid is None,
        walk_cache="all-of-asid" if va is None else "none",
    )
