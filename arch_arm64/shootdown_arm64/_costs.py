"""Costs on arm64 machines in nanoseconds, each with its source: a measurement, or the reasoning.

`neoverse-n1` is written out in full. Every other table has only the differences; costs that are taken over say so in
their source (`costs_like`). `docs/reference/costs-arm64.md` lists all of them and explains the arithmetic.

A flush costs its CPU `flush_ns` (DSB ISHST and the choice), `broadcast_ns` for each TLBI, and for DSB ISH
`completion_ns` and `completion_each_ns` for each CPU that answers. Each other CPU loses `page_flush_ns` for a TLBI by
address, `full_flush_ns` for one by ASID. Broadcasts of several CPUs queue.
"""

from __future__ import annotations

from shootdown import Cost, Costs
from shootdown.porting import costs_like

# The sources that serve several costs.
ELIDED = "commit c320dbb7c80d: an mprotect() without its flush takes 2.85 us, not 3.2 us; CPU not named"
SHARE = (
    "Song and Yang, commit 43b3dfdd0455: ptep_clear_flush() takes 5.36 % of the time on 8 CPUs of a Snapdragon 888 and "
    "16.99 % on 100 of a Kunpeng 920"
)
EMAG_LOOPS = (
    "Arcangeli, lore 20200203201745.29986-3-aarcange@redhat.com: 32 CPUs of an Ampere eMAG in mprotect() loops take "
    "2.121 s with broadcasts and 0.120 s with local flushes"
)
HIMENO = (
    "Qi, lore OSBPR01MB36531AEC5799477CBA3E7C89F7F70@OSBPR01MB3653.jpnprd01.prod.outlook.com, ThunderX2: Himeno falls "
    "from 1614 to 1153 MFLOPS while another core loops over mprotect() of 4 MiB"
)
SLOWED = (
    "Indoh, lore 20190617143255.10462-1-indou.takao@jp.fujitsu.com, ThunderX2: 39 ms become 49 ms beside one "
    "such loop"
)
NOROV = (
    "IPI benchmark, lore 20171219085010.4081-1-ynorov@caviumnetworks.com: on 112 CPUs of ThunderX2 a single IPI "
    "takes 110 dry runs and a broadcast 2106, of 24 to 30 ns each"
)
YIELD = (
    "Aquini, lore 20200304041948.GA125774@t490s, eMAG at 3.3 GHz: 32 297 switches, with two semaphore calls, a yield "
    "and 32 writes each, take 122.7 ms"
)
X86_GUEST = "docs/reference/costs.md (a guest on AMD EPYC)"
CLEAR = "estimate: 2 MiB by DC ZVA at 30 to 4 GB/s"


NEOVERSE_N1 = Costs(
    ipi_send_ns=Cost(50, 200, 600, "estimate: a DSB, a write of ICC_SGI1R_EL1 and the bookkeeping"),
    ipi_send_each_ns=Cost(
        80,
        220,
        600,
        f"estimate: two lines move and one SGI is sent; below thunderx2's, which has two sockets ({NOROV})",
    ),
    ipi_latency_ns=Cost(400, 1_000, 3_000, "estimate: half of thunderx2's, one die and a GICv3"),
    ipi_handler_ns=Cost(200, 500, 1_200, "estimate: exception entry, acknowledge, end of interrupt, return"),
    ipi_answer_each_ns=Cost(40, 100, 300, "estimate: one line across the mesh"),
    preempted_ns=Cost(0, 0, 0, "estimate: nothing; no hypervisor takes a CPU away"),
    full_flush_ns=Cost(
        10,
        100,
        1_000,
        f"estimate: a CPU that has nothing of the ASID; below what ThunderX2 loses ({HIMENO})",
    ),
    page_flush_ns=Cost(5, 30, 500, "estimate: one lookup in each TLB, in the background; see full_flush_ns"),
    broadcast_ns=Cost(2, 20, 100, f"estimate: TLBI is posted, DSB waits for it; a part of 350 ns ({ELIDED})"),
    completion_ns=Cost(
        80,
        200,
        600,
        f"estimate: what flush_ns, broadcast_ns and 8 answers leave of the 350 ns that a flush costs ({ELIDED})",
    ),
    completion_each_ns=Cost(
        1,
        10,
        40,
        f"estimate: with 0.28 us for the rest this makes 100 CPUs 3.6 times as dear as 8, as the shares do ({SHARE})",
    ),
    hypercall_ns=Cost(
        400, 1_200, 4_000, "estimate: HVC and back; no arm64 guest flushes so, this serves what-ifs"
    ),
    hypercall_each_ns=Cost(60, 200, 1_000, "estimate: this serves what-ifs"),
    flush_ns=Cost(15, 60, 250, f"estimate: DSB ISHST and the choice; a part of 350 ns ({ELIDED})"),
    lock_ns=Cost(10, 40, 250, "estimate: two atomics (LSE); high when the line is far"),
    lock_handoff_ns=Cost(
        80, 250, 1_000, "estimate: two or three line transfers between the holder, the queue and the waiter"
    ),
    lock_wake_ns=Cost(1_500, 4_000, 60_000, "estimate: as on x86 (intel-server); WFI is deeper than polling"),
    switch_ns=Cost(
        800, 1_800, 3_800, f"estimate: below 3.8 us, which has three system calls in it ({YIELD})"
    ),
    fork_ns=Cost(25_000, 60_000, 250_000, f"estimate: 44 us on x86, {X86_GUEST}"),
    vma_fork_ns=Cost(
        150, 450, 3_000, "estimate: slab allocation, maple-tree and interval-tree insertion, cold lines"
    ),
    start_ns=Cost(
        3_000, 10_000, 300_000, "estimate: wake-up on another CPU and first faults; high from deep idle"
    ),
    fault_ns=Cost(
        600, 1_500, 5_000, f"estimate: entry, fault mutex, page cache; a small fault took 1.7 us, {X86_GUEST}"
    ),
    zero_ns=Cost(70_000, 170_000, 500_000, CLEAR),
    share_ns=Cost(
        200, 600, 6_000, "estimate: interval-tree steps, each with a cold walk of another process's tables"
    ),
    small_fault_ns=Cost(400, 1_000, 3_000, f"estimate: 1.7 us with nested walks, {X86_GUEST}"),
    zap_ns=Cost(20, 110, 350, f"estimate: 0.33 us with the freeing of the page, {X86_GUEST}"),
    zap_huge_ns=Cost(100, 300, 1_500, "estimate: a cold entry, one folio's reference and map count"),
    unshare_ns=Cost(60, 200, 1_000, "estimate: an atomic on the table's page, one entry, one counter"),
    skip_ns=Cost(1, 3, 20, "estimate: reading one entry of a table in order; high when its line is cold"),
    exit_ns=Cost(30_000, 70_000, 250_000, f"estimate: 60 us on x86, {X86_GUEST}, as fork_ns"),
    syscall_ns=Cost(
        400,
        1_300,
        2_850,
        f"estimate: VMA work and return; at most what an mprotect() without flush takes ({ELIDED})",
    ),
    migrate_ns=Cost(3_000, 9_000, 41_000, f"estimate: stopper wake-up and two switches; high is {X86_GUEST}"),
    collapse_ns=Cost(
        230_000, 750_000, 2_000_000, "estimate: as on x86 (intel-server), 2 MiB read and written"
    ),
    user_ns=Cost(10, 50, 500, "estimate: a call such as rand() and a cache miss"),
)

NEOVERSE_V2 = costs_like(
    "neoverse-n1",
    NEOVERSE_N1,
    ipi_send_each_ns=Cost(80, 280, 700, "estimate: neoverse-n1's with a second socket"),
    ipi_latency_ns=Cost(400, 1_200, 3_500, "estimate: neoverse-n1's with a second socket"),
    ipi_handler_ns=Cost(150, 400, 1_000, "estimate: neoverse-n1's on a wider core"),
    ipi_answer_each_ns=Cost(40, 130, 400, "estimate: one line from another core or socket"),
    completion_ns=Cost(
        80, 300, 1_000, "estimate: neoverse-n1's with a hop to the other socket; no figure published"
    ),
    zero_ns=Cost(50_000, 120_000, 400_000, CLEAR),
)

EMAG = costs_like(
    "neoverse-n1",
    NEOVERSE_N1,
    broadcast_ns=Cost(
        20, 60, 300, f"estimate: the smaller part of a broadcast, see completion_each_ns ({EMAG_LOOPS})"
    ),
    completion_each_ns=Cost(
        10,
        36,
        80,
        f"estimate: broadcasts one after another make the loops 17.7 times as long ({EMAG_LOOPS}): 1.2 us each, if a "
        "loop without them takes 2.2 us",
    ),
    syscall_ns=Cost(600, 2_000, 4_000, "estimate: neoverse-n1's on an older, narrower core"),
)

THUNDERX2 = costs_like(
    "neoverse-n1",
    NEOVERSE_N1,
    ipi_send_ns=Cost(100, 300, 900, "estimate: neoverse-n1's on an older core"),
    ipi_send_each_ns=Cost(
        200, 340, 700, f"estimate: two thirds of the 18 dry runs that each further target costs ({NOROV})"
    ),
    ipi_latency_ns=Cost(1_800, 2_300, 4_600, f"estimate: what sending leaves of 110 dry runs ({NOROV})"),
    ipi_handler_ns=Cost(300, 600, 1_500, "estimate: neoverse-n1's with four threads on a core"),
    ipi_answer_each_ns=Cost(
        80, 145, 300, f"estimate: a third of what each further target costs, see ipi_send_each_ns ({NOROV})"
    ),
    full_flush_ns=Cost(
        100,
        1_500,
        9_000,
        f"estimate: 29 % of a loop ({HIMENO}), 20 % by another measurement ({SLOWED}); page size not said: with "
        "4K pages one TLBI by ASID does it and a loop takes 5 to 30 us",
    ),
    page_flush_ns=Cost(
        5,
        25,
        300,
        f"estimate: as full_flush_ns with 64K pages ({HIMENO}): 64 TLBIs by address in a loop of about 5 us",
    ),
    broadcast_ns=Cost(20, 60, 300, "estimate: as emag"),
    completion_ns=Cost(150, 400, 1_500, "estimate: neoverse-n1's with a hop to the other socket"),
    completion_each_ns=Cost(2, 20, 60, "estimate: between neoverse-n1's and emag's"),
)

CORTEX_A78 = costs_like(
    "neoverse-n1",
    NEOVERSE_N1,
    ipi_send_each_ns=Cost(60, 180, 500, "estimate: one cluster, lines nearer than on neoverse-n1"),
    ipi_latency_ns=Cost(400, 1_200, 10_000, "estimate: neoverse-n1's; high from a core that sleeps"),
    ipi_answer_each_ns=Cost(20, 70, 200, "estimate: one line within a cluster"),
    zero_ns=Cost(100_000, 250_000, 800_000, "estimate: 2 MiB at 20 to 3 GB/s, LPDDR"),
    start_ns=Cost(3_000, 20_000, 500_000, "estimate: neoverse-n1's; phones sleep deeper"),
    fork_ns=Cost(30_000, 80_000, 400_000, "estimate: neoverse-n1's at a phone's clock"),
    exit_ns=Cost(40_000, 90_000, 400_000, "estimate: neoverse-n1's at a phone's clock"),
)

CORTEX_X3 = costs_like(
    "cortex-a78",
    CORTEX_A78,
    ipi_handler_ns=Cost(150, 400, 1_000, "estimate: neoverse-n1's on a wider core"),
    zero_ns=Cost(70_000, 180_000, 600_000, "estimate: cortex-a78's with faster memory"),
)

QEMU_TCG = costs_like("neoverse-n1", NEOVERSE_N1)
