"""Page tables that no VMA uses any more are unlinked and freed: free_pgtables() (mm/memory.c)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shootdown._machine import ops as o
from shootdown._mm.call_parts import OUTER
from shootdown._mm.model import Model
from shootdown._mm.ordinary_parts import TAKEN, OrdinaryParts

#: The most tables that one call frees: bits of a register that no frame has.
MOST_TABLES = o.ENTRY_PAGE_SHIFT


class FreedTables(OrdinaryParts):
    """Write how calls free page tables; see `OrdinaryParts`."""

    def __init__(self, model: Model, pte_clear: str, places: Sequence[str] = ()) -> None:
        super().__init__(model, pte_clear, places)
        #: By thread, mm and slot: the table that a call has unlinked, where there may be several.
        self._unlinked: dict[tuple[int, int, int], int] = {}
        #: The first bit of register TAKEN that says that a call frees a table: lower ones are those of hugetlb tables.
        self.first_freed = 0

    @property
    def most_freed(self) -> int:
        """The most tables that one call frees without variables that say which."""
        return MOST_TABLES - self.first_freed

    def has_other_tables(self, task: int, mm: int, slot: int) -> None:
        """Declare that a thread may free a table of a slot that is not the first one there."""
        self._unlinked[task, mm, slot] = self.model.variable(0, "the table that the call frees")

    def _unlink_tables(self, slots: Mapping[int, Sequence[int]]) -> None:
        """Write what free_pgtables() does: tables that no VMA uses any more leave the page tables.

        A bit that no frame has says in register TAKEN that this call frees the table; where a slot may have others
        than its first one, a variable says which.
        """
        asm = self.asm
        for number, (slot, others) in enumerate(slots.items()):
            kept = self.model.label()
            for vma in others:
                asm.v_load(o.SCRATCH, vma, text="does a VMA use the table still?")
                with asm.if_nonzero(o.SCRATCH):
                    asm.jump(kept)
            asm.set(o.SLOT, slot)
            asm.load_pud(o.CLASS, text="read the PMD entry")
            asm.jump_zero(o.CLASS, kept)
            asm.clear_pud(text="pmd_clear")
            lo = self.model.first_page(slot)
            self.gathers.free_tables(OUTER, 1, o.CLEARED_PMDS, lo=lo, hi=lo + 1)
            which = self._unlinked.get((self.task, self.mm, slot))
            if self.gathers.at_once(o.CLEARED_PMDS):
                asm.table_state(o.TABLE_FREED, text="the table's page is freed at once")
                self.reached("table freed")
                asm.place(kept)
                continue
            with asm.aside():
                if which is None:
                    asm.add(TAKEN, 1 << self.first_freed + number)
                else:
                    asm.v_store(which, o.CLASS, from_register=True)
            asm.place(kept)

    def _free_unlinked(self, slots: Mapping[int, Sequence[int]], klass: int) -> None:
        """Write the freeing of the tables that the call has unlinked."""
        asm = self.asm
        for number, slot in enumerate(slots):
            which = self._unlinked.get((self.task, self.mm, slot))
            if which is not None:
                asm.v_load(o.CLASS, which)
            with (
                asm.if_bits(TAKEN, 1 << self.first_freed + number)
                if which is None
                else asm.if_nonzero(o.CLASS)
            ):
                asm.set(o.SLOT, slot)
                if which is None:
                    asm.set(o.CLASS, klass + 1)
                else:
                    asm.v_store(which, 0)
                self.model.free_table()
                self.reached("table freed")
