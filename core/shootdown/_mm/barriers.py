"""membarrier(): IPIs that flush nothing (kernel/sched/membarrier.c)."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.call_parts import CallParts

#: Commands of membarrier(), and what each does.
COMMANDS = {
    "PRIVATE_EXPEDITED": "interrupts the CPUs that run other threads of the process",
    "PRIVATE_EXPEDITED_RSEQ": "the same, and each restarts its rseq critical section",
    "GLOBAL": "waits for a grace period, and interrupts nobody",
}


class Barriers(CallParts):
    """Write membarrier() of a process that has registered for it."""

    def membarrier(self, command: str, *, alone: bool) -> None:
        """Write membarrier().

        Args:
            command: one of `COMMANDS`.
            alone: the process has one thread, so that there is nobody to interrupt (mm_users is 1).
        """
        with self.asm.because("membarrier"):
            self.asm.work("syscall_ns", text="membarrier: entry")
            if command == "GLOBAL":
                self.asm.note(o.NOTE_RCU, text="synchronize_rcu")
            else:
                self.private_expedited(command, alone=alone)

    @function("membarrier_private_expedited", "kernel/sched/membarrier.c")
    def private_expedited(self, command: str, *, alone: bool) -> None:
        """Write membarrier_private_expedited(): the CPUs whose current task is of this mm execute a barrier.

        mm_cpumask is not looked at but rq->curr->mm, so that lazy CPUs and those that ran the process before are left
        out. So it is in all releases from 5.10 on.

        Args:
            command: one of `COMMANDS` that is private.
            alone: mm_users is 1.
        """
        if alone:
            return
        asm, handler = self.asm, "ipi_rseq" if command.endswith("RSEQ") else "ipi_mb"
        asm.target_all_online()
        asm.target_current(text="whose rq->curr->mm is this mm?")
        with asm.if_targets():
            asm.send(o.CALL_BARRIER, text=f"IPI: {handler}")
            asm.wait_for_answers("wait until each has executed a barrier")
