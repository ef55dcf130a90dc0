"""A defect, to hunt for: the sync of page-table freeing leaves preempted vCPUs out, which may be inside GUP-fast."""

from shootdown.patches import Call, Patch, ops, replaces

PATCH = Patch(subject="a sync left out for preempted vCPUs: tlb_remove_table_sync_one()")


@replaces("tlb_remove_table_sync_one")
def tlb_remove_table_sync_one(call: Call, why: str) -> None:
    """Interrupt all other CPUs but preempted vCPUs, which flush when they run again."""
    asm = call.asm
    with asm.because("table sync"):
        asm.target_all_online()
        asm.flag_preempted_targets()
        asm.send(ops.CALL_SYNC, text=f"IPI: empty handler ({why})")
        asm.wait_for_answers("wait for the vCPUs that run")
