"""Translate what an instruction drops, as manuals state it, into the scope of a flush in a program."""

from __future__ import annotations

from shootdown._machine import ops
from shootdown._tlb.flush import FlushScope
from shootdown._values.errors import typed
from shootdown._values.sites import mistake


def scope_of(rule: FlushScope) -> int:
    """Return the `ops.SCOPE_*` of an instruction from its `FlushScope`.

    The request of a flush has the addresses and the mm; the scope only says from which caches entries are dropped: TLB
    entries, walk-cache entries, both or (0) neither.

    Args:
        rule: what the instruction drops for an address, or for everything, in one address space.
    """
    if not isinstance(rule, FlushScope):
        raise mistake(f"scope_of(): {typed(rule)}, not a FlushScope")
    leaf = ops.SCOPE_LEAF if rule.leaf else 0
    return leaf | (0 if rule.walk_cache == "none" else ops.SCOPE_WALK)
