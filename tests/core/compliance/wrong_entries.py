"""Lowerings of the toy architecture that flush entries as they change, as s390's, with one mistake each."""

from __future__ import annotations

from typing import Any

from tests.core.compliance.toys import vax

from shootdown.porting import (
    NO_LIMIT,
    Assembler,
    EntryFunction,
    PlainLowering,
    mm_rules,
    ops,
)

_ENTRIES, _HUGE = 2, 512


class Invalidates(vax.VaxLowering):  # type: ignore[misc, name-defined]
    """Not wrong: an instruction invalidates an entry on all CPUs; freed tables set a flag, and then everything goes."""

    mm = mm_rules(256, clear_on_switch=False)

    def entries_changed(
        self, asm: Assembler, count: int, *, huge: bool, by: EntryFunction, first: int = 0
    ) -> None:
        pages = _HUGE if huge else 1
        asm.request(_ENTRIES, lo=first, hi=first + count * pages)
        self.invalidate(asm, _ENTRIES, huge=huge)

    def invalidate(self, asm: Assembler, g: int, *, huge: bool) -> None:
        stride = ops.PMD_STRIDES if huge else ops.BASE_STRIDES
        asm.begin_flush(g, ceiling=NO_LIMIT, stride=stride, tracked=False, whole_strides=True)
        self.everywhere(asm, ops.SCOPE_BOTH if huge else ops.SCOPE_LEAF)

    def everywhere(self, asm: Assembler, scope: int) -> None:
        asm.execute("ipte", per=ops.PER_STRIDE, broadcasts=True)
        asm.broadcast(scope, text="every CPU")
        asm.complete("every CPU has answered")

    def tables_freed(self, asm: Assembler, g: int) -> None:
        asm.field("flush_mm").store(1)

    def tlb_flush(self, asm: Assembler, g: int) -> None:
        with asm.field("flush_mm").if_equal(1):
            asm.field("flush_mm").store(0)
            asm.begin_flush(g, ceiling=NO_LIMIT, everything=True, tracked=False)
            self.everywhere(asm, ops.SCOPE_BOTH)

    def flush_page(self, asm: Assembler, g: int) -> None:
        """Do nothing: the entry is invalid everywhere."""

    flush_range = flush_mm = flush_hugetlb_range = flush_pmd_range = flush_page

    def flush_collapsed_pmd(self, asm: Assembler, g: int) -> None:
        self.invalidate(asm, g, huge=True)


class Sets(Invalidates):
    """Not wrong: huge entries that are set flush everywhere."""

    def entries_set(self, asm: Assembler, count: int, *, huge: bool) -> None:
        if huge:
            asm.request(_ENTRIES, flags=ops.FULLMM)
            asm.begin_flush(_ENTRIES, ceiling=NO_LIMIT, everything=True, tracked=False)
            self.everywhere(asm, ops.SCOPE_BOTH)


FLAWLESS: tuple[type[PlainLowering], ...] = (Invalidates, Sets)


class ForgetsCopyOnWrite(Invalidates):
    """ptep_clear_flush() is taken for one that flushes later."""

    def entries_changed(
        self, asm: Assembler, count: int, *, huge: bool, by: EntryFunction, first: int = 0
    ) -> None:
        if by != "ptep_clear_flush":
            super().entries_changed(asm, count, huge=huge, by=by, first=first)


class ForgetsFork(Invalidates):
    """fork() makes entries read-only, and nothing is flushed."""

    def entries_changed(
        self, asm: Assembler, count: int, *, huge: bool, by: EntryFunction, first: int = 0
    ) -> None:
        if by != "ptep_set_wrprotect":
            super().entries_changed(asm, count, huge=huge, by=by, first=first)


class ForgetsSplits(Invalidates):
    """pmdp_invalidate() only marks the entry."""

    def entries_changed(
        self, asm: Assembler, count: int, *, huge: bool, by: EntryFunction, first: int = 0
    ) -> None:
        if by != "pmdp_invalidate":
            super().entries_changed(asm, count, huge=huge, by=by, first=first)


class FirstEntryOnly(Invalidates):
    """One entry of several is invalidated."""

    def entries_changed(
        self, asm: Assembler, count: int, *, huge: bool, by: EntryFunction, first: int = 0
    ) -> None:
        super().entries_changed(asm, 1, huge=huge, by=by, first=first)


class FromTheStart(Invalidates):
    """The entries are taken to begin where the mapping does."""

    def entries_changed(
        self, asm: Assembler, count: int, *, huge: bool, by: EntryFunction, first: int = 0
    ) -> None:
        super().entries_changed(asm, count, huge=huge, by=by)


class HugeAsBase(Invalidates):
    """Huge entries count as base pages."""

    def entries_changed(
        self, asm: Assembler, count: int, *, huge: bool, by: EntryFunction, first: int = 0
    ) -> None:
        super().entries_changed(asm, count, huge=False, by=by, first=first)


class KeepsWhatIsBelow(Invalidates):
    """The invalidation of an upper entry is said to drop the page at its address alone."""

    def invalidate(self, asm: Assembler, g: int, *, huge: bool) -> None:
        stride = ops.PMD_STRIDES if huge else ops.BASE_STRIDES
        asm.begin_flush(g, ceiling=NO_LIMIT, stride=stride, tracked=False)
        self.everywhere(asm, ops.SCOPE_BOTH if huge else ops.SCOPE_LEAF)


class LinksStay(Invalidates):
    """The invalidation of an upper entry keeps walk caches."""

    def invalidate(self, asm: Assembler, g: int, *, huge: bool) -> None:
        asm.begin_flush(g, ceiling=NO_LIMIT, stride=ops.BASE_STRIDES, tracked=False)
        self.everywhere(asm, ops.SCOPE_LEAF)


class FreedTablesSetNothing(Invalidates):
    """pte_free_tlb() does not set the flag."""

    def tables_freed(self, asm: Assembler, g: int) -> None:
        """Do nothing."""


class FlagOfTheCpu(Invalidates):
    """The flag is this CPU's, and another one is looked at."""

    def tables_freed(self, asm: Assembler, g: int) -> None:
        asm.field("flush_cpu", by="cpu").store(1)


class FlagTheOtherWayRound(Invalidates):
    """Everything is flushed unless the flag is set."""

    def tlb_flush(self, asm: Assembler, g: int) -> None:
        with asm.field("flush_mm").if_equal(0):
            asm.begin_flush(g, ceiling=NO_LIMIT, everything=True, tracked=False)
            self.everywhere(asm, ops.SCOPE_BOTH)


class MarksOnly(Invalidates):
    """Entries are marked, a flag is set, and flush_tlb_range() does not look at it."""

    def entries_changed(
        self, asm: Assembler, count: int, *, huge: bool, by: EntryFunction, first: int = 0
    ) -> None:
        asm.field("flush_mm").store(1)


class NeverWaits(Invalidates):
    """Nobody waits for the broadcast."""

    def everywhere(self, asm: Assembler, scope: int) -> None:
        asm.execute("ipte", per=ops.PER_STRIDE, broadcasts=True)
        asm.broadcast(scope, text="every CPU")


class SetsWithoutWaiting(Sets):
    """Huge entries that are set interrupt CPUs, which are not waited for."""

    def entries_set(self, asm: Assembler, count: int, *, huge: bool) -> None:
        asm.request(_ENTRIES, flags=ops.FULLMM)
        asm.begin_flush(_ENTRIES, ceiling=NO_LIMIT, everything=True, tracked=False)
        asm.target_all_online()
        asm.send(ops.CALL_INVALIDATE, ops.SCOPE_BOTH, text="IPI")


class SetsNobodysRange(Sets):
    """The flush as entries are set has no range: no request was made."""

    def entries_set(self, asm: Assembler, count: int, *, huge: bool) -> None:
        asm.begin_flush(1, ceiling=NO_LIMIT, tracked=False)
        self.everywhere(asm, ops.SCOPE_BOTH)


class FreesAtOnce(Invalidates):
    """PMD tables are freed before any flush, and hardware walks."""

    tables_freed_at_once = ops.CLEARED_PUDS


def wrong() -> list[Any]:
    """List the wrong lowerings, in the order in which they are written."""
    return [
        value
        for value in globals().values()
        if isinstance(value, type) and issubclass(value, Invalidates) and value not in FLAWLESS
    ]
