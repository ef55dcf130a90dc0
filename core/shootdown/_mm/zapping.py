"""Entries are cleared, their pages queued, flushed and freed (mm/memory.c, mm/mmu_gather.c)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.batched_flushes import BatchedFlushes
from shootdown._mm.call_parts import OUTER, SCRATCH
from shootdown._mm.ordinary_locks import OrdinaryLocks
from shootdown._mm.ordinary_parts import QUEUE
from shootdown._mm.taken_rights import TakenRights


class Zapping(OrdinaryLocks, TakenRights, BatchedFlushes):
    """Write zap_pte_range() and what belongs to it; see `OrdinaryParts`."""

    def take_entry(self, atom: int, name: str) -> None:
        """Write the clearing of an entry; register SCRATCH gets its old value."""
        asm = self.asm
        with asm.function(name):
            if self._ordered:
                asm.entry_xchg(atom, 0, o.SCRATCH, text="read and clear the PTE")
            else:
                asm.entry_load(o.SCRATCH, atom, text="read the PTE")
                asm.entry_store(atom, 0, text="clear the PTE")
        self.reached("a copy was alive")
        lo, hi = self.model.pages_of(atom)
        self.gathers.cleared(hi - lo, huge=False, first=lo)

    def clear_flush(self, atom: int) -> None:
        """Write ptep_clear_flush(): an entry is cleared, and its page flushed; register SCRATCH gets its old value."""
        self.take_entry(atom, "ptep_clear_flush")
        lo, hi = self.model.pages_of(atom)
        self.asm.request(SCRATCH, cleared=o.CLEARED_PTES, lo=lo, hi=hi, text="the page")
        self.lowering.flush_page(self.asm, SCRATCH)

    @function("zap_pte_range", "mm/memory.c")
    def zap_pte_range(self, atoms: Sequence[int], g: int = OUTER) -> None:
        """Write zap_pte_range(): clear present entries and queue their frames."""
        asm = self.asm
        for _, some in groupby(atoms, self.model.slot_of):
            part = list(some)
            with self.table_of(part[0]):
                self._after_reclaim(part[0])
                for atom in part:
                    self.note(atom)
                    asm.entry_load(o.SCRATCH, atom, text="read the PTE")
                    with asm.if_bits(o.SCRATCH, o.ENTRY_PRESENT) as present:
                        self.take_entry(atom, "ptep_get_and_clear_full")
                        self._file_page_goes(atom, part)
                        asm.queue_frames(QUEUE, o.SCRATCH, text="__tlb_remove_page")
                        lo, hi = self.model.pages_of(atom)
                        self.gathers.remove_entry(g, lo, hi)
                        if "missed" in self.places:
                            present.otherwise()
                            self.reached("missed")
                self._flush_dirty(part, g)
            self._free_flushed(part)

    def _marks(self, part: Sequence[int]) -> dict[int, int]:
        """Return for each address of a file the bit of QUEUE, that no frame has, which says that it was dirty."""
        of_file = [atom for atom in part if atom in self.files.frames]
        counted = bool(self.files.written)
        return {atom: 1 << (number if counted else 0) for number, atom in enumerate(of_file)}

    def _file_page_goes(self, atom: int, part: Sequence[int]) -> None:
        """Write what zap_present_folio_ptes() does about the page of a file whose entry is in register SCRATCH.

        A dirty one is flushed before the page-table lock is released (1cf35d47712d, 3.15), and since 5df397dec7c4 the
        page stays in the reverse map until then.
        """
        if atom not in self.files.frames:
            return
        asm, frame, mark = self.asm, self.files.frames[atom], self._marks(part)[atom]
        with asm.if_bits(o.SCRATCH, o.ENTRY_DIRTY) as dirty:
            with asm.if_bits(QUEUE, mark) as known:
                known.otherwise()
                asm.add(QUEUE, mark)
            self.files.mark_dirty(frame, self.mm)
            if not self.model.kernel.delayed_rmap:
                self.files.change_mapcount(frame, -1, self.mm)
            if frame in self.files.written:
                dirty.otherwise()
                self.files.change_mapcount(frame, -1, self.mm)

    def _flush_dirty(self, part: Sequence[int], g: int) -> None:
        """Write the flush of dirty pages of files, if some were found, and their delayed removal from the rmap."""
        asm, marks = self.asm, self._marks(part)
        if not marks:
            return
        with asm.if_bits(QUEUE, sum(set(marks.values()))):
            self.gathers.flush(g)
            if self.model.kernel.delayed_rmap and self.files.written:
                with asm.function("tlb_flush_rmaps", "mm/mmu_gather.c"):
                    for atom, mark in marks.items():
                        with asm.if_bits(QUEUE, mark):
                            self.files.change_mapcount(self.files.frames[atom], -1, self.mm)

    def _free_flushed(self, part: Sequence[int]) -> None:
        """Write tlb_flush_mmu() after the page-table lock was released: what was flushed is freed."""
        marks = self._marks(part)
        if marks:
            with self.asm.if_bits(QUEUE, sum(set(marks.values()))):
                self.asm.put_frames(QUEUE, text="tlb_batch_pages_flush: free the pages")
                self.asm.set(QUEUE, 0)

    def finish(self, g: int = OUTER, *, nested: bool = True) -> None:
        """Write tlb_finish_mmu(), which frees the queued pages after the flush."""
        self.gathers.finish(g, nested=nested)
        self.tlb_batch_pages_flush()

    @function("tlb_batch_pages_flush", "mm/mmu_gather.c")
    def tlb_batch_pages_flush(self) -> None:
        """Write tlb_batch_pages_flush(): the pages that are queued lose their references."""
        self.asm.put_frames(QUEUE, text="free the pages")
        self.asm.set(QUEUE, 0)

    def leave_page_cache(self, frame: int, name: str, where: str) -> None:
        """Write that a file's page leaves the page cache, unless it did before."""
        asm = self.asm
        with asm.function(name, where), self.files.folio_lock(frame):
            asm.v_xchg(
                self.files.cached(frame), 0, o.SCRATCH, text="filemap_remove_folio: is the page there still?"
            )
            with asm.if_nonzero(o.SCRATCH):
                asm.set(o.SCRATCH, 1 << o.ENTRY_PAGE_SHIFT + frame)
                asm.put_frames(o.SCRATCH, text="the page leaves the page cache")
                self.reached("freed")
