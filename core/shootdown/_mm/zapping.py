"""Entries are cleared, their pages queued, flushed and freed (mm/memory.c, mm/mmu_gather.c)."""

from __future__ import annotations

from collections.abc import Sequence

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.atoms import AtomEntry, stretches
from shootdown._mm.batched_flushes import BatchedFlushes
from shootdown._mm.call_parts import OUTER
from shootdown._mm.ordinary_locks import OrdinaryLocks
from shootdown._mm.ordinary_parts import QUEUE
from shootdown._mm.taken_rights import TakenRights


class Zapping(OrdinaryLocks, TakenRights, BatchedFlushes):
    """Write zap_pte_range() and what belongs to it; see `OrdinaryParts`."""

    def take_entry(self, atom: int, name: str) -> None:
        """Write the clearing of an entry by a function of this name; register SCRATCH gets its old value."""
        self.clear_entry(atom, name)
        AtomEntry(self, atom).cleared()

    def clear_entry(self, atom: int, name: str) -> None:
        """Write the same without what an architecture does before the page table is unlocked."""
        asm = self.asm
        with asm.function(name):
            if self._ordered:
                asm.entry_xchg(atom, 0, o.SCRATCH, text="read and clear the PTE")
            else:
                asm.entry_load(o.SCRATCH, atom, text="read the PTE")
                asm.entry_store(atom, 0, text="clear the PTE")
        self.reached("a copy was alive")

    def clear_flush(self, atom: int) -> None:
        """Write ptep_clear_flush(): an entry is cleared, and its page flushed; register SCRATCH gets its old value."""
        self.model.calls.page_tables.ptep_clear_flush(AtomEntry(self, atom))

    def zap_pte_range(self, atoms: Sequence[int], g: int = OUTER) -> None:
        """Write zap_pte_range() of each table that some atoms lie in."""
        self.model.calls.page_tables.zap_pte_range(g, stretches(self, atoms))

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
