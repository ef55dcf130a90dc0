"""Page faults where huge pages may be mapped: a whole one is, or a write finds one that may only be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from shootdown._machine import ops as o
from shootdown._machine.label import Label
from shootdown._mm.ordinary_parts import QUEUE, HugeSlot

if TYPE_CHECKING:
    from shootdown._mm.faults import Faults

_WRITES = o.ENTRY_WRITABLE | o.ENTRY_DIRTY


@attrs.frozen
class Rights:
    """What a write fault on a page looks at.

    Args:
        writable: the variable that is zero while mprotect() has taken the right to write; None if none gives it back.
        shared: the variable that says whether fork() has shared the page (no PageAnonExclusive); None if none does.
        protected: the variable that says whether userfaultfd has write-protected it; None if none does.
        freed: whether MADV_FREE makes its entry clean, and leaves it writable.
    """

    writable: int | None = None
    shared: int | None = None
    protected: int | None = None
    freed: bool = False


@attrs.frozen
class HugeFault:
    """What a fault does where a huge page may map the slot.

    Args:
        value: the entry of a new huge page, whose page has one reference.
        table: the class of the table that is deposited with it, or put in its place where the VMA has no room for it.
        vmas: the variables that are zero once a VMA of the slot is gone: with one gone no huge page fits.
    """

    value: int
    table: int
    vmas: Sequence[int] = ()


class HugeFaults:
    """Write such faults.

    Args:
        faults: the other faults.
    """

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.calls = faults.calls
        self.asm = faults.asm
        self.model = faults.model

    def fault(self, slot: int, value: int, huge: HugeFault, rights: Rights | None, out: Label) -> None:
        """Write __handle_mm_fault() down to the entry of a slot: go on at `out` unless a table is there afterwards.

        Args:
            slot: the slot.
            value: the entry of a base page that the access would make.
            huge: see `HugeFault`.
            rights: what a write to a huge page that may only be read looks at; None: it stays undone.
            out: the end of the fault.
        """
        asm, calls, here = self.asm, self.calls, self.calls.huge_slots[slot]
        calls.load_pmd(slot)
        with asm.if_bits(o.CLASS, o.ENTRY_HUGE) as is_huge:
            if rights is not None and value & o.ENTRY_WRITABLE:
                self._write_protected(here, slot, rights, out)
            else:
                asm.jump(out)
            is_huge.otherwise()
            with asm.if_nonzero(o.CLASS) as table:
                table.otherwise()
                self._map(here, slot, huge, out)

    def _map(self, here: HugeSlot, slot: int, huge: HugeFault, out: Label) -> None:
        """Write do_huge_pmd_anonymous_page(); or pte_alloc() where a part of the slot has no VMA any more."""
        asm, calls, small = self.asm, self.calls, self.model.label()
        for vma in huge.vmas:
            asm.v_load(o.SCRATCH, vma, text="thp_vma_suitable_order: does the VMA span all of it?")
            asm.jump_zero(o.SCRATCH, small)
        with asm.function("do_huge_pmd_anonymous_page", "mm/huge_memory.c"):
            calls.lock_pmd(slot)
            calls.load_pmd(slot)
            with asm.if_nonzero(o.CLASS) as meanwhile:
                meanwhile.otherwise()
                shared = calls.shared_pages.get((calls.mm, here.atom))
                if shared is not None:
                    asm.v_store(shared, 0, text="SetPageAnonExclusive")
                self.faults.belongs_to_one(here.atom)
                asm.v_store(
                    calls.deposited[calls.mm, slot], huge.table + 1, text="pgtable_trans_huge_deposit"
                )
                asm.store_pud(huge.value, text="set_pmd_at: a huge page")
            calls.unlock_pmd(slot)
            asm.jump(out)
        asm.place(small)
        if huge.vmas:
            calls.lock_pmd(slot)
            calls.load_pmd(slot)
            with asm.if_nonzero(o.CLASS) as meanwhile:
                meanwhile.otherwise()
                asm.set_pud(huge.table, text="pmd_populate: a new table")
            calls.unlock_pmd(slot)

    def _write_protected(self, here: HugeSlot, slot: int, rights: Rights, out: Label) -> None:
        """Write do_huge_pmd_wp_page(): the page is nobody else's and may be written, or its entry is split."""
        asm, calls = self.asm, self.calls
        over, fallback, reuse = self.model.label(), self.model.label(), self.model.label()
        with asm.function("do_huge_pmd_wp_page", "mm/huge_memory.c"):
            calls.lock_pmd(slot)
            calls.load_pmd(slot)
            asm.jump_no_bits(o.CLASS, o.ENTRY_HUGE, over)
            with asm.if_bits(o.CLASS, o.ENTRY_WRITABLE):
                asm.jump(over)
            if rights.writable is not None:
                asm.v_load(QUEUE, rights.writable, text="may it be written?")
                asm.jump_zero(QUEUE, over)
            asm.copy(o.SCRATCH, o.CLASS)
            shared = calls.shared_pages.get((calls.mm, here.atom))
            if shared is not None:
                asm.v_load(QUEUE, shared, text="PageAnonExclusive: has fork() shared the page?")
                asm.jump_zero(QUEUE, reuse)
                asm.jump_referenced(o.SCRATCH, fallback, text="folio_ref_count: has it other references?")
            asm.place(reuse)
            self._reuse(here, shared)
            asm.place(over)
            calls.unlock_pmd(slot)
            asm.jump(out)
            asm.place(fallback)
            calls.unlock_pmd(slot)
            if shared is not None:
                calls.split(slot)

    def _reuse(self, here: HugeSlot, shared: int | None) -> None:
        asm = self.asm
        self.calls.gives(here.atom)
        self.faults.belongs_to_one(here.atom)
        asm.clear_bits(o.SCRATCH, _WRITES)
        asm.add(o.SCRATCH, _WRITES)
        asm.store_pud(o.SCRATCH, from_register=True, huge=True, text="pmdp_set_access_flags")
        first, _ = self.calls.model.pages_of(here.atom)
        self.calls.gathers.changed(1, huge=True, first=first, by="ptep_set_access_flags")
        if shared is not None:
            asm.v_store(shared, 0, text="SetPageAnonExclusive")
