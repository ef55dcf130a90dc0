"""A defect, to hunt for: mremap() flushes before it moves entries, so that a TLB may hold them until they change."""

from collections.abc import Callable

from shootdown.patches import Call, Parameter, Patch, ops, replaces

PATCH = Patch(
    subject="a flush before the clear: move_ptes()",
    switches=(Parameter("wrong", True, "the defect is there"),),
)
moves: list[Callable[[], None]] = []


@replaces("move_ptes")
def move_ptes(call: Call, move: Callable[[], None]) -> None:
    """Flush the address space, then move entries without a flush."""
    if not call.switch("wrong"):
        call.original()
        return
    call.asm.request(2, flags=ops.FULLMM, text="the flush comes too early")
    call.lowering.flush_mm(call.asm, 2)
    moves.append(move)
    call.original()
    moves.pop()


@replaces("flush_tlb_mm_range", arch="x86")
def flush_tlb_mm_range(call: Call, g: int) -> None:
    """Flush, unless entries are moved meanwhile."""
    if not moves:
        call.original()
