"""What unmaps a program's ordinary memory: entries are cleared, VMA by VMA, and empty page tables freed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import attrs

from shootdown._mm.call_parts import OUTER
from shootdown._mm.gather import PageQueue
from shootdown._programs.areas import Area, Cut
from shootdown._programs.mapped import (
    BASE,
    DIRTY,
    FOLIO,
    HUGE,
    NONE,
    STATE,
    ZERO,
    has_base,
    has_zero,
)
from shootdown._programs.program import PRIVATE_FILE
from shootdown._programs.space_part import SpacePart


class Zapping(SpacePart):
    """Write how entries of one address space are cleared; see `SpacePart`."""

    _variable: int | None = None

    @property
    def _dirty(self) -> int:
        """The variable that says that dirty pages of a file, in the page table at hand, have yet to be flushed."""
        if self._variable is None:
            self._variable = self.model.variable()
        return self._variable

    def zap(
        self,
        here: Cut,
        areas: tuple[Area, ...],
        queue: PageQueue,
        *,
        reclaims: bool = False,
        cows: bool = True,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Write the clearing of what is mapped in some areas.

        Args:
            here, areas: the areas.
            queue: the gather's queue of pages.
            reclaims: page tables that the call covers whole are freed.
            cows: copies of a file's pages that the process has made go too (`even_cows`).
            between: writes what comes between two VMAs.
        """
        done: set[int] = set()
        for area, after in zip(areas, (*areas[1:], None), strict=True):
            beside = [one for one in areas if one.table == area.table >= 0]
            self.reclaiming.flush_batched(here, area)
            if area.folio < 0:
                self._zap_area(here, area, queue, reclaims=reclaims, forces=len(beside) < 2, cows=cows)
            elif area.folio not in done:
                done.add(area.folio)
                self._zap_folio(here, [part for part in areas if part.folio == area.folio], queue)
            if reclaims:
                self._free_empty(here, area, beside, queue)
            if here.memory.kind == "file" and len(beside) > 1:
                self._flush_dirty(here, area, beside, queue)
            self.mapped.where_vma_ends(here, area, after, between)

    def _flush_dirty(self, here: Cut, area: Area, beside: list[Area], queue: PageQueue) -> None:
        """Write the flush for dirty pages at the end of a page table, or of a VMA in it (`force_flush`)."""

        def flush() -> None:
            with self.mapped.if_equal(self._dirty, 1):
                self.mapped.put(self._dirty, 0)
                self.calls.flush_dirty(OUTER, queue)

        if area is beside[-1]:
            flush()
        else:
            self.mapped.where_vma_ends(here, area, beside[beside.index(area) + 1], flush)

    def _free_empty(self, here: Cut, area: Area, beside: list[Area], queue: PageQueue) -> None:
        """Write the freeing of tables that a call covers whole, once it is past the last of their areas.

        zap_pte_range() frees a table that it covers whole even if it found nothing in it; it sees one VMA at a time.

        Args:
            here, area: what was cleared last.
            beside: the areas that the call clears in its table, where it is a part of one.
            queue: the gather's queue of pages.
        """
        count, lo, out = area.tables, area.lo, self.model.label()
        if beside:
            lo = area.table * here.table_pages
            whole = beside[0].lo == lo and area.hi == lo + here.table_pages
            count = int(whole and area is beside[-1])
        if count and not area.huge:
            for one, other in pairwise(beside):
                self.mapped.where_vma_ends(here, one, other, lambda: self.asm.jump(out))
            with self.mapped.if_equal(self.mapped.table_of(here, area), 1):
                self.mapped.put(self.mapped.table_of(here, area), 0)
                self.calls.free_empty_tables(OUTER, count, lo, queue)
        self.asm.place(out)

    def _zap_area(
        self, here: Cut, area: Area, queue: PageQueue, *, reclaims: bool, forces: bool, cows: bool = True
    ) -> None:
        """Write the clearing of an area; `forces`: dirty pages of a file are flushed at the end of it."""
        if not area.pages:
            return
        spread = area.last - area.first
        sparse = None if spread == area.pages else spread
        dirty, done = here.memory.kind == "file", self.model.label()

        def zap(clean: int | None, queue: PageQueue) -> None:
            self.sharing.leave(area)
            self.mapped.put(self.mapped.cell(STATE, area), NONE)
            whole = reclaims and area.table < 0 and area.tables > 0 and not area.huge
            self.calls.zap(
                OUTER, area.pages, queue, huge=bool(area.huge), clean=clean, reclaims=whole and sparse is None,
                at=area.first, count=max(area.huge, 1), spread=sparse, forces=forces,
            )  # fmt: skip
            if whole and sparse is None:
                self.mapped.put(self.mapped.table_of(here, area), 0)

        if has_base(here) and area.table < 0:
            with self.mapped.if_equal(self.mapped.cell(FOLIO, area), HUGE):
                self.mapped.put(self.mapped.cell(FOLIO, area), BASE)
                self.mapped.put(self.mapped.cell(STATE, area), NONE)
                pages, at = area.tables * here.table_pages, area.first // here.table_pages * here.table_pages
                end = -(-area.last // here.table_pages) * here.table_pages
                self.calls.zap(
                    OUTER, pages, attrs.evolve(queue), huge=True, at=at, count=area.tables, spread=end - at
                )
                self.asm.jump(done)
        if has_zero(here):
            with self.mapped.if_equal(self.mapped.cell(STATE, area), ZERO):
                if here.memory.kind == PRIVATE_FILE:
                    zap(area.pages, attrs.evolve(queue))
                else:
                    zap(None, attrs.evolve(queue, frees=True))  # the zero page is not queued
                self.asm.jump(done)
        clean_queue = attrs.evolve(queue)  # one of the two is taken: batches fill up as if pages were dirty
        if dirty:
            with self.mapped.if_equal(self.mapped.cell(STATE, area), DIRTY):
                zap(0, queue)
                if not forces:
                    self.mapped.put(self._dirty, 1)
                self.asm.jump(done)
        if cows or here.memory.kind != PRIVATE_FILE:
            with self.mapped.if_present(area):
                zap(area.pages if dirty else None, clean_queue if dirty else queue)
        self.asm.place(done)

    def _zap_folio(self, here: Cut, parts: list[Area], queue: PageQueue) -> None:
        """Write the clearing of parts of a huge page, which is split unless all of it goes."""
        folio, done = self.mapped.folio_of(here, parts[0]), self.model.label()
        pages = here.table_pages
        if has_base(here):
            with self.mapped.if_equal(folio, BASE):
                for part in parts:
                    self._zap_area(here, part, queue, reclaims=False, forces=True)
                self.asm.jump(done)
        with self.mapped.if_equal(folio, HUGE):
            if parts == list(here.parts_of(parts[0].folio)):
                self.mapped.put(folio, BASE if has_base(here) else NONE)
                for part in parts:
                    self.mapped.put(self.mapped.cell(STATE, part), NONE)
                self.calls.zap(OUTER, pages, queue, huge=True, at=parts[0].folio * pages)
                self.asm.jump(done)
            else:
                self.split(here, parts[0])
        for part in parts:
            with self.mapped.if_present(part):
                self.mapped.put(self.mapped.cell(STATE, part), NONE)
                if here.frees:
                    self.calls.zap(OUTER, part.hi - part.lo, queue, huge=False, at=part.lo)
                    continue
                self.calls.zap_folio_part(
                    range(part.lo - part.folio * pages, part.hi - part.folio * pages), first=part.lo
                )
        self.asm.place(done)
