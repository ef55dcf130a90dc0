"""A defect, to hunt for: the gather records the pages behind each entry that was cleared, and not its first one."""

from shootdown.patches import Call, Patch, replaces

PATCH = Patch(subject="a range off by one: tlb_remove_tlb_entry()")


@replaces("tlb_remove_tlb_entry")
def tlb_remove_tlb_entry(call: Call, g: int, lo: int, hi: int) -> None:
    """Record one page further than what was cleared."""
    call.original(lo=lo + 1, hi=hi + 1)
