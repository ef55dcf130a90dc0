"""Skip the sync where the flush before it has interrupted every walker: x86 with native IPIs and no INVLPGB."""

from shootdown.patches import Call, Parameter, Patch, ops, replaces

PATCH = Patch(
    subject="skip redundant sync IPIs when TLB flush sent them (Lance Yang, 2026-03-09)",
    message_id="20260309020711.20831-1-lance.yang@linux.dev",
    note="this is v7; v10 (2026-04-24) was rejected",
    switches=(Parameter("implied", True, "the boot-time decision: a native flush implies an IPI"),),
)


@replaces("tlb_remove_table_sync_one")
def sync_one(call: Call, why: str) -> None:
    """Return early where a flush of the same tables was an IPI to every CPU that could walk them."""
    if call.switch("implied") and call.lowering.sync_redundant_natively:
        return
    call.original()


@replaces("tlb_flush", arch="x86")
def tlb_flush(call: Call, g: int) -> None:
    """Pass freed_tables || unshared_tables, so that the flush reaches lazy CPUs."""
    with call.asm.if_flags(g, ops.UNSHARED_TABLES):
        call.asm.set_flags(g, ops.FREED_TABLES, text="freed_tables || unshared_tables")
    call.original()
