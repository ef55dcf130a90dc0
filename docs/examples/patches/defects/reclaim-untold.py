"""A defect, to hunt for: reclaim puts a flush off and does not say so at the mm, so that nobody flushes before it."""

from shootdown.patches import Call, Parameter, Patch, replaces

PATCH = Patch(
    subject="a flush is missing in who meets reclaim: set_tlb_ubc_flush_pending()",
    switches=(Parameter("wrong", True, "the defect is there"),),
)


@replaces("set_tlb_ubc_flush_pending")
def set_tlb_ubc_flush_pending(call: Call, entries: object, batch: object) -> None:
    """Add the page to the batch, and leave mm->tlb_flush_batched as it is."""
    if call.switch("wrong"):
        batch.pend = lambda: None
    call.original()
