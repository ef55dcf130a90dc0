"""Lowerings of the toy with one mistake in how much they drop: of ranges, of tables, of what reclaim puts off."""

from __future__ import annotations

from tests.core.compliance.right_lowerings import Good, Tracks

from shootdown.porting import EVERYTHING, NO_LIMIT, Assembler, ops

_HUGE = 512


# --- how much


class OnePageOnly(Good):
    """Whatever the range, one page of it goes."""

    def begin(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        asm.request(2, cleared=ops.CLEARED_PTES, hi=1)
        super().begin(asm, 2, everything=everything, stride=stride)


class HugeStrides(Good):
    """Base pages are flushed in strides of huge pages."""

    def flush_range(self, asm: Assembler, g: int) -> None:
        self.flush(asm, g, stride=ops.PMD_STRIDES)


class GatherInHugeStrides(Good):
    """The gather's range goes in strides of huge pages, whichever level was cleared."""

    def tlb_flush(self, asm: Assembler, g: int) -> None:
        with asm.if_flags(g, self.flags_that_flush_everything) as everything:
            self.flush_mm(asm, g)
            everything.otherwise()
            self.flush(asm, g, stride=ops.PMD_STRIDES)


class NotRounded(Good):
    """A range that begins within a stride loses its end."""

    def begin(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        asm.begin_flush(
            g, ceiling=EVERYTHING if everything else 600, tracked=False, stride=stride or ops.PMD_STRIDES
        )

    def flush_range(self, asm: Assembler, g: int) -> None:
        self.flush(asm, g, stride=0)

    def flush_hugetlb_range(self, asm: Assembler, g: int) -> None:
        asm.copy_range(g, cleared=ops.CLEARED_PUDS)
        self.flush(asm, 2, stride=0)


class NamesTheBaseSize(Good):
    """Instructions name the base page's size: huge pages stay."""

    ceiling = 600

    def begin(self, asm: Assembler, g: int, *, everything: bool, stride: int) -> None:
        asm.begin_flush(
            g,
            ceiling=EVERYTHING if everything else self.ceiling,
            tracked=False,
            stride=ops.BASE_STRIDES,
            one_size=True,
        )


class FirstPagesOfALongRange(Good):
    """A range above the ceiling is cut to its first pages in place of flushing everything."""

    ceiling = 1 << 30

    def flush_range(self, asm: Assembler, g: int) -> None:
        with asm.if_more_strides(g, 16) as long:
            asm.request(2, cleared=ops.CLEARED_PTES, hi=16)
            self.flush(asm, 2)
            long.otherwise()
            self.flush(asm, g)


class MmFlushIsOfThePage(Good):
    """flush_tlb_mm() flushes one page."""

    def flush_mm(self, asm: Assembler, g: int) -> None:
        asm.request(2, cleared=ops.CLEARED_PTES, hi=1)
        self.flush(asm, 2)


class MmFlushIsOfTheFirstPages(Good):
    """flush_tlb_mm() flushes as many pages as go by address."""

    def flush_mm(self, asm: Assembler, g: int) -> None:
        asm.request(2, cleared=ops.CLEARED_PTES, hi=self.ceiling)
        self.flush(asm, 2)


class PageFlushesThePageZero(Good):
    """flush_tlb_page() flushes page 0."""

    def flush_page(self, asm: Assembler, g: int) -> None:
        asm.request(2, cleared=ops.CLEARED_PTES, hi=1)
        self.flush(asm, 2)


class NextPage(Good):
    """The gather that is flushed is the wrong one."""

    def flush_range(self, asm: Assembler, g: int) -> None:
        self.flush(asm, 1)


class CeilingInBytes(Good):
    """The ceiling is a number of bytes: no range is ever longer."""

    ceiling = 16 * 4096


class DropsNoLeaves(Good):
    """Ranged flushes drop walk-cache entries alone."""

    page_scope = ops.SCOPE_WALK


class ScopeZeroHere(Good):
    """This CPU's own invalidation drops nothing."""

    def invalidate_here(self, asm: Assembler) -> None:
        asm.invalidate_this_cpu(0, text="nothing")


class EmptyRange(Good):
    """flush_tlb_range() is empty, as on a machine that flushes when it clears."""

    def flush_range(self, asm: Assembler, g: int) -> None:
        asm.work("flush_ns")


class CollapseIsEmpty(Good):
    """The flush of a collapse is empty."""

    def flush_collapsed_pmd(self, asm: Assembler, g: int) -> None:
        asm.work("flush_ns")


class HugetlbIsEmpty(Good):
    """The flush of huge pages is empty."""

    def flush_hugetlb_range(self, asm: Assembler, g: int) -> None:
        asm.work("flush_ns")


# --- tables


class ForgetsTables(Good):
    """By address only leaf entries go, and freed tables make no difference."""

    page_scope = ops.SCOPE_LEAF
    flags_that_flush_everything = ops.FULLMM | ops.NEED_FLUSH_ALL


class EverythingKeepsLinks(Good):
    """A full flush keeps walk-cache entries."""

    def interrupt(self, asm: Assembler) -> None:
        asm.send(ops.CALL_INVALIDATE, ops.SCOPE_LEAF)
        with asm.if_in_mm_cpumask():
            asm.invalidate_this_cpu(ops.SCOPE_LEAF, text="leaves")
        asm.wait_for_answers()


class OthersKeepLinks(Good):
    """Other CPUs drop leaf entries only, this one both."""

    def interrupt(self, asm: Assembler) -> None:
        asm.send(ops.CALL_INVALIDATE, ops.SCOPE_LEAF)
        with asm.if_in_mm_cpumask():
            self.invalidate_here(asm)
        asm.wait_for_answers()


class NestedIsSkipped(Good):
    """tlb_flush() of a whole mm does nothing: exit needs no flush, but nested gathers look the same."""

    def tlb_flush(self, asm: Assembler, g: int) -> None:
        with asm.if_flags(g, ops.FULLMM) as exits:
            exits.otherwise()
            super().tlb_flush(asm, g)


class LinksAtTheAddressOnly(Good):
    """Walk-cache entries go with the address of a range, and a page table's is not in it."""

    page_scope = ops.SCOPE_LEAF | ops.SCOPE_WALK | ops.SCOPE_AT_VA

    def flush_collapsed_pmd(self, asm: Assembler, g: int) -> None:
        asm.request(2, cleared=ops.CLEARED_PTES, lo=4 * _HUGE, hi=4 * _HUGE + 1)
        self.flush(asm, 2)


class LazyKeepLinks(Tracks):
    """Lazy CPUs are left out where tables were freed, too."""

    def flush(
        self, asm: Assembler, g: int, *, everything: bool = False, stride: int = ops.BASE_STRIDES
    ) -> None:
        self.choose(asm, g, everything, stride)
        asm.target_mm_cpumask()
        asm.drop_lazy_targets()
        asm.send_flush_ipis()
        with asm.if_loaded_here():
            asm.flush_this_cpu()
        asm.wait_for_answers()


# --- reclaim


class PutsOffAndForgets(Good):
    """Reclaim puts its flushes off, and the batch's flush does nothing."""

    defers_unmaps = "always"

    def arch_tlbbatch_flush(self, asm: Assembler, g: int) -> None:
        asm.work("flush_ns")


class PutsOffToThisCpu(Good):
    """The batch's flush reaches this CPU only."""

    defers_unmaps = "remote"

    def arch_tlbbatch_flush(self, asm: Assembler, g: int) -> None:
        asm.begin_flush(g, ceiling=NO_LIMIT, tracked=False)
        self.invalidate_here(asm)
        asm.cancel()


class PutsOffARange(Good):
    """The batch's flush is of the range of the request, which is that of one of its pages."""

    defers_unmaps = "always"

    def arch_tlbbatch_flush(self, asm: Assembler, g: int) -> None:
        self.flush_range(asm, g)


class IgnoresWhatOthersPutOff(Good):
    """Who finds entries gone does not ask whether their flush was put off."""

    defers_unmaps = "always"

    def arch_flush_tlb_batched_pending(self, asm: Assembler, g: int) -> None:
        asm.work("flush_ns")
