"""The rules by which CPUs switch between address spaces, from how many ASIDs they have."""

from __future__ import annotations

from shootdown._values.errors import shown
from shootdown._values.lowering import MmRules
from shootdown._values.sites import mistake

#: ASIDs modelled on one CPU. A real CPU has more; no count depends on that.
MOST_ASIDS = 256


def mm_rules(asids: int, *, clear_on_switch: bool = True, lazy_tlb: bool = True) -> MmRules:
    """Return the rules by which context switches treat address spaces on a CPU with so many ASIDs.

    Args:
        asids: the number of ASIDs; 1 if translations are not tagged, so that a switch drops them.
        clear_on_switch: a CPU that switches to another mm leaves the old one's mm_cpumask at once.
        lazy_tlb: an idle CPU keeps its last mm loaded (lazy TLB mode).
    """
    if isinstance(asids, bool) or not isinstance(asids, int) or asids < 1:
        raise mistake(f"mm_rules(): {shown(asids)} ASIDs: a whole number from 1 on")
    return MmRules(
        clear_on_switch=clear_on_switch, lazy_tlb=lazy_tlb, asids=min(asids, MOST_ASIDS), tagged=asids > 1
    )
