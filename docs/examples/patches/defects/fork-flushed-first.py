"""A defect, to hunt for: fork() flushes before it takes the right to write from the parent's entries."""

from collections.abc import Callable

from shootdown.patches import Call, Parameter, Patch, ops, replaces

PATCH = Patch(
    subject="a flush before the write-protection: dup_mmap()",
    switches=(Parameter("wrong", True, "the defect is there"),),
)
copies: list[Callable[[], None]] = []


@replaces("dup_mmap")
def dup_mmap(call: Call, copy: Callable[[], None]) -> None:
    """Flush, then copy page tables without a flush."""
    if not call.switch("wrong"):
        call.original()
        return
    call.asm.request(2, flags=ops.FULLMM, text="the flush comes too early")
    call.lowering.flush_mm(call.asm, 2)
    copies.append(copy)
    call.original()
    copies.pop()


@replaces("flush_tlb_mm_range", arch="x86")
def flush_tlb_mm_range(call: Call, g: int) -> None:
    """Flush, unless page tables are copied meanwhile."""
    if not copies:
        call.original()
