"""Reclaim of a page in explored programs: it is unmapped now, flushed later, and freed after that.

try_to_unmap_one() clears an entry without a flush where the architecture batches them (`Lowering.defers_unmaps`), and
leaves a mark at the mm. Whoever works on entries of that mm until the batch is flushed looks at the mark and flushes
first (flush_tlb_batched_pending(), `Ordinary.look_at_reclaim`): the entries that it finds gone may still be in
TLBs. A page that is mapped again after that is another one: that a fault finds the old one in the swap cache is left
out.
"""

from __future__ import annotations

from collections.abc import Sequence

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.atoms import AtomBatch, UnmappedEntry
from shootdown._mm.ordinary import Ordinary
from shootdown._mm.ordinary_parts import QUEUE


class Reclaim:
    """Write reclaim of single pages.

    Args:
        calls: the other calls.

    `times` is how often reclaim was written: each time says in a bit of its own that it has unmapped a page.
    """

    def __init__(self, calls: Ordinary) -> None:
        self.calls = calls
        self.asm = calls.asm
        self.lowering = calls.lowering
        self.times = 0

    @function("shrink_folio_list", "mm/vmscan.c")
    def reclaim(self, atoms: Sequence[int], frame: int | None = None) -> None:
        """Write reclaim of one page by a task of the mm that maps it: direct reclaim.

        Args:
            atoms: the addresses that may map it, at most one of them at a time.
            frame: the page, if it is one of a file; a dirty one stays in the page cache.
        """
        calls, asm = self.calls, self.asm
        waits, flushed = calls.model.label(), calls.model.label()
        page_tables, batch = calls.model.calls.page_tables, AtomBatch(lambda: calls.note_batched(self.times))
        calls.enter_kernel("memory is short")
        with asm.because("reclaim"):
            with asm.function("try_to_unmap", "mm/rmap.c"):
                calls.lock_rmap(write=False)
                for atom in atoms:
                    page_tables.try_to_unmap_one(UnmappedEntry(calls, atom, waits, flushed), batch)
                calls.unlock_rmap(write=False)
                asm.set(o.SCRATCH, 0)
                asm.jump(flushed)
            asm.place(waits)
            if self.lowering.defers_unmaps != "never":
                page_tables.try_to_unmap_flush(batch)
            asm.place(flushed)
            asm.put_frames(QUEUE, text="the page's mapping lets go of it")
            asm.set(QUEUE, 0)
            if frame is not None:
                with asm.if_bits(o.SCRATCH, o.ENTRY_DIRTY) as dirty:
                    dirty.otherwise()
                    calls.leave_page_cache(frame, "__remove_mapping", "mm/vmscan.c")
            calls.reached("freed")
        asm.user_mode(True, text="returns to user mode")
        self.times += 1
