"""Reclaim, writeback and migration of a program's ordinary memory, and the flushes that they put off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, pairwise

import attrs

from shootdown._machine import ops as o
from shootdown._mm.anonymous import Anonymous
from shootdown._mm.counted_reclaim import LIST_PAGES, CountedBatch, Reclaim
from shootdown._programs.areas import Area, Cut
from shootdown._programs.mapped import (
    DIRTY,
    FREED,
    HUGE,
    NONE,
    PRESENT,
    SHARED,
    SHARED_FREED,
    STATE,
    ZERO,
    Mapped,
)
from shootdown._programs.program import PRIVATE, PRIVATE_FILE
from shootdown._programs.sharing import Sharing


class Reclaiming:
    """Write reclaim of the ordinary memory of one address space.

    Args:
        mapped: what is mapped of it.
        calls: the kernel's calls.
        sharing: which of its pages other processes have too.
    """

    def __init__(self, mapped: Mapped, calls: Anonymous, sharing: Sharing) -> None:
        self.mapped = mapped
        self.model = mapped.model
        self.asm = mapped.asm
        self.sharing = sharing
        self._reclaim = Reclaim(calls)
        #: The variable that says whether pages of the mm were unmapped in batches; None if no statement does so.
        self.batched: int | None = None
        #: By memory, what other processes map of it, whose pages MADV_PAGEOUT and move_pages() leave alone.
        self.others: dict[str, list[Mapped]] = {}

    def flush_pending(self) -> None:
        """Write flush_tlb_batched_pending(), if some statement unmaps in batches."""
        if self.batched is not None:
            self._reclaim.flush_batched_pending(self.batched)

    def flush_batched(self, here: Cut, area: Area) -> None:
        """Write flush_tlb_batched_pending(), which whoever looks at a PTE table calls."""
        if self.batched is not None:
            with self.mapped.if_equal(self.mapped.table_of(here, area), 1):
                self._reclaim.flush_batched_pending(self.batched)

    def batch(self, first: int) -> CountedBatch:
        """Return the variables of a statement that unmaps in batches: `BATCH_CELLS` of them are its own."""
        assert self.batched is not None
        return self._reclaim.batch(first, self.batched)

    def reclaim(self, here: Cut, areas: tuple[Area, ...], batch: CountedBatch) -> None:
        """Write the reclaim of some areas: shrink_inactive_list() takes so many pages at a time.

        The LRU list of anonymous pages comes first. Files have another, as have pages that MADV_FREE made clean.
        """
        areas = tuple(map(_whole, areas))
        for area in areas:
            if area.folio >= 0 and area.lo == area.folio * here.table_pages:
                with self.mapped.if_equal(self.mapped.folio_of(here, area), HUGE):
                    self._swap_huge(here, here.parts_of(area.folio), batch)
            self._shrink_dirty(here, area, batch)
        for area in areas:
            self._shrink_clean(here, area, batch, limit=LIST_PAGES)
        self._reclaim.end_list(batch)

    def _shrink_dirty(self, here: Cut, area: Area, batch: CountedBatch) -> None:
        """Write the unmapping of an area's anonymous pages if they are dirty: they are written to swap."""
        state = self.mapped.cell(STATE, area)
        if area.pages and here.memory.kind in PRIVATE:
            with self.mapped.if_equal(state, PRESENT):
                self.mapped.put(state, NONE)
                self._reclaim.shrink_folio_list(area.pages, batch, writes=True)

    def _shrink_clean(self, here: Cut, area: Area, batch: CountedBatch, *, limit: int = 0) -> None:
        """Write the unmapping of an area's other pages if they are mapped: nothing is written."""
        if not area.pages:
            return
        state = self.mapped.cell(STATE, area)
        if here.memory.kind == "file":
            with self.mapped.if_equal(state, DIRTY):
                self.mapped.put(state, NONE)
                self._reclaim.shrink_folio_list(area.pages, batch, frees=False, limit=limit)
        with self.mapped.if_pages(here, area, cached=True):
            self.mapped.put(state, NONE)
            self.mapped.note_cached(area, False)
            self._reclaim.shrink_folio_list(area.pages, batch, limit=limit)

    def pageout(self, here: Cut, areas: tuple[Area, ...], batch: CountedBatch) -> None:
        """Write madvise(MADV_PAGEOUT): each PTE table's pages are a list of their own, which is reclaimed whole."""
        following = dict(pairwise(areas))
        with self._reclaim.advice("MADV_PAGEOUT"):
            for _, some in groupby(areas, lambda area: area.table if area.table >= 0 else ~area.number):
                part = list(map(_whole, some))
                if part[0].table < 0:
                    self._page_out_tables(here, part[0], batch)
                elif any(area.pages for area in part):
                    self._page_out_folio(here, part, batch)
                self.mapped.where_vma_ends(here, part[-1], following.get(part[-1]), self._reclaim.next_vma)

    @contextmanager
    def _unless_shared(self, here: Cut, area: Area) -> Iterator[None]:
        """Run the steps within unless another process maps the pages too (folio_mapcount() is not 1)."""
        shared = self.model.label()
        for other in self.others.get(here.memory.name, ()):
            with self.mapped.if_file_pages(here, area), other.if_file_pages(here, area):
                self.asm.jump(shared)
        for state in (SHARED, SHARED_FREED) if self.sharing.told(area) else ():
            last = self.model.label()
            with self.mapped.if_equal(self.mapped.cell(STATE, area), state):
                with self.sharing.if_last(area):
                    self.asm.jump(last)
                self.asm.jump(shared)
            self.asm.place(last)
        yield
        self.asm.place(shared)

    def _take_over(self, area: Area) -> None:
        """Write that pages which nobody else has any more are as those that were never shared."""
        for state, own in ((SHARED, PRESENT), (SHARED_FREED, FREED)) if self.sharing.told(area) else ():
            with self.mapped.if_equal(self.mapped.cell(STATE, area), state):
                self.sharing.leave(area)
                self.mapped.put(self.mapped.cell(STATE, area), own)

    def _page_out_folio(self, here: Cut, part: Sequence[Area], batch: CountedBatch) -> None:
        """Write MADV_PAGEOUT of areas in one page table, or of a huge page in its place: a part of one splits it."""
        folio, done = part[0].folio, self.model.label()
        if folio >= 0:
            with self.mapped.if_equal(self.mapped.folio_of(here, part[0]), HUGE):
                if sum(area.pages for area in part) == here.table_pages:
                    if self.model.kernel.pageout_clears_young:
                        first, pages = folio * here.table_pages, here.table_pages
                        self._reclaim.make_old(pages, first, first + pages, huge=True)
                    self._swap_huge(here, part, batch)
                    self._reclaim.end_list(batch)
                    self.asm.jump(done)
                else:
                    self.mapped.become_small(here, part[0])
                    self._reclaim.calls.split_folio()
        self._page_out_parts(here, part, batch)
        self.asm.place(done)

    def _swap_huge(self, here: Cut, parts: Sequence[Area], batch: CountedBatch) -> None:
        """Write the reclaim of a huge page, which leaves swap entries in a page table."""
        self.mapped.become_small(here, parts[0])
        for area in parts:
            self.mapped.put(self.mapped.cell(STATE, area), NONE)
        self._reclaim.swap_huge(batch, parts[0].folio * here.table_pages)

    def _page_out_parts(self, here: Cut, part: Sequence[Area], batch: CountedBatch) -> None:
        """Write MADV_PAGEOUT of areas in one page table: what lies in one VMA is a list."""

        def next_vma() -> None:
            self._reclaim.end_list(batch)
            self._reclaim.next_vma()

        self.flush_batched(here, part[0])
        for area, after in zip(part, (*part[1:], None), strict=True):
            if area.pages:
                with self._unless_shared(here, area):
                    self._take_over(area)
                    self._make_old(here, area)
                    self._shrink_dirty(here, area, batch)
                    self._shrink_clean(here, area, batch)
            self.mapped.where_vma_ends(here, area, after, next_vma)
        self._reclaim.end_list(batch)

    def _page_out_tables(self, here: Cut, area: Area, batch: CountedBatch) -> None:
        """Write MADV_PAGEOUT of an area of whole tables, one after another."""
        each, rest = divmod(area.pages, area.tables)
        state = self.mapped.cell(STATE, area)

        def tables(*, writes: bool = False, frees: bool = True) -> None:
            def table(pages: int) -> None:
                self.flush_batched(here, area)
                self._reclaim.shrink_folio_list(pages, batch, writes=writes, frees=frees)
                self._reclaim.end_list(batch)

            self.mapped.put(state, NONE)
            if area.tables > 1:
                with self.asm.loop(area.tables - 1):
                    table(each)
            table(each + rest)

        self.flush_batched(here, area)
        with self._unless_shared(here, area):
            self._take_over(area)
            self._make_old(here, area)
            if here.memory.kind in PRIVATE:
                with self.mapped.if_equal(state, PRESENT):
                    tables(writes=True)
            if here.memory.kind == "file":
                with self.mapped.if_equal(state, DIRTY):
                    tables(frees=False)
            with self.mapped.if_pages(here, area, cached=True):
                tables()

    def _make_old(self, here: Cut, area: Area) -> None:
        """Write what MADV_PAGEOUT does to young entries before it reclaims their pages, in kernels that do."""
        if not self.model.kernel.pageout_clears_young:
            return
        young = {"file": (PRESENT, DIRTY), PRIVATE_FILE: (PRESENT, ZERO)}.get(here.memory.kind, (PRESENT,))
        for state in young:
            with self.mapped.if_equal(self.mapped.cell(STATE, area), state):
                self._reclaim.make_old(area.pages, area.first, area.last)

    def free(self, here: Cut, areas: tuple[Area, ...]) -> None:
        """Write madvise(MADV_FREE): entries become old and clean, if they are not already."""
        with self._reclaim.advice("MADV_FREE"):
            for area, after in zip(areas, (*areas[1:], None), strict=True):
                self.flush_batched(here, area)
                if area.folio >= 0:
                    self._free_folio(here, area, areas)
                elif area.pages:
                    self._free_area(area)
                self.mapped.where_vma_ends(
                    here,
                    area,
                    after,
                    lambda: self._reclaim.next_vma(batched=self.model.kernel.madvise_gather),
                )

    def _free_area(self, area: Area) -> None:
        """Write MADV_FREE of pages that are mapped alike."""
        for state, freed in ((PRESENT, FREED), (SHARED, SHARED_FREED)):
            with self.mapped.if_equal(self.mapped.cell(STATE, area), state):
                self.mapped.put(self.mapped.cell(STATE, area), freed)
                if area.huge:
                    self._reclaim.madvise_free_huge(area.huge, area.first, area.last)
                else:
                    self._reclaim.madvise_free(area.pages, area.first, area.last)

    def _free_folio(self, here: Cut, area: Area, areas: tuple[Area, ...]) -> None:
        """Write MADV_FREE of a part of a huge page, which is split first unless all of it is freed."""
        parts, done = here.parts_of(area.folio), self.model.label()
        first = area.folio * here.table_pages
        with self.mapped.if_equal(self.mapped.folio_of(here, area), HUGE):
            if set(parts) <= set(areas):
                with self._if_written(parts, FREED):
                    self._reclaim.madvise_free_huge(1, first, first + here.table_pages)
                self.asm.jump(done)
            else:
                with self._if_written(parts, PRESENT):  # the dirty bit of a huge entry is that of each page
                    pass
                self.mapped.become_small(here, area)
                self._reclaim.calls.split_folio()
        self._free_area(_whole(area))
        self.asm.place(done)

    @contextmanager
    def _if_written(self, parts: tuple[Area, ...], then: int) -> Iterator[None]:
        """Run the steps within if one part of a huge page was written since MADV_FREE; all are `then` by then."""
        some, out = self.model.label(), self.model.label()
        with self.asm.aside():
            for part in parts:
                self.asm.v_load(o.SCRATCH, self.mapped.cell(STATE, part), text="was it written?")
                self.asm.jump_equal(o.SCRATCH, PRESENT, some)
            self.asm.jump(out)
            self.asm.place(some)
        for part in parts:
            self.mapped.put(self.mapped.cell(STATE, part), then)
        yield
        self.asm.place(out)

    def mkclean(self, areas: tuple[Area, ...]) -> None:
        """Write folio_mkclean() of some areas of a file in this address space: dirty pages can be written no more."""
        for area in areas:
            if area.pages:
                with self.mapped.if_equal(self.mapped.cell(STATE, area), DIRTY):
                    self.mapped.put(self.mapped.cell(STATE, area), PRESENT)
                    self._reclaim.mkclean(area.pages)

    def migrate(self, here: Cut, areas: tuple[Area, ...], batch: CountedBatch) -> None:
        """Write move_pages() of what is mapped in some areas."""
        self.asm.work("syscall_ns", text="move_pages: entry, isolate the pages")
        for area in areas:
            if area.pages:
                with self._unless_shared(here, area), self.mapped.if_pages(here, area, cached=True):
                    self._reclaim.migrate_pages(area.pages, batch)
        self._reclaim.end_migration(batch)


def _whole(area: Area) -> Area:
    """Return an area of which all pages are touched, if it is a part of a huge page: one fault maps them all."""
    if area.folio < 0:
        return area
    return attrs.evolve(area, pages=area.hi - area.lo, first=area.lo, last=area.hi)
