"""What a thread of a program does with ordinary memory: which pages are mapped is known when the step is taken.

Each address space has variables for each area (`Mapped`). A call looks at them, as the kernel looks at entries,
and clears so many pages in one step as the area has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from shootdown._machine import ops as o
from shootdown._mm.anonymous import Anonymous
from shootdown._mm.call_parts import OUTER
from shootdown._mm.gather import PageQueue
from shootdown._mm.model import Model
from shootdown._programs.areas import Area, Cut
from shootdown._programs.collapsing import Collapsing
from shootdown._programs.faulting import Faulting
from shootdown._programs.mapped import (
    CELLS,
    DIRTY,
    FREED,
    GONE,
    HUGE,
    NONE,
    PRESENT,
    READONLY,
    SHARED,
    SHARED_FREED,
    STATE,
    TABLE,
    Mapped,
    has_zero,
)
from shootdown._programs.reclaiming import Reclaiming
from shootdown._programs.rights import Rights
from shootdown._programs.sharing import Sharing
from shootdown._programs.zapping import Zapping


class Space:
    """Write statements about the ordinary memory of one address space.

    Args:
        model: the model.
        calls: the kernel's calls.
        cuts: the areas of each memory, by its name.
        first: its first variable; it has `mapped.cells` of them.
        cached: as for `Mapped`.
        threads: the threads that have it.
    """

    def __init__(
        self,
        model: Model,
        calls: Anonymous,
        cuts: Mapping[str, Cut],
        first: int,
        cached: Mapping[int, int],
        threads: int,
    ) -> None:
        self.model = model
        self.asm = model.asm
        self.calls = calls
        self.cuts = cuts
        self.mapped = Mapped(model, cuts, first, cached)
        self.collapsing = Collapsing(self.mapped, calls)
        self.sharing = Sharing(model, self.mapped)
        self.reclaiming = Reclaiming(self.mapped, calls, self.sharing)
        self.faulting = Faulting(self.mapped, calls, self.reclaiming, self.sharing, threads)
        self.rights = Rights(self.mapped, calls, self.reclaiming, self.sharing)
        self.zapping = Zapping(self.mapped, calls, self.reclaiming, self.sharing)

    # --- statements

    def mmap(self, here: Cut) -> None:
        """Write mmap() of a whole memory: nothing is mapped by entries yet."""
        with self.model.calls.syscall("mmap"):
            for area in here.areas:
                self.mapped.put(self.mapped.cell(GONE, area), 0)
                self.mapped.put(self.mapped.cell(READONLY, area), 0)
            if has_zero(here):
                self.mapped.put(self.mapped.written[here.memory.name], 0)

    def munmap(self, here: Cut, areas: tuple[Area, ...]) -> None:
        """Write munmap() of some areas, which frees the page tables that nothing else uses."""
        self.calls.unmap(
            lambda queue: self.zapping.zap(
                here, areas, queue, between=lambda: self.calls.gathers.end_vma(OUTER)
            ),
            lambda queue: self._free_tables(here, areas, queue),
        )
        for area in areas:
            self.mapped.put(self.mapped.cell(GONE, area), 1)

    def madvise(self, here: Cut, areas: tuple[Area, ...]) -> None:
        """Write madvise(MADV_DONTNEED) of some areas."""
        kernel = self.model.kernel
        between = (lambda: None) if kernel.madvise_gather else self.calls.begin_again
        self.calls.discard(
            lambda queue: self.zapping.zap(here, areas, queue, reclaims=kernel.pt_reclaim, between=between),
            # The line of a VMA that threads share is as contended as that of mmap_lock, which stands for it.
            locks=here.memory.each != "thread" or not (kernel.madvise_locks_vma and kernel.faults_lock_vmas),
        )

    def unmap_file(self, here: Cut, areas: tuple[Area, ...], *, cows: bool) -> None:
        """Write the unmapping of a file's pages in this address space, with private copies of them or without."""
        self.calls.unmap_mapping_range(
            lambda queue: self.zapping.zap(here, areas, queue, cows=cows, between=self.calls.begin_again)
        )

    def exit(self, used: Collection[str]) -> None:
        """Write what exit_mmap() clears of dirty pages of the files named; other pages wait for its one flush."""
        self.reclaiming.flush_pending()
        for name, here in self.cuts.items():
            for area in here.areas if name in used else ():
                self.sharing.leave(area)
                if here.memory.kind == "file" and area.pages:
                    with self.mapped.if_equal(self.mapped.cell(STATE, area), DIRTY):
                        self.model.calls.zap_dirty(OUTER, area.pages)
                    self.mapped.put(self.mapped.cell(STATE, area), NONE)

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
        """Write mremap() of a memory to another address.

        It is within one PTE table, and the new place gets a table of its own, or it is whole tables, which are moved.
        """
        moved, areas = o.SCRATCH2, here.areas
        if all(area.tables for area in areas):
            self._move_tables(here)
            return

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

    def _move_tables(self, here: Cut) -> None:
        (area,) = here.areas
        self.reclaiming.flush_batched(here, area)
        with self.mapped.if_equal(self.mapped.table_of(here, area), 1):
            self.calls.mremap_tables(area.tables)

    # --- fork

    def fork(self, child: Space) -> None:
        """Write what dup_mmap() copies: entries of private pages, which both may only read from now on."""
        for here in self.cuts.values():
            self._fork(child, here)

    def _fork(self, child: Space, here: Cut) -> None:
        """Write what a child gets of a memory: no entries where faults find the pages again (vma_needs_copy())."""
        parts = (GONE, READONLY) if here.memory.kind == "file" else range(CELLS)
        for area in here.areas:
            for part in parts:
                self._copy(self.mapped.cell(part, area), child.mapped.cell(part, area))
            if here.memory.kind != "file" and area.pages:
                self._protect(here, area)
                with self.mapped.if_pages(here, area):
                    self._share(child, area)
        if has_zero(here):
            written = self.mapped.written[here.memory.name]
            self._copy(written, child.mapped.written[here.memory.name])
            with self.mapped.if_equal(written, 0):
                for area in here.areas:
                    for part in (STATE, TABLE):
                        child.mapped.put(child.mapped.cell(part, area), 0)

    def _copy(self, variable: int, other: int) -> None:
        with self.asm.aside():
            self.asm.v_load(o.SCRATCH, variable)
            self.asm.v_store(other, o.SCRATCH, from_register=True)

    def _share(self, child: Space, area: Area) -> None:
        """Write that an area's pages are both processes' from now on: who writes to one while it is so copies it."""
        self.sharing.share(area, child.sharing)
        states, done = [space.mapped.cell(STATE, area) for space in (self, child)], self.model.label()
        if self.reclaiming.batched is not None:
            for freed in (FREED, SHARED_FREED):
                with self.mapped.if_equal(states[0], freed):
                    for state in states:
                        self.mapped.put(state, SHARED_FREED)
                    self.asm.jump(done)
        for state in states:
            self.mapped.put(state, SHARED)
        self.asm.place(done)

    def _protect(self, here: Cut, area: Area) -> None:
        """Write the effect of ptep_set_wrprotect() or pmdp_set_wrprotect() on entries that may be written."""
        for state in (PRESENT,) if self.reclaiming.batched is None else (PRESENT, FREED):
            with self.mapped.if_equal(self.mapped.cell(STATE, area), state):
                self._protect_present(here, area)

    def _protect_present(self, here: Cut, area: Area) -> None:
        done = self.model.label()
        with self.mapped.if_equal(self.mapped.cell(READONLY, area), 0):
            if area.folio >= 0:
                with self.mapped.if_equal(self.mapped.folio_of(here, area), HUGE):
                    if area == here.parts_of(area.folio)[0]:
                        self.calls.gathers.cleared(1, huge=True, by="ptep_set_wrprotect")
                    self.asm.jump(done)
            self.calls.gathers.cleared(area.pages, huge=False, first=area.first, by="ptep_set_wrprotect")
        self.asm.place(done)
