"""What `shootdown check` finds, and what it is: two derived defects of machines with a walker."""

from __future__ import annotations

from typing import Any

from shootdown import Expected

WALK = (
    "derived, seen on no machine: kernel/smp.c: flush_tlb_range() of the mm's only task sends no IPI (5.19), so that a "
    "lazy CPU whose hardware walker (01158487af60, 6.5) is in the middle of a walk is not waited for"
)
DIRTY = (
    "derived, seen on no machine: asm/pgtable.h has no ptep_get_and_clear() of its own, and asm-generic's loads and "
    "then stores; 01158487af60 (6.5) lets hardware handle TLBM, which sets D"
)


def _walks(kernel: Any, platform: Any) -> bool:
    """Whether hardware walks on this kernel and platform."""
    return bool(platform.arch.ptw and kernel.arch.enables_walker)


EXPECTED = (
    Expected(("5.3",), WALK, when=_walks),
    Expected(("7.1",), WALK, about="lazy-freed-tables", when=_walks),
    Expected(("7.2",), WALK, about="walk-cache", when=_walks),
    Expected(("7.1",), DIRTY, about="dirty-bit-lost", when=_walks),
)
