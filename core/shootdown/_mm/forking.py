"""fork() in explored programs: private pages are shared with the child, and neither may write to them without a copy.

dup_mmap() takes the right to write away page by page and flushes once, before it releases mmap_lock. The child begins
after that. A page that GUP-fast has pinned is not shared but copied at once; GUP-fast that walks meanwhile gives up
(57efa1fe5957), else it could return a page that was shared after it had looked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

import attrs

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._machine.label import Label
from shootdown._mm.ordinary import Ordinary
from shootdown._mm.ordinary_parts import INVARIANTS, QUEUE, Pins

_GUP_FAST = INVARIANTS.index("gup-fast")


@attrs.frozen
class Shared:
    """A page that fork() shares.

    Args:
        atom: its address.
        mine, theirs: the variables that say of the parent's and the child's page that it is shared.
        copy: the entry of the copy that the child gets where the parent's page is pinned; None if nobody pins it.
    """

    atom: int
    mine: int
    theirs: int
    copy: int | None = None


class Forking:
    """Write fork().

    Args:
        calls: the other calls.

    `sequences` has by mm the variable of mm->write_protect_seq, where GUP-fast looks at it.
    """

    def __init__(self, calls: Ordinary) -> None:
        self.calls = calls
        self.asm = calls.asm
        self.model = calls.model
        self.sequences: dict[int, int] = {}
        #: By thread and address, of parts of a huge page: whether the child got a copy of this part.
        self._copied: dict[tuple[int, int], int] = {}

    def fork(
        self,
        child: int,
        pages: Sequence[Shared],
        inherited: Sequence[tuple[int, int]],
        others: Callable[[], None] | None = None,
    ) -> None:
        """Write fork() up to where the child may begin.

        Args:
            child: the child's mm, whose tables are those of its class.
            pages: the private pages of the parent.
            inherited: variables of the parent's VMAs, each with that of the child's.
            others: writes how memory of other kinds is copied, if there is some; it uses all registers but TAKEN.
        """
        asm, calls = self.asm, self.calls
        calls.enter_kernel("fork()")

        def copy() -> None:
            if others is not None:
                others()
                asm.set(QUEUE, 0)
            for mine, theirs in inherited:
                asm.v_load(o.SCRATCH, mine, text="the VMA")
                asm.v_store(theirs, o.SCRATCH, from_register=True, text="the child's VMA")
            with asm.because("fork"):
                self.copy_pte_range(child, pages)

        self.model.calls.dup_mmap(copy)
        for page in pages:
            calls.right_ends(page.atom, writes=True, unless=self._copied.get((calls.task, page.atom)))
        calls.reached("returned")

    @function("copy_pte_range", "mm/memory.c")
    def copy_pte_range(self, child: int, pages: Sequence[Shared]) -> None:
        """Write copy_pte_range(): all that is private."""
        asm, calls = self.asm, self.calls
        sequence = self.sequences.get(calls.mm)
        if sequence is not None:
            asm.v_add(sequence, 1, o.SCRATCH, text="write_protect_seq: a copy begins")
        for slot, some in groupby(pages, lambda page: self.model.slot_of(page.atom)):
            part, copied = list(some), self.model.label()
            if slot in calls.huge_slots:
                self._copy_slot(child, slot, copied)
            for page in part:
                self.copy_present_pte(child, page)
            asm.place(copied)
        if sequence is not None:
            asm.v_add(sequence, 1, o.SCRATCH, text="write_protect_seq: the copy has ended")

    def _copy_slot(self, child: int, slot: int, copied: Label) -> None:
        """Write what copy_pmd_range() does where a huge page may be: go on at `copied` if one was copied."""
        asm, calls = self.asm, self.calls
        calls.load_pmd(slot)
        asm.jump_zero(o.CLASS, copied)
        with asm.if_bits(o.CLASS, o.ENTRY_HUGE):
            self.copy_huge_pmd(child, slot, copied)
        asm.on_mm(child, text="the child")
        calls.load_pmd(slot)
        with asm.if_nonzero(o.CLASS) as there:
            there.otherwise()
            asm.set_pud(child, text="pte_alloc: a table of the child's")
        asm.on_mm(calls.mm, text="back to the parent")

    @function("copy_huge_pmd", "mm/huge_memory.c")
    def copy_huge_pmd(self, child: int, slot: int, copied: Label) -> None:
        """Write copy_huge_pmd(): both may only read the huge page; one that is pinned is split in place of that.

        Args:
            child: the child's mm.
            slot: the slot.
            copied: where to go on once it was copied.
        """
        asm, calls, here = self.asm, self.calls, self.calls.huge_slots[slot]
        pinned, over = self.model.label(), self.model.label()
        whole = calls.pins.get(here.atom)
        mine, theirs = (calls.shared_pages[mm, here.atom] for mm in (calls.mm, child))
        calls.lock_pmd(slot, child)
        calls.lock_pmd(slot)
        calls.load_pmd(slot)
        asm.jump_no_bits(o.CLASS, o.ENTRY_HUGE, over)
        asm.copy(o.SCRATCH, o.CLASS)
        if whole is not None:
            asm.v_load(QUEUE, whole.references, text="folio_try_dup_anon_rmap_pmd: page_maybe_dma_pinned")
            with asm.if_nonzero(QUEUE):
                asm.jump(pinned)
        calls.note_all(here)
        asm.get_frames(o.SCRATCH, over, text="folio_get")
        asm.v_store(mine, 1, text="ClearPageAnonExclusive")
        asm.v_store(theirs, 1)
        asm.v_store(calls.deposited[child, slot], child + 1, text="pgtable_trans_huge_deposit: the child's")
        with asm.if_bits(o.SCRATCH, o.ENTRY_WRITABLE):
            asm.clear_bits(o.SCRATCH, o.ENTRY_WRITABLE)
            with asm.function("pmdp_set_wrprotect"):
                asm.xchg_pud(o.SCRATCH, QUEUE, from_register=True, text="may only be read")
            calls.reached("a copy was alive")
            first, _ = self.model.pages_of(here.atom)
            calls.gathers.cleared(1, huge=True, first=first, by="ptep_set_wrprotect")
        asm.on_mm(child, text="the child")
        asm.store_pud(o.SCRATCH, from_register=True, text="set_pmd_at the child's")
        asm.on_mm(calls.mm, text="back to the parent")
        if whole is not None:
            self._shares_pinned(whole)
        self._unlock_both(slot, child)
        asm.set(QUEUE, 0)
        asm.jump(copied)
        asm.place(pinned)
        self._unlock_both(slot, child)
        asm.set(QUEUE, 0)
        calls.split(slot)
        done = self.model.label()
        asm.jump(done)
        asm.place(over)
        self._unlock_both(slot, child)
        asm.place(done)

    def _unlock_both(self, slot: int, child: int) -> None:
        self.calls.unlock_pmd(slot)
        self.calls.unlock_pmd(slot, child)

    def _shares_pinned(self, pins: Pins) -> None:
        """Write that a page is shared, which is not to be pinned; register QUEUE is overwritten."""
        asm = self.asm
        asm.v_xchg(pins.replaced, 1, QUEUE, text="the page is shared with the child")
        asm.v_load(QUEUE, pins.pinned)
        self.model.fail_if(QUEUE, 1, _GUP_FAST, "a page that GUP-fast returned was shared by fork()")

    @function("copy_present_pte", "mm/memory.c")
    def copy_present_pte(self, child: int, page: Shared) -> None:
        """Write the copy of one entry, with both tables locked."""
        asm, calls, atom = self.asm, self.calls, page.atom
        slot = self.model.slot_of(atom)
        lock = calls.table_lock(slot, child)
        asm.lock(lock, write=True, sleeps=False, text="page-table lock of the child")
        with calls.table_of(atom):
            asm.entry_load(o.SCRATCH, atom, text="read the PTE")
            with asm.if_bits(o.SCRATCH, o.ENTRY_PRESENT):
                shared, over = self.model.label(), self.model.label()
                pins = calls.pins.get(atom)
                if pins is not None and page.copy is not None:
                    copies = self.model.label()
                    part_copied = self._copied_part(atom)
                    for one in calls.with_whole(atom):
                        asm.v_load(QUEUE, calls.pins[one].references, text="page_maybe_dma_pinned")
                        with asm.if_nonzero(QUEUE):
                            asm.jump(copies)
                    asm.jump(shared)
                    asm.place(copies)
                    if part_copied is not None:
                        asm.v_xchg(part_copied, 1, QUEUE, text="the parent keeps its right to this part")
                        self.calls.leaves(atom)
                    self._store(child, atom, page.copy)
                    asm.jump(over)
                    asm.place(shared)
                calls.note(atom)
                asm.get_frames(o.SCRATCH, over, text="folio_dup_anon_rmap_pte")
                asm.v_store(page.mine, 1, text="ClearPageAnonExclusive")
                asm.v_store(page.theirs, 1)
                with asm.if_bits(o.SCRATCH, o.ENTRY_WRITABLE):
                    asm.clear_bits(o.SCRATCH, o.ENTRY_WRITABLE)
                    with asm.function("ptep_set_wrprotect"):
                        asm.entry_xchg(atom, o.SCRATCH, QUEUE, from_register=True, text="may only be read")
                    calls.reached("a copy was alive")
                    lo, hi = self.model.pages_of(atom)
                    calls.gathers.cleared(hi - lo, huge=False, first=lo, by="ptep_set_wrprotect")
                self._store_register(child, atom)
                for one in calls.with_whole(atom) if pins is not None else ():
                    self._shares_pinned(calls.pins[one])
                asm.place(over)
                asm.set(QUEUE, 0)
        asm.unlock(lock, write=True, text="page-table lock of the child")

    def _copied_part(self, atom: int) -> int | None:
        """Write that no copy of a part of a huge page was made yet, and return the variable; None for other pages.

        All parts lead to one frame, so that what is noted of one that is shared would end the right to one that is not.
        Register QUEUE is overwritten.
        """
        if atom not in self.calls.whole_of:
            return None
        key = self.calls.task, atom
        if key not in self._copied:
            self._copied[key] = self.model.variable(0, "the child got a copy of this part")
        self.asm.v_xchg(self._copied[key], 0, QUEUE)
        return self._copied[key]

    def _store(self, child: int, atom: int, value: int) -> None:
        self.asm.set(o.CLASS, child + 1)
        self.asm.entry_store(atom, value, text="set_pte_at the child's: a copy, as the page is pinned")

    def _store_register(self, child: int, atom: int) -> None:
        self.asm.set(o.CLASS, child + 1)
        self.asm.entry_store(atom, o.SCRATCH, from_register=True, text="set_pte_at the child's")
