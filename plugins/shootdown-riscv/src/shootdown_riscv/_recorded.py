"""What riscv kernels write into traces, counters and logs, for `shootdown read`."""

from __future__ import annotations

from shootdown.porting import InterruptRow, Recorded, Silent, StackName

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

#: include/uapi/asm-generic/unistd.h.
_SYSCALLS = {
    46: "ftruncate", 45: "truncate", 47: "fallocate", 82: "fsync", 83: "fdatasync", 84: "sync_file_range", 93: "exit",
    94: "exit_group", 214: "brk", 215: "munmap", 216: "mremap", 220: "clone", 221: "execve", 222: "mmap",
    226: "mprotect", 227: "msync", 233: "madvise", 235: "mbind", 238: "migrate_pages", 239: "move_pages",
    281: "execveat", 282: "userfaultfd", 283: "membarrier", 288: "pkey_mprotect", 435: "clone3", 440: "process_madvise",
}  # fmt: skip

RECORDED = Recorded(
    marks=(r"\b__riscv_sys_", r"\bRISC-V INTC\b", r"\bPLIC\b", r"\briscv-timer\b", r"\bepc : ", r"\bsbi_"),
    rows=_ROWS,
    functions=_FUNCTIONS,
    syscalls=_SYSCALLS,
    silent=(
        Silent(
            "flushes that the firmware carries out (SBI remote fences): they have no row here; those by IPI are "
            "function calls among others"
        ),
    ),
)
