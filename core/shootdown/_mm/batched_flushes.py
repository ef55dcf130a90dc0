"""mm->tlb_flush_batched: what reclaim has unmapped and not flushed yet, and who flushes it (mm/rmap.c)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shootdown._machine import ops as o
from shootdown._mm.entries import Batched
from shootdown._mm.model import Model
from shootdown._mm.ordinary_parts import OrdinaryParts


class AtomBatched(Batched):
    """mm->tlb_flush_batched of an explored program's mm.

    Args:
        calls: the calls of the program.
        variable: the variable.
    """

    def __init__(self, calls: OrdinaryParts, variable: int) -> None:
        self.calls, self.variable = calls, variable

    @contextmanager
    def pending(self) -> Iterator[None]:
        """Run the steps within if reclaim has unmapped what it has yet to flush."""
        asm = self.calls.asm
        asm.v_load(o.SCRATCH, self.variable, text="has reclaim unmapped what it has yet to flush?")
        with asm.if_nonzero(o.SCRATCH):
            yield

    def forget(self) -> None:
        """Write that all of that is flushed; what was unmapped meanwhile is remembered where it is counted."""
        asm, forgets = self.calls.asm, self.calls.model.label()
        if self.calls.model.kernel.batched_flushes_counted:
            asm.set(o.CLASS, 0)
            asm.v_cas(self.variable, o.SCRATCH, o.CLASS, forgets, text="all of that is flushed")
            asm.place(forgets)
            asm.set(o.CLASS, self.calls.mm + 1)
        else:
            asm.v_store(self.variable, 0, text="all of that is flushed")


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

    def look_at_reclaim(self) -> None:
        """Write flush_tlb_batched_pending(), if programs reclaim pages; by the table's lock."""
        if self._batched:
            batched = AtomBatched(self, self._batched[self.mm])
            self.model.calls.page_tables.flush_tlb_batched_pending(batched)
