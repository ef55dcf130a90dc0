"""A defect, to hunt for: writeback cleans an entry and does not flush it."""

from collections.abc import Callable

from shootdown.patches import Call, Patch, replaces

PATCH = Patch(subject="a flush is missing on one path: page_vma_mkclean_one()")
cleans: list[Callable[..., None]] = []


@replaces("page_vma_mkclean_one")
def page_vma_mkclean_one(call: Call, entries: object) -> None:
    """Note that what is written within belongs to writeback."""
    cleans.append(page_vma_mkclean_one)
    call.original()
    cleans.pop()


@replaces("ptep_clear_flush")
def ptep_clear_flush(call: Call, entry: object) -> None:
    """Clear the entry; flush it unless writeback cleans it."""
    if not cleans:
        call.original()
        return
    entry.take("ptep_get_and_clear")
    entry.cleared("ptep_clear_flush")
