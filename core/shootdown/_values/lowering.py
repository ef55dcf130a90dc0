"""How a kernel of an architecture flushes, as the architecture writes it: the part of mm/ that `asm/tlb.h` decides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal

import attrs

from shootdown._values.checked import Between, checked
from shootdown._values.kernel import Kernel
from shootdown._values.platform import Platform
from shootdown._values.sites import mistake

if TYPE_CHECKING:
    from shootdown._machine.assembler import Assembler
    from shootdown._values.places import Place

#: Kernel functions that change entries; see `Lowering.entries_changed()`.
EntryFunction = Literal[
    "ptep_get_and_clear",
    "ptep_clear_flush",
    "pmdp_invalidate",
    "huge_ptep_get_and_clear",
    "ptep_set_wrprotect",
    "ptep_set_access_flags",
]


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


class Lowering(ABC):
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
    """

    kernel: Kernel
    platform: Platform

    # --- what every architecture has to define

    @property
    @abstractmethod
    def mm(self) -> MmRules:
        """How context switches treat address spaces."""

    @property
    @abstractmethod
    def geometry(self) -> Geometry:
        """The levels of the page tables."""

    @abstractmethod
    def tlb_flush(self, asm: Assembler, g: int) -> None:
        """Write the architecture's `tlb_flush()` for a gather that recorded something."""

    @abstractmethod
    def flush_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_range()` for the range of request `g`."""

    @abstractmethod
    def flush_mm(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_mm()`."""

    @abstractmethod
    def flush_page(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_page()` for the one page of request `g`."""

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
    def machine_locks(self) -> Annotated[int, Between(0, 64)]:
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
        """Write `arch_tlbbatch_flush()`: the flush that was put off, of all pages that were added.

        Request `g` has the range of one of them: whoever knows no more flushes everything.
        """
        self.flush_mm(asm, g)

    def arch_flush_tlb_batched_pending(self, asm: Assembler, g: int) -> None:
        """Write what `flush_tlb_batched_pending()` does: flushes that other CPUs have put off are due now."""
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
        """Write what is done about cleared entries before their table is unlocked (hash-table entries are flushed).

        If these are base pages, they begin at page `first` of the mapping, which begins where a page table does. The
        method may use request 2.
        """

    def entries_changed(
        self, asm: Assembler, count: int, *, huge: bool, by: EntryFunction, first: int = 0
    ) -> None:
        """Write what the kernel function that changes entries does besides, if it does (s390 flushes in it).

        Reverse map and page know nothing of the change yet. The flush that is asked for afterwards, or before, is that
        of `by`.

        Args:
            asm: the assembler.
            count: how many entries change.
            huge: they are PMD entries that map huge pages, else base pages.
            by: `ptep_get_and_clear`, as by munmap(), mprotect() and mremap(): a flush of the gather or range follows;
                `ptep_clear_flush`, as by copy on write: `flush_page()` follows; `pmdp_invalidate`, as by the split of
                a THP: `flush_pmd_range()` is asked for too; `huge_ptep_get_and_clear`, of hugetlb pages;
                `ptep_set_wrprotect`, as by fork(): `flush_mm()` follows; `ptep_set_access_flags`, as by a write to a
                page that nobody shares any more: nothing follows.
            first: as for `entries_cleared()`.
        """

    def entries_set(self, asm: Assembler, count: int, *, huge: bool) -> None:
        """Write what `set_ptes()` or, of huge pages, `set_pmd_at()` does besides writing (LoongArch's flushes).

        The method may use request 2.
        """

    def tables_freed(self, asm: Assembler, g: int) -> None:
        """Write what `pte_free_tlb()` and its like do besides what is generic, if they do (s390 sets flush_mm).

        Gather `g` has recorded the tables by then, with `ops.FREED_TABLES`.
        """

    @property
    def tables_freed_at_once(self) -> Annotated[int, Between(0, 15)]:
        """The tables that are freed at once, before any flush, by the level of what pointed to them: `ops.CLEARED_*`.

        0 where all wait for the flush of their gather. LoongArch before 7.0 frees PMD tables so (CLEARED_PUDS).
        """
        return 0

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

    def controller_ids(self, places: Sequence[Place]) -> tuple[int, ...]:
        """Return the numbers by which the interrupt controller knows the CPUs.

        A write that can interrupt 16 CPUs reaches those whose numbers are equal but for the last four bits.

        Args:
            places: where each CPU is: its socket, its core there, its thread there.
        """
        return tuple(range(len(places)))

    @property
    def interrupts_all_at_once(self) -> bool:
        """Whether one write interrupts all CPUs but the sender; otherwise as many as `writes_of_ipis` says."""
        return False

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

    def flush_kernel_addresses(self, asm: Assembler) -> None:
        """Write `flush_tlb_kernel_range()` of a range that is too long to be flushed page by page.

        It begins with `asm.kernel_begin(0)`. Only asked for where `no_kernel_ranges()` returns None.
        """
        raise mistake(f"{type(self).__name__} has no method flush_kernel_addresses(asm)")

    def no_kernel_ranges(self) -> str | None:
        """Return why flushes of kernel addresses can't be counted, or None where they can."""
        return "flushes of kernel addresses are not modelled here"

    def no_hash_table(self) -> str | None:
        """Return why translations are never found in a hash table of entries, or None where they are."""
        return "hardware walks page tables here; there is no hash table of entries"
