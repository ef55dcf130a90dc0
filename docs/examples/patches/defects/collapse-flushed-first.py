"""A defect, to hunt for: khugepaged flushes a table's range before it clears the entry that leads to the table."""

from shootdown.patches import Call, Patch, ops, replaces

PATCH = Patch(subject="a flush before the clear: pmdp_collapse_flush()")


@replaces("pmdp_collapse_flush")
def pmdp_collapse_flush(call: Call, table: object) -> None:
    """Flush the table's range, then clear the entry."""
    call.asm.request(2, cleared=ops.CLEARED_PTES, lo=table.lo, hi=table.hi, text="the table's range")
    call.lowering.flush_range(call.asm, 2)
    table.take("pmdp_huge_get_and_clear")
