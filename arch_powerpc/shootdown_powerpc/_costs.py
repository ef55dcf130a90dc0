"""Costs on POWER machines in nanoseconds, each with its source: a measurement, or the reasoning.

`power9` is written out in full. Every other table has only the differences; costs that are taken over say so in their
source (`costs_like`). Little is published about tlbie: known are the time of local invalidation (CEILING), that
lazy-TLB bookkeeping dominated context switches before 6.4 (LAZY), and that one tlbie costs the machine more than 128
tlbiel (TRIM).
"""

from __future__ import annotations

from shootdown import Cost, Costs
from shootdown.porting import costs_like

# mprotect() of N pages, local flush, POWER9: 7.4 us for 32, 7.8 for 34, 13.8 for 64, 26.4 for 128, 98.3 for 512;
# with a flush of the PID, which is 128 tlbiel, 9.0, 14.6, 26.4, 50.2 for 34, 64, 128, 256. Solved for its parts:
# 1.0 us for the call, 187 ns for a page, 13 ns for a tlbiel, 1.65 us for a PID.
CEILING = "commit f6f27951fdf8 (powerpc/64s/radix: Introduce local single page ceiling), mprotect of N pages"
TRIM = "commit 0cef77c7798a (powerpc/64s/radix: flush remote CPUs out of single-threaded mm_cpumask)"
LAZY = "lore 20230203071837.1136453-6-npiggin@gmail.com, POWER8, 192 cores: 118 million context switches a second"
X86 = "reasoned as for x86's intel-server (docs/reference/costs.md)"


POWER9 = Costs(
    ipi_send_ns=Cost(
        50, 150, 600, "estimate: a store to the message area, hwsync, and msgsnd or an XIVE store"
    ),
    ipi_send_each_ns=Cost(
        80, 250, 600, "estimate: queueing the call moves two contended lines of 128 bytes, then one msgsnd"
    ),
    ipi_latency_ns=Cost(
        300, 900, 3_000, "estimate: a doorbell within a core to an XIVE interrupt on the other socket"
    ),
    ipi_handler_ns=Cost(
        200, 500, 1_500, "estimate: interrupt entry and return with four threads sharing the core"
    ),
    ipi_answer_each_ns=Cost(50, 150, 400, f"estimate: one line from another core or socket; {X86}"),
    preempted_ns=Cost(0, 0, 0, "estimate: nothing; no hypervisor takes a CPU away"),
    full_flush_ns=Cost(
        1_200,
        1_650,
        4_000,
        f"{CEILING}: 128 tlbiel take 1.64 us at 34 pages; low and high: a third less, refills",
    ),
    page_flush_ns=Cost(
        10,
        13,
        60,
        f"{CEILING}: 13 ns between a tlbiel more and less at 34 to 256 pages; high with its refill",
    ),
    broadcast_ns=Cost(
        50,
        200,
        1_000,
        f"estimate: no figure was published; {TRIM} gives up to 128 tlbiel (1.65 us) on each CPU for one tlbie, "
        "so that its whole cost, waiting and everybody's time included, is of that order",
    ),
    completion_ns=Cost(
        300,
        800,
        3_000,
        "estimate: eieio, tlbsync and ptesync: one round on the fabric and back; see broadcast_ns",
    ),
    completion_each_ns=Cost(
        0, 3, 20, "estimate: the slowest core answers last; as arm64's DSB and x86's TLBSYNC are modelled"
    ),
    hypercall_ns=Cost(500, 1_500, 6_000, "estimate: as power9-guest; this serves what-ifs"),
    hypercall_each_ns=Cost(0, 5, 50, "estimate: as power9-guest; this serves what-ifs"),
    flush_ns=Cost(20, 80, 300, "estimate: a full barrier, mm_cpumask and the choice of the flush's type"),
    lock_ns=Cost(15, 50, 300, "estimate: larx and stcx.; high when the line is on the other socket"),
    lock_handoff_ns=Cost(80, 300, 1_200, f"estimate: two or three lines that move; {X86}"),
    lock_wake_ns=Cost(1_500, 4_000, 100_000, "estimate: half of a pipe round trip; high from stop states"),
    switch_ns=Cost(
        800,
        2_000,
        13_000,
        f"estimate: a process' switch; high: {LAZY} on 1536 threads, idle in between, are 13 us each",
    ),
    fork_ns=Cost(25_000, 60_000, 300_000, f"estimate: {X86}, and a PID flush of the parent"),
    vma_fork_ns=Cost(150, 400, 3_000, f"estimate: slab allocation and tree insertion; {X86}"),
    start_ns=Cost(3_000, 12_000, 300_000, f"estimate: wake-up on another CPU and first faults; {X86}"),
    fault_ns=Cost(600, 1_600, 5_000, f"estimate: entry, fault mutex, page-cache lookup; {X86}"),
    zero_ns=Cost(60_000, 150_000, 500_000, "estimate: 2 MiB at 35 to 4 GB/s, by dcbz"),
    share_ns=Cost(200, 600, 6_000, "estimate: as on x86; powerpc shares no tables, this serves what-ifs"),
    small_fault_ns=Cost(500, 1_100, 3_000, f"estimate: {X86}"),
    zap_ns=Cost(50, 187, 400, f"{CEILING}: 187 ns a page beyond the flush; low: nothing but the entry"),
    zap_huge_ns=Cost(100, 300, 1_500, f"estimate: a cold entry, one folio's counts; {X86}"),
    unshare_ns=Cost(60, 200, 1_000, "estimate: as on x86; powerpc shares no tables, this serves what-ifs"),
    skip_ns=Cost(1, 3, 20, f"estimate: reading one entry of a table in order; {X86}"),
    exit_ns=Cost(30_000, 70_000, 300_000, f"estimate: as fork_ns; {X86}"),
    syscall_ns=Cost(
        600, 1_000, 4_000, f"{CEILING}: 1.0 us is left of the call; high with mitigations and VMA work"
    ),
    migrate_ns=Cost(3_000, 9_000, 45_000, f"estimate: stopper wake-up and two switches; {X86}"),
    collapse_ns=Cost(200_000, 600_000, 2_000_000, "estimate: copying 2 MiB and clearing what was missing"),
    user_ns=Cost(10, 50, 500, "estimate: a call such as rand() and a cache miss"),
)

POWER10 = costs_like(
    "power9",
    POWER9,
    full_flush_ns=Cost(
        20, 100, 1_700, "estimate: one tlbiel names all sets (ISA 3.1, e80639405c40); high: kernels that loop"
    ),
    completion_each_ns=Cost(0, 2, 15, "estimate: power9's on a newer fabric"),
    zero_ns=Cost(40_000, 100_000, 400_000, "estimate: 2 MiB at 52 to 5 GB/s"),
)

POWER9_GUEST = costs_like(
    "power9",
    POWER9,
    ipi_latency_ns=Cost(
        500,
        1_500,
        15_000,
        "estimate: msgsnd traps, or XIVE delivers to a running vCPU; high a vCPU that ceded",
    ),
    ipi_handler_ns=Cost(300, 600, 2_500, "estimate: power9's; high with an exit to KVM"),
    preempted_ns=Cost(
        700_000, 3_000_000, 24_000_000, "estimate: one slice of the host's scheduler; high: eight of them"
    ),
    hypercall_ns=Cost(
        500, 1_500, 6_000, "estimate: an exit from radix guests saves and reloads their context"
    ),
    hypercall_each_ns=Cost(
        0, 5, 50, "estimate: KVM executes tlbie for the guest (do_h_rpt_invalidate_prt())"
    ),
    lock_wake_ns=Cost(3_000, 12_000, 100_000, "estimate: a vCPU that ceded has to enter again"),
    start_ns=Cost(5_000, 20_000, 300_000, "estimate: as lock_wake_ns, and first faults"),
    small_fault_ns=Cost(600, 1_500, 4_000, "estimate: power9's with nested walks"),
)

POWER10_LPAR = costs_like(
    "power9-guest",
    POWER9_GUEST,
    full_flush_ns=Cost(20, 100, 1_700, "estimate: as power10"),
    hypercall_ns=Cost(800, 2_500, 10_000, "estimate: as power9-guest; PowerVM flushes for the partition"),
)

POWER8 = costs_like(
    "power9",
    POWER9,
    page_flush_ns=Cost(10, 20, 100, "estimate: power9's tlbiel by address, on an older core"),
    broadcast_ns=Cost(50, 250, 1_200, "estimate: power9's on an older fabric"),
    completion_ns=Cost(300, 1_000, 4_000, "estimate: power9's on an older fabric"),
    switch_ns=Cost(
        1_000,
        3_000,
        13_000,
        f"estimate: segments are reloaded with the process; high: {LAZY} on 1536 threads, idle in between",
    ),
    small_fault_ns=Cost(700, 1_500, 4_000, "estimate: power9's, and a hash-table entry to insert"),
    zap_ns=Cost(60, 250, 700, "estimate: power9's, and a hash-table entry to find and clear"),
)

POWER9_HASH = costs_like(
    "power9",
    POWER9,
    small_fault_ns=Cost(700, 1_400, 4_000, "estimate: power9's, and a hash-table entry to insert"),
    zap_ns=Cost(60, 230, 600, "estimate: power9's, and a hash-table entry to find and clear"),
)

QEMU_TCG = costs_like("power9", POWER9)
