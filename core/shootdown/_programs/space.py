"""What a thread of a program does with ordinary memory: which pages are mapped is known when the step is taken.

Each address space has variables for each area: whether its pages are there, its VMA, the right to write, page tables.
A call looks at them, as the kernel looks at entries, and clears so many pages in one step as the area has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby

import attrs

from shootdown._machine import ops as o
from shootdown._machine.label import Label
from shootdown._mm.anonymous import Anonymous
from shootdown._mm.calls import OUTER
from shootdown._mm.counted_reclaim import LIST_PAGES, Batch, Reclaim
from shootdown._mm.gather import PageQueue
from shootdown._mm.khugepaged import Pages, Rules, scan
from shootdown._mm.model import Model
from shootdown._programs.areas import Area, Cut

#: What an area's pages are: absent; present; present and shared since fork(); present and dirty in a file; present,
#: old and clean since MADV_FREE. Pages of anonymous memory that are just present are dirty.
_NONE, _PRESENT, _SHARED, _DIRTY, _FREED = range(5)
#: The variables of an area: its pages, whether its VMA is gone, whether it may not be written, its page tables, and
#: the huge page of several areas.
_CELLS = 5
_STATE, _GONE, _READONLY, _TABLE, _FOLIO = range(_CELLS)
#: How a huge page that statements take parts of is mapped: not at all, by a table, by a huge entry.
#: It may also be base pages that were never a huge one, where a statement collapses them.
_SMALL, _HUGE, _BASE = 1, 2, 3


def _has_base(here: Cut) -> bool:
    """Whether pages of a memory may be base pages until a statement collapses them."""
    return here.collapses and here.memory.kind == "anonymous"


class Space:
    """Write statements about the ordinary memory of one address space.

    Args:
        model: the model.
        calls: the kernel's calls.
        cuts: the areas of each memory, by its name.
        first: its first variable; it has `cells` of them.
    """

    def __init__(self, model: Model, calls: Anonymous, cuts: Mapping[str, Cut], first: int) -> None:
        self.model = model
        self.asm = model.asm
        self.calls = calls
        self.cuts = cuts
        numbers = [area.number for one in cuts.values() for area in one.areas]
        self.cells = _CELLS * len(numbers)
        self._places = {number: first + _CELLS * at for at, number in enumerate(numbers)}
        self._reclaim = Reclaim(calls)
        #: The variable that says whether pages of the mm were unmapped in batches; None if no statement does so.
        self.batched: int | None = None

    def _table_of(self, here: Cut, area: Area) -> int:
        """Return the variable of an area's tables: its own, or that of the first area in the same table."""
        if area.table < 0:
            return self._cell(_TABLE, area)
        return self._cell(_TABLE, next(one for one in here.areas if one.table == area.table))

    def _folio_of(self, here: Cut, area: Area) -> int:
        return self._cell(_FOLIO, here.parts_of(area.folio)[0])

    def declare(self, unmapped: Collection[str]) -> None:
        """Declare the variables of this address space; those of all spaces are declared in their order.

        Args:
            unmapped: the memory that is not mapped at first: a statement maps it.
        """
        for name, here in self.cuts.items():
            for _ in here.areas:
                for part in range(_CELLS):
                    small = (
                        _BASE if part == _FOLIO and here.collapses and here.memory.kind == "anonymous" else 0
                    )
                    self.model.variable(small or int(part == _GONE and name in unmapped))

    def _cell(self, part: int, area: Area) -> int:
        return self._places[area.number] + part

    # --- branches on what is mapped

    @contextmanager
    def _if_present(self, area: Area, register: int = o.SCRATCH) -> Iterator[None]:
        with self.asm.aside():
            self.asm.v_load(register, self._cell(_STATE, area), text="are its pages mapped?")
        with self.asm.if_nonzero(register):
            yield

    @contextmanager
    def _if_equal(self, variable: int, value: int) -> Iterator[None]:
        asm, here, out = self.asm, self.model.label(), self.model.label()
        with asm.aside():
            asm.v_load(o.SCRATCH, variable)
            asm.jump_equal(o.SCRATCH, value, here)
            asm.jump(out)
            asm.place(here)
        yield
        asm.place(out)

    def _put(self, variable: int, value: int) -> None:
        with self.asm.aside():
            self.asm.v_store(variable, value)

    @contextmanager
    def as_before(self, areas: tuple[Area, ...], kept: int) -> Iterator[Callable[[], None]]:
        """Note what is mapped in some areas; what is yielded writes that they are as they were then.

        Args:
            areas: the areas.
            kept: the first of variables for it: `kept_for(areas)` of them.
        """
        cells = [self._cell(part, area) for area in areas for part in range(_CELLS)]

        def copy(pairs: Iterable[tuple[int, int]]) -> None:
            with self.asm.aside():
                for source, target in pairs:
                    self.asm.v_load(o.SCRATCH, source)
                    self.asm.v_store(target, o.SCRATCH, from_register=True)

        copy((cell, kept + n) for n, cell in enumerate(cells))
        yield lambda: copy((kept + n, cell) for n, cell in enumerate(cells))

    @staticmethod
    def kept_for(areas: tuple[Area, ...]) -> int:
        """Return how many variables `as_before` needs."""
        return _CELLS * len(areas)

    # --- statements

    def mmap(self, here: Cut) -> None:
        """Write mmap() of a whole memory: nothing is mapped by entries yet."""
        with self.model.calls.syscall("mmap"):
            for area in here.areas:
                self._put(self._cell(_GONE, area), 0)
                self._put(self._cell(_READONLY, area), 0)

    def touch(self, here: Cut, areas: tuple[Area, ...], *, write: bool) -> None:
        """Write accesses to the touched pages of some areas."""
        for area in areas:
            if area.pages:
                self._touch_one(here, area, write=write)
        self.asm.touch(text="the TLB and walk caches may hold the translations")

    def _touch_one(self, here: Cut, area: Area, *, write: bool) -> None:
        asm, state = self.asm, self._cell(_STATE, area)
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
                self.calls.touch(area.pages, huge=False)
            self._put(self._table_of(here, area), int(not area.huge))
            self._put(state, _DIRTY if write and here.memory.kind == "file" else _PRESENT)
        asm.place(done)

    def _write_present(self, here: Cut, area: Area) -> None:
        """Write a write to mapped pages: it copies them if fork() shares them, or makes a file's pages dirty."""
        asm, state = self.asm, self._cell(_STATE, area)
        if here.memory.kind == "file":
            with self._if_equal(state, _PRESENT):
                asm.work("small_fault_ns", area.pages, text="the file's pages become writable and dirty")
                self._put(state, _DIRTY)
            return
        if self.batched is not None:
            with self._if_equal(state, _FREED):
                self._put(state, _PRESENT)
        with self._if_equal(state, _SHARED):
            self._put(state, _PRESENT)
            with asm.loop(area.pages, o.SCRATCH2):
                self.model.calls.copy_on_write(1)

    def _fault_folio(self, here: Cut, area: Area) -> None:
        """Write a fault on a part of a huge page: all of it is mapped, unless a table took its place."""
        asm, folio, done = self.asm, self._folio_of(here, area), self.model.label()
        if _has_base(here):
            with self._if_equal(folio, _BASE):
                self.calls.touch(area.pages, huge=False)
                self._put(self._table_of(here, area), 1)
                self._put(self._cell(_STATE, area), _PRESENT)
                asm.jump(done)
        with self._if_equal(folio, _SMALL):
            self.calls.touch(area.pages, huge=False)
            self._put(self._cell(_STATE, area), _PRESENT)
            asm.jump(done)
        self.calls.touch(0, huge=True)
        self._put(folio, _HUGE)
        for part in here.parts_of(area.folio):
            self._put(self._cell(_STATE, part), _PRESENT)
        asm.place(done)

    def munmap(self, here: Cut, areas: tuple[Area, ...]) -> None:
        """Write munmap() of some areas, which frees the page tables that nothing else uses."""
        self.calls.unmap(
            lambda queue: self._zap(here, areas, queue), lambda queue: self._free_tables(here, areas, queue)
        )
        for area in areas:
            self._put(self._cell(_GONE, area), 1)

    def madvise(self, here: Cut, areas: tuple[Area, ...]) -> None:
        """Write madvise(MADV_DONTNEED) of some areas."""
        self.calls.discard(lambda queue: self._zap(here, areas, queue, reclaims=self.model.kernel.pt_reclaim))

    def unmap_file(self, here: Cut) -> None:
        """Write the unmapping of a file's pages, which truncation and punching a hole free, in this address space."""
        self.calls.unmap_mapping_range(lambda queue: self._zap(here, here.areas, queue))

    def exit(self, used: Collection[str]) -> None:
        """Write what exit_mmap() clears of dirty pages of the files named; other pages wait for its one flush."""
        if self.batched is not None:
            self._reclaim.flush_batched_pending(self.batched)
        for name, here in self.cuts.items():
            if name in used and here.memory.kind == "file":
                for area in here.areas:
                    if area.pages:
                        with self._if_equal(self._cell(_STATE, area), _DIRTY):
                            self.model.calls.zap_dirty(OUTER, area.pages)

    def _zap(self, here: Cut, areas: tuple[Area, ...], queue: PageQueue, *, reclaims: bool = False) -> None:
        """Write the clearing of what is mapped in some areas."""
        done: set[int] = set()
        for area in areas:
            self._flush_batched(here, area)
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
            with self._if_equal(self._table_of(here, area), 1):
                self._put(self._table_of(here, area), 0)
                self.calls.free_empty_tables(OUTER, count, lo, queue)

    def _zap_area(self, here: Cut, area: Area, queue: PageQueue, *, reclaims: bool) -> None:
        if not area.pages:
            return
        spread = area.last - area.first
        sparse = None if spread == area.pages else spread
        dirty, done = here.memory.kind == "file", self.model.label()

        def zap(clean: int | None, queue: PageQueue) -> None:
            self._put(self._cell(_STATE, area), _NONE)
            whole = reclaims and area.table < 0 and area.tables > 0 and not area.huge
            self.calls.zap(
                OUTER, area.pages, queue, huge=bool(area.huge), clean=clean, reclaims=whole and sparse is None,
                at=area.first, count=max(area.huge, 1), spread=sparse,
            )  # fmt: skip
            if whole and sparse is None:
                self._put(self._table_of(here, area), 0)

        if _has_base(here) and area.table < 0:
            with self._if_equal(self._cell(_FOLIO, area), _HUGE):
                self._put(self._cell(_FOLIO, area), _BASE)
                self._put(self._cell(_STATE, area), _NONE)
                pages, at = area.tables * here.table_pages, area.first // here.table_pages * here.table_pages
                end = -(-area.last // here.table_pages) * here.table_pages
                self.calls.zap(
                    OUTER, pages, attrs.evolve(queue), huge=True, at=at, count=area.tables, spread=end - at
                )
                self.asm.jump(done)
        clean_queue = attrs.evolve(queue)  # one of the two is taken: batches fill up as if pages were dirty
        if dirty:
            with self._if_equal(self._cell(_STATE, area), _DIRTY):
                zap(0, queue)
                self.asm.jump(done)
        with self._if_present(area):
            zap(None, clean_queue if dirty else queue)
        self.asm.place(done)

    def _zap_folio(self, here: Cut, parts: list[Area], queue: PageQueue) -> None:
        """Write the clearing of parts of a huge page, which is split unless all of it goes."""
        folio, done = self._folio_of(here, parts[0]), self.model.label()
        pages = here.table_pages
        if _has_base(here):
            with self._if_equal(folio, _BASE):
                for part in parts:
                    self._zap_area(here, part, queue, reclaims=False)
                self.asm.jump(done)
        with self._if_equal(folio, _HUGE):
            if parts == list(here.parts_of(parts[0].folio)):
                self._put(folio, _BASE if _has_base(here) else _NONE)
                for part in parts:
                    self._put(self._cell(_STATE, part), _NONE)
                self.calls.zap(OUTER, pages, queue, huge=True, at=parts[0].folio * pages)
                self.asm.jump(done)
            else:
                self._split(here, parts[0])
        for part in parts:
            with self._if_present(part):
                self._put(self._cell(_STATE, part), _NONE)
                self.calls.zap_folio_part(
                    range(part.lo - part.folio * pages, part.hi - part.folio * pages), first=part.lo
                )
        self.asm.place(done)

    def _split(self, here: Cut, part: Area) -> None:
        self._put(self._folio_of(here, part), _SMALL)
        self._put(self._table_of(here, part), 1)
        self.calls.split_thp()

    # --- page tables

    def _free_tables(self, here: Cut, areas: tuple[Area, ...], queue: PageQueue) -> None:
        """Write free_pgtables(): tables go in which no VMA is left."""
        done: set[int] = set()
        for area in areas:
            if area.table < 0 and area.tables and not area.huge:
                with self._if_equal(self._table_of(here, area), 1):
                    self._put(self._table_of(here, area), 0)
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
                        o.SCRATCH, self._cell(_GONE, other), text="does a VMA use the table still?"
                    )
                    self.asm.jump_zero(o.SCRATCH, kept)
        with self._if_equal(self._table_of(here, area), 1):
            self._put(self._table_of(here, area), 0)
            self._queue_tables(1, area.table * here.table_pages, queue)
        self.asm.place(kept)

    def _queue_tables(self, count: int, lo: int, queue: PageQueue) -> None:
        last = lo + (count - 1) * self.calls.table_pages
        self.calls.gathers.free_tables(OUTER, count, o.CLEARED_PMDS, lo=lo, hi=last + 1, queue=queue)

    # --- rights

    def mprotect(self, here: Cut, areas: tuple[Area, ...], *, writable: bool) -> None:
        """Write mprotect() of some areas; nothing happens where the rights are those already."""
        changed = o.SCRATCH2

        def change() -> None:
            self.asm.set(changed, 0)
            for area in areas:
                with self._if_equal(self._cell(_READONLY, area), int(writable)):
                    self._flush_batched(here, area)
                    self._put(self._cell(_READONLY, area), int(not writable))
                    with self._if_present(area):
                        self._change(here, area, areas, widens=writable)
                        self.asm.set(changed, 1)

        def flush() -> None:
            with self.asm.if_nonzero(changed):
                self.calls.flush_range(areas[0].lo, areas[-1].hi)

        self.calls.protect(change, flush)

    def _change(self, here: Cut, area: Area, areas: tuple[Area, ...], *, widens: bool) -> None:
        pages, spread = here.table_pages, area.last - area.first
        if _has_base(here) and area.table < 0:
            self._change_whole(here, area, widens=widens)
            return
        if area.folio < 0:
            self.calls.change_entries(
                area.pages, huge=bool(area.huge), widens=widens, at=area.first, count=max(area.huge, 1),
                spread=None if spread == area.pages else spread,
            )  # fmt: skip
            return
        whole, done = all(part in areas for part in here.parts_of(area.folio)), self.model.label()
        if _has_base(here):
            with self._if_equal(self._folio_of(here, area), _BASE):
                self._change_base(area, widens=widens)
                self.asm.jump(done)
        with self._if_equal(self._folio_of(here, area), _HUGE):
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
        with self._if_equal(self._cell(_FOLIO, area), _HUGE):
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

    # --- collapse

    def collapse(self, here: Cut, areas: tuple[Area, ...], *, by_process: bool) -> None:
        """Write collapses of some areas to huge pages of PMD order: by MADV_COLLAPSE, or one pass of khugepaged."""
        done: set[int] = set()
        for area in areas:
            if area.table < 0 and area.pages and not area.huge:
                with self._if_present(area):
                    self._collapse_whole(here, area, by_process=by_process)
            elif area.folio >= 0 and area.folio not in done:
                done.add(area.folio)
                parts = here.parts_of(area.folio)
                if all(part in areas for part in parts):
                    self._collapse_parts(here, parts, by_process=by_process)

    def _write_collapse(self, present: int, ranges: int, *, by_process: bool) -> None:
        """Write the collapses of PMD ranges, of each of which so many base pages are present."""
        count = self.calls.table_pages
        top = count.bit_length() - 1
        pages = Pages.full(count)
        pages.present[present:] = [False] * (count - present)
        rules = Rules(
            top, frozenset({top}), below_pmd=self.model.kernel.khugepaged_mthp, by_process=by_process
        )
        why = "MADV_COLLAPSE" if by_process else "khugepaged"
        self.calls.collapse(scan(pages, rules), ranges, pmd_order=top, why=why)

    def _collapse_whole(self, here: Cut, area: Area, *, by_process: bool) -> None:
        huge = self.model.label()
        with self.asm.aside():
            self.asm.v_load(o.SCRATCH, self._cell(_FOLIO, area), text="are they huge pages already?")
            self.asm.jump_equal(o.SCRATCH, _HUGE, huge)
        self._write_collapse(max(area.pages // area.tables, 1), area.tables, by_process=by_process)
        self._put(self._cell(_FOLIO, area), _HUGE)
        self._put(self._table_of(here, area), 0)
        self.asm.place(huge)

    def _collapse_parts(self, here: Cut, parts: tuple[Area, ...], *, by_process: bool) -> None:
        asm, folio = self.asm, self._folio_of(here, parts[0])
        some, out = self.model.label(), self.model.label()
        with asm.aside():
            asm.v_load(o.SCRATCH, folio, text="is it a huge page already?")
            asm.jump_equal(o.SCRATCH, _HUGE, out)
        self._leave_unless_one_vma(parts, out)
        for part in parts:
            with self._if_present(part):
                asm.jump(some)
        asm.jump(out)
        asm.place(some)
        self._write_collapse(1, 1, by_process=by_process)
        self._put(folio, _HUGE)
        self._put(self._table_of(here, parts[0]), 0)
        for part in parts:
            self._put(self._cell(_STATE, part), _PRESENT)
        asm.place(out)

    def _leave_unless_one_vma(self, parts: tuple[Area, ...], out: Label) -> None:
        """Write a jump if one VMA does not span all parts: some are unmapped, or their rights differ."""
        asm = self.asm
        with asm.aside():
            for part in parts:
                mapped, alike = self.model.label(), self.model.label()
                asm.v_load(o.SCRATCH, self._cell(_GONE, part), text="does one VMA span the range?")
                asm.jump_zero(o.SCRATCH, mapped)
                asm.jump(out)
                asm.place(mapped)
                asm.v_load(o.SCRATCH, self._cell(_READONLY, parts[0]))
                asm.v_load(o.SCRATCH2, self._cell(_READONLY, part))
                asm.jump_same(o.SCRATCH, o.SCRATCH2, alike)
                asm.jump(out)
                asm.place(alike)

    # --- reclaim and migration

    def _flush_batched(self, here: Cut, area: Area) -> None:
        """Write flush_tlb_batched_pending(), which whoever looks at a PTE table calls."""
        if self.batched is not None:
            with self._if_equal(self._table_of(here, area), 1):
                self._reclaim.flush_batched_pending(self.batched)

    def batch(self, first: int) -> Batch:
        """Return the variables of a statement that unmaps in batches, of which `first` and the next are its own."""
        assert self.batched is not None
        return Batch(first, first + 1, self.batched)

    def reclaim(self, here: Cut, areas: tuple[Area, ...], batch: Batch) -> None:
        """Write the reclaim of some areas: shrink_inactive_list() takes so many pages at a time."""
        for area in areas:
            self._shrink(here, area, area.pages, batch, limit=LIST_PAGES)
        self._reclaim.end_list(batch)

    def _shrink(self, here: Cut, area: Area, pages: int, batch: Batch, *, limit: int) -> None:
        """Write the unmapping of an area's pages if they are mapped; dirty anonymous ones are written to swap."""
        done, state = self.model.label(), self._cell(_STATE, area)
        if not pages:
            return
        if here.memory.kind == "anonymous":
            with self._if_equal(state, _PRESENT):
                self._put(state, _NONE)
                self._reclaim.shrink_folio_list(pages, batch, dirty=True, limit=limit)
                self.asm.jump(done)
        with self._if_present(area):
            self._put(state, _NONE)
            self._reclaim.shrink_folio_list(pages, batch, dirty=False, limit=limit)
        self.asm.place(done)

    def pageout(self, here: Cut, areas: tuple[Area, ...], batch: Batch) -> None:
        """Write madvise(MADV_PAGEOUT): each PTE table's pages are a list of their own, which is reclaimed whole."""
        with self._reclaim.advice("MADV_PAGEOUT"):
            for _, some in groupby(areas, lambda area: area.table if area.table >= 0 else ~area.number):
                part = [area for area in some if area.pages]
                if part and part[0].table < 0:
                    self._page_out_tables(here, part[0], batch)
                elif part:
                    self._flush_batched(here, part[0])
                    for area in part:
                        self._make_old(here, area)
                        self._shrink(here, area, area.pages, batch, limit=0)
                    self._reclaim.end_list(batch)

    def _page_out_tables(self, here: Cut, area: Area, batch: Batch) -> None:
        """Write MADV_PAGEOUT of an area of whole tables, one after another."""
        each, rest = divmod(area.pages, area.tables)
        state, done = self._cell(_STATE, area), self.model.label()

        def tables(*, dirty: bool) -> None:
            self._put(state, _NONE)
            if area.tables > 1:
                with self.asm.loop(area.tables - 1):
                    self._page_out_table(here, area, each, batch, dirty=dirty)
            self._page_out_table(here, area, each + rest, batch, dirty=dirty)

        self._flush_batched(here, area)
        self._make_old(here, area)
        if here.memory.kind == "anonymous":
            with self._if_equal(state, _PRESENT):
                tables(dirty=True)
                self.asm.jump(done)
        with self._if_present(area):
            tables(dirty=False)
        self.asm.place(done)

    def _page_out_table(self, here: Cut, area: Area, pages: int, batch: Batch, *, dirty: bool) -> None:
        self._flush_batched(here, area)
        self._reclaim.shrink_folio_list(pages, batch, dirty=dirty, limit=0)
        self._reclaim.end_list(batch)

    def _make_old(self, here: Cut, area: Area) -> None:
        """Write what MADV_PAGEOUT does to young entries before it reclaims their pages, in kernels that do."""
        if not self.model.kernel.pageout_clears_young:
            return
        for state in (_PRESENT, _DIRTY) if here.memory.kind == "file" else (_PRESENT,):
            with self._if_equal(self._cell(_STATE, area), state):
                self._reclaim.make_old(area.pages, area.first, area.last)

    def free(self, here: Cut, areas: tuple[Area, ...]) -> None:
        """Write madvise(MADV_FREE): entries become old and clean, if they are not already."""
        with self._reclaim.advice("MADV_FREE"):
            for area in areas:
                self._flush_batched(here, area)
                if area.pages:
                    with self._if_equal(self._cell(_STATE, area), _PRESENT):
                        self._put(self._cell(_STATE, area), _FREED)
                        self._reclaim.madvise_free(area.pages, area.first, area.last)

    def mkclean(self, areas: tuple[Area, ...]) -> None:
        """Write folio_mkclean() of some areas of a file in this address space: dirty pages can be written no more."""
        for area in areas:
            if area.pages:
                with self._if_equal(self._cell(_STATE, area), _DIRTY):
                    self._put(self._cell(_STATE, area), _PRESENT)
                    self._reclaim.page_vma_mkclean_one(area.pages)

    def migrate(self, areas: tuple[Area, ...], batch: Batch) -> None:
        """Write move_pages() of what is mapped in some areas."""
        self.asm.work("syscall_ns", text="move_pages: entry, isolate the pages")
        for area in areas:
            if area.pages:
                with self._if_present(area):
                    self._reclaim.migrate_pages(area.pages, batch)
        self._reclaim.end_migration(batch)

    # --- moving

    def mremap(self, here: Cut) -> None:
        """Write mremap() of a memory within one PTE table to another address, which gets a table of its own."""
        moved, areas = o.SCRATCH2, here.areas

        def move() -> None:
            self._flush_batched(here, areas[0])
            self.asm.set(moved, 0)
            for area in areas:
                if area.pages:
                    with self._if_present(area):
                        self.asm.work("zap_ns", area.pages, text="move the entries")
                        self.calls.gathers.cleared(area.pages, huge=False, first=area.first)
                        self.asm.set(moved, 1)

        def flush() -> None:
            with self.asm.if_nonzero(moved):
                self.calls.flush_range(areas[0].lo, areas[-1].hi)

        def free(queue: PageQueue) -> None:
            if here.memory.alone:  # the variable goes on to say so of the new place's table
                with self._if_equal(self._table_of(here, areas[0]), 1):
                    self._queue_tables(1, 0, queue)

        self.calls.mremap(move, flush, free)

    # --- fork

    def fork(self, child: Space) -> None:
        """Write what dup_mmap() copies: entries of private pages, which both may only read from now on."""
        for here in self.cuts.values():
            self._fork(child, here)

    def _fork(self, child: Space, here: Cut) -> None:
        for area in here.areas:
            for part in (_GONE, _READONLY) if here.memory.kind == "file" else range(_CELLS):
                with self.asm.aside():
                    self.asm.v_load(o.SCRATCH, self._cell(part, area))
                    self.asm.v_store(child._cell(part, area), o.SCRATCH, from_register=True)
            if here.memory.kind != "file" and area.pages:
                with self._if_present(area):
                    self._put(self._cell(_STATE, area), _SHARED)
                    self._put(child._cell(_STATE, area), _SHARED)
