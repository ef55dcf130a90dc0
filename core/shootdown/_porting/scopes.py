"""From what an instruction drops, as manuals say it, to the scope of a flush in a program."""

from __future__ import annotations

from shootdown._machine import ops
from shootdown._tlb.flush import FlushScope


def scope_of(rule: FlushScope) -> int:
    """Give the `ops.SCOPE_*` of an instruction that drops what a `FlushScope` says.

    The request of a flush knows its addresses and its mm; a scope only says of which caches entries go: TLB entries,
    walk-cache entries, both or (0) neither.

    Args:
        rule: what the instruction drops of an address, or of everything, of one address space.
    """
    leaf = ops.SCOPE_LEAF if rule.leaf else 0
    return leaf | (0 if rule.walk_cache == "none" else ops.SCOPE_WALK)
