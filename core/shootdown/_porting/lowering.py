"""A ready lowering for architectures of the usual shape, adapted by attributes and by overriding single methods."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import attrs

from shootdown._machine import ops
from shootdown._machine.assembler import Assembler
from shootdown._machine.functions import function
from shootdown._pagetables.format import Format
from shootdown._porting.geometry import geometry_of
from shootdown._porting.spaces import mm_rules
from shootdown._values.errors import typed
from shootdown._values.flushes import FlushWay
from shootdown._values.kernel import Kernel
from shootdown._values.lowering import Geometry, Lowering, MmRules
from shootdown._values.platform import Platform
from shootdown._values.sites import mistake

#: A ceiling that every range exceeds: everything is flushed.
EVERYTHING = -1
#: A ceiling that no range exceeds: every range is flushed by address, however long it is.
NO_LIMIT = 1 << 40
#: The ways of flushing that `PlainLowering` knows, as `Architecture.flush_ways` lists them.
PLAIN_WAYS = (
    FlushWay("ipi", "IPIs whose handlers invalidate whatever their CPU runs"),
    FlushWay("broadcast", "instructions that the hardware broadcasts to every CPU"),
    FlushWay("hypercall", "a call of what runs below the kernel, which invalidates on the CPUs of the mask"),
)


def _source(lowering: PlainLowering) -> str:
    return lowering.source


def table_flags(kernel: Kernel) -> int:
    """Return the flags of a gather by which this kernel's flushes know that page tables were freed or unshared.

    Args:
        kernel: `honour_freed_tables` and `honour_unshared_tables` say which of the two flags it looks at.
    """
    if not isinstance(kernel, Kernel):
        raise mistake(f"table_flags(): {typed(kernel)}, not a Kernel")
    flags = ops.FREED_TABLES if kernel.honour_freed_tables else 0
    return flags | (ops.UNSHARED_TABLES if kernel.honour_unshared_tables else 0)


@attrs.frozen
class PlainLowering(Lowering):
    """A `Lowering` that flushes on the CPUs in mm_cpumask, by address or everything.

    Other CPUs are reached in one of three ways: by an IPI whose handler invalidates, whichever mm its CPU runs; by
    instructions that the hardware broadcasts; or by a call of the hypervisor or firmware, which invalidates on all of
    them. If mm_cpumask has no other CPU, only this one invalidates.

    A subclass sets what differs by class attributes or properties of these names, and overrides methods where they do
    not suffice:

        class VaxLowering(PlainLowering):
            source = "arch/vax/mm/tlb.c"
            format = VAX
            ceiling = 16
            page_instruction, all_instruction = "tbis", "tbia"

    All flushes end in `flush()`. It is made of `begin()`, `choose_targets()`, `interrupt()`, `broadcast()`,
    `call_below()` and `invalidate_here()`, each of which can be overridden on its own. The functions that the generic
    code calls are those of Linux's asm-generic/tlb.h.
    """

    kernel: Kernel
    platform: Platform

    # --- set by an architecture

    @property
    @abstractmethod
    def format(self) -> Format:
        """The page-table format, from which `geometry` follows."""

    @property
    def source(self) -> str:
        """The file of Linux's source with the flush, such as `arch/vax/mm/tlb.c`."""
        return ""

    @property
    def ceiling(self) -> int:
        """The most strides of a range that is flushed by address; `EVERYTHING` if no range is."""
        return EVERYTHING

    @property
    def pages_in_pairs(self) -> bool:
        """Whether one TLB entry translates an even page and the odd one after it: base pages are flushed in pairs."""
        return False

    @property
    def pmd_stride(self) -> int:
        """The stride of flush_pmd_tlb_range(), whose range is one huge page: an `ops.*_STRIDES`."""
        return ops.BASE_STRIDES

    @property
    def hugetlb_stride(self) -> int:
        """The stride of flush_hugetlb_tlb_range(): an `ops.*_STRIDES`."""
        return ops.BASE_STRIDES

    @property
    def page_scope(self) -> int:
        """What an invalidation by address drops: walk-cache entries too, or `ops.SCOPE_LEAF`. See `scope_of()`."""
        return ops.SCOPE_BOTH

    @property
    def page_instruction(self) -> str:
        """The name in results of the instruction that invalidates by address."""
        return "invalidate_page"

    @property
    def all_instruction(self) -> str:
        """The name in results of the instruction that invalidates an address space."""
        return "invalidate_all"

    @property
    def call_instruction(self) -> str:
        """The name in results of the instruction that calls the hypervisor or firmware."""
        return "hypercall"

    @property
    def flush_function(self) -> str:
        """The kernel function in which all flushes end, such as `__flush_tlb_range`; empty if there is none."""
        return ""

    @property
    def local_function(self) -> str:
        """The kernel function that invalidates on this CPU, such as `local_flush_tlb_range`; empty if there is none."""
        return ""

    @property
    def handler(self) -> str:
        """The kernel function that the IPI runs."""
        return "the handler invalidates"

    @property
    def addresses_in_words(self) -> str:
        """What an invalidation by address drops, in words for stories."""
        return "what translates the addresses"

    @property
    def everything_in_words(self) -> str:
        """What an invalidation of everything drops, in words for stories."""
        return "everything of the mm"

    @property
    def tracked(self) -> bool:
        """Whether CPUs that a flush by IPI leaves out catch up when they switch, as by tlb_gen on x86."""
        return False

    @property
    def only_user_flushes_here(self) -> bool:
        """Whether no CPU is interrupted if this task is the mm's only user: others are to catch up (`tracked`)."""
        return False

    @property
    def handler_looks_first(self) -> bool:
        """Whether the IPI's handler does nothing on CPUs outside of mm_cpumask, which have no context of the mm."""
        return False

    @property
    def native_way(self) -> str:
        """How kernel and platform reach other CPUs: `ipi`, `broadcast` or `hypercall`."""
        return "ipi"

    # --- derived from these

    @property
    def way(self) -> str:
        """How flushes reach other CPUs, a what-if included (`--set platform.flush=`)."""
        forced = self.platform.flush
        return forced if any(way.name == forced for way in PLAIN_WAYS) else self.native_way

    @property
    def mm(self) -> MmRules:
        """How context switches treat address spaces: with as many ASIDs as the platform's TLB has."""
        platform = self.platform
        if isinstance(platform.tlb, Mapping):
            platform = platform.with_pages(self.kernel.page_size)
        return mm_rules(1 << platform.tlb.asid_bits)

    @property
    def geometry(self) -> Geometry:
        """The levels of `format`."""
        return geometry_of(self.format)

    @property
    def flags_that_flush_everything(self) -> int:
        """Flags of a gather that require a full flush: freed tables, if one by address keeps walk-cache entries."""
        flags = ops.FULLMM | ops.NEED_FLUSH_ALL
        return flags if self.page_scope & ops.SCOPE_WALK else flags | table_flags(self.kernel)

    def no_pmd_sharing(self) -> str | None:
        """Return why hugetlb PMD tables are not shared, or None where they are."""
        return None if self.kernel.pmd_sharing else "this kernel shares no hugetlb PMD tables"

    # --- called by the generic code

    @function("tlb_flush", "include/asm-generic/tlb.h")
    def tlb_flush(self, asm: Assembler, g: int) -> None:
        """Write `tlb_flush()` of asm-generic/tlb.h: the gather's range, or everything."""
        with asm.if_flags(g, self.flags_that_flush_everything) as everything:
            self.flush_mm(asm, g)
            everything.otherwise()
            self.flush_range(asm, g)

    def flush_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_range()`: strides of base pages, whichever level was cleared."""
        self._flush_tlb_range(asm, g)

    @function("flush_pmd_tlb_range", _source)
    def flush_pmd_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_pmd_tlb_range()`: the range of a huge page in strides of `pmd_stride`."""
        self.flush(asm, g, stride=self.pmd_stride)

    def flush_hugetlb_range(self, asm: Assembler, g: int) -> None:
        """Write `flush_hugetlb_tlb_range()`: `flush_tlb_range()` in strides of `hugetlb_stride`."""
        self._flush_tlb_range(asm, g, stride=self.hugetlb_stride)

    @function("flush_tlb_range", _source)
    def _flush_tlb_range(self, asm: Assembler, g: int, stride: int = ops.BASE_STRIDES) -> None:
        self.flush(asm, g, stride=stride)

    @function("flush_tlb_mm", _source)
    def flush_mm(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_mm()`: everything of the mm."""
        self.flush(asm, g, everything=True, stride=0)

    @function("flush_tlb_page", _source)
    def flush_page(self, asm: Assembler, g: int) -> None:
        """Write `flush_tlb_page()`: one base page."""
        self.flush(asm, g)

    # --- in which all of them end

    def flush(
        self, asm: Assembler, g: int, *, everything: bool = False, stride: int = ops.BASE_STRIDES
    ) -> None:
        """Write a flush: choose how much to flush, which CPUs, and how they are reached.

        Args:
            asm: the assembler.
            g: the gather or request whose range is flushed.
            everything: flush all of the mm, whatever the range.
            stride: `ops.BASE_STRIDES`, `ops.PMD_STRIDES`, or 0 for that of the smallest level cleared.
        """
        with self._named(asm, self.flush_function), asm.because("TLB flush"):
            if self.way != "ipi" or not self.only_user_flushes_here:
                self._flush_unless_empty(asm, g, everything=everything, stride=stride)
                return
            with asm.if_alone() as alone:
                self.begin(asm, g, everything=everything, stride=stride)
                self.invalidate_here(asm)
                asm.cancel(text="no IPI: this task is the only user")
                alone.otherwise()
                self._flush_unless_empty(asm, g, everything=everything, stride=stride)

    def choose_targets(self, asm: Assembler) -> None:
        """Write which other CPUs a flush by IPI or by a call reaches: those in mm_cpumask.

        The flush has begun where it is `tracked`, but for an empty range of shared tables (`flush_empty()`).
        """
        asm.target_mm_cpumask()

    def _flush_unless_empty(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        if everything or not self._ranges_may_be_empty:
            self._flush(asm, g, everything=everything, stride=stride)
            return
        with asm.if_not_empty(g) as some:
            self._flush(asm, g, everything=False, stride=stride)
            some.otherwise()
            self.flush_empty(asm)

    def _flush(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        if self.way == "broadcast":
            self.begin(asm, g, everything=everything, stride=stride)
            self.broadcast(asm)
            return
        # A CPU that loads the mm between the two has to be a target, or behind.
        begins_first = self.tracked and self.way == "ipi"
        if begins_first:
            self.begin(asm, g, everything=everything, stride=stride)
        self.choose_targets(asm)
        with asm.if_targets() as others:
            if self.way == "hypercall":
                self.call_below(asm, g, everything=everything, stride=stride)
            else:
                if not begins_first:
                    self.begin(asm, g, everything=everything, stride=stride)
                self.interrupt(asm)
            others.otherwise()
            if not begins_first:
                self.begin(asm, g, everything=everything, stride=stride)
            with asm.if_in_mm_cpumask():
                self.invalidate_here(asm)
            asm.cancel(text="no other CPU")

    @property
    def _ranges_may_be_empty(self) -> bool:
        """Whether a gather loses the range of a shared table: the size of a PUD entry is truncated to 32 bits."""
        return self.kernel.pmd_sharing and self.kernel.range_truncation_16k and self.geometry.pud_shift >= 32

    def flush_empty(self, asm: Assembler) -> None:
        """Write the flush of an empty range (`Kernel.range_truncation_16k`): CPUs are called but invalidate nothing."""
        text = "the range is empty: nothing is invalidated"
        if self.way == "broadcast":
            asm.complete(text)
            return
        self.choose_targets(asm)
        with asm.if_targets() as others:
            if self.way == "hypercall":
                asm.execute(self.call_instruction)
            asm.send(ops.CALL_HYPERCALL if self.way == "hypercall" else ops.CALL_INVALIDATE, 0, text=text)
            asm.wait_for_answers()
            others.otherwise()
            asm.cancel(text="no other CPU")

    def _named(self, asm: Assembler, function: str) -> AbstractContextManager[None]:
        return asm.function(function, self.source) if function else nullcontext()

    def begin(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        """Write the choice of how much to flush: the range rounded to its stride up to `ceiling`, else everything."""
        ceiling = EVERYTHING if everything else self.ceiling
        if self.pages_in_pairs and stride == ops.BASE_STRIDES:
            stride = ops.PAIR_STRIDES
        asm.begin_flush(
            g,
            ceiling=ceiling,
            rounded=True,
            tracked=self.tracked and self.way == "ipi",
            stride=stride,
            text=self.everything_in_words
            if ceiling == EVERYTHING
            else f"by address, or {self.everything_in_words}",
        )

    def interrupt(self, asm: Assembler) -> None:
        """Write IPIs to the targets, this CPU's own invalidation, and the wait for all."""
        looks = self.handler_looks_first
        call = ops.CALL_INVALIDATE_MASKED if looks else ops.CALL_INVALIDATE
        per = ops.PER_TARGET | (ops.IN_MASK if looks else 0)
        with asm.function("on_each_cpu_mask", "kernel/smp.c"), asm.if_ranged() as ranged:
            self.count_pages(asm, per)
            asm.send(call, self.page_scope, text=f"IPI: {self.handler}")
            ranged.otherwise()
            self.count_all(asm, per)
            asm.send(call, ops.SCOPE_BOTH, text=f"IPI: {self.handler}")
        with asm.if_in_mm_cpumask():
            self.invalidate_here(asm)
        asm.wait_for_answers()

    def broadcast(self, asm: Assembler) -> None:
        """Write the broadcast instructions, which reach every CPU, and the wait for their completion."""
        with asm.if_ranged() as ranged:
            asm.execute(self.page_instruction, 1, ops.PER_STRIDE, broadcasts=True, cost="broadcast_ns")
            asm.broadcast(self.page_scope, text=f"{self.page_instruction} reaches every CPU")
            ranged.otherwise()
            asm.execute(self.all_instruction, broadcasts=True, cost="broadcast_ns")
            asm.broadcast(ops.SCOPE_BOTH, text=f"{self.all_instruction} reaches every CPU")
        asm.complete("wait until every CPU has invalidated")

    def call_below(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        """Write the call of the hypervisor or firmware, which invalidates on all CPUs, this one included."""
        self.begin(asm, g, everything=everything, stride=stride)
        asm.execute(self.call_instruction)
        with asm.if_ranged() as ranged:
            self._invalidated_from_below(asm, self.page_scope)
            ranged.otherwise()
            self._invalidated_from_below(asm, ops.SCOPE_BOTH)
        asm.wait_for_answers("all CPUs have invalidated")

    def _invalidated_from_below(self, asm: Assembler, scope: int) -> None:
        with asm.if_in_mm_cpumask():
            asm.invalidate_this_cpu(scope, text="this CPU is invalidated from below")
        asm.send(ops.CALL_HYPERCALL, scope, text="the targets are invalidated from below")

    def invalidate_here(self, asm: Assembler) -> None:
        """Write this CPU's own invalidation."""
        with self._named(asm, self.local_function), asm.if_ranged() as ranged:
            self.count_pages(asm)
            asm.invalidate_this_cpu(self.page_scope, text=f"this CPU drops {self.addresses_in_words}")
            ranged.otherwise()
            self.count_all(asm)
            asm.invalidate_this_cpu(ops.SCOPE_BOTH, text=f"this CPU drops {self.everything_in_words}")

    def count_pages(self, asm: Assembler, per: int = ops.PER_REQUEST) -> None:
        """Count the instructions by address that this CPU or, with `ops.PER_TARGET`, each target executes."""
        asm.execute(self.page_instruction, 1, ops.PER_STRIDE | per)

    def count_all(self, asm: Assembler, per: int = ops.PER_REQUEST) -> None:
        """Count the instruction for everything that this CPU or, with `ops.PER_TARGET`, each target executes."""
        asm.execute(self.all_instruction, 1, ops.PER_REQUEST | per)
