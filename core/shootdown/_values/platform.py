"""What a kernel runs on: CPU model, hypervisor and costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import attrs

from shootdown._values.checked import Between, checked
from shootdown._values.explained import explained
from shootdown._values.flushes import AUTO
from shootdown._values.kernel import NoSwitches, switch
from shootdown._values.sites import mistake

#: More CPUs than Linux can be built for (NR_CPUS) are refused.
MOST_CPUS = 8192

#: The longest time of one step in nanoseconds, 1,000 s: the engine adds picoseconds up in 64 bits.
MOST_NS = 10**12

_MOST_ENTRIES = 1 << 20


@attrs.frozen(field_transformer=checked)
class Cost:
    """A time in nanoseconds as a range, with its source.

    Args:
        low, likely, high: nanoseconds.
        source: who measured it, and on what machine; `estimate: ...` if no figure was published.
    """

    low: float
    likely: float = attrs.field()
    high: float = attrs.field()
    source: str

    @likely.validator
    def _ordered(self, _: Any, value: float) -> None:
        if not 0 <= self.low <= value:
            raise ValueError(f"a cost's low {self.low} must lie between 0 and its likely value {value}")

    @high.validator
    def _above(self, _: Any, value: float) -> None:
        if not value <= MOST_NS:
            raise ValueError(f"a cost's high {value} must not lie above {MOST_NS:g} ns")
        if value < self.likely:
            raise ValueError(f"a cost's high {value} must not lie below its likely value {self.likely}")


#: What a cost has that a platform does not name, as others include it.
INCLUDED = Cost(0, 0, 0, "estimate: part of ipi_send_each_ns")


def _cost(doc: str, default: Any = attrs.NOTHING) -> Any:
    return attrs.field(default=default, metadata={"doc": doc}, kw_only=True)


@explained
@attrs.frozen(field_transformer=checked)
class Costs:
    """The cost of each kind of step and interrupt on a platform, in nanoseconds."""

    ipi_send_ns: Cost = _cost("starting a multi-target IPI, whatever the number of targets")
    ipi_send_each_ns: Cost = _cost("queueing the call for one further target")
    ipi_write_ns: Cost = _cost(
        "one write to the interrupt controller, which interrupts a CPU or a cluster of them", INCLUDED
    )
    ipi_scan_ns: Cost = _cost(
        "reading a target's address in the interrupt controller from a cache line of its own", INCLUDED
    )
    ipi_latency_ns: Cost = _cost("from the interrupt's sending to its handler's first instruction")
    ipi_handler_ns: Cost = _cost("a target's interrupt entry, empty handler and return")
    ipi_answer_each_ns: Cost = _cost("collecting the answer of one target (a cache line that moves)")
    preempted_ns: Cost = _cost("how long a preempted vCPU stays off its CPU")
    full_flush_ns: Cost = _cost("flushing one address space on one CPU")
    page_flush_ns: Cost = _cost("invalidating one page on one CPU")
    broadcast_ns: Cost = _cost("issuing one broadcast invalidation (INVLPGB, TLBI, tlbie)")
    completion_ns: Cost = _cost(
        "waiting for broadcast invalidations (TLBSYNC, DSB, tlbsync), alone on the machine"
    )
    completion_each_ns: Cost = _cost("how much each CPU that has to answer adds to that wait")
    hypercall_ns: Cost = _cost("one flush hypercall, whatever its targets")
    hypercall_each_ns: Cost = _cost("how much each target vCPU adds to it")
    flush_ns: Cost = _cost("a flush's own bookkeeping: tlb_gen, mask, choice")
    lock_ns: Cost = _cost("taking and releasing a free lock")
    line_ns: Cost = _cost(
        "moving a cache line that another CPU has just written: an atomic on it, served one after another",
        Cost(40, 130, 400, "estimate: as ipi_answer_each_ns of servers, one line from another core"),
    )
    zone_ns: Cost = _cost(
        "holding a zone's lock while a batch of pages moves between the free lists and a CPU's own list",
        Cost(500, 1_500, 5_000, "estimate: 63 pages, each unlinked and linked"),
    )
    lru_ns: Cost = _cost(
        "lru_add_drain(): holding a node's lru_lock while a CPU's new pages move to the list",
        Cost(
            300,
            1_400,
            4_000,
            "estimate: between a Xeon's 1 us and the 1.9 us that were measured on AMD Milan (lore "
            "20250123042447.2259648-1-riel@surriel.com)",
        ),
    )
    lock_handoff_ns: Cost = _cost("a lock's way to a waiter that spins")
    lock_wake_ns: Cost = _cost("waking a sleeping waiter of a lock")
    switch_ns: Cost = _cost("a context switch between processes")
    fork_ns: Cost = _cost("fork() of a small process, its own copy-on-write faults included")
    vma_fork_ns: Cost = _cost("dup_mmap() of one file VMA under i_mmap_rwsem")
    start_ns: Cost = _cost("a forked child's first instructions")
    fault_ns: Cost = _cost(
        "a page fault that finds its hugetlb page in the page cache, lock waits not counted"
    )
    zero_ns: Cost = _cost("allocating and clearing one 2 MiB page at first touch")
    share_ns: Cost = _cost("huge_pmd_share(): searching the other mappings for a table")
    small_fault_ns: Cost = _cost("a page fault on a base page")
    zap_ns: Cost = _cost("clearing one entry and freeing its page")
    zap_huge_ns: Cost = _cost("clearing one huge entry and dropping its page")
    unshare_ns: Cost = _cost("huge_pmd_unshare() without flush and sync")
    skip_ns: Cost = _cost("stepping over one PUD entry that maps nothing")
    visit_ns: Cost = _cost(
        "stepping over one huge page of a hugetlb VMA: huge_pte_offset() down to an entry that maps nothing",
        Cost(1, 2, 8, "estimate: a walk of three levels whose tables are cached"),
    )
    exit_ns: Cost = _cost("exit(), wait() and the freeing of a small process, its tables included")
    syscall_ns: Cost = _cost("a system call's entry, VMA work and return")
    migrate_ns: Cost = _cost("moving a task to another CPU")
    collapse_ns: Cost = _cost("khugepaged copying one 2 MiB range")
    user_ns: Cost = _cost("user-mode work between two accesses")
    far_line_ns: Cost = _cost(
        "how much longer a cache line takes from another socket",
        Cost(
            30,
            80,
            200,
            "estimate: a line takes some 50 ns within a socket and 120 ns from the other one on Xeons, on EPYC twice "
            "that; no published figure was used",
        ),
    )
    far_ipi_ns: Cost = _cost(
        "how much later an interrupt arrives on another socket",
        Cost(20, 100, 700, "estimate: one message over the link between sockets; high: several links"),
    )
    refill_ns: Cost = _cost(
        "walking for a translation that a flush dropped, where its entry is in the nearest cache",
        Cost(2, 7, 20, "estimate: one to four loads that hit the first or second cache, 5 to 14 cycles each"),
    )
    refill_line_ns: Cost = _cost(
        "fetching the cache line of eight such entries of a page table",
        Cost(
            4,
            20,
            100,
            "estimate: from the last cache (50 to 70 cycles); low: the second one (14 cycles); high: memory",
        ),
    )
    reclaim_ns: Cost = _cost(
        "reclaiming one page, its unmapping and flush left out: isolating it, the swap or page cache, freeing it",
        Cost(
            500,
            5_000,
            10_000,
            "estimate: a flush of some 350 ns (commit c320dbb7c80d) is 5.36 % of paging a page out and touching it "
            "again on a Snapdragon 888 (commit 43b3dfdd0455), so that all takes 6.5 us; less the fault and the "
            "unmapping. Low: 8 GB of clean large folios in 1.02 s (linux-arm-kernel 2025-December/1088854)",
        ),
    )


COST_NAMES = tuple(field.name for field in attrs.fields(Costs))
#: What a step of a given time costs, so many times: one nanosecond on every platform.
NANOSECOND = "ns"


@attrs.frozen(eq=False)
class ByPageSize(Mapping[int, Any]):
    """What depends on the kernel's page size, by bytes, the smallest first: a dict that can be hashed."""

    pairs: tuple[tuple[int, Any], ...]

    def __getitem__(self, page_size: int) -> Any:
        for size, value in self.pairs:
            if size == page_size:
                return value
        raise KeyError(page_size)

    def __iter__(self) -> Iterator[int]:
        return (size for size, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __hash__(self) -> int:
        return hash(self.pairs)


def _frozen(value: Any) -> Any:
    """Return a dict by page size in a form that can be hashed; anything else as it is."""
    if not isinstance(value, Mapping):
        return value
    pairs = value.items()
    in_order = all(type(size) is int for size in value)  # another key is refused as the plugin is loaded
    return ByPageSize(tuple(sorted(pairs, key=lambda pair: pair[0]) if in_order else pairs))


@explained
@attrs.frozen(field_transformer=checked)
class Platform:
    """A CPU model and hypervisor that programs run on, with their costs.

    Args:
        name: as typed after `--platform`.
        summary: one line.
        costs: times with their sources; they change a count only by deciding a race.
        tlb: a `TlbGeometry`: L1 and L2 TLBs and paging-structure caches of one CPU, as loads and stores use them. Where
            it depends on the kernel's page size, a dict by bytes: `{4096: ..., 16384: ...}`. A lowering gets the
            platform with the one geometry of its kernel.
        itlb: likewise: the TLBs that instruction fetches use; None if nothing is known of them.
        arch: the fields that only this architecture's platforms have (a frozen value of the plugin's).
        ghz: the clock rate that its costs are for.
        flush: `auto`, or the name of one of the architecture's `flush_ways`.
        first: the first release series that runs on it, such as `6.13`; empty where all do that the architecture has.
            A row of an earlier kernel says so.
    """

    name: str
    summary: str
    costs: Costs = attrs.field(repr=False)
    tlb: Any = attrs.field(default=None, repr=False, converter=_frozen)
    itlb: Any = attrs.field(default=None, repr=False, kw_only=True, converter=_frozen)
    ghz: Annotated[float, Between(0.0001, 100)] = attrs.field(default=3.0, kw_only=True)
    arch: Any = attrs.field(factory=NoSwitches)
    first: str = attrs.field(default="", kw_only=True)
    cpus: int = switch(196, "online CPUs, unless asked for otherwise", minimum=1, maximum=MOST_CPUS)
    hypervisor: str = switch(
        "none", "the hypervisor below the kernel: none, or what another platform of the architecture has"
    )
    flush: str = switch(
        AUTO,
        "forces this way for every flush; auto is what kernel and CPU choose",
    )
    final_level_only: Literal["auto", "true", "false"] = switch(
        "auto",
        "whether the flush of an unsharing keeps walk-cache entries; auto is as kernel, CPU and range decide",
        choices=("auto", "true", "false"),
    )
    serial_machine: bool = switch(
        True, "broadcast invalidations and the waits for their completion are served one after another"
    )
    serial_lock: bool = switch(
        True, "the cache line of a lock goes from one CPU to the next, also where all hold it for reading"
    )
    serial_mm: bool = switch(True, "the cache line of an mm's tlb_gen goes from one CPU to the next")
    serial_node: bool = switch(True, "a node's page allocator and its lru_lock serve one CPU after another")
    sockets: int = switch(
        1,
        "sockets that the CPUs are spread over; with one, costs are those of an average line and interrupt",
        minimum=1,
        maximum=64,
    )
    smt: int = switch(1, "threads of a core: CPUs that share its TLBs and its time", minimum=1, maximum=8)
    smt_adjacent: bool = switch(
        False,
        "threads of a core have CPU numbers that follow one another; otherwise all first threads come first",
    )
    # Two threads of a Xeon E5-2699 v4 do 1.18 times what one does: SPEC CPU2006 integer on one core (AnandTech,
    # "Assessing IBM's POWER8, part 1", 21 July 2016).
    smt_slowed: int = switch(
        70,
        "percent by which work takes longer for each other thread of its core that is busy",
        minimum=0,
        maximum=400,
    )
    refill: bool = switch(
        True, "threads of a program walk again for translations that flushes dropped and that they use again"
    )
    jitter: int = switch(
        5, "percent by which the time of ordinary work varies at random", minimum=0, maximum=100
    )
    tick_hz: int = switch(250, "timer ticks in a second (CONFIG_HZ)", minimum=1, maximum=10_000)
    walk_entries: int = switch(
        16,
        "paging-structure-cache entries that can point to PMD tables, on one CPU; 0 if it has no walk cache",
        minimum=0,
        maximum=_MOST_ENTRIES,
    )
    huge_entries: int = switch(
        1024, "TLB entries that can hold a huge page, on one CPU", minimum=1, maximum=_MOST_ENTRIES
    )

    def with_pages(self, page_size: int) -> Platform:
        """Return the platform as a kernel with base pages of this size uses it: with one TLB geometry.

        Args:
            page_size: bytes.

        Raises:
            MistakeError: its TLBs depend on the page size, and it says nothing of this one.
        """
        chosen = {}
        for name in ("tlb", "itlb"):
            value = getattr(self, name)
            if isinstance(value, Mapping):
                if page_size not in value:
                    known = ", ".join(map(str, sorted(value))) or "none"
                    raise mistake(
                        f"platform {self.name!r}: {name} says nothing of pages of {page_size} bytes; of: {known}"
                    )
                chosen[name] = value[page_size]
        return attrs.evolve(self, **chosen) if chosen else self
