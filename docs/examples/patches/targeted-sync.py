"""Interrupt only the CPUs that walk this mm without a lock: each says so in active_lockless_pt_walk_mm."""

from shootdown.patches import Call, Patch, ops, replaces

PATCH = Patch(
    subject="targeted TLB sync IPIs for lockless page table walkers (Lance Yang, 2026-02-02)",
    message_id="20260202074557.16544-1-lance.yang@linux.dev",
    note="this is v4; v5 dropped it for a 3 percent cost in GUP-fast, which is not in these times",
)


@replaces("tlb_remove_table_sync_one")
def sync_mm(call: Call, why: str) -> None:
    """Write tlb_remove_table_sync_mm(): an IPI to the walkers of this mm, and the wait for them."""
    asm = call.asm
    if not call.kernel.rcu_table_free:
        return
    with asm.because("table sync"):
        asm.target_all_online()
        asm.keep_walking_targets()
        asm.send(ops.CALL_SYNC, text=f"IPI: empty handler ({why})")
        asm.wait_for_answers("wait until no CPU walks this mm")
