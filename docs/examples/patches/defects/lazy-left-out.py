"""A defect, to hunt for: CPUs in lazy mode are left out of each flush, also when page tables are freed."""

from shootdown.patches import Call, Patch, replaces

PATCH = Patch(subject="a lazy CPU forgotten: native_flush_tlb_multi()")


@replaces("native_flush_tlb_multi", arch="x86")
def native_flush_tlb_multi(call: Call, g: int) -> None:
    """Leave lazy CPUs out, whatever is flushed."""
    call.asm.drop_lazy_targets()
    call.original()
