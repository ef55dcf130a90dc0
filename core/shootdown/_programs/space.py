"""What a thread of a program does with ordinary memory: which pages are mapped is known when the step is taken.

Each address space has variables for each area (`Mapped`). A call looks at them, as the kernel looks at entries,
and clears so many pages in one step as the area has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import attrs

from shootdown._machine import ops as o
from shootdown._mm.anonymous import Anonymous
from shootdown._mm.call_parts import OUTER
from shootdown._mm.gather import PageQueue
from shootdown._mm.model import Model
from shootdown._programs.areas import Area, Cut
from shootdown._programs.collapsing import Collapsing
from shootdown._programs.mapped import (
    BASE,
    CELLS,
    DIRTY,
    FOLIO,
    FREED,
    GONE,
    HUGE,
    NONE,
    PRESENT,
    READONLY,
    SHARED,
    SMALL,
    STATE,
    Mapped,
    has_base,
)
from shootdown._programs.reclaiming import Reclaiming


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

    # --- statements

    def mmap(self, here: Cut) -> None:
        """Write mmap() of a whole memory: nothing is mapped by entries yet."""
        with self.model.calls.syscall("mmap"):
            for area in here.areas:
                self.mapped.put(self.mapped.cell(GONE, area), 0)
                self.mapped.put(self.mapped.cell(READONLY, area), 0)

    def touch(self, here: Cut, areas: tuple[Area, ...], *, write: bool) -> None:
        """Write accesses to the touched pages of some areas."""
        for area in areas:
            if area.pages:
                self._touch_one(here, area, write=write)
        self.asm.touch(text="the TLB and walk caches may hold the translations")

    def _touch_one(self, here: Cut, area: Area, *, write: bool) -> None:
        asm, state = self.asm, self.mapped.cell(STATE, area)
        there, done = self.model.label(), self.model.label()
        with asm.aside():
            asm.v_load(o.SCRATCH, state, text="are its pages mapped?")
            asm.jump_zero(o.SCRATCH, there)
        if write:
            self._write_present(here, area)
        asm.jump(done)
        asm.place(there)
        if area.folio >= 0:
            self._fault_folio(here, area)
        else:
            if area.huge:
                self.calls.touch(0, huge=True, count=area.huge)
            else:
                self.calls.touch(area.pages, huge=False, cached=here.memory.kind == "file")
            self.mapped.put(self.mapped.table_of(here, area), int(not area.huge))
            self.mapped.put(state, DIRTY if write and here.memory.kind == "file" else PRESENT)
        asm.place(done)

    def _write_present(self, here: Cut, area: Area) -> None:
        """Write a write to mapped pages: it copies them if fork() shares them, or makes a file's pages dirty."""
        asm, state = self.asm, self.mapped.cell(STATE, area)
        if here.memory.kind == "file":
            with self.mapped.if_equal(state, PRESENT):
                text = "the file's pages become writable and dirty"
                asm.work("small_fault_ns", area.pages, text=text, keeps=True)
                self.mapped.put(state, DIRTY)
            return
        if self.reclaiming.batched is not None:
            with self.mapped.if_equal(state, FREED):
                self.mapped.put(state, PRESENT)
        with self.mapped.if_equal(state, SHARED):
            self.mapped.put(state, PRESENT)
            if area.folio >= 0:
                with self.mapped.if_equal(self.mapped.folio_of(here, area), HUGE):
                    self._split(here, area)
            with asm.loop(area.pages, o.SCRATCH2):
                self.model.calls.copy_on_write(1)

    def _fault_folio(self, here: Cut, area: Area) -> None:
        """Write a fault on a part of a huge page: all of it is mapped, unless a table took its place."""
        asm, folio, done = self.asm, self.mapped.folio_of(here, area), self.model.label()
        if has_base(here):
            with self.mapped.if_equal(folio, BASE):
                self.calls.touch(area.pages, huge=False)
                self.mapped.put(self.mapped.table_of(here, area), 1)
                self.mapped.put(self.mapped.cell(STATE, area), PRESENT)
                asm.jump(done)
        with self.mapped.if_equal(folio, SMALL):
            self.calls.touch(area.pages, huge=False)
            self.mapped.put(self.mapped.cell(STATE, area), PRESENT)
            asm.jump(done)
        self.calls.touch(0, huge=True)
        self.mapped.put(folio, HUGE)
        for part in here.parts_of(area.folio):
            self.mapped.put(self.mapped.cell(STATE, part), PRESENT)
        asm.place(done)

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
                self._split(here, parts[0])
        for part in parts:
            with self.mapped.if_present(part):
                self.mapped.put(self.mapped.cell(STATE, part), NONE)
                self.calls.zap_folio_part(
                    range(part.lo - part.folio * pages, part.hi - part.folio * pages), first=part.lo
                )
        self.asm.place(done)

    def _split(self, here: Cut, part: Area) -> None:
        self.mapped.put(self.mapped.folio_of(here, part), SMALL)
        self.mapped.put(self.mapped.table_of(here, part), 1)
        self.calls.split_thp()

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

    # --- rights

    def mprotect(self, here: Cut, areas: tuple[Area, ...], *, writable: bool) -> None:
        """Write mprotect() of some areas; nothing happens where the rights are those already."""
        self.calls.protect(*self.changes(here, areas, writable=writable))

    def changes(
        self, here: Cut, areas: tuple[Area, ...], *, writable: bool
    ) -> tuple[Callable[[], None], Callable[[], None]]:
        """Return what writes the change of rights of some areas, and the flush of kernels without a gather."""
        changed = o.SCRATCH2

        def change() -> None:
            self.asm.set(changed, 0)
            for area in areas:
                with self.mapped.if_equal(self.mapped.cell(READONLY, area), int(writable)):
                    self.reclaiming.flush_batched(here, area)
                    self.mapped.put(self.mapped.cell(READONLY, area), int(not writable))
                    with self.mapped.if_present(area):
                        self._change(here, area, areas, widens=writable)
                        self.asm.set(changed, 1)

        def flush() -> None:
            with self.asm.if_nonzero(changed):
                self.calls.flush_range(areas[0].lo, areas[-1].hi)

        return change, flush

    def _change(self, here: Cut, area: Area, areas: tuple[Area, ...], *, widens: bool) -> None:
        pages, spread = here.table_pages, area.last - area.first
        if has_base(here) and area.table < 0:
            self._change_whole(here, area, widens=widens)
            return
        if area.folio < 0:
            self.calls.change_entries(
                area.pages, huge=bool(area.huge), widens=widens, at=area.first, count=max(area.huge, 1),
                spread=None if spread == area.pages else spread,
            )  # fmt: skip
            return
        whole, done = all(part in areas for part in here.parts_of(area.folio)), self.model.label()
        if has_base(here):
            with self.mapped.if_equal(self.mapped.folio_of(here, area), BASE):
                self._change_base(area, widens=widens)
                self.asm.jump(done)
        with self.mapped.if_equal(self.mapped.folio_of(here, area), HUGE):
            if not whole:
                self._split(here, area)
            else:
                if area == here.parts_of(area.folio)[0]:
                    self.calls.change_entries(pages, huge=True, widens=widens, at=area.folio * pages)
                self.asm.jump(done)
        part = range(area.lo - area.folio * pages, area.hi - area.folio * pages)
        self.calls.change_entries(len(part), huge=False, part=part, widens=widens, at=area.lo)
        self.asm.place(done)

    def _change_whole(self, here: Cut, area: Area, *, widens: bool) -> None:
        """Write the change of an area of whole tables that may have been collapsed."""
        pages, done = here.table_pages, self.model.label()
        with self.mapped.if_equal(self.mapped.cell(FOLIO, area), HUGE):
            at, end = area.first // pages * pages, -(-area.last // pages) * pages
            self.calls.change_entries(
                area.tables * pages, huge=True, widens=widens, at=at, count=area.tables, spread=end - at
            )
            self.asm.jump(done)
        self._change_base(area, widens=widens)
        self.asm.place(done)

    def _change_base(self, area: Area, *, widens: bool) -> None:
        spread = area.last - area.first
        self.calls.change_entries(
            area.pages,
            huge=False,
            widens=widens,
            at=area.first,
            spread=None if spread == area.pages else spread,
        )

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
                with self.mapped.if_present(area):
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
