"""Costs on riscv machines in nanoseconds, each with its source: a measurement, or the reasoning.

Little is published. `RVA23_SERVER`, a machine that is not on sale yet, is written out in full and has the widest
ranges; every other table is that one times a factor for clock and pipeline, with better-known costs replaced.
"""

from __future__ import annotations

from shootdown import Cost, Costs
from shootdown.porting import costs_times

NOROV = (
    "IPI benchmark, lore 20171219085010.4081-1-ynorov@caviumnetworks.com, bare metal of a 112-CPU ThunderX2"
)
IPIV = "KVM IPI virtualization v7, lore 20220304080725.18135-1-guang.zeng@intel.com"
UNLEASHED = (
    "opensbi pull request 111, HiFive Unleashed: a whole benchmark of 8 threads with about a million remote flushes "
    "takes 97.8 s where Linux flushes by SBI send_ipi, and 92.9 s by SBI remote fence, 5 us less a flush"
)
K1 = "rustsbi pull request 277, SpacemiT K1: OpenSBI takes 1,478 cycles to fence on the calling hart alone"
SVINVAL = (
    "lore 793ac05a-66ce-46ca-b588-bcd3cfc5058e@ghiti.fr, Banana Pi F3: 64 pages, touched before, take 663 585 cycles "
    "by SFENCE.VMA and 364 920 by SINVAL.VMA"
)


RVA23_SERVER = Costs(
    ipi_send_ns=Cost(
        60, 150, 600, f"estimate: a part of the 1317 ns that one IPI takes until it is handled ({IPIV})"
    ),
    ipi_send_each_ns=Cost(
        100,
        300,
        700,
        "estimate: two contended lines and one store to the target's IMSIC. With ipi_answer_each_ns 0.43 us: a "
        f"broadcast costs 18 dry runs of 24 to 30 ns a target ({NOROV})",
    ),
    ipi_latency_ns=Cost(
        300, 800, 2500, f"estimate: what sending leaves of 1317 ns ({IPIV}); the MSI crosses the mesh"
    ),
    ipi_handler_ns=Cost(
        250, 500, 1500, f"estimate: 416 ns from its start until the answer is seen ({IPIV}), and return"
    ),
    ipi_answer_each_ns=Cost(50, 130, 300, "estimate: one line from another core; see ipi_send_each_ns"),
    preempted_ns=Cost(0, 0, 0, "estimate: nothing; no hypervisor takes a CPU away"),
    full_flush_ns=Cost(
        40, 200, 1500, "estimate: the pipeline drains, walks in flight end, and entries come back by walks"
    ),
    page_flush_ns=Cost(
        20,
        120,
        6_500,
        f"estimate: one lookup in each TLB and a share of two fences; high: a small core's SFENCE.VMA ({SVINVAL})",
    ),
    broadcast_ns=Cost(50, 150, 500, "estimate: RISC-V has no broadcast fence; this serves what-ifs"),
    completion_ns=Cost(300, 600, 2000, "estimate: RISC-V has no broadcast fence; this serves what-ifs"),
    completion_each_ns=Cost(0, 2, 15, "estimate: RISC-V has no broadcast fence; this serves what-ifs"),
    hypercall_ns=Cost(
        300,
        1_200,
        5_000,
        "estimate: ECALL, M-mode's entry and dispatch, its queues, MRET; the way there and back of one M-mode IPI",
    ),
    hypercall_each_ns=Cost(
        200,
        600,
        2_000,
        "estimate: a queue entry under a lock, one M-mode IPI and its answer for each hart, in a row",
    ),
    flush_ns=Cost(15, 60, 250, "estimate: reading mm_cpumask and choosing"),
    lock_ns=Cost(15, 40, 250, "estimate: two atomics; high when the line is far"),
    lock_handoff_ns=Cost(80, 250, 1000, "estimate: two or three cache-line transfers"),
    lock_wake_ns=Cost(1_500, 3_000, 60_000, "estimate: an IPI, a switch; high from a deep idle state"),
    switch_ns=Cost(600, 1_500, 4_000, "estimate: registers, satp, the scheduler; x86 servers take 1.5 us"),
    fork_ns=Cost(25_000, 60_000, 250_000, "estimate: as x86 servers, tens of microseconds"),
    vma_fork_ns=Cost(150, 400, 3_000, "estimate: slab allocation, maple-tree and interval-tree insertion"),
    start_ns=Cost(3_000, 10_000, 300_000, "estimate: wake-up on another CPU and first faults"),
    fault_ns=Cost(600, 1_500, 5_000, "estimate: entry, fault mutex, page-cache lookup"),
    zero_ns=Cost(90_000, 200_000, 600_000, "estimate: 2 MiB at 23 to 3.5 GB/s (cbo.zero)"),
    share_ns=Cost(200, 600, 6_000, "estimate: interval-tree steps, each with a cold walk"),
    small_fault_ns=Cost(400, 1_000, 3_000, "estimate: trap, allocation, 4 KiB cleared"),
    zap_ns=Cost(20, 100, 350, "estimate: an entry, a page's counts"),
    zap_huge_ns=Cost(100, 300, 1_500, "estimate: a cold entry, one folio's counts"),
    unshare_ns=Cost(60, 200, 1_000, "estimate: an atomic on the table's page, one entry, one counter"),
    skip_ns=Cost(1, 3, 20, "estimate: reading one entry of a table in order"),
    exit_ns=Cost(30_000, 70_000, 250_000, "estimate: as fork_ns"),
    syscall_ns=Cost(300, 1_200, 4_000, "estimate: entry, VMA work and return"),
    migrate_ns=Cost(3_000, 8_000, 41_000, "estimate: stopper wake-up and two switches"),
    collapse_ns=Cost(230_000, 800_000, 2_400_000, "estimate: 2 MiB copied, 512 entries, a flush"),
    user_ns=Cost(10, 50, 500, "estimate: a call such as rand() and a cache miss"),
)

SG2042 = costs_times(1.5, "2 GHz, out of order, an older mesh", "rva23-server", RVA23_SERVER)

TH1520 = costs_times(1.7, "1.85 GHz, out of order", "rva23-server", RVA23_SERVER)

SIFIVE_U74 = costs_times(
    3,
    "1.2 GHz, two instructions a cycle, in order",
    "rva23-server",
    RVA23_SERVER,
    hypercall_ns=Cost(
        1_200,
        6_000,
        25_000,
        f"estimate: low is all in M-mode of a fence without other harts ({K1}), at 1.2 GHz; {UNLEASHED}",
    ),
    # The CLINT belongs to M-mode: what Linux calls an IPI here is a call of the firmware on the sender, and a trap into
    # it on the target (sbi_send_ipi(), and MSIP that becomes SSIP).
    ipi_send_ns=Cost(
        1_000, 3_000, 12_000, f"estimate: SBI send_ipi: ECALL, dispatch, MRET; {K1}; {UNLEASHED}"
    ),
    ipi_latency_ns=Cost(
        1_200,
        4_000,
        12_000,
        f"estimate: 3 times rva23-server's, and a trap into M-mode that raises the interrupt; {UNLEASHED}",
    ),
)

QEMU_TCG = costs_times(1, "times under QEMU's translator mean nothing", "rva23-server", RVA23_SERVER)
