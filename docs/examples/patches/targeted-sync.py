"""Interrupt only the CPUs that walk this mm without a lock: each says so in active_lockless_pt_walk_mm."""

from shootdown.patches import Call, Field, Parameter, Patch, ops, replaces

PATCH = Patch(
    subject="targeted TLB sync IPIs for lockless page table walkers (Lance Yang, 2026-02-02)",
    message_id="20260202074557.16544-1-lance.yang@linux.dev",
    note="this is v4; v5 dropped it for a 3 percent cost in GUP-fast, which is not in these times",
    switches=(
        Parameter("targeted", True, "the sync looks at active_lockless_pt_walk_mm"),
        Parameter("barrier", True, "a walker has a full barrier after its store"),
    ),
    fields=(Field("active_lockless_pt_walk_mm", by="cpu", doc="whose tables the CPU walks"),),
)


@replaces("gup_fast_pgd_range")
def gup_fast_pgd_range(call: Call, walk: object) -> None:
    """Say which mm is walked, from before its first entry is read."""
    active = call.field("active_lockless_pt_walk_mm")
    active.store(call.mm)
    if call.switch("barrier"):
        call.asm.fence(text="smp_mb")
    call.original()
    active.store(0)


@replaces("tlb_remove_table_sync_one")
def sync_mm(call: Call, why: str) -> None:
    """Write tlb_remove_table_sync_mm(): an IPI to the walkers of this mm, and the wait for them."""
    asm = call.asm
    if not (call.kernel.rcu_table_free and call.switch("targeted")):
        call.original()
        return
    with asm.because("table sync"):
        asm.target_all_online()
        call.field("active_lockless_pt_walk_mm").keep_targets(call.mm)
        asm.send(ops.CALL_SYNC, text=f"IPI: empty handler ({why})")
        asm.wait_for_answers("wait until no CPU walks this mm")
