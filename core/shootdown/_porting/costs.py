"""Costs derived from others: from a table of typical costs and a clock rate, or from another platform's costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import attrs

from shootdown._values.errors import nearest, shown, typed
from shootdown._values.platform import COST_NAMES, INCLUDED, Cost, Costs
from shootdown._values.sites import mistake

#: The clock rate, in GHz, of the CPUs that `TYPICAL` was taken from.
CLOCK = 3.0


class Typical(NamedTuple):
    """The cost of one thing on a typical CPU.

    Attributes:
        low, likely, high: nanoseconds at `CLOCK`.
        why: what takes the time.
        clocked: the time depends on the CPU's clock rate; otherwise on memory and the interconnect.
    """

    low: float
    likely: float
    high: float
    why: str
    clocked: bool = True


# The lowest low, the median and the highest high of four servers, one of each architecture that ships: x86's
# intel-server, arm64's neoverse-n1, powerpc's power9, riscv's rva23-server (docs/reference/costs.md and its neighbours
# have their sources). Two highs are lower: powerpc's full flush is a loop over 128 sets, and riscv's page flush allows
# for a core in order. What is likely is rounded.
TYPICAL: dict[str, Typical] = {
    "ipi_send_ns": Typical(20, 180, 600, "a write to the interrupt controller and its bookkeeping"),
    "ipi_send_each_ns": Typical(80, 280, 700, "two contended cache lines and one message", clocked=False),
    "ipi_write_ns": Typical(0, 0, 0, "part of ipi_send_each_ns"),
    "ipi_scan_ns": Typical(0, 0, 0, "part of ipi_send_each_ns"),
    "ipi_latency_ns": Typical(300, 850, 3_000, "the interrupt crosses the interconnect", clocked=False),
    "ipi_handler_ns": Typical(200, 500, 1_500, "interrupt entry, acknowledgement and return"),
    "ipi_answer_each_ns": Typical(40, 130, 400, "one cache line from another core", clocked=False),
    "preempted_ns": Typical(0, 0, 0, "nothing; no hypervisor takes a CPU away"),
    "full_flush_ns": Typical(10, 180, 1_500, "one instruction, and entries that come back by walks"),
    "page_flush_ns": Typical(5, 65, 500, "one lookup in each TLB"),
    "broadcast_ns": Typical(2, 150, 1_000, "issuing one message to all CPUs"),
    "completion_ns": Typical(80, 400, 3_000, "one round on the interconnect and back", clocked=False),
    "completion_each_ns": Typical(0, 6, 40, "the slowest CPU answers last", clocked=False),
    "hypercall_ns": Typical(300, 1_400, 6_000, "the way into what runs below and back, and its dispatch"),
    "hypercall_each_ns": Typical(0, 200, 2_000, "an interrupt of each CPU, sent from below"),
    "flush_ns": Typical(15, 70, 300, "reading mm_cpumask and choosing"),
    "lock_ns": Typical(10, 40, 300, "two atomic instructions; high when the line is far"),
    "line_ns": Typical(40, 130, 400, "one cache line from another core", clocked=False),
    "zone_ns": Typical(500, 1_500, 5_000, "63 pages, each unlinked and linked"),
    "lru_ns": Typical(300, 1_400, 4_000, "a batch of pages moves to the list under lru_lock"),
    "lock_handoff_ns": Typical(80, 250, 1_200, "two or three cache-line transfers", clocked=False),
    "lock_wake_ns": Typical(1_500, 3_500, 100_000, "an IPI and a switch; high from a deep idle state"),
    "switch_ns": Typical(600, 1_700, 13_000, "registers, page tables and the scheduler"),
    "fork_ns": Typical(25_000, 60_000, 300_000, "tens of microseconds, copy-on-write faults included"),
    "vma_fork_ns": Typical(150, 400, 3_000, "slab allocation, maple-tree and interval-tree insertion"),
    "start_ns": Typical(3_000, 10_000, 300_000, "wake-up on another CPU and first faults"),
    "fault_ns": Typical(600, 1_500, 5_000, "entry, fault mutex, page-cache lookup"),
    "zero_ns": Typical(60_000, 180_000, 600_000, "2 MiB at 35 to 3.5 GB/s", clocked=False),
    "share_ns": Typical(200, 600, 6_000, "interval-tree steps, each with a cold walk"),
    "small_fault_ns": Typical(400, 1_000, 3_000, "entry, allocation, a page cleared"),
    "zap_ns": Typical(20, 100, 400, "an entry, a page's counts"),
    "zap_huge_ns": Typical(100, 300, 1_500, "a cold entry, one folio's counts"),
    "unshare_ns": Typical(60, 200, 1_000, "an atomic on the table's page, one entry, one counter"),
    "skip_ns": Typical(1, 3, 20, "reading one entry of a table in order"),
    "visit_ns": Typical(1, 2, 8, "a walk of three levels whose tables are cached"),
    "exit_ns": Typical(30_000, 70_000, 300_000, "as fork_ns"),
    "syscall_ns": Typical(300, 1_200, 4_000, "entry, VMA work and return"),
    "migrate_ns": Typical(3_000, 8_500, 45_000, "stopper wake-up and two switches"),
    "collapse_ns": Typical(200_000, 730_000, 2_400_000, "2 MiB copied, 512 entries", clocked=False),
    "user_ns": Typical(10, 50, 500, "a call such as rand() and a cache miss"),
    "far_line_ns": Typical(30, 80, 200, "a cache line over the link between sockets", clocked=False),
    "far_ipi_ns": Typical(20, 100, 700, "a message over the link between sockets", clocked=False),
    "refill_ns": Typical(2, 7, 20, "a walk whose entries are in the nearest caches"),
    "refill_line_ns": Typical(4, 20, 100, "a cache line from the last cache", clocked=False),
    "reclaim_ns": Typical(
        500, 5_000, 10_000, "a page's way off the list, through the swap cache, and its freeing"
    ),
}


def _check(builder: str, given: Mapping[str, object], costs: object = None) -> None:
    """Refuse costs that there are not, and what is no cost."""
    if costs is not None and not isinstance(costs, Costs):
        raise mistake(f"{builder}: costs is {typed(costs)}, not a Costs")
    for name, cost in given.items():
        if name not in COST_NAMES:
            raise mistake(f"{builder}: there is no cost {name!r}; {nearest(name, COST_NAMES)}")
        if not isinstance(cost, Cost):
            raise mistake(f"{builder}: {name} is {typed(cost)}, not a Cost")


def estimated_costs(ghz: float, **known: Cost) -> Costs:
    """Estimate all costs of a CPU of which only the clock rate is known.

    The costs are those of typical servers of 3 GHz; those that depend on the clock are scaled to its rate. The source
    of each says that it is an estimate, and of what.

    Args:
        ghz: the clock rate in GHz.
        known: costs that are measured or better reasoned, by name.

    Raises:
        MistakeError: the clock rate is out of range, or there is no such cost.
    """
    if isinstance(ghz, bool) or not isinstance(ghz, int | float) or not 0 < ghz < 100:
        raise mistake(f"a clock rate of {shown(ghz)} GHz: give one above 0 and below 100")
    _check("estimated_costs()", known)
    estimated = {}
    for name, row in TYPICAL.items():
        if row.why.startswith("part of "):
            continue  # as `Costs` has it
        factor = CLOCK / ghz if row.clocked else 1.0
        source = f"estimate: {row.why}; typical of servers of {CLOCK:g} GHz"
        if factor != 1:
            source += f", scaled to {ghz:g} GHz"
        estimated[name] = Cost(row.low * factor, row.likely * factor, row.high * factor, source)
    return Costs(**(estimated | known))


def costs_like(name: str, costs: Costs, **changed: Cost) -> Costs:
    """Return another platform's costs with some replaced; the source of each copied cost says where it is from.

    Args:
        name: the name of the other platform.
        costs: its costs.
        changed: the replaced costs, by name.
    """
    _check("costs_like()", changed, costs)
    taken: dict[str, Cost] = {
        field: attrs.evolve(getattr(costs, field), source=f"estimate: taken over from {name}")
        for field in COST_NAMES
        if getattr(costs, field) != INCLUDED
    }
    return Costs(**(taken | changed))


def costs_times(factor: float, why: str, name: str, costs: Costs, **changed: Cost) -> Costs:
    """Return another platform's costs times a factor, with some replaced; the source of each scaled cost says so.

    Args:
        factor: the factor.
        why: the reason for the factor.
        name: the name of the other platform.
        costs: its costs.
        changed: the replaced costs, by name; the factor is not applied to them.
    """
    _check("costs_times()", changed, costs)
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < 1e6:
        raise mistake(f"costs_times(): a factor of {shown(factor)}: give a number above 0")
    taken = {}
    for field in COST_NAMES:
        cost: Cost = getattr(costs, field)
        if cost == INCLUDED:
            continue
        source = f"estimate: {factor:g} times {name}'s: {why}"
        taken[field] = Cost(cost.low * factor, cost.likely * factor, cost.high * factor, source)
    return Costs(**(taken | changed))
