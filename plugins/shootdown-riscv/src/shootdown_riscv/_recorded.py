"""What riscv kernels write into traces, counters and logs, for `shootdown read`."""

from __future__ import annotations

from shootdown.porting import GENERIC_SYSCALLS, InterruptRow, Recorded, Silent, StackName

#: arch/riscv/kernel/smp.c:show_ipi_stats(): rows are numbered, IPI0 on.
_ROWS = (
    InterruptRow(
        "",
        "Function call interrupts",
        "call",
        "a CPU ran functions that others had queued: flushes by IPI too",
    ),
    InterruptRow("", "Rescheduling interrupts", "reschedule", "a CPU was told to look for another task"),
)

#: arch/riscv/mm/tlbflush.c.
_FUNCTIONS = (
    StackName("__ipi_flush_tlb_range_asid", "user", "the handler of a flush by IPI"),
    StackName("__ipi_flush_tlb_all", "all", "the handler that flushes everything"),
    StackName("__flush_tlb_range", "user", "flushes a range, by IPI or by a call of the firmware"),
    StackName("sbi_remote_sfence_vma_asid", "user", "asks the firmware to flush (arch/riscv/kernel/sbi.c)"),
    StackName("sbi_remote_sfence_vma", "user", "asks the firmware to flush (arch/riscv/kernel/sbi.c)"),
    StackName("flush_tlb_kernel_range", "kernel", "flushes kernel addresses on all CPUs"),
)

RECORDED = Recorded(
    marks=(r"\b__riscv_sys_", r"\bRISC-V INTC\b", r"\bPLIC\b", r"\briscv-timer\b", r"\bepc : ", r"\bsbi_"),
    rows=_ROWS,
    functions=_FUNCTIONS,
    syscalls=GENERIC_SYSCALLS,
    silent=(
        Silent(
            "flushes that the firmware carries out (SBI remote fences): they have no row here; those by IPI are "
            "function calls among others"
        ),
    ),
)
