"""A defect, to hunt for: migration puts off the flush of the page behind the one that it unmaps."""

from shootdown.patches import Call, Parameter, Patch, replaces

PATCH = Patch(
    subject="a range off by one: try_to_migrate_one()",
    switches=(Parameter("wrong", True, "the defect is there"),),
)


@replaces("try_to_migrate_one")
def try_to_migrate_one(call: Call, entries: object, batch: object) -> None:
    """Unmap the entries, and let what is flushed for them begin a page later."""
    if call.switch("wrong"):
        entries.lo, entries.hi = entries.lo + 1, entries.hi + 1
    call.original()
