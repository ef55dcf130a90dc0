"""A patch with a defect: a flush reaches the CPU of its task after the wait for the other CPUs."""

from __future__ import annotations

from shootdown.patches import Call, Patch, ops, replaces

PATCH = Patch(subject="flush this CPU last")


@replaces("native_flush_tlb_multi", arch="x86")
def flush(call: Call, g: int) -> None:
    """Flush on the targets, wait, and then flush everything on the CPU that the task is on by then."""
    asm = call.asm
    with asm.if_flags(g, ops.FREED_TABLES | ops.FULLMM) as all_cpus:
        all_cpus.otherwise()
        asm.drop_lazy_targets()
    asm.send_flush_ipis(ops.SCOPE_BOTH)
    asm.wait_for_answers(preemptible=call.kernel.ipi_waits_preemptible)
    asm.request(g, flags=ops.FULLMM)
    asm.begin_flush(g, ceiling=33)
    with asm.if_loaded_here():
        asm.flush_this_cpu(ops.SCOPE_BOTH)
    asm.cancel()
