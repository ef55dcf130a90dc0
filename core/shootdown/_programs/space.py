"""What a thread of a program does with ordinary memory: which pages are mapped is known when the step is taken.

Each address space has variables for each area (`Mapped`). A call looks at them, as the kernel looks at entries,
and clears so many pages in one step as the area has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs

from shootdown._machine import ops as o
from shootdown._mm.anonymous import Anonymous
from shootdown._mm.call_parts import OUTER
from shootdown._mm.gather import PageQueue
from shootdown._mm.model import Model
from shootdown._programs.areas import Area, Cut
from shootdown._programs.collapsing import Collapsing
from shootdown._programs.faulting import Faulting
from shootdown._programs.folios import split
from shootdown._programs.mapped import (
    BASE,
    CELLS,
    DIRTY,
    FOLIO,
    GONE,
    HUGE,
    NONE,
    PRESENT,
    READONLY,
    SHARED,
    STATE,
    ZERO,
    Mapped,
    has_base,
    has_zero,
)
from shootdown._programs.reclaiming import Reclaiming
from shootdown._programs.rights import Rights


class Space:
    """Write statements about the ordinary memory of one address space.

    Args:
        model: the model.
        calls: the kernel's calls.
        cuts: the areas of each memory, by its name.
        first: its first variable; it has `mapped.cells` of them.
    """

    def __init__(self, model: Model, calls: Anonymous, cuts: Mapping[str, Cut], first: int) -> None:
        self.model = model
        self.asm = model.asm
        self.calls = calls
        self.cuts = cuts
        self.mapped = Mapped(model, cuts, first)
        self.collapsing = Collapsing(self.mapped, calls)
        self.reclaiming = Reclaiming(self.mapped, calls)
        self.faulting = Faulting(self.mapped, calls, self.reclaiming)
        self.rights = Rights(self.mapped, calls, self.reclaiming)

    # --- statements

    def mmap(self, here: Cut) -> None:
        """Write mmap() of a whole memory: nothing is mapped by entries yet."""
        with self.model.calls.syscall("mmap"):
            for area in here.areas:
                self.mapped.put(self.mapped.cell(GONE, area), 0)
                self.mapped.put(self.mapped.cell(READONLY, area), 0)

    def munmap(self, here: Cut, areas: tuple[Area, ...]) -> None:
        """Write munmap() of some areas, which frees the page tables that nothing else uses."""
        self.calls.unmap(
            lambda queue: self._zap(here, areas, queue), lambda queue: self._free_tables(here, areas, queue)
        )
        for area in areas:
            self.mapped.put(self.mapped.cell(GONE, area), 1)

    def madvise(self, here: Cut, areas: tuple[Area, ...]) -> None:
        """Write madvise(MADV_DONTNEED) of some areas."""
        self.calls.discard(lambda queue: self._zap(here, areas, queue, reclaims=self.model.kernel.pt_reclaim))

    def unmap_file(self, here: Cut) -> None:
        """Write the unmapping of a file's pages, which truncation and punching a hole free, in this address space."""
        self.calls.unmap_mapping_range(lambda queue: self._zap(here, here.areas, queue))

    def exit(self, used: Collection[str]) -> None:
        """Write what exit_mmap() clears of dirty pages of the files named; other pages wait for its one flush."""
        self.reclaiming.flush_pending()
        for name, here in self.cuts.items():
            if name in used and here.memory.kind == "file":
                for area in here.areas:
                    if area.pages:
                        with self.mapped.if_equal(self.mapped.cell(STATE, area), DIRTY):
                            self.model.calls.zap_dirty(OUTER, area.pages)

    def _zap(self, here: Cut, areas: tuple[Area, ...], queue: PageQueue, *, reclaims: bool = False) -> None:
        """Write the clearing of what is mapped in some areas."""
        done: set[int] = set()
        for area in areas:
            self.reclaiming.flush_batched(here, area)
            if area.folio < 0:
                self._zap_area(here, area, queue, reclaims=reclaims)
            elif area.folio not in done:
                done.add(area.folio)
                self._zap_folio(here, [part for part in areas if part.folio == area.folio], queue)
            if reclaims:
                self._free_empty(here, area, areas, queue)

    def _free_empty(self, here: Cut, area: Area, areas: tuple[Area, ...], queue: PageQueue) -> None:
        """Write the freeing of tables that a call covers whole, once it is past the last of their areas.

        zap_pte_range() frees a table that it covers whole even if it found nothing in it.
        """
        if area.table < 0:
            count, lo = area.tables, area.lo
        else:
            lo = area.table * here.table_pages
            count = int(area.hi == lo + here.table_pages and any(one.lo == lo for one in areas))
        if count and not area.huge:
            with self.mapped.if_equal(self.mapped.table_of(here, area), 1):
                self.mapped.put(self.mapped.table_of(here, area), 0)
                self.calls.free_empty_tables(OUTER, count, lo, queue)

    def _zap_area(self, here: Cut, area: Area, queue: PageQueue, *, reclaims: bool) -> None:
        if not area.pages:
            return
        spread = area.last - area.first
        sparse = None if spread == area.pages else spread
        dirty, done = here.memory.kind == "file", self.model.label()

        def zap(clean: int | None, queue: PageQueue) -> None:
            self.mapped.put(self.mapped.cell(STATE, area), NONE)
            whole = reclaims and area.table < 0 and area.tables > 0 and not area.huge
            self.calls.zap(
                OUTER, area.pages, queue, huge=bool(area.huge), clean=clean, reclaims=whole and sparse is None,
                at=area.first, count=max(area.huge, 1), spread=sparse,
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
                zap(None, attrs.evolve(queue, frees=True))  # the zero page is not queued
                self.asm.jump(done)
        clean_queue = attrs.evolve(queue)  # one of the two is taken: batches fill up as if pages were dirty
        if dirty:
            with self.mapped.if_equal(self.mapped.cell(STATE, area), DIRTY):
                zap(0, queue)
                self.asm.jump(done)
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
                    self._zap_area(here, part, queue, reclaims=False)
                self.asm.jump(done)
        with self.mapped.if_equal(folio, HUGE):
            if parts == list(here.parts_of(parts[0].folio)):
                self.mapped.put(folio, BASE if has_base(here) else NONE)
                for part in parts:
                    self.mapped.put(self.mapped.cell(STATE, part), NONE)
                self.calls.zap(OUTER, pages, queue, huge=True, at=parts[0].folio * pages)
                self.asm.jump(done)
            else:
                split(self.mapped, self.calls, here, parts[0])
        for part in parts:
            with self.mapped.if_present(part):
                self.mapped.put(self.mapped.cell(STATE, part), NONE)
                self.calls.zap_folio_part(
                    range(part.lo - part.folio * pages, part.hi - part.folio * pages), first=part.lo
                )
        self.asm.place(done)

    # --- page tables

    def _free_tables(self, here: Cut, areas: tuple[Area, ...], queue: PageQueue) -> None:
        """Write free_pgtables(): tables go in which no VMA is left."""
        done: set[int] = set()
        for area in areas:
            if area.table < 0 and area.tables and not area.huge:
                with self.mapped.if_equal(self.mapped.table_of(here, area), 1):
                    self.mapped.put(self.mapped.table_of(here, area), 0)
                    self._queue_tables(area.tables, area.lo, queue)
            elif area.table >= 0 and area.table not in done and here.memory.alone:
                done.add(area.table)
                self._free_one(here, area, areas, queue)
        huge = sum(area.huge for area in here.areas) or any(area.folio >= 0 for area in here.areas)
        whole = len(areas) == len(here.areas)
        if huge and whole and here.memory.alone and not self.calls.lowering.spans_one_table:
            geometry = self.model.lowering.geometry
            span = 1 << (geometry.pud_shift - geometry.page_shift)
            count = -(-here.areas[-1].hi // span)
            self.calls.gathers.free_tables(OUTER, count, o.CLEARED_PUDS, hi=1, queue=queue)

    def _free_one(self, here: Cut, area: Area, areas: tuple[Area, ...], queue: PageQueue) -> None:
        """Write the freeing of one table of several areas, unless a VMA is left in one of the others."""
        kept = self.model.label()
        for other in here.areas:
            if other.table == area.table and other not in areas:
                with self.asm.aside():
                    self.asm.v_load(
                        o.SCRATCH, self.mapped.cell(GONE, other), text="does a VMA use the table still?"
                    )
                    self.asm.jump_zero(o.SCRATCH, kept)
        with self.mapped.if_equal(self.mapped.table_of(here, area), 1):
            self.mapped.put(self.mapped.table_of(here, area), 0)
            self._queue_tables(1, area.table * here.table_pages, queue)
        self.asm.place(kept)

    def _queue_tables(self, count: int, lo: int, queue: PageQueue) -> None:
        last = lo + (count - 1) * self.calls.table_pages
        self.calls.gathers.free_tables(OUTER, count, o.CLEARED_PMDS, lo=lo, hi=last + 1, queue=queue)

    # --- moving

    def mremap(self, here: Cut) -> None:
        """Write mremap() of a memory within one PTE table to another address, which gets a table of its own."""
        moved, areas = o.SCRATCH2, here.areas

        def move() -> None:
            self.reclaiming.flush_batched(here, areas[0])
            self.asm.set(moved, 0)
            for area in areas:
                if area.pages:
                    with self.mapped.if_present(area):
                        self.asm.work("zap_ns", area.pages, text="move the entries", keeps=True)
                        self.calls.gathers.cleared(area.pages, huge=False, first=area.first)
                        self.asm.set(moved, 1)

        def flush() -> None:
            with self.asm.if_nonzero(moved):
                self.calls.flush_range(areas[0].lo, areas[-1].hi)

        def free(queue: PageQueue) -> None:
            if here.memory.alone:  # the variable goes on to say so of the new place's table
                with self.mapped.if_equal(self.mapped.table_of(here, areas[0]), 1):
                    self._queue_tables(1, 0, queue)

        self.calls.mremap(move, flush, free)

    # --- fork

    def fork(self, child: Space) -> None:
        """Write what dup_mmap() copies: entries of private pages, which both may only read from now on."""
        for here in self.cuts.values():
            self._fork(child, here)

    def _fork(self, child: Space, here: Cut) -> None:
        for area in here.areas:
            for part in (GONE, READONLY) if here.memory.kind == "file" else range(CELLS):
                with self.asm.aside():
                    self.asm.v_load(o.SCRATCH, self.mapped.cell(part, area))
                    self.asm.v_store(child.mapped.cell(part, area), o.SCRATCH, from_register=True)
            if here.memory.kind != "file" and area.pages:
                self._protect(here, area)
                with self.mapped.if_pages(here, area):
                    self.mapped.put(self.mapped.cell(STATE, area), SHARED)
                    self.mapped.put(child.mapped.cell(STATE, area), SHARED)

    def _protect(self, here: Cut, area: Area) -> None:
        """Write the effect of ptep_set_wrprotect() or pmdp_set_wrprotect() on entries that may be written."""
        state, readonly = self.mapped.cell(STATE, area), self.mapped.cell(READONLY, area)
        done = self.model.label()
        with self.mapped.if_equal(state, PRESENT), self.mapped.if_equal(readonly, 0):
            if area.folio >= 0:
                with self.mapped.if_equal(self.mapped.folio_of(here, area), HUGE):
                    if area == here.parts_of(area.folio)[0]:
                        self.calls.gathers.cleared(1, huge=True, by="ptep_set_wrprotect")
                    self.asm.jump(done)
            self.calls.gathers.cleared(area.pages, huge=False, first=area.first, by="ptep_set_wrprotect")
        self.asm.place(done)
