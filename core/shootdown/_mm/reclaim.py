"""Reclaim of a page in explored programs: it is unmapped now, flushed later, and freed after that.

try_to_unmap_one() clears an entry without a flush where the architecture batches them (`Lowering.defers_unmaps`), and
leaves a mark at the mm. Whoever works on entries of that mm until the batch is flushed looks at the mark and flushes
first (flush_tlb_batched_pending(), `Ordinary.flush_batched_pending`): the entries that it finds gone may still be in
TLBs. A page that is mapped again after that is another one: that a fault finds the old one in the swap cache is left
out.
"""

from __future__ import annotations

from collections.abc import Sequence

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._machine.label import Label
from shootdown._mm.call_parts import SCRATCH
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
        calls.enter_kernel("memory is short")
        with asm.because("reclaim"):
            with asm.function("try_to_unmap", "mm/rmap.c"):
                calls.lock_rmap(write=False)
                for atom in atoms:
                    self.try_to_unmap_one(atom, waits, flushed)
                calls.unlock_rmap(write=False)
                asm.set(o.SCRATCH, 0)
                asm.jump(flushed)
            asm.place(waits)
            if self.lowering.defers_unmaps != "never":
                with asm.function("try_to_unmap_flush", "mm/rmap.c"):
                    self.lowering.arch_tlbbatch_flush(asm, SCRATCH)
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

    @function("try_to_unmap_one", "mm/rmap.c")
    def try_to_unmap_one(self, atom: int, waits: Label, flushed: Label) -> None:
        """Write the clearing of one entry; register SCRATCH gets it.

        Args:
            atom: its address; the steps after these follow if nothing is mapped there.
            waits: where to go once it is cleared, and its flush was put off.
            flushed: where to go once it is cleared and flushed.
        """
        asm, when = self.asm, self.lowering.defers_unmaps
        with self.calls.table_of(atom):
            asm.entry_load(o.SCRATCH, atom, text="page_vma_mapped_walk: read the PTE")
            with asm.if_bits(o.SCRATCH, o.ENTRY_PRESENT):
                if when == "remote":
                    asm.target_mm_cpumask()
                    with asm.if_targets():
                        self._unmap(atom, waits)
                    self._clear_flush(atom, flushed)
                elif when == "always":
                    self._unmap(atom, waits)
                else:
                    self._clear_flush(atom, flushed)

    def _unmap(self, atom: int, then: Label) -> None:
        """Write the clearing of an entry without a flush, and go on elsewhere."""
        self.calls.take_entry(atom, "ptep_get_and_clear")
        lo, hi = self._request(atom)
        with self.asm.function("set_tlb_ubc_flush_pending", "mm/rmap.c"):
            self.lowering.arch_tlbbatch_add_pending(self.asm, SCRATCH, hi - lo)
            self.calls.note_batched(self.times)
        self._unmapped(atom, then)

    def _clear_flush(self, atom: int, then: Label) -> None:
        """Write the clearing of an entry and its flush, and go on elsewhere."""
        self.calls.clear_flush(atom)
        self._unmapped(atom, then)

    def _request(self, atom: int) -> tuple[int, int]:
        lo, hi = self.calls.model.pages_of(atom)
        self.asm.request(SCRATCH, cleared=o.CLEARED_PTES, lo=lo, hi=hi, text="the page")
        return lo, hi

    def _unmapped(self, atom: int, then: Label) -> None:
        self.asm.queue_frames(QUEUE, o.SCRATCH, text="folio_remove_rmap_pte")
        self.calls.unlock_table(atom)
        self.calls.unlock_rmap(write=False)
        self.asm.jump(then)
