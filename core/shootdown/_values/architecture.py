"""An architecture, as a plugin describes it. The docstring of `Architecture` is the porting guide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

import attrs

from shootdown._values.checked import UNCHECKED, Between, checked
from shootdown._values.emulation import Emulation
from shootdown._values.expected import Expected
from shootdown._values.flushes import AUTO, UNLISTED_PREEMPTING_HOSTS, UNLISTED_WAYS, FlushWay
from shootdown._values.kernel import Kernel, NoSwitches
from shootdown._values.platform import Platform
from shootdown._values.recorded import Recorded
from shootdown._values.sites import mistake

if TYPE_CHECKING:
    from shootdown._machine.assembler import Assembler

#: The version of the plugin interface that this shootdown implements.
API = 1


@attrs.frozen(field_transformer=checked)
class MmRules:
    """How context switches treat address spaces.

    Args:
        clear_on_switch: a CPU that switches to another mm leaves the old one's mm_cpumask at once.
        lazy_tlb: an idle CPU keeps the mm it ran loaded, lazily.
        asids: address spaces whose translations a CPU keeps; 1 where switching drops them.
        tagged: translations carry an ASID or PCID.
    """

    clear_on_switch: bool
    lazy_tlb: bool
    asids: Annotated[int, Between(1, 1 << 24)]
    tagged: bool


@attrs.frozen(field_transformer=checked)
class Geometry:
    """The levels of the page tables that Linux uses, as flushes see them.

    Args:
        page_shift, pmd_shift, pud_shift, p4d_shift, pgd_shift: log2 of the bytes that one entry of the level spans;
            a folded level repeats the one below.
    """

    page_shift: Annotated[int, Between(6, 63)]
    pmd_shift: Annotated[int, Between(6, 63)]
    pud_shift: Annotated[int, Between(6, 63)]
    p4d_shift: Annotated[int, Between(6, 63)]
    pgd_shift: Annotated[int, Between(6, 63)]

    def __attrs_post_init__(self) -> None:
        """Raise an error if a level lies above the next one."""
        shifts = [(field.name, getattr(self, field.name)) for field in attrs.fields(Geometry)]
        for (lower, below), (upper, above) in pairwise(shifts):
            if above < below:
                raise mistake(
                    f"geometry: {upper} is {above}, below {lower}, which is {below}: an entry of a higher level spans "
                    "as much or more"
                )


class Lowering:
    """How one kernel on one platform of an architecture flushes: the part of mm/ that `asm/tlb.h` decides.

    Most architectures subclass `shootdown.porting.PlainLowering`, a lowering that attributes describe. Others subclass
    this one as a frozen attrs class with the fields `kernel` and `platform`. Each method writes steps with the
    `Assembler` that it gets, under the kernel function that they stand for; nothing runs yet. `g` is the gather (or
    request) whose range and flags are flushed. Every flush has four parts:

    1. *How much.* `asm.begin_flush(g, ceiling=...)` chooses between the range and everything: its arguments give the
       stride (by default that of the smallest level cleared), the most strides, and whether CPUs that the flush leaves
       out catch up later (`tracked`, which is x86's tlb_gen). `asm.if_ranged()` branches on the choice.
    2. *Which CPUs.* `asm.target_mm_cpumask()`, `asm.target_all_online()`; then `asm.drop_*()`. `asm.if_targets()`
       branches on whether any CPU is left. A flush that waits for no answers ends with `asm.cancel(text=...)`.
    3. *How.* `asm.send(call, scope)` and `asm.wait_for_answers()`, or `asm.complete()` for hardware that broadcasts.
       `ops.CALL_FLUSH` is an IPI whose handler checks tlb_gen and lazy mode as x86's does; `ops.CALL_INVALIDATE` is an
       IPI whose handler invalidates, whichever mm its CPU runs; `ops.CALL_BROADCAST` is carried out by hardware;
       `ops.CALL_HYPERCALL` by the hypervisor or firmware: no CPU of this kernel takes an interrupt.
    4. *This CPU.* `asm.if_loaded_here()` or `asm.if_in_mm_cpumask()`, then `asm.flush_this_cpu(scope)`, or
       `asm.flush_here(scope)` to invalidate whichever mm the CPU has loaded.

    A scope says which entries are dropped: TLB entries (`ops.SCOPE_LEAF`), walk-cache entries (`ops.SCOPE_WALK`) or
    both. A full flush by CALL_FLUSH drops both; the other calls drop what the scope says, so check `asm.if_ranged()`
    first.
    `asm.leave_mm_cpumask()`, `asm.if_mm_dead()`, `asm.field(name)` and others are for what is unlike x86:
    `docs/reference/plugins.md` has a table.
    `asm.execute(name, times, per)` counts an instruction that results list by name; with `ops.PER_TARGET`, those that
    the targets will execute. `asm.if_flags(g, flags)` tests `ops.FULLMM`, `ops.FREED_TABLES`... of the gather.

    Raises:
        NotImplementedError: a method that every architecture has to define.
    """

    kernel: Kernel
    platform: Platform

    # --- what every architecture has to define

    @property
    def mm(self) -> MmRules:
        """How context switches treat address spaces."""
        raise NotImplementedError

    @property
    def geometry(self) -> Geometry:
        """The levels of the page tables."""
        raise NotImplementedError

    def tlb_flush(self, asm: Assembler, g: int) -> None:
        """Write the architecture's `tlb_flush()` for a gather that recorded something."""
        raise NotImplementedError

    def flush_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_range()` for the range of request `g`."""
        raise NotImplementedError

    def flush_mm(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_mm()`."""
        raise NotImplementedError

    def flush_page(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_page()` for the one page of request `g`."""
        raise NotImplementedError

    # --- with defaults that suit most architectures

    @property
    def needs_table_invalidate(self) -> bool:
        """Whether tables must be flushed before they are freed: `tlb_needs_table_invalidate()`."""
        return True

    @property
    def frees_tables_as_pages(self) -> bool:
        """Whether page-table pages are queued with other pages, not in batches of their own for RCU."""
        return False

    @property
    def frees_pmd_tables_with_all(self) -> bool:
        """Whether freeing a PMD table (`__pmd_free_tlb()`) sets need_flush_all: the gather flushes the whole mm."""
        return False

    @property
    def new_mm_flushes(self) -> int:
        """The number of calls of `flush_tlb_mm()` in `pgd_alloc()` for a new mm, which no CPU runs yet."""
        return 0

    @property
    def spans_one_table(self) -> bool:
        """Whether the address space is so small that each PMD table maps something besides a single huge page."""
        return False

    @property
    def sync_redundant_natively(self) -> bool:
        """Whether each flush interrupts every CPU that could be walking, so that no sync is needed."""
        return False

    @property
    def global_asid_from_start(self) -> bool:
        """Whether every mm has a machine-wide ASID from the start, because a forced way of flushing needs one."""
        return False

    @property
    def global_asid_rule(self) -> str:
        """When an mm gets its machine-wide ASID, in words; empty where it has one already, or none is of use."""
        return ""

    @property
    def global_asid_instruction(self) -> str | None:
        """The name of the instruction that flushes by machine-wide ASID, or None if kernel or CPU has none."""
        return None

    @property
    def other_flushes(self) -> Mapping[str, tuple[str, ...]]:
        """Further ways in which this kernel may flush on this platform, depending on the process: name to what-ifs.

        `shootdown targets` has rows for those too.
        """
        return {}

    @property
    def machine_locks(self) -> int:
        """The number of machine-wide locks that flushes take; they are locks 0, 1, ... of a program."""
        return 0

    @property
    def defers_unmaps(self) -> Literal["never", "remote", "always"]:
        """When `arch_tlbbatch_should_defer()` puts off the flush of a page that reclaim unmaps.

        `never` without CONFIG_ARCH_WANT_BATCHED_UNMAP_TLB_FLUSH; `remote` if another CPU is in mm_cpumask.
        """
        return "never"

    def arch_tlbbatch_add_pending(self, asm: Assembler, g: int, pages: int) -> None:
        """Write `arch_tlbbatch_add_pending()` for pages, of request `g`; their flush is `arch_tlbbatch_flush()`."""

    def arch_tlbbatch_flush(self, asm: Assembler, g: int) -> None:
        """Write `arch_tlbbatch_flush()`: the flush that was put off, of request `g`."""
        self.flush_mm(asm, g)

    def arch_flush_tlb_batched_pending(self, asm: Assembler, g: int) -> None:
        """Write what `flush_tlb_batched_pending()` does about flushes that other CPUs have put off."""
        self.flush_mm(asm, g)

    def flush_pmd_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_pmd_tlb_range()` for the one huge PMD entry whose base pages are the range of request `g`."""
        self.flush_range(asm, g)

    def flush_hugetlb_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_hugetlb_tlb_range()` for the range of request `g`."""
        self.flush_range(asm, g)

    def flush_collapsed_pmd(self, asm: Assembler, g: int) -> None:
        """Write the flush of `pmdp_collapse_flush()` for the range of request `g`."""
        self.flush_range(asm, g)

    def entries_cleared(self, asm: Assembler, count: int, *, huge: bool, first: int = 0) -> None:
        """Write the immediate effect of clearing entries, if there is one (hash-table entries are flushed).

        If these are base pages, they begin at page `first` of the mapping, which begins where a page table does. The
        method may use request 2.
        """

    def entries_mapped(self, asm: Assembler, faults: int, *, entries: int = 1) -> None:
        """Write `update_mmu_cache_range()` for some faults, if the architecture has one.

        Args:
            asm: the assembler.
            faults: the number of faults.
            entries: the entries that each of them maps: more than one by fault-around and with large folios.
        """

    @property
    def folded_span(self) -> int:
        """The bytes that an entry of the lowest level folded at run time, not at compile time, spans; 0 for none.

        mm/memory.c walks such a level as if it had a table: if a hole covers a whole entry, `pud_free_tlb()` or
        `p4d_free_tlb()` sets freed_tables although no table is freed.
        """
        return 0

    @property
    def numbers_below(self) -> tuple[int, ...]:
        """The numbers of the first CPUs in calls of hypervisor or firmware; further CPUs follow the last one."""
        return ()

    @property
    def reach_of_calls(self) -> int:
        """The range of CPU numbers that one call of the hypervisor or firmware can reach; 0: any number of CPUs."""
        return 0

    def writes_of_ipis(self, cpus: int) -> tuple[int, int]:
        """Return how many CPUs one write to the interrupt controller can interrupt, and of how many words it consists.

        The first is a power of two: 16 for a cluster of x2APICs, say. `(0, 1)`, the default: what writes cost is part
        of `ipi_send_each_ns`.

        Args:
            cpus: online CPUs.
        """
        return 0, 1

    @property
    def ipi_scan_misses(self) -> bool:
        """Whether the sender of an IPI reads a cache line of its own for each target (`ipi_scan_ns`)."""
        return False

    def folio_entries_changed(self, asm: Assembler, count: int, *, first: int, clears: bool) -> None:
        """Write the immediate effect of changing base entries of a large folio, if there is one (arm64 unfolds blocks).

        The entries begin at the folio's page `first`; they are cleared if `clears`, else replaced. The method may use
        request 2.
        """

    def no_thp(self) -> str | None:
        """Return why there are no transparent huge pages here, or None where there are."""
        return None

    def no_pmd_sharing(self) -> str | None:
        """Return why hugetlb PMD tables are never shared here, or None where they are."""
        return None

    # --- how the hardware reads and writes entries, for `shootdown explore`

    def no_hardware_walker(self) -> str | None:
        """Return why hardware never walks page tables by itself, or None where it does.

        Where it does not (LoongArch's 3A5000, MIPS), a TLB miss traps, and the kernel's handler walks with interrupts
        off: only where the mm runs, never lazily, and no walk-cache entry is kept. A flush that interrupts the CPU
        comes before or after it.
        """
        return None

    def no_hardware_dirty(self) -> str | None:
        """Return why the hardware never sets the dirty bit of a page-table entry here, or None where it does."""
        return "its plugin names no hardware that sets dirty bits (Lowering.no_hardware_dirty)"

    def no_break_before_make(self) -> str | None:
        """Return why a valid entry may change its size in place, or None where it is made invalid first."""
        return "its plugin names no rule against changing an entry's size in place (Lowering.no_break_before_make)"

    def no_contiguous_entries(self) -> str | None:
        """Return why no TLB entry ever covers several page-table entries, or None where a contiguous bit lets it."""
        return "its plugin names no contiguous entries (Lowering.no_contiguous_entries)"

    def no_hash_table(self) -> str | None:
        """Return why translations are never found in a hash table of entries, or None where they are."""
        return "hardware walks page tables here; there is no hash table of entries"


@attrs.frozen(kw_only=True, field_transformer=checked)
class Architecture:
    """Everything that an architecture's plugin defines: the porting guide, in stages.

    A plugin imports public modules only (`docs/reference/public.md`). Each stage below works without the next one.
    `docs/examples/vax` is an architecture in 60 lines, `plugins/shootdown-riscv` has all stages;
    `docs/reference/plugins.md` says how a distribution is found.

    Stage 1, page tables: `formats`, of `shootdown.formats.Format`. `shootdown walk` and `shootdown list formats` work.
    Compare `Walker` with a slow walk of your own, written from the manual.

    Stage 2, kernels: `switches` (a frozen attrs class of `switch()` fields that only this architecture has; one that
    repeats a name of `Kernel`, such as `va_bits`, gives it other choices), `changes` (the commits that moved switches
    of either class, with the first release by series; what held before v5.10 is a `Change` with `mainline="5.10"`) and
    `configure` (values that follow from the configuration: `rcu_table_free`, `pmd_sharing`, `gup_fast`... are True by
    default). `shootdown list kernels`, `shootdown.kernel()` and `--kernel` work.

    Stage 3, platforms: `platforms`, with costs, each with its source, a `TlbGeometry`, and in `arch` a frozen attrs
    class of `switch()` fields that only this architecture's platforms have. `walk_entries` and `huge_entries` are
    counts of that geometry. `--platform` and `--set platform.FIELD=` work.

    Stage 4, flushes: `lower(kernel, platform)` returns a `Lowering`, which writes the steps of each kind of flush.
    `compare`, `explain`, `targets` and `validate` work. `flush_ways` lists the ways that `--set platform.flush=` can
    force, with what they need.

    Args:
        api: the plugin interface that the plugin was written for: 1.
        name: as typed after `--arch`, such as `x86`.
        summary: one line.
        aliases: other names of it in data (`amd64`).
        aliases_imply: by alias, the kernel's switches that it sets (`i386`: `va_bits` 32).
        formats: page-table formats.
        switches: attrs class of this architecture's kernel switches.
        changes: commits that moved switches.
        configure: derives values that follow from others (called after the changes, before what-ifs).
        platforms: the machines that kernels run on; the first is the default, and native.
        lower: returns the `Lowering` of a kernel on a platform.
        measured: how rows measured on its real kernels map to the model, for `shootdown validate`.
        emulation: how its kernels are booted under an emulator, for `shootdown measure`.
        recorded: what its kernels write into traces, counters and logs, for `shootdown read`.
        cpuinfo: regular expressions that are searched in /proc/cpuinfo, each with the platform that such a machine is
            like; the first that is found counts. `--here` uses it.
        contradictions: settings that cannot hold together; see `shootdown.porting.Contradiction`.
        memory_model: the order in which other CPUs see a CPU's stores: at once (`sc`), later in program order (`tso`),
            or later in any order, with loads out of order too (`weak`). `shootdown explore` needs it.
        pte_clear: whether clearing a page-table entry is a fully ordered exchange (`xchg`) or orders nothing (`store`).
        pte_clear_atomic: clearing reads and clears the entry in one access, ordered or not.
        flush_ways: the ways of flushing that `--set platform.flush=NAME` forces; `lower` knows them by name.
        preempting_hosts: hypervisors that may preempt any vCPU of their guests at any moment, unless a way of flushing
            is forced that needs no such host.
        instructions: the instructions that its flushes count, by the names that results show: where the manual has
            each.
        expected: defects of its real kernels and machines that `shootdown check` finds; see `Expected`.
        called: the alias that the user typed, set by the registry if `aliases_imply` has it.
        first: the first release series that has the architecture, such as `5.19`; empty where 5.10 has it. A row of an
            earlier kernel says so, and neither `configure` nor `lower` is called for it.
    """

    api: int = attrs.field(metadata={UNCHECKED: True})  # another one makes a plugin outdated, not broken
    name: str
    summary: str
    aliases: tuple[str, ...] = ()
    aliases_imply: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict, hash=False)
    formats: tuple[Any, ...] = ()
    switches: type[Any] = NoSwitches
    changes: tuple[Any, ...] = ()
    configure: Callable[[Kernel], Kernel] | None = None
    platforms: tuple[Platform, ...] = ()
    lower: Callable[[Kernel, Platform], Lowering] | None = None
    measured: Any = None
    emulation: Emulation | None = None
    recorded: Recorded = Recorded()
    cpuinfo: tuple[tuple[str, str], ...] = ()
    contradictions: tuple[Any, ...] = ()
    memory_model: Literal["sc", "tso", "weak"] = "weak"
    pte_clear: Literal["store", "xchg"] = "store"
    pte_clear_atomic: bool = True
    flush_ways: tuple[FlushWay, ...] = UNLISTED_WAYS
    preempting_hosts: tuple[str, ...] = UNLISTED_PREEMPTING_HOSTS
    instructions: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    expected: tuple[Expected, ...] = ()
    called: str = ""
    first: str = ""

    @property
    def implied(self) -> Mapping[str, Any]:
        """The switches that the alias which the user typed sets."""
        return self.aliases_imply.get(self.called, {})

    def preempts(self, platform: Platform) -> bool:
        """Whether any vCPU of one of its platforms may be preempted at any moment."""
        if platform.flush == AUTO:
            return platform.hypervisor in self.preempting_hosts
        return any(way.preempts for way in self.flush_ways if way.name == platform.flush)
