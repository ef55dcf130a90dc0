"""What an explored program does around shared hugetlb PMD tables: GUP-fast walks them, and who keeps one reuses it."""

from __future__ import annotations

from collections.abc import Sequence

from shootdown._machine import ops as o
from shootdown._machine.label import Label
from shootdown._mm.call_parts import OUTER
from shootdown._mm.mapping import Mapping
from shootdown._mm.model import Model

#: What programs can mark as reached: a process used a table for other memory; a table was freed; GUP-fast was inside a
#: table; a table that others had mapped was reused or freed.
PLACES = ("reused", "freed", "walked", "a copy was alive")


class SharedTables:
    """Write what only explored programs do.

    Args:
        model: the model with the programs.
        places: those that the programs mark as reached, of `PLACES`, by their numbers.
        invariant: the number of the invariant that GUP-fast breaks.
    """

    def __init__(self, model: Model, places: Sequence[str], invariant: int) -> None:
        self.model = model
        self.asm = model.asm
        self._places = tuple(places)
        self._invariant = invariant

    def reached(self, *places: str) -> None:
        """Mark places as reached, those that the programs mark."""
        for place in places:
            if place in self._places:
                self.asm.reached(self._places.index(place))

    def gup_fast(self, slot: int = 0) -> None:
        """Write gup_fast() of one huge page: read the PUD entry once, the table's entry before and after the grab."""
        asm, model = self.asm, self.model
        out, reused = model.label(), model.label()

        def leaf() -> None:
            asm.read_table(o.SCRATCH, o.CLASS, text="read the entry in the table, take the page")
            model.fail_if(o.SCRATCH, o.TABLE_FREED, self._invariant, "a freed table was read")
            self.reached("walked")
            if model.kernel.gup_rechecks_pud:
                asm.load_pud(o.INDEX, text="read the PUD entry again")
                same = model.label()
                asm.jump_same(o.INDEX, o.CLASS, same)
                asm.jump(out)
                asm.place(same)
            asm.read_table(o.SCRATCH2, o.CLASS, text="read the table's entry again")
            model.fail_if(o.SCRATCH2, o.TABLE_FREED, self._invariant, "a freed table was read")
            asm.jump_same(o.SCRATCH, o.SCRATCH2, reused)
            asm.jump(out)
            asm.place(reused)
            model.fail_if(
                o.SCRATCH, o.TABLE_REUSED, self._invariant, "the page of another process is returned"
            )

        def walk() -> None:
            asm.load_pud(o.CLASS, text="read the PUD entry")
            asm.jump_zero(o.CLASS, out)
            model.calls.gup_fast_pmd_leaf(leaf)
            asm.place(out)

        model.calls.gup_fast(walk, slot)

    def fault(self, mapping: Mapping, slot: int, others: Sequence[tuple[int, int | None]], new: int) -> None:
        """Write an access: the table of another process that maps the file is shared, else a new one allocated.

        Args:
            mapping: the mapping.
            slot: the table.
            others: the address spaces that map the file, each with the variable that is zero once its VMA is gone, the
                own one last.
            new: the class of the table that is allocated.
        """
        asm = self.asm
        mine = others[-1][0]

        def find(there: Label) -> None:
            found = self.model.label()
            asm.load_pud(o.CLASS, text="read the PUD entry")
            with asm.if_nonzero(o.CLASS):
                asm.jump(there)
            for other, vma in others[:-1]:
                gone = self.model.label()
                if vma is not None:
                    asm.v_load(o.SCRATCH, vma, text="is the other VMA there still?")
                    asm.jump_zero(o.SCRATCH, gone)
                asm.on_mm(other, text="look for a table in another mapping of the file")
                asm.load_pud(o.CLASS, text="read its PUD entry")
                asm.on_mm(mine)
                with asm.if_nonzero(o.CLASS):
                    asm.jump(found)
                asm.place(gone)
            asm.populate(new, there, text="pmd_alloc")
            asm.jump(there)
            asm.place(found)
            self.model.hugetlb.share_found(there, "pud_populate: the table is shared")

        asm.set(o.SLOT, slot)
        asm.load_pud(o.CLASS, text="read the PUD entry")
        with asm.if_nonzero(o.CLASS) as mapped:
            mapped.otherwise()
            self.model.hugetlb.fault(mapping, zeroes=False, shares=True, find=find)

    def keep(
        self, mapping: Mapping, slot: int = 0, *, may_be_gone: bool = False, reuses: bool = True
    ) -> None:
        """Write a process that unmaps its hugetlb mapping, reuses the table, unmaps that too, and frees the table.

        If another process still maps the table, it leaves the table alone: other interleavings cover the rest.

        Args:
            mapping: the mapping.
            slot: the table.
            may_be_gone: the process may have unshared it already.
            reuses: it uses the table for other memory before it frees it, which GUP-fast of its own threads could not
                tell from a table that is another process's.
        """
        asm, hugetlb, gathers = self.asm, self.model.hugetlb, self.model.gathers
        over, shared = self.model.label(), self.model.label()
        with asm.function("munmap", "mm/mmap.c"), asm.because("munmap"):
            gathers.begin(OUTER)
            hugetlb.lock_vma(write=True)
            hugetlb.lock_file(mapping)
            asm.set(o.SLOT, slot)
            asm.load_pud(o.CLASS, text="read the PUD entry")
            gone = self.model.label()
            if may_be_gone:
                asm.jump_zero(o.CLASS, gone)
            asm.jump_exclusive(shared, text="is the table exclusive?")
            asm.place(gone)
            hugetlb.unlock_vma(write=True)
            hugetlb.unlock_file(mapping)
            asm.gather_end(OUTER, text="nothing was cleared")
            asm.jump(over)
            asm.place(shared)
            hugetlb.leave((slot,))
            asm.gather_slot(OUTER, 0, 1, cleared=o.CLEARED_PMDS, text="clear the table's entries")
            gathers.end_vma(OUTER)
            hugetlb.unlock_vma(write=True)
            hugetlb.unlock_file(mapping)
            gathers.finish(OUTER)
        if reuses:
            with asm.function("pmd_populate", "mm/memory.c"):
                asm.table_state(o.TABLE_REUSED, text="the table maps memory of its own")
                self.reached("reused", "a copy was alive")

        def free() -> None:
            with asm.because("munmap"):
                gathers.begin(OUTER)
                asm.clear_pud(text="pud_clear")
                asm.gather_slot(
                    OUTER, 0, 1, flags=o.FREED_TABLES, cleared=o.CLEARED_PUDS, text="pmd_free_tlb"
                )
                gathers.finish(OUTER)
                self.model.free_table()
                self.reached("freed", "a copy was alive")

        self.model.calls.free_pgtables(free)
        asm.place(over)
