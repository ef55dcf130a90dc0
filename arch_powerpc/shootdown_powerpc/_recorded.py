"""What powerpc kernels write into traces, counters and logs, for `shootdown read`."""

from __future__ import annotations

from shootdown.porting import InterruptRow, Recorded, Silent, StackName

#: arch/powerpc/kernel/irq.c:arch_show_interrupts().
_ROWS = (
    InterruptRow(
        "DBL", "Doorbell interrupts", "call", "a CPU was called by a doorbell: function calls and wake-ups"
    ),
    # arch/powerpc/sysdev/xive/common.c:xive_ipi_chip, xics/xics-common.c:xics_request_ipi(): rows with the interrupt's
    # number, which the kernel chooses
    InterruptRow("", "XIVE-IPI", "call", "a CPU was called by the XIVE: function calls and wake-ups"),
    InterruptRow("", "XICS 2 Edge IPI", "call", "a CPU was called by the XICS: function calls and wake-ups"),
)

_FUNCTIONS = (
    StackName(
        "radix__tlb_flush", "user", "flushes what a gather recorded (arch/powerpc/mm/book3s64/radix_tlb.c)"
    ),
    StackName("radix__flush_tlb_mm", "user", "flushes an address space"),
    StackName("radix__flush_tlb_range", "user", "flushes a range"),
    StackName("radix__flush_tlb_page_psize", "user", "flushes a page"),
    StackName("__radix__flush_tlb_range", "user", "flushes a range"),
    StackName("radix__flush_tlb_kernel_range", "kernel", "flushes kernel addresses"),
    StackName("do_exit_flush_lazy_tlb", "none", "the handler that takes a lazy CPU out of an mm_cpumask"),
    StackName("exit_flush_lazy_tlbs", "none", "takes lazy CPUs out of an mm_cpumask before a local flush"),
    StackName("__flush_tlb_pending", "user", "drains a batch of hash-table entries"),
    StackName(
        "hash__tlb_flush",
        "user",
        "drains a batch of hash-table entries (arch/powerpc/mm/book3s64/hash_tlb.c)",
    ),
)

#: arch/powerpc/kernel/syscalls/syscall.tbl.
_SYSCALLS = {
    1: "exit", 2: "fork", 11: "execve", 45: "brk", 90: "mmap", 91: "munmap", 92: "truncate", 93: "ftruncate",
    118: "fsync", 120: "clone", 125: "mprotect", 144: "msync", 148: "fdatasync", 163: "mremap", 189: "vfork",
    205: "madvise", 234: "exit_group", 258: "migrate_pages", 259: "mbind", 301: "move_pages", 309: "fallocate",
    362: "execveat", 365: "membarrier", 386: "pkey_mprotect", 435: "clone3", 440: "process_madvise",
}  # fmt: skip

RECORDED = Recorded(
    marks=(
        r"\bXIVE\b",
        r"\bXICS\b",
        r"\bDoorbell interrupts\b",
        r"\bNIP\b",
        r"\bsystem_call_exception\b",
        r"\bradix__",
    ),
    rows=_ROWS,
    functions=_FUNCTIONS,
    syscalls=_SYSCALLS,
    silent=(
        Silent("flushes by tlbie: hardware reaches all CPUs, so that no row, event or counter has them"),
    ),
)
