"""Accesses to a program's ordinary memory: what is not mapped is faulted in, what may only be read is copied."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import pairwise

from shootdown._machine import ops as o
from shootdown._machine.label import Label
from shootdown._mm.anonymous import Anonymous
from shootdown._programs.areas import Area, Cut
from shootdown._programs.mapped import (
    BASE,
    DIRTY,
    FREED,
    HUGE,
    NONE,
    PRESENT,
    SHARED,
    SHARED_FREED,
    SMALL,
    STATE,
    ZERO,
    Mapped,
    has_base,
    has_zero,
)
from shootdown._programs.program import PRIVATE_FILE
from shootdown._programs.reclaiming import Reclaiming
from shootdown._programs.sharing import Sharing
from shootdown._programs.space_part import SpacePart

#: The most faults that are written one by one; of more pages so many parts are.
_MOST_FAULTS = 1024


class Faulting(SpacePart):
    """Write accesses to the ordinary memory of one address space.

    Args:
        mapped, calls, reclaiming, sharing: as for `SpacePart`.
        threads: the threads that have the address space.
    """

    def __init__(
        self, mapped: Mapped, calls: Anonymous, reclaiming: Reclaiming, sharing: Sharing, threads: int
    ) -> None:
        super().__init__(mapped, calls, reclaiming, sharing)
        #: Whether a fault takes mmap_lock, where that can make somebody wait.
        self._locks = threads > 1 and not self.model.kernel.faults_lock_vmas

    def touch(self, here: Cut, areas: tuple[Area, ...], *, write: bool) -> None:
        """Write accesses to the touched pages of some areas."""
        if write and has_zero(here):
            self.mapped.put(self.mapped.written[here.memory.name], 1)
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
            self._fault_folio(here, area, write=write)
        else:
            if area.huge:
                self.calls.touch(0, huge=True, count=area.huge)
            else:
                kind = here.memory.kind
                self.fault_in(area.pages, cached=kind == "file" or (kind == PRIVATE_FILE and not write))
            self.mapped.put(self.mapped.table_of(here, area), int(not area.huge))
            self.mapped.put(state, self._faulted(here, write=write))
            self.mapped.note_cached(area, True)
            if not write:
                self._fault_around(here, area)
        asm.place(done)

    def _fault_around(self, here: Cut, area: Area) -> None:
        """Write what do_fault_around() maps beside the pages of an area: pages that the page cache has."""
        for other in here.near(area):
            absent, out = self.mapped.cell(STATE, other), self.model.label()
            self._unless_apart(here, area, other, out)
            with self.asm.aside():
                self.asm.v_load(o.SCRATCH, self.mapped.cached[other.number], text="is it in the page cache?")
                self.asm.jump_zero(o.SCRATCH, out)
            with self.mapped.if_equal(absent, NONE):
                self.mapped.put(absent, self._faulted(here, write=False))
            self.asm.place(out)

    def _unless_apart(self, here: Cut, area: Area, other: Area, out: Label) -> None:
        """Write a jump that is taken if a fault on one area does not come to another one near it.

        A VMA ends between them; or the other one lies behind the window, and no VMA begins so late in it.
        """
        begin = here.areas[0].number
        at, to = sorted((area.number - begin, other.number - begin))
        for one, after in pairwise(here.areas[at : to + 1]):
            self.mapped.where_vma_ends(here, one, after, lambda: self.asm.jump(out))
        window, late = area.lo // here.around * here.around, other.hi - here.around
        if other.lo < window + here.around or max(late, window + 1) <= here.areas[0].lo:
            return
        comes = self.model.label()
        for one, after in pairwise(here.areas[: area.number - begin + 1]):
            if late <= after.lo and window < after.lo:
                self.mapped.where_vma_ends(here, one, after, lambda: self.asm.jump(comes))
        self.asm.jump(out)
        self.asm.place(comes)

    def fault_in(self, pages: int, *, cached: bool = False) -> None:
        """Write first accesses to base pages, which are a file's if `cached`."""
        self._faults(pages, lambda some: self.calls.touch(some, huge=False, cached=cached))

    def _faults(self, pages: int, write: Callable[[int], None]) -> None:
        """Write faults on base pages: at once, or one by one where each takes a lock; of very many some at a time."""
        if not self._locks:
            write(pages)
            return
        times = min(pages, _MOST_FAULTS)
        with self.asm.loop(times, o.SCRATCH2), self._locked():
            write(pages // times)
        if pages % times:
            with self._locked():
                write(pages % times)

    def _locked(self) -> AbstractContextManager[None]:
        """Hold what do_user_addr_fault() of x86 and do_page_fault() elsewhere hold."""
        return self.model.calls.mmap_locked(write=False) if self._locks else nullcontext()

    def _faulted(self, here: Cut, *, write: bool) -> int:
        """Return what pages are that were faulted in: a read of private memory maps what a write copies."""
        if here.memory.kind == "file" and write:
            return DIRTY
        return ZERO if has_zero(here) and not write else PRESENT

    def _write_present(self, here: Cut, area: Area) -> None:
        """Write a write to mapped pages: it copies them if fork() shares them, or makes a file's pages dirty."""
        asm, state = self.asm, self.mapped.cell(STATE, area)
        if here.memory.kind == "file":
            with self.mapped.if_equal(state, PRESENT):
                self._faults(
                    area.pages, partial(self._reuse, area, "the file's pages become writable and dirty")
                )
                self.mapped.put(state, DIRTY)
            return
        copies = [SHARED]
        if self.reclaiming.batched is not None:
            copies.append(SHARED_FREED)
            with self.mapped.if_equal(state, FREED):
                if self.model.lowering.no_hardware_dirty() is not None:
                    self._faults(area.pages, partial(self._reuse, area, "the pages become dirty"))
                self.mapped.put(state, PRESENT)
        if has_zero(here):
            copies.append(ZERO)
        for copied in copies:
            with self.mapped.if_equal(state, copied):
                kept = self.model.label()
                if self.sharing.told(area) and copied != ZERO:
                    with self.sharing.if_last(area):
                        self.sharing.leave(area)
                        self.mapped.put(state, PRESENT)
                        self._faults(area.pages, partial(self._reuse, area, "the last owner keeps the pages"))
                        asm.jump(kept)
                    self.sharing.leave(area)
                self.mapped.put(state, PRESENT)
                if area.folio >= 0:
                    with self.mapped.if_equal(self.mapped.folio_of(here, area), HUGE):
                        self.split(here, area)
                with asm.loop(area.pages, o.SCRATCH2), self._locked():
                    self.model.calls.copy_on_write(1)
                asm.place(kept)

    def _reuse(self, area: Area, text: str, pages: int) -> None:
        """Write faults on pages of an area that stay, whose entries allow more afterwards."""
        self.asm.work("small_fault_ns", pages, text=text, keeps=True)
        self.calls.gathers.changed(pages, huge=False, by="ptep_set_access_flags", first=area.first)

    def _fault_folio(self, here: Cut, area: Area, *, write: bool) -> None:
        """Write a fault on a part of a huge page: all of it is mapped, unless a table took its place.

        Or unless a VMA ends within it (mm/huge_memory.c: thp_vma_suitable_order()): then a table takes its place.
        """
        asm, folio, done = self.asm, self.mapped.folio_of(here, area), self.model.label()
        ends, parts = self.model.label(), here.parts_of(area.folio)
        if has_base(here):
            with self.mapped.if_equal(folio, BASE):
                self.fault_in(area.pages)
                self.mapped.put(self.mapped.table_of(here, area), 1)
                self.mapped.put(self.mapped.cell(STATE, area), self._faulted(here, write=write))
                asm.jump(done)
        with self.mapped.if_equal(folio, SMALL):
            asm.jump(ends)
        for one, after in pairwise(parts):
            self.mapped.where_vma_ends(here, one, after, lambda: asm.jump(ends))
        self.calls.touch(0, huge=True)
        self.mapped.put(folio, HUGE)
        for part in parts:
            self.mapped.put(self.mapped.cell(STATE, part), PRESENT)
        asm.jump(done)
        asm.place(ends)
        self.fault_in(area.pages)
        self.mapped.become_small(here, area)
        self.mapped.put(self.mapped.cell(STATE, area), self._faulted(here, write=write))
        asm.place(done)
