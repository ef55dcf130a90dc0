"""What things cost on x86 machines, in nanoseconds, each with who measured it or what it was reasoned from.

`intel-server` is written out in full. Every other table names what is different there; what it takes over from
another says so in its source (`_like`). `docs/costs.md` lists all of them.
"""

from __future__ import annotations

import attrs

from shootdown._platform import COST_NAMES, Cost, Costs


def _like(name: str, costs: Costs, **changed: Cost) -> Costs:
    """Take over another platform's costs, saying so in each source, but for those that are given."""
    taken = {}
    for field in COST_NAMES:
        cost: Cost = getattr(costs, field)
        source = cost.source.removeprefix("estimate: ")
        taken[field] = attrs.evolve(cost, source=f"estimate: taken over from {name}: {source}")
    return Costs(**(taken | changed))


INTEL_SERVER = Costs(
    ipi_send_ns=Cost(150, 300, 1000, "estimate: mask, barrier and first ICR write"),
    ipi_send_each_ns=Cost(50, 120, 350, "estimate: one remote cache line and a share of an ICR write"),
    ipi_latency_ns=Cost(500, 1000, 2700, "estimate: about 2000 to 3000 cycles"),
    ipi_handler_ns=Cost(250, 500, 1200, "estimate: interrupt entry, one queue line, EOI and return"),
    ipi_answer_each_ns=Cost(20, 60, 200, "estimate: one cache line that another core wrote"),
    preempted_ns=Cost(0, 0, 0, "no hypervisor takes a CPU away"),
    full_flush_ns=Cost(60, 150, 800, "estimate: CR3 write with mitigations"),
    page_flush_ns=Cost(40, 90, 140, "estimate: 100 to 262 cycles (A14, A15)"),
    broadcast_ns=Cost(50, 150, 500, "estimate: issue of one INVLPGB"),
    completion_ns=Cost(200, 500, 2000, "estimate: TLBSYNC"),
    completion_each_ns=Cost(0, 2, 10, "estimate: each CPU that answers"),
    hypercall_ns=Cost(700, 1500, 5000, "estimate: a VM exit and entry"),
    hypercall_each_ns=Cost(50, 200, 1000, "estimate: the host interrupts the target"),
    flush_ns=Cost(30, 80, 300, "estimate: one atomic on the mm and the choice"),
    lock_ns=Cost(15, 40, 200, "estimate: two atomics"),
    lock_handoff_ns=Cost(80, 250, 1000, "estimate: two or three cache-line transfers"),
    lock_wake_ns=Cost(2_000, 5_000, 60_000, "estimate: wake-up, idle exit, switch"),
    switch_ns=Cost(800, 1_500, 4_000, "estimate: context switch"),
    fork_ns=Cost(40_000, 80_000, 250_000, "estimate: fork of a small process"),
    vma_fork_ns=Cost(150, 400, 2_000, "estimate: one VMA's copy and interval-tree insert"),
    start_ns=Cost(3_000, 10_000, 60_000, "estimate: wake-up on another CPU and first faults"),
    fault_ns=Cost(700, 1_500, 5_000, "estimate: hugetlb_fault() without allocation"),
    zero_ns=Cost(80_000, 200_000, 500_000, "estimate: 2 MiB at 4 to 25 GB/s"),
    share_ns=Cost(200, 600, 5_000, "estimate: interval-tree walk, another mm's page-table walk"),
    small_fault_ns=Cost(400, 800, 2_500, "estimate: page fault on a base page"),
    zap_ns=Cost(20, 60, 200, "estimate: one PTE and a share of a batched free"),
    zap_huge_ns=Cost(80, 200, 1_000, "estimate: one entry and one folio"),
    unshare_ns=Cost(50, 150, 600, "estimate: an atomic on the table's page and one entry"),
    skip_ns=Cost(1, 3, 20, "estimate: one entry of a table read in order"),
    exit_ns=Cost(40_000, 80_000, 250_000, "estimate: exit of a small process"),
    syscall_ns=Cost(300, 900, 3_000, "estimate: entry, VMA work, return"),
    migrate_ns=Cost(3_000, 8_000, 50_000, "estimate: stopper wake-up and switch"),
    collapse_ns=Cost(100_000, 300_000, 1_500_000, "estimate: copying and isolating 512 pages"),
    user_ns=Cost(10, 50, 500, "estimate: a call and a cache miss"),
)

INTEL_CLIENT = _like("intel-server", INTEL_SERVER)
AMD_SERVER = _like("intel-server", INTEL_SERVER)
AMD_SERVER_ZEN2 = _like("amd-server", AMD_SERVER)
KVM_GUEST = _like(
    "intel-server",
    INTEL_SERVER,
    preempted_ns=Cost(700_000, 3_000_000, 24_000_000, "estimate: a slice of the host's scheduler"),
)
KVM_GUEST_AMD = _like("kvm-guest", KVM_GUEST)
HYPER_V_GUEST = _like("kvm-guest", KVM_GUEST)
XEN_PV_GUEST = _like("kvm-guest", KVM_GUEST)
QEMU_TCG = _like("intel-server", INTEL_SERVER)
