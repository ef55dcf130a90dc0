"""What arm64 kernels write into traces, counters and logs, for `shootdown read`."""

from __future__ import annotations

from shootdown.porting import InterruptRow, Recorded, Silent, StackName

#: arch/arm64/kernel/smp.c:arch_show_interrupts(): rows are numbered, IPI0 on.
_ROWS = (
    InterruptRow(
        "",
        "Function call interrupts",
        "call",
        "a CPU ran functions that others had queued; no flush of user pages",
    ),
    InterruptRow("", "Rescheduling interrupts", "reschedule", "a CPU was told to look for another task"),
)

_FUNCTIONS = (
    StackName("__flush_tlb_range", "user", "flushes a range by TLBI (arch/arm64/include/asm/tlbflush.h)"),
    StackName("__flush_tlb_range_nosync", "user", "flushes a range by TLBI, and does not wait"),
    StackName("flush_tlb_mm", "user", "flushes an address space by TLBI"),
    StackName("tlb_flush", "user", "flushes what a gather recorded (arch/arm64/include/asm/tlb.h)"),
)

#: include/uapi/asm-generic/unistd.h.
_SYSCALLS = {
    46: "ftruncate", 45: "truncate", 47: "fallocate", 82: "fsync", 83: "fdatasync", 84: "sync_file_range", 93: "exit",
    94: "exit_group", 214: "brk", 215: "munmap", 216: "mremap", 220: "clone", 221: "execve", 222: "mmap",
    226: "mprotect", 227: "msync", 233: "madvise", 235: "mbind", 238: "migrate_pages", 239: "move_pages",
    281: "execveat", 282: "userfaultfd", 283: "membarrier", 288: "pkey_mprotect", 435: "clone3", 440: "process_madvise",
}  # fmt: skip

RECORDED = Recorded(
    marks=(r"\b__arm64_sys_", r"\bGICv\d", r"\bGIC-\d", r"\barch_timer\b", r"\bpc : ", r"\bel0t?_(?:svc|64)"),
    rows=_ROWS,
    functions=_FUNCTIONS,
    syscalls=_SYSCALLS,
    silent=(
        Silent(
            "flushes: TLBI reaches all CPUs by hardware, so that no row, event or counter has them; function "
            "call interrupts are other things"
        ),
    ),
)
