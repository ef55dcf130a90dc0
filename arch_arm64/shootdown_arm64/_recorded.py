"""What arm64 kernels write into traces, counters and logs, for `shootdown read`."""

from __future__ import annotations

from shootdown.porting import GENERIC_SYSCALLS, InterruptRow, Recorded, Silent, StackName

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

RECORDED = Recorded(
    marks=(r"\b__arm64_sys_", r"\bGICv\d", r"\bGIC-\d", r"\barch_timer\b", r"\bpc : ", r"\bel0t?_(?:svc|64)"),
    rows=_ROWS,
    functions=_FUNCTIONS,
    syscalls=GENERIC_SYSCALLS,
    silent=(
        Silent(
            "flushes: TLBI reaches all CPUs by hardware, so that no row, event or counter has them; function "
            "call interrupts are other things"
        ),
    ),
)
