"""khugepaged collapses a page table of an explored program: its pages are copied into a huge page, and freed.

pmdp_collapse_flush() clears the PMD entry and flushes. Then the pages' references are looked at: with one that GUP-fast
holds the table is put back. Otherwise each page is copied and let go of, and the table is deposited; it is freed,
without a grace period, when the huge page is dropped. Where a new table is deposited the withdrawn one is freed after a
grace period. In thp memory the huge page is mapped then, for all calls that follow. In other memory it is left out:
later calls find nothing mapped there, and the huge page may be dropped at any time.
"""

from __future__ import annotations

from collections.abc import Sequence

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._machine.label import Label
from shootdown._mm.entries import Entries
from shootdown._mm.huge_faults import HugeFault
from shootdown._mm.ordinary import Ordinary
from shootdown._mm.ordinary_parts import INVARIANTS, QUEUE

_GUP_FAST = INVARIANTS.index("gup-fast")


class TableEntry(Entries):
    """The entry of a page table of an explored program, in the slot of register SLOT.

    Args:
        calls: the calls of the program.
        slot: the slot.
    """

    def __init__(self, calls: Ordinary, slot: int) -> None:
        lo = calls.model.first_page(slot)
        super().__init__(lo, lo + calls.model.table_pages)
        self.calls = calls

    def take(self, name: str) -> None:
        """Write that it is cleared."""
        self.calls.asm.clear_pud(text=name)
        self.calls.reached("a copy was alive")


class Collapse:
    """Write the collapse of page tables.

    Args:
        calls: the other calls.
    """

    def __init__(self, calls: Ordinary) -> None:
        self.calls = calls
        self.asm = calls.asm
        self.lowering = calls.lowering

    @function("collapse_huge_page", "mm/khugepaged.c")
    def collapse(
        self, atoms: Sequence[int], vmas: Sequence[int], huge: HugeFault | None = None, *, drops: bool = True
    ) -> None:
        """Write the collapse of one table by a task that works on its mm.

        Args:
            atoms: all that the table maps.
            vmas: the variables that are zero once a VMA of these is gone.
            huge: the entry of the huge page, and the class of the table that is deposited with it if that is a new one;
                None: what is collapsed is mapped by nothing.
            drops: the withdrawn table may be freed later on.
        """
        calls, asm, model = self.calls, self.asm, self.calls.model
        slot, mmap = model.slot_of(atoms[0]), model.locks.mmap
        given_up, over = model.label(), model.label()
        calls.enter_kernel("khugepaged runs")
        asm.set(o.SLOT, slot)
        with asm.because("khugepaged"):
            asm.lock(mmap, index=1, write=True, sleeps=True, text="mmap_lock")
            for vma in vmas:
                asm.v_load(o.SCRATCH, vma, text="hugepage_vma_revalidate: is the VMA there still?")
                asm.jump_zero(o.SCRATCH, over)
            asm.load_pud(o.CLASS, text="read the PMD entry")
            asm.jump_zero(o.CLASS, over)
            if huge is not None:
                with asm.if_bits(o.CLASS, o.ENTRY_HUGE):
                    asm.jump(over)
            calls.lock_rmap(write=True)
            model.calls.page_tables.pmdp_collapse_flush(TableEntry(calls, slot))
            if model.kernel.khugepaged_sync:
                calls.gathers.sync("a page table was withdrawn")
            self._isolate(slot, atoms, given_up)
            with asm.if_nonzero(QUEUE):
                if huge is None:
                    asm.set_pud(calls.mm, text="pmd_populate: the table goes back")
                else:
                    asm.store_pud(o.CLASS, from_register=True, text="pmd_populate: the table goes back")
                calls.unlock_rmap(write=True)
                asm.jump(over)
            calls.unlock_rmap(write=True)
            self._copy(slot, atoms)
            if huge is not None:
                self._map_huge(slot, huge)
            asm.unlock(mmap, index=1, write=True, text="mmap_lock")
            calls.reached("returned")
            asm.user_mode(True, text="returns to user mode")
            if huge is None:
                asm.set(o.CLASS, calls.mm + 1)
            if drops and (huge is None or model.kernel.khugepaged_deposits_new_table):
                self._drop_later(slot)
            self._end(over)

    def _map_huge(self, slot: int, huge: HugeFault) -> None:
        """Write what maps the huge page: register CLASS has the table that was withdrawn."""
        calls, asm = self.calls, self.asm
        deposited, atom = calls.deposited[calls.mm, slot], calls.huge_slots[slot].atom
        calls.lock_pmd(slot)
        if calls.model.kernel.khugepaged_deposits_new_table:
            asm.v_store(deposited, huge.table + 1, text="pgtable_trans_huge_deposit: a new table")
        else:
            asm.v_store(deposited, o.CLASS, from_register=True, text="pgtable_trans_huge_deposit")
        if atom in calls.pins:
            asm.v_xchg(calls.pins[atom].replaced, 0, QUEUE)
        asm.fence(text="smp_wmb: the copy is seen before its entry")
        asm.set(o.SLOT, slot)
        asm.store_pud(huge.value, text="set_pmd_at: the huge page")
        calls.unlock_pmd(slot)

    def _end(self, over: Label) -> None:
        asm, end = self.asm, self.calls.model.label()
        asm.jump(end)
        asm.place(over)
        asm.unlock(self.calls.model.locks.mmap, index=1, write=True, text="mmap_lock")
        asm.user_mode(True, text="returns to user mode")
        asm.place(end)

    def _isolate(self, slot: int, atoms: Sequence[int], given_up: Label) -> None:
        """Write __collapse_huge_page_isolate(): register QUEUE says whether GUP-fast holds a page."""
        asm = self.asm
        lock = self.calls.table_lock(slot)
        with asm.function("__collapse_huge_page_isolate", "mm/khugepaged.c"):
            asm.lock(lock, write=True, sleeps=False, text="page-table lock")
            for atom in atoms:
                for one in self.calls.with_whole(atom):
                    asm.v_load(
                        o.SCRATCH, self.calls.pins[one].references, text="are there references of others?"
                    )
                    with asm.if_nonzero(o.SCRATCH):
                        asm.set(QUEUE, 1)
                        asm.jump(given_up)
            asm.place(given_up)
            asm.unlock(lock, write=True, text="page-table lock")

    def _copy(self, slot: int, atoms: Sequence[int]) -> None:
        """Write __collapse_huge_page_copy(): each page is copied, its entry cleared, and the page freed."""
        calls, asm = self.calls, self.asm
        lock = calls.table_lock(slot)
        with asm.function("__collapse_huge_page_copy", "mm/khugepaged.c"):
            for atom in atoms:
                asm.lock(lock, write=True, sleeps=False, text="page-table lock")
                asm.entry_load(o.SCRATCH, atom, text="read the PTE of the withdrawn table")
                asm.entry_store(atom, 0, text="ptep_clear: the page was copied")
                with asm.if_bits(o.SCRATCH, o.ENTRY_PRESENT):
                    asm.v_xchg(calls.pins[atom].replaced, 1, QUEUE, text="the page is replaced by its copy")
                    asm.v_load(QUEUE, calls.pins[atom].pinned)
                    calls.model.fail_if(QUEUE, 1, _GUP_FAST, "a page that GUP-fast returned was replaced")
                    asm.put_frames(o.SCRATCH, text="folio_remove_rmap_pte: the page is freed")
                    calls.reached("freed")
                asm.unlock(lock, write=True, text="page-table lock")

    def _drop_later(self, slot: int) -> None:
        """Write what may happen later: the withdrawn table is freed, by RCU or with the huge page that it lies with."""
        asm, model = self.asm, self.calls.model
        asm.set(o.SLOT, slot)
        if model.kernel.khugepaged_deposits_new_table:
            with asm.function("pte_free_defer", "mm/pgtable-generic.c"):
                model.free_table()
        else:
            with asm.function("zap_deposited_table", "mm/huge_memory.c"):
                asm.table_state(
                    o.TABLE_FREED, text="the huge page is dropped; its deposited table is freed at once"
                )
        self.calls.reached("table freed")
