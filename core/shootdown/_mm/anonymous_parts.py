"""What calls on anonymous memory of a timed run are written with: splits, flushes of a range, loops."""

from __future__ import annotations

from collections.abc import Callable

from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._mm.call_parts import SCRATCH
from shootdown._mm.calls import Calls


class AnonymousParts:
    """The parts of those calls.

    Args:
        calls: what to write with.
        table_pages: base pages that one PTE table maps.
    """

    def __init__(self, calls: Calls, table_pages: int) -> None:
        self.calls = calls
        self.asm = calls.asm
        self.kernel = calls.kernel
        self.gathers = calls.gathers
        self.lowering = calls.lowering
        self.table_pages = table_pages

    def _each(self, count: int, write: Callable[[], None]) -> None:
        """Write some steps once, or so many times in a loop."""
        if count == 1:
            write()
            return
        with self.asm.loop(count, o.SCRATCH2):
            write()

    def split_thp(self) -> None:
        """Write __split_huge_pmd(): the huge entry is invalidated and flushed before base entries replace it."""
        asm = self.asm

        def split() -> None:
            asm.work("zap_huge_ns", text="write the PTE table")
            self.gathers.cleared(1, huge=True, by="pmdp_invalidate")
            self._invalidate_pmd()

        self.calls.split_huge_pmd_locked(split)

    def split_folio(self) -> None:
        """Write split_folio() of a huge page: its entry is split into migration entries, then each page is mapped."""
        self.split_thp()
        with self.asm.function("remap_page", "mm/huge_memory.c"):
            self.asm.work("zap_ns", self.table_pages, text="map each page by an entry", keeps=True)
            self.lowering.entries_mapped(self.asm, self.table_pages)

    def invalidate_pmds(self, count: int) -> None:
        """Write pmdp_invalidate() of so many huge entries, one after another."""
        self._each(count, self._invalidate_pmd)

    def _invalidate_pmd(self) -> None:
        self.calls.pmdp_invalidate(lambda: None, 0, self.table_pages)

    def _clear_pmd(self) -> None:
        self.calls.pmdp_huge_get_and_clear_full(lambda: None, 0, self.table_pages)

    def flush_range(self, lo: int, hi: int) -> None:
        """Write flush_tlb_range() of some base pages."""
        self._flush_range(hi, lo=lo)

    def _flush_range(
        self, hi: int, flush: Callable[[Assembler, int], None] | None = None, *, lo: int = 0
    ) -> None:
        self.asm.request(SCRATCH, cleared=o.CLEARED_PTES, lo=lo, hi=hi, text="flush_tlb_range")
        (flush or self.lowering.flush_range)(self.asm, SCRATCH)
