"""Rights to a program's ordinary memory, which mprotect() and userfaultfd change."""

from __future__ import annotations

from collections.abc import Callable

from shootdown._machine import ops as o
from shootdown._programs.areas import Area, Cut
from shootdown._programs.mapped import (
    BASE,
    FOLIO,
    HUGE,
    PRESENT,
    READONLY,
    SHARED,
    SHARED_FREED,
    STATE,
    ZERO,
    has_base,
)
from shootdown._programs.space_part import SpacePart


class Rights(SpacePart):
    """Write changes of rights in one address space; see `SpacePart`."""

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
                        self._change_present(here, area, areas, widens=writable)
                        self.asm.set(changed, 1)

        def flush() -> None:
            with self.asm.if_nonzero(changed):
                self.calls.flush_range(areas[0].lo, areas[-1].hi)

        return change, flush

    def _change_present(self, here: Cut, area: Area, areas: tuple[Area, ...], *, widens: bool) -> None:
        """Write the change of entries that are there.

        Those that may not be written anyhow stay as they are: of pages that fork() shares, of the zero page, of clean
        pages of a file.
        """
        kept, done = self.model.label(), self.model.label()
        flushes = self.calls.asks_for_flush(widens=widens)
        if not self.model.kernel.unchanged_flushes:
            with self.asm.aside():
                self.asm.v_load(o.SCRATCH, self.mapped.cell(STATE, area), text="may the entries be written?")
                for state in (PRESENT,) if here.memory.kind == "file" else (SHARED, ZERO, SHARED_FREED):
                    self.asm.jump_equal(o.SCRATCH, state, kept)
        self._change(here, area, areas, flushes=flushes)
        self.asm.jump(done)
        self.asm.place(kept)
        if not self.model.kernel.unchanged_flushes:
            self._change(here, area, areas, flushes=False)
        self.asm.place(done)

    def _change(self, here: Cut, area: Area, areas: tuple[Area, ...], *, flushes: bool) -> None:
        pages, spread = here.table_pages, area.last - area.first
        if has_base(here) and area.table < 0:
            self._change_whole(here, area, flushes=flushes)
            return
        if area.folio < 0:
            self.calls.change_entries(
                area.pages, huge=bool(area.huge), flushes=flushes, at=area.first, count=max(area.huge, 1),
                spread=None if spread == area.pages else spread,
            )  # fmt: skip
            return
        whole, done = all(part in areas for part in here.parts_of(area.folio)), self.model.label()
        if has_base(here):
            with self.mapped.if_equal(self.mapped.folio_of(here, area), BASE):
                self._change_base(area, flushes=flushes)
                self.asm.jump(done)
        with self.mapped.if_equal(self.mapped.folio_of(here, area), HUGE):
            if not whole:
                self.split(here, area)
            else:
                if area == here.parts_of(area.folio)[0]:
                    self.calls.change_entries(pages, huge=True, flushes=flushes, at=area.folio * pages)
                self.asm.jump(done)
        part = range(area.lo - area.folio * pages, area.hi - area.folio * pages)
        of_folio = None if here.frees else part
        self.calls.change_entries(len(part), huge=False, part=of_folio, flushes=flushes, at=area.lo)
        self.asm.place(done)

    def _change_whole(self, here: Cut, area: Area, *, flushes: bool) -> None:
        """Write the change of an area of whole tables that may have been collapsed."""
        pages, done = here.table_pages, self.model.label()
        with self.mapped.if_equal(self.mapped.cell(FOLIO, area), HUGE):
            at, end = area.first // pages * pages, -(-area.last // pages) * pages
            self.calls.change_entries(
                area.tables * pages, huge=True, flushes=flushes, at=at, count=area.tables, spread=end - at
            )
            self.asm.jump(done)
        self._change_base(area, flushes=flushes)
        self.asm.place(done)

    def _change_base(self, area: Area, *, flushes: bool) -> None:
        spread = area.last - area.first
        self.calls.change_entries(
            area.pages,
            huge=False,
            flushes=flushes,
            at=area.first,
            spread=None if spread == area.pages else spread,
        )
