"""What x86 kernels write into traces, counters and logs, for `shootdown read`."""

from __future__ import annotations

from shootdown.porting import Evidence, InterruptRow, Recorded, Silent, StackName

#: arch/x86/kernel/irq.c:arch_show_interrupts().
_ROWS = (
    InterruptRow(
        "TLB", "TLB shootdowns", "shootdown", "a CPU flushed user pages because another one asked it to"
    ),
    InterruptRow(
        "CAL", "Function call interrupts", "call", "a CPU ran functions that others had queued, flushes too"
    ),
    InterruptRow("RES", "Rescheduling interrupts", "reschedule", "a CPU was told to look for another task"),
)

#: arch/x86/mm/tlb.c unless another file is named.
_FUNCTIONS = (
    StackName("flush_tlb_mm_range", "user", "flushes a part of an address space"),
    StackName("flush_tlb_multi", "user", "sends the interrupts of a shootdown"),
    StackName("native_flush_tlb_multi", "user", "sends the interrupts of a shootdown, since v5.13"),
    StackName("native_flush_tlb_others", "user", "sends the interrupts of a shootdown, until v5.12"),
    StackName("flush_tlb_func", "user", "the handler: flushes this CPU for another one, or for itself"),
    StackName("flush_tlb_func_remote", "user", "the handler, until v5.12"),
    StackName("flush_tlb_func_common", "user", "flushes this CPU, until v5.12"),
    StackName("flush_tlb_func_local", "user", "flushes this CPU, until v5.12"),
    StackName("broadcast_tlb_flush", "user", "flushes by INVLPGB, since v6.15"),
    StackName("kvm_flush_tlb_multi", "user", "leaves preempted vCPUs out (arch/x86/kernel/kvm.c)"),
    StackName("hyperv_flush_tlb_multi", "user", "asks the hypervisor (arch/x86/hyperv/mmu.c)"),
    StackName("xen_flush_tlb_multi", "user", "asks the hypervisor (arch/x86/xen/mmu_pv.c)"),
    StackName("flush_tlb_kernel_range", "kernel", "flushes kernel addresses on all CPUs"),
    StackName("do_kernel_range_flush", "kernel", "the handler for kernel addresses"),
    StackName("flush_tlb_all", "all", "flushes everything on all CPUs"),
    StackName("do_flush_tlb_all", "all", "the handler that flushes everything"),
    StackName("__x2apic_send_IPI_mask", "none", "sends interrupts, one by one (arch/x86/kernel/apic/x2apic_phys.c)"),
    StackName("x2apic_send_IPI_mask", "none", "sends interrupts (arch/x86/kernel/apic/x2apic_cluster.c)"),
    StackName("native_write_msr", "none", "writes an MSR: with x2APIC to send an interrupt, among other things"),
)  # fmt: skip

#: arch/x86/entry/syscalls/syscall_64.tbl.
_SYSCALLS = {
    9: "mmap", 10: "mprotect", 11: "munmap", 12: "brk", 25: "mremap", 26: "msync", 28: "madvise", 56: "clone",
    57: "fork", 58: "vfork", 59: "execve", 60: "exit", 74: "fsync", 75: "fdatasync", 76: "truncate", 77: "ftruncate",
    231: "exit_group", 237: "mbind", 256: "migrate_pages", 277: "sync_file_range", 279: "move_pages",
    285: "fallocate", 322: "execveat", 323: "userfaultfd", 324: "membarrier", 329: "pkey_mprotect", 435: "clone3",
    440: "process_madvise",
}  # fmt: skip

_SPELLING = (
    "8b62e64e6d30 (13 December 2025, v6.19-rc) spelled the reasons anew, not 6.13 as some say; which point releases of "
    "6.17 and 6.18 have it is UNVERIFIED"
)
_EVIDENCE = (
    Evidence("capital spelling", "reasons are spelled `local MM shootdown`, or one is `remote wrong CPU`",
             _SPELLING, first="6.17"),
    Evidence("small spelling", "reasons are spelled `local mm shootdown`", _SPELLING, last="6.18"),
    Evidence("reason 5", "there is reason 5, a CPU that runs something else",
             "2815a56e4b72, beside 209954cbc7d0 (6.14-rc1; others say 6.13)", first="6.13"),
    Evidence("send before local", "a sender flushes its own TLB after it sent",
             "4ce94eabac16 (v5.13): remote and local TLBs are flushed concurrently", first="5.13"),
    Evidence("local before send", "a sender has flushed its own TLB before it sends",
             "4ce94eabac16 (v5.13): until then one after the other", last="5.12"),
    Evidence("flush_tlb_multi", "flush_tlb_multi()", "4ce94eabac16 (v5.13)",
             ("native_flush_tlb_multi", "flush_tlb_multi", "kvm_flush_tlb_multi", "hyperv_flush_tlb_multi",
              "xen_flush_tlb_multi"), first="5.13"),
    Evidence("flush_tlb_others", "flush_tlb_others()", "4ce94eabac16 (v5.13) replaced it",
             ("native_flush_tlb_others", "flush_tlb_func_remote", "flush_tlb_func_common", "kvm_flush_tlb_others"),
             last="5.12"),
    Evidence("broadcast_tlb_flush", "INVLPGB", "4afeb0ed1753 (v6.15)",
             ("broadcast_tlb_flush", "consider_global_asid", "invlpgb_kernel_range_flush"), first="6.15"),
)  # fmt: skip

RECORDED = Recorded(
    marks=(
        r"\bTLB shootdowns\b",
        r"\b__(?:x64|ia32)_sys_",
        r"\bRIP: 00",
        r"\basm_sysvec_",
        r"\bentry_SYSCALL_64",
        r"\bIO-APIC\b",
        r"\bx2apic_",
    ),
    events=("tlb_flush",),
    rows=_ROWS,
    functions=_FUNCTIONS,
    syscalls=_SYSCALLS,
    evidence=_EVIDENCE,
    silent=(
        Silent(
            "flushes of kernel addresses (vfree(), modules): do_kernel_range_flush() has no tlb_flush event and no row "
            "but CAL"
        ),
        Silent("flushes by INVLPGB (AMD): they have no event, no interrupt and no counter", first="6.15"),
        Silent(
            "in a guest with paravirtual flushes, vCPUs that were preempted: they flush later, without an answer",
            kinds=("events", "interrupts", "vmstat"),
        ),
    ),
)
