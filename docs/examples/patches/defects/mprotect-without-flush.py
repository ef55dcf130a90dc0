"""A defect, to hunt for: mprotect() takes the right to write from entries and does not flush them."""

from collections.abc import Callable

from shootdown.patches import Call, Parameter, Patch, replaces

PATCH = Patch(
    subject="a flush is missing on one path: change_pte_range()",
    switches=(Parameter("wrong", True, "the defect is there"),),
)
changed: list[Callable[[], None]] = []


@replaces("change_pte_range")
def change_pte_range(call: Call, change: Callable[[], None]) -> None:
    """Note that the gather which ends next is that of mprotect()."""
    call.original()
    changed.append(change)


@replaces("tlb_flush_mmu_tlbonly")
def tlb_flush_mmu_tlbonly(call: Call, g: int) -> None:
    """Flush the gather, unless it is that of mprotect()."""
    if not (call.switch("wrong") and changed):
        call.original()
    changed.clear()
