"""Collapses of anonymous memory to huge pages in timed runs (mm/khugepaged.c)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from shootdown._machine import ops as o
from shootdown._mm.anonymous_parts import AnonymousParts
from shootdown._mm.counted_entries import CountedTable
from shootdown._mm.khugepaged import SUCCEEDED, Attempt


class AnonymousCollapses(AnonymousParts):
    """Write collapses; see `AnonymousParts`."""

    @contextmanager
    def collapses(self) -> Iterator[None]:
        """Write madvise(MADV_COLLAPSE) around the collapses within."""
        with self.asm.function("madvise", "mm/madvise.c"):
            self.asm.work("syscall_ns", text="madvise: entry and VMA work")
            yield

    def collapse(
        self, attempts: Sequence[Attempt], ranges: int, *, pmd_order: int, why: str = "khugepaged"
    ) -> None:
        """Write the collapses of some equal PMD ranges, as khugepaged or MADV_COLLAPSE attempts them.

        Args:
            attempts: the attempts in one range, in their order.
            ranges: the number of ranges.
            pmd_order: HPAGE_PMD_ORDER.
            why: the cause that its IPIs are counted under.
        """
        asm = self.asm
        runs = [(attempt, len(tuple(alike))) for attempt, alike in groupby(attempts)]
        with asm.function("collapse_huge_page", "mm/khugepaged.c"), asm.because(why):
            if len(runs) == 1 and runs[0][1] == 1:
                with asm.loop(ranges):
                    self._collapse_one(runs[0][0], pmd_order)
            elif runs:
                with asm.loop(ranges, o.SCRATCH2):
                    for attempt, count in runs:
                        with asm.loop(count):
                            self._collapse_one(attempt, pmd_order)

    def _collapse_one(self, attempt: Attempt, pmd_order: int) -> None:
        """Write one collapse_huge_page(): pmdp_collapse_flush() of the whole range, then the sync (2ba99c5e0881).

        Both come before the pages are checked; below PMD order too, where the table is put back afterwards.
        """
        asm, size = self.asm, 1 << attempt.order
        if not attempt.flushes:
            asm.work("skip_ns", text=f"order {attempt.order}: {attempt.outcome}, before anything is flushed")
            return
        asm.lock(self.calls.locks.mmap, index=1, write=True, sleeps=True, text="mmap_lock")
        self.calls.page_tables.pmdp_collapse_flush(CountedTable(self.table_pages))
        if self.kernel.khugepaged_sync:
            self.gathers.sync("a page table was withdrawn")
        if attempt.outcome != SUCCEEDED:
            asm.work("skip_ns", size, text=f"order {attempt.order}: {attempt.outcome}; the table comes back")
        elif attempt.order == pmd_order:
            asm.work("collapse_ns", text="copy the pages, map the huge one")
            self.lowering.entries_set(asm, 1, huge=True)
            self.lowering.entries_mapped(asm, 1)
        else:
            asm.work(
                "small_fault_ns", size, text=f"copy {size} pages; the table comes back with the new ones"
            )
            self.lowering.entries_mapped(asm, 1, entries=size)
        asm.unlock(self.calls.locks.mmap, index=1, write=True, text="mmap_lock")
