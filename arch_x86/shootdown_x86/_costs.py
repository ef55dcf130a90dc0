"""Costs on x86 machines in nanoseconds, each with its source: a measurement, or the reasoning.

`intel-server` is written out in full. Every other table has only the differences; costs that are taken over
say so in their source (`costs_like`). `docs/reference/costs.md` lists all of them and explains the arithmetic.

No figure here comes from the bug report that the headline workload reproduces: the model's prediction is compared with
the report's times.
"""

from __future__ import annotations

from shootdown import Cost, Costs
from shootdown.porting import costs_like

# The sources that serve several costs.
IPIV = "KVM IPI virtualization v7, lore 20220304080725.18135-1-guang.zeng@intel.com"
PV_IPI = "commit 4180bf1b655a, guest of 80 vCPUs on 2-socket Skylake 2.5 GHz"
NOROV = "IPI benchmark, lore 20171219085010.4081-1-ynorov@caviumnetworks.com"
X2APIC = "commit cc95a07fef06, 256 CPUs of two sockets: sending a broadcast takes 11 us, and took 33 us"
WALK = (
    "measured: a C loop that calls a function which walks three levels takes 1.6 ns, and 6.5 ns with return thunks, "
    "in a 2-vCPU guest on AMD EPYC (Zen 4)"
)
CEILING = "Hansen, lore 20140218193017.ECDF1089@viggo.jf.intel.com, IvyBridge i5-3320M"
PTI_FLUSH = "Amit, lore 20190823224635.15387-1-namit@vmware.com, Xeon E5-2660 v4"
DSB = (
    "as the DSB of arm64's neoverse-n1, which was measured on 8 and on 100 CPUs; no figure of TLBSYNC alone is "
    "published"
)
DRAINS = "van Riel, lore 20250123042447.2259648-1-riel@surriel.com, AMD Milan, tlb_flush2_threads"
VMCALL = "kvm-unit-tests vmexit, lore 1584007547-4802-1-git-send-email-wanpengli@tencent.com, Skylake-SP"
COLLAPSE = "Yang, lore 20240308074921.45752-1-ioworker0@gmail.com, Core i5"
COLLAPSED = (
    "estimate: 233 us with 511 pages missing and 523 us with 128 make 620 us with none; 198 us to allocate "
    f"({COLLAPSE})"
)
CLEAR = "commit 9890ecab6ad9, AMD Genoa"
GUEST = "measured in a 2-vCPU KVM guest on AMD EPYC (family 1Ah), Linux 6.18.44; docs/reference/costs.md"
SST = "Documentation/admin-guide/pm/intel-speed-select.rst (perf bench sched pipe on two CPUs: 6.1 us)"
IDLE = "drivers/idle/intel_idle.c, spr_cstates (C1E 2 us, C6 290 us)"


INTEL_SERVER = Costs(
    ipi_send_ns=Cost(
        20,
        50,
        200,
        f"estimate: a small part of the 1317 ns that a single IPI takes until it is handled ({IPIV})",
    ),
    ipi_send_each_ns=Cost(
        95,
        280,
        560,
        "estimate: two contended lines of the call's queue, and 27 ns to find the target's cluster (see ipi_write_ns). "
        "With ipi_answer_each_ns and a share of ipi_write_ns 0.43 us: a native broadcast on 112 CPUs of ThunderX2 "
        f"costs 18 dry runs, of 24 to 30 ns, a target ({NOROV})",
    ),
    ipi_write_ns=Cost(
        80,
        250,
        690,
        f"estimate: an ICR write and its fences; high is all of the 11 us of {X2APIC}, for each of 16 clusters; the "
        "rest of likely is 27 ns a target, in ipi_send_each_ns",
    ),
    ipi_scan_ns=Cost(40, 86, 180, f"{X2APIC}: 22 us less for 256 targets; high: a line of the other socket"),
    ipi_latency_ns=Cost(
        500,
        800,
        2240,
        "estimate: what sending leaves of 1317 ns, without a VM exit on either side "
        f"({IPIV}); high is a guest's 2239 ns ({PV_IPI})",
    ),
    ipi_handler_ns=Cost(
        250,
        500,
        1200,
        "estimate: 416 ns from the handler's start until the sender sees the answer "
        f"({IPIV}: 1733 less 1317 ns), with entry and return, without the transfer",
    ),
    ipi_answer_each_ns=Cost(
        50, 130, 300, "estimate: one line from another core or socket; see ipi_send_each_ns"
    ),
    preempted_ns=Cost(0, 0, 0, "estimate: nothing; no hypervisor takes a CPU away"),
    full_flush_ns=Cost(
        40,
        150,
        376,
        "estimate: from 96 cycles (Molnar 2015, CPU not named) to the INVPCID of Skylake that flushes all address "
        "spaces and global entries (commit d8bced79af1d); what is walked for again is refill_ns",
    ),
    page_flush_ns=Cost(
        40,
        100,
        216,
        f"{CEILING}: 262 cycles a page (fit over 1 to 35 pages); low 100 cycles (commit a5102476a24b); "
        f"high with PTI, 519 cycles a page, its zap included ({PTI_FLUSH})",
    ),
    broadcast_ns=Cost(
        50, 150, 500, "estimate: a write that leaves the core, as a locked one does; INVLPGB is posted"
    ),
    completion_ns=Cost(80, 200, 600, f"estimate: {DSB}"),
    completion_each_ns=Cost(1, 10, 40, f"estimate: {DSB}"),
    hypercall_ns=Cost(620, 1500, 5000, "estimate: as kvm-guest; this serves what-ifs"),
    hypercall_each_ns=Cost(60, 200, 1000, "estimate: as kvm-guest; this serves what-ifs"),
    flush_ns=Cost(
        20,
        80,
        300,
        "estimate: one contended atomic and the choice; below the 994 cycles that a flush costs whatever its "
        f"pages ({CEILING})",
    ),
    lock_ns=Cost(15, 40, 250, "estimate: two atomics; high when the line is on the other socket"),
    lru_ns=Cost(
        300,
        1_000,
        2_000,
        "estimate: half of amd-server's, as a line moves half as long within a socket (see far_line_ns); low: two "
        "handoffs of a spinlock, one for a page's way to the list and one for its way off",
    ),
    lock_handoff_ns=Cost(
        80,
        250,
        1000,
        "estimate: two or three cache-line transfers between the holder, the queue and the waiter",
    ),
    lock_wake_ns=Cost(
        1_500, 3_000, 60_000, f"estimate: half of a round trip, {SST}; high from deeper idle states, {IDLE}"
    ),
    switch_ns=Cost(
        700,
        1_500,
        3_000,
        f"estimate: half of a pipe round trip on one CPU less its calls is 2.1 us in a guest ({GUEST})",
    ),
    fork_ns=Cost(
        25_000,
        50_000,
        250_000,
        f"estimate: 44 us ({GUEST}); bare metal has no nested walks, 196 CPUs have more to set up",
    ),
    vma_fork_ns=Cost(
        150, 400, 3_000, "estimate: slab allocation, maple-tree and interval-tree insertion, cold lines"
    ),
    start_ns=Cost(
        3_000, 10_000, 300_000, f"estimate: wake-up on another CPU and first faults; high from C6, {IDLE}"
    ),
    fault_ns=Cost(
        600,
        1_500,
        5_000,
        f"estimate: entry, fault mutex, page-cache lookup; a small fault took 1.7 us ({GUEST})",
    ),
    zero_ns=Cost(90_000, 180_000, 500_000, f"estimate: 2 MiB at 23 to 4 GB/s, see amd-server ({CLEAR})"),
    share_ns=Cost(
        200, 600, 6_000, "estimate: interval-tree steps, each with a cold walk of another process's tables"
    ),
    small_fault_ns=Cost(400, 900, 2_500, f"estimate: 1.7 us in a guest, with nested walks ({GUEST})"),
    zap_ns=Cost(20, 100, 350, f"estimate: 0.33 us with the freeing of the page in a guest ({GUEST})"),
    zap_huge_ns=Cost(100, 300, 1_500, "estimate: a cold entry, one folio's reference and map count"),
    unshare_ns=Cost(60, 200, 1_000, "estimate: an atomic on the table's page, one entry, one counter"),
    skip_ns=Cost(1, 3, 20, "estimate: reading one entry of a table in order; high when its line is cold"),
    visit_ns=Cost(1.2, 1.8, 7, f"estimate: three loads that hit L1, and a call; {WALK}"),
    exit_ns=Cost(30_000, 60_000, 250_000, f"estimate: 60 us ({GUEST}), as fork_ns"),
    syscall_ns=Cost(
        400, 1_200, 3_800, f"estimate: 1.8 us, half of mmap() with munmap() in a guest ({GUEST})"
    ),
    migrate_ns=Cost(3_000, 8_000, 41_000, f"estimate: stopper wake-up and two switches; high is {GUEST}"),
    collapse_ns=Cost(230_000, 700_000, 2_000_000, COLLAPSED),
    user_ns=Cost(10, 50, 500, "estimate: a call such as rand() and a cache miss"),
)

INTEL_CLIENT = costs_like(
    "intel-server",
    INTEL_SERVER,
    ipi_send_each_ns=Cost(55, 130, 310, "estimate: one ring, lines nearer than on intel-server"),
    ipi_write_ns=Cost(60, 180, 500, "estimate: intel-server's at 4 to 5 GHz"),
    ipi_latency_ns=Cost(300, 600, 1500, "estimate: one die at 4 to 5 GHz, against intel-server"),
    ipi_handler_ns=Cost(150, 350, 900, "estimate: intel-server's at 4 to 5 GHz"),
    ipi_answer_each_ns=Cost(20, 60, 150, "estimate: intel-server's without a second socket"),
    zero_ns=Cost(
        60_000, 97_000, 300_000, f"{COLLAPSE}: allocating a huge page takes 295 us cleared and 198 us not"
    ),
    fork_ns=Cost(15_000, 35_000, 120_000, "estimate: intel-server's with fewer CPUs and a higher clock"),
    exit_ns=Cost(20_000, 45_000, 120_000, "estimate: intel-server's with fewer CPUs and a higher clock"),
    collapse_ns=Cost(230_000, 800_000, 2_000_000, COLLAPSED),
)

AMD_SERVER = costs_like(
    "intel-server",
    INTEL_SERVER,
    ipi_answer_each_ns=Cost(
        50, 150, 350, "estimate: intel-server's and a little, as chiplets are farther apart"
    ),
    lru_ns=Cost(
        500,
        1_900,
        4_000,
        f"estimate: {DRAINS}: 527,000 loops a second of 36 threads, and 731,000 or 1,157,000 without lru_add_drain()",
    ),
    zero_ns=Cost(
        89_000, 178_000, 400_000, f"{CLEAR}: 2 MiB at 11.76 GB/s; low at the 23.58 GB/s that it brought"
    ),
    start_ns=Cost(3_000, 10_000, 100_000, "estimate: as intel-server, with AMD's shallower idle states"),
)

AMD_SERVER_ZEN2 = costs_like("amd-server", AMD_SERVER)

KVM_GUEST = costs_like(
    "intel-server",
    INTEL_SERVER,
    ipi_send_ns=Cost(20, 50, 200, "estimate: as intel-server; exits are in ipi_write_ns"),
    ipi_send_each_ns=Cost(
        300,
        800,
        2_350,
        f"{PV_IPI}, over 79 targets: a broadcast takes 75.7 us by the send-IPI hypercall, 92.8 us in cluster "
        "and 198 us in physical mode, a single IPI 2.5 us; less ipi_answer_each_ns. Low: without an exit",
    ),
    ipi_write_ns=Cost(
        80,
        250,
        5_300,
        f"estimate: native where exits are avoided; high: with an exit, {PV_IPI}: what 79 writes in physical mode take "
        "longer than one hypercall, and 4 of them in cluster mode",
    ),
    ipi_latency_ns=Cost(
        800,
        1200,
        13_000,
        f"{PV_IPI}: what sending leaves of 2239 ns for a single IPI; low {IPIV}; high a halted vCPU, {GUEST}",
    ),
    ipi_handler_ns=Cost(300, 600, 2_500, "estimate: intel-server's; high with a VM exit for delivery or EOI"),
    preempted_ns=Cost(
        700_000,
        3_000_000,
        24_000_000,
        "estimate: one slice of the host's scheduler (0.75 ms, times 4 on 8 CPUs and more); high: eight",
    ),
    hypercall_ns=Cost(
        620,
        1500,
        5000,
        f"estimate: an empty one takes 1559 cycles ({VMCALL}); the flush has arguments to read",
    ),
    hypercall_each_ns=Cost(
        60, 200, 1000, "estimate: the host interrupts the CPU of each running target, see intel-server's IPIs"
    ),
    lock_wake_ns=Cost(2_000, 8_000, 100_000, f"estimate: a halted vCPU has to enter; 35 us ({GUEST})"),
    start_ns=Cost(5_000, 20_000, 300_000, f"estimate: as lock_wake_ns, and first faults ({GUEST})"),
    small_fault_ns=Cost(600, 1_300, 3_500, f"estimate: between intel-server's and 1.7 us ({GUEST})"),
    page_flush_ns=Cost(40, 100, 250, "estimate: as intel-server; VPID-tagged INVLPG causes no exit"),
)

KVM_GUEST_AMD = costs_like(
    "kvm-guest",
    KVM_GUEST,
    ipi_latency_ns=Cost(
        1000,
        3_000,
        13_700,
        f"estimate: from kvm-guest's to 13.7 us, membarrier() with one peer less alone ({GUEST})",
    ),
    lock_wake_ns=Cost(
        2_000, 35_000, 84_000, f"{GUEST}: half of a pipe round trip between two vCPUs is 35 us"
    ),
    switch_ns=Cost(1_000, 2_100, 3_500, f"{GUEST}: half of a pipe round trip on one vCPU, less its calls"),
    fork_ns=Cost(38_000, 44_000, 200_000, f"{GUEST}: fork() of a static process, in the parent"),
    exit_ns=Cost(45_000, 60_000, 200_000, f"{GUEST}: _exit() and waitpid() of a static process"),
    small_fault_ns=Cost(1_600, 1_750, 3_500, f"{GUEST}: anonymous page, 4 KiB cleared"),
    zap_ns=Cost(100, 330, 500, f"{GUEST}: munmap() of 512 pages, their freeing included"),
    syscall_ns=Cost(900, 1_850, 4_000, f"{GUEST}: half of mmap() with munmap() of an empty VMA"),
    migrate_ns=Cost(8_000, 35_000, 60_000, f"{GUEST}: sched_setaffinity() to the other vCPU"),
    zero_ns=Cost(
        38_000, 150_000, 400_000, f"estimate: from 38 us, in the last-level cache ({GUEST}), to {CLEAR}"
    ),
)

HYPER_V_GUEST = costs_like(
    "kvm-guest",
    KVM_GUEST,
    hypercall_ns=Cost(800, 2_000, 8_000, "estimate: as kvm-guest; arguments pass through a page of memory"),
)

XEN_PV_GUEST = costs_like(
    "kvm-guest",
    KVM_GUEST,
    hypercall_ns=Cost(
        300, 1_000, 5_000, "estimate: a system call into Xen, no VM exit; two in one multicall"
    ),
    fork_ns=Cost(
        50_000, 100_000, 400_000, "estimate: twice native: new page tables are pinned by hypercalls"
    ),
    exit_ns=Cost(60_000, 120_000, 400_000, "estimate: twice native: page tables are unpinned by hypercalls"),
    switch_ns=Cost(1_000, 2_500, 5_000, "estimate: native with a hypercall to load the new base pointer"),
    small_fault_ns=Cost(800, 1_800, 5_000, "estimate: native with a bounce through Xen and a hypercall"),
)

QEMU_TCG = costs_like("intel-server", INTEL_SERVER)
