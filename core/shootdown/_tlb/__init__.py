"""Per-CPU TLBs and paging-structure caches: their geometry, their contents, and what a flush drops.

The values (`CacheGeometry`, `TlbGeometry`, `FlushScope`) need neither numba nor numpy. `Tlb`, which holds state
and runs kernels, and `dropped`, which reads its listings, are imported when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shootdown._tlb.flush import NOTHING, FlushScope
from shootdown._tlb.geometry import CacheGeometry, TlbGeometry

if TYPE_CHECKING:
    from shootdown._tlb.listing import dropped
    from shootdown._tlb.state import Access, Tlb, TlbCounts

__all__ = [
    "NOTHING",
    "Access",
    "CacheGeometry",
    "FlushScope",
    "Tlb",
    "TlbCounts",
    "TlbGeometry",
    "dropped",
]


def __getattr__(name: str) -> Any:
    if name in {"Access", "Tlb", "TlbCounts"}:
        from shootdown._tlb import state

        return getattr(state, name)
    if name == "dropped":
        from shootdown._tlb.listing import dropped

        return dropped
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
