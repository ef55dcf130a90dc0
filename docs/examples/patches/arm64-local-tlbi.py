"""Invalidate on this CPU alone, by TLBI without IS and DSB NSH, where the mm has never run on another one."""

from shootdown.patches import Call, Patch, ops, replaces

PATCH = Patch(
    subject="arm64: TLBI of one CPU only for an mm that ran on one CPU (v2, Cherian, 2026-05-23)",
    message_id="20260523134710.3827956-1",
    note="not merged in 7.3.4; the cost of noting the CPU at a context switch is left out, as are errata",
    keeps_mm_cpumask=True,
)


@replaces("__tlbi", arch="arm64")
def tlbi(call: Call, name: str, per: int) -> None:
    """Write the form without IS if no other CPU ever ran the mm; with KPTI for both ASIDs of the pair."""
    asm = call.asm
    asm.target_mm_cpumask()
    with asm.if_targets() as others:
        call.original()
        others.otherwise()
        local = name.removesuffix("is")
        times = 2 if call.kernel.arch.kpti else 1
        asm.execute(local, times, per, cost="page_flush_ns", text=local.replace("_", " ").upper())


@replaces("__tlbi_sync_s1ish", arch="arm64")
def sync(call: Call, scope: int) -> None:
    """Wait for this CPU alone where the TLBI before it was of this CPU."""
    asm = call.asm
    with asm.if_targets() as others:
        call.original()
        others.otherwise()
        asm.flush_local_pages(0, scope, text="TLBI reaches this CPU")
        asm.note(ops.NOTE_COMPLETION, text="DSB NSH")
        asm.cancel(text="no other CPU ran this mm")
