"""mm->tlb_flush_batched: what reclaim has unmapped and not flushed yet, and who flushes it (mm/rmap.c)."""

from __future__ import annotations

from collections.abc import Sequence

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.call_parts import SCRATCH
from shootdown._mm.model import Model
from shootdown._mm.ordinary_parts import OrdinaryParts


class BatchedFlushes(OrdinaryParts):
    """Write the notes of reclaim, and the flush that is due before an entry changes; see `OrdinaryParts`."""

    def __init__(self, model: Model, pte_clear: str, places: Sequence[str] = ()) -> None:
        super().__init__(model, pte_clear, places)
        self._batched: dict[int, int] = {}

    def has_reclaim(self, mms: int) -> None:
        """Declare mm->tlb_flush_batched of so many mms: programs reclaim pages, and flushes of that may wait."""
        if self.lowering.defers_unmaps != "never":
            for mm in range(mms):
                self._batched[mm] = self.model.variable(0, "mm->tlb_flush_batched")

    def note_batched(self, times: int) -> None:
        """Write in mm->tlb_flush_batched that reclaim has unmapped a page; `times`: how often it was written before.

        The kernel counts what was unmapped, and remembers how much of that was flushed. Here is a bit for each time
        that a program says so, which is set once: there is something to flush if one is set.
        """
        variable = self._batched[self.mm]
        if self.model.kernel.batched_flushes_counted:
            self.asm.v_add(variable, 1 << times, o.CLASS, text="one more page waits for its flush")
            self.asm.set(o.CLASS, self.mm + 1)
        else:
            self.asm.v_store(variable, 1, text="a page waits for its flush")

    @function("flush_tlb_batched_pending", "mm/rmap.c")
    def flush_batched_pending(self, atom: int) -> None:
        """Write the flush of what reclaim has unmapped and not flushed, if there is something; by the table's lock."""
        variable = self._batched[self.mm]
        asm, forgets = self.asm, self.model.label()
        asm.v_load(o.SCRATCH, variable, text="has reclaim unmapped what it has yet to flush?")
        with asm.if_nonzero(o.SCRATCH):
            lo, hi = self.model.pages_of(atom)
            asm.request(SCRATCH, cleared=o.CLEARED_PTES, lo=lo, hi=hi)
            self.lowering.arch_flush_tlb_batched_pending(asm, SCRATCH)
            if self.model.kernel.batched_flushes_counted:
                asm.set(o.CLASS, 0)
                asm.v_cas(variable, o.SCRATCH, o.CLASS, forgets, text="all of that is flushed")
                asm.place(forgets)
                asm.set(o.CLASS, self.mm + 1)
            else:
                asm.v_store(variable, 0, text="all of that is flushed")

    def _after_reclaim(self, atom: int) -> None:
        if self._batched and self.model.kernel.flush_batched_pending:
            self.flush_batched_pending(atom)
