"""Transparent huge pages of explored programs: one entry maps all of a slot, until it is split (mm/huge_memory.c).

The entry is the link of the slot, which otherwise leads to a table: it changes as one word. An atom stands for the huge
page, and one for each of its parts; who takes the right to a part takes it from both. A page table is deposited with
each huge entry: a split uses it, and it is freed with the entry, without a grace period.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from shootdown._machine import ops as o
from shootdown._machine.label import Label
from shootdown._mm.atoms import stretches
from shootdown._mm.call_parts import OUTER
from shootdown._mm.ordinary_parts import QUEUE, HugeSlot
from shootdown._mm.zapping import Zapping

if TYPE_CHECKING:
    from shootdown._values.lowering import EntryFunction


class HugePages(Zapping):
    """Write what calls do to huge entries; see `OrdinaryParts`."""

    def has_huge_pages(self, mms: int, slot: int, atom: int, parts: Sequence[int], *, splits: bool) -> None:
        """Declare that a huge page may map a slot in so many mms; see `HugeSlot`."""
        self.huge_slots[slot] = HugeSlot(atom, tuple(parts), splits)
        self.whole_of.update(dict.fromkeys(parts, atom))
        for mm in range(mms):
            self._pmd_locks[mm, slot] = self.model.lock()
            self.deposited[mm, slot] = self.model.variable(0, "the deposited page table")

    def deposit_at_first(self, mm: int, slot: int, value: int) -> None:
        """Let a slot be mapped by a huge entry when the run begins; the mm's first table is deposited with it."""
        self.model.maps_huge(mm, slot, value)
        self.model.begins_with(self.deposited[mm, slot], mm + 1)

    def lock_pmd(self, slot: int, mm: int | None = None) -> None:
        """Write pmd_lock()."""
        lock = self._pmd_locks[self.mm if mm is None else mm, slot]
        self.asm.lock(lock, write=True, sleeps=False, text="pmd_lock")

    def unlock_pmd(self, slot: int, mm: int | None = None) -> None:
        """Write its release."""
        lock = self._pmd_locks[self.mm if mm is None else mm, slot]
        self.asm.unlock(lock, write=True, text="pmd_lock")

    def load_pmd(self, slot: int, text: str = "read the PMD entry") -> None:
        """Write a read of a slot's entry into register CLASS."""
        self.asm.set(o.SLOT, slot)
        self.asm.load_pud(o.CLASS, text=text)

    def exchange_pmd(self, here: HugeSlot, text: str, *, clears: bool) -> None:
        """Write the change of an entry under its lock, as the architecture does it; SCRATCH gets its old value.

        Args:
            here: its slot, which register SLOT names.
            text: what it is.
            clears: it is cleared; otherwise register SCRATCH has the new value, and gets the old one.
        """
        asm = self.asm
        if self._ordered:
            asm.xchg_pud(0 if clears else o.SCRATCH, o.SCRATCH, from_register=not clears, text=text)
        elif clears:
            asm.load_pud(o.SCRATCH, text="read the PMD entry")
            asm.clear_pud(text=text)
        else:
            asm.store_pud(o.SCRATCH, from_register=True, text=text)
            asm.copy(o.SCRATCH, o.CLASS)
        self.reached("a copy was alive")
        first, _ = self.model.pages_of(here.atom)
        by: EntryFunction = "ptep_get_and_clear" if clears else "pmdp_invalidate"
        self.gathers.cleared(1, huge=True, first=first, by=by)

    def drop_deposited(self, slot: int) -> None:
        """Write zap_deposited_table(): the table that lies with a huge entry is freed at once; CLASS is overwritten."""
        asm = self.asm
        asm.v_xchg(self.deposited[self.mm, slot], 0, o.CLASS, text="zap_deposited_table")
        with asm.if_nonzero(o.CLASS):
            asm.set(o.SLOT, slot)
            asm.table_state(o.TABLE_FREED, text="pte_free: the deposited table is freed at once")
            self.reached("table freed")

    # --- zapping

    def zap(self, atoms: Sequence[int], g: int = OUTER) -> None:
        """Write zap_pmd_range(): what maps some atoms goes, huge entries with their parts."""
        rest: list[int] = []
        for atom in atoms:
            slot = self.model.slot_of(atom)
            here = self.huge_slots.get(slot)
            if here is None:
                rest.append(atom)
                continue
            if rest:
                self.zap_pte_range(rest, g)
                rest = []
            if atom == next(one for one in atoms if self.model.slot_of(one) == slot):
                self._zap_slot([one for one in atoms if self.model.slot_of(one) == slot], slot, g)
        if rest:
            self.zap_pte_range(rest, g)

    def _zap_slot(self, atoms: Sequence[int], slot: int, g: int) -> None:
        here, done = self.huge_slots[slot], self.model.label()
        self.load_pmd(slot)
        with self.asm.if_bits(o.CLASS, o.ENTRY_HUGE):
            if set(here.parts) <= set(atoms):
                self.model.calls.zap_huge_pmd(lambda: self._zap_huge(here, slot, g, done))
            else:
                self.split(slot)
        if here.splits:
            self.zap_pte_range(atoms, g)
        self.asm.place(done)

    def _zap_huge(self, here: HugeSlot, slot: int, g: int, done: Label) -> None:
        """Write zap_huge_pmd(): go on with the entries of a table if there is one by now."""
        asm = self.asm
        lo, hi = self.model.pages_of(here.atom)
        self.gathers.change_page_size(g, huge=True)
        self.lock_pmd(slot)
        self.load_pmd(slot)
        with asm.if_bits(o.CLASS, o.ENTRY_HUGE):
            self.note_all(here)
            self.model.calls.pmdp_huge_get_and_clear_full(
                lambda: self.exchange_pmd(here, "read and clear the PMD entry", clears=True), lo, hi
            )
            asm.clear_bits(o.SCRATCH, o.ENTRY_HUGE)
            asm.queue_frames(QUEUE, o.SCRATCH, text="tlb_remove_page_size")
            self.gathers.remove_huge_entry(g, lo, hi)
            self.drop_deposited(slot)
            self.unlock_pmd(slot)
            asm.jump(done)
        self.unlock_pmd(slot)

    def note_all(self, here: HugeSlot) -> None:
        """Write that a call takes the right to a huge page and its parts; by the lock of its entry."""
        for part in here.parts:
            self.note(part)

    # --- splitting

    def split(self, slot: int) -> None:
        """Write __split_huge_pmd(): base entries replace a huge one, if there is one."""
        asm = self.asm
        with asm.function("__split_huge_pmd", "mm/huge_memory.c"):
            self.lock_pmd(slot)
            self.load_pmd(slot)
            with asm.if_bits(o.CLASS, o.ENTRY_HUGE):
                self.model.calls.split_huge_pmd_locked(lambda: self._split(slot))
            self.unlock_pmd(slot)

    def split_first(self, atoms: Sequence[int]) -> None:
        """Write vma_adjust_trans_huge(): huge pages that the ends of a VMA will cut are split first."""
        for slot in dict.fromkeys(map(self.model.slot_of, atoms)):
            here = self.huge_slots.get(slot)
            if here is None or set(here.parts) <= set(atoms):
                continue
            self.load_pmd(slot)
            with self.asm.if_bits(o.CLASS, o.ENTRY_HUGE):
                self.split(slot)

    def _split(self, slot: int) -> None:
        """Write __split_huge_pmd_locked(): the entry is invalidated, and the deposited table filled and linked."""
        asm, here = self.asm, self.huge_slots[slot]
        shared = self.shared_pages.get((self.mm, here.atom))
        if shared is not None:
            asm.v_load(o.SCRATCH, shared, text="PageAnonExclusive")
            for part in here.parts:
                asm.v_store(self.shared_pages[self.mm, part], o.SCRATCH, from_register=True)
        pins = self.pins
        if here.atom in pins:
            asm.v_load(o.SCRATCH, pins[here.atom].replaced)
            for part in here.parts:
                if part in pins:
                    asm.v_store(pins[part].replaced, o.SCRATCH, from_register=True)
        asm.copy(o.SCRATCH, o.CLASS)
        asm.clear_bits(o.SCRATCH, o.ENTRY_PRESENT)
        self.model.calls.pmdp_invalidate(
            lambda: self.exchange_pmd(here, "pmd_mkinvalid: not present", clears=False),
            *self.model.pages_of(here.atom),
        )
        asm.clear_bits(o.SCRATCH, o.ENTRY_HUGE)
        fine = self.model.label()
        for _ in here.parts[1:]:
            asm.get_frames(o.SCRATCH, fine, text="folio_ref_add: a reference for each entry")
        asm.place(fine)
        asm.v_xchg(self.deposited[self.mm, slot], 0, o.CLASS, text="pgtable_trans_huge_withdraw")
        for part in here.parts:
            asm.entry_store(part, o.SCRATCH, from_register=True, text="set_ptes")
        asm.fence(text="smp_wmb: the entries are seen before their table")
        asm.store_pud(o.CLASS, from_register=True, text="pmd_populate: the table that was deposited")

    # --- changing rights, moving

    def change_pmd_range(
        self, atoms: Sequence[int], change: Callable[[int], None], *, gathers: bool, widens: bool
    ) -> None:
        """Write change_pmd_range(): a huge entry changes as a whole, or it was split, and the entries of its table do.

        Args:
            atoms: the addresses.
            change: writes how one entry of a table changes.
            gathers, widens: as for `change_pte_range`.
        """
        for slot in dict.fromkeys(map(self.model.slot_of, atoms)):
            some = [atom for atom in atoms if self.model.slot_of(atom) == slot]
            here, done = self.huge_slots.get(slot), self.model.label()
            if here is not None and set(here.parts) <= set(some):
                self.load_pmd(slot)
                with self.asm.if_bits(o.CLASS, o.ENTRY_HUGE):
                    self._change_huge_pmd(here, slot, done, gathers=gathers, widens=widens)
            if here is None or here.splits:
                if here is not None and gathers:
                    self.gathers.change_page_size(OUTER, huge=False)
                for atom in some:
                    change(atom)
            self.asm.place(done)

    def _change_huge_pmd(
        self, here: HugeSlot, slot: int, done: Label, *, gathers: bool, widens: bool
    ) -> None:
        asm, kernel = self.asm, self.model.kernel
        lo, hi = self.model.pages_of(here.atom)
        with asm.function("change_huge_pmd", "mm/huge_memory.c"):
            if gathers:
                self.gathers.change_page_size(OUTER, huge=True)
            self.lock_pmd(slot)
            self.load_pmd(slot)
            with asm.if_bits(o.CLASS, o.ENTRY_HUGE):
                self._rewrite_huge(
                    here, 0 if widens else o.ENTRY_WRITABLE, flushes=kernel.thp_mprotect_flushes
                )
                if gathers and not (widens and not kernel.widening_flushes):
                    asm.gather_add(OUTER, lo, hi, cleared=o.CLEARED_PMDS, text="tlb_flush_pmd_range")
                elif not gathers:
                    asm.set(QUEUE, 1)
                self.unlock_pmd(slot)
                asm.jump(done)
            self.unlock_pmd(slot)

    def _rewrite_huge(self, here: HugeSlot, bits: int, *, flushes: bool) -> None:
        """Write that a huge entry, which register CLASS has, is written again without some bits; by its lock.

        Args:
            here: its slot.
            bits: they go: a right is taken if there are any.
            flushes: the entry is flushed at once, by pmdp_invalidate().
        """
        asm = self.asm
        if bits:
            self.note_all(here)
        asm.copy(o.SCRATCH, o.CLASS)
        asm.clear_bits(o.SCRATCH, o.ENTRY_PRESENT)

        def invalidate() -> None:
            self.exchange_pmd(here, "pmd_mkinvalid: not present", clears=False)

        if flushes:
            self.model.calls.pmdp_invalidate(invalidate, *self.model.pages_of(here.atom))
        else:
            invalidate()
        if bits:
            asm.clear_bits(o.SCRATCH, bits)
        asm.store_pud(o.SCRATCH, from_register=True, text="set_pmd_at: the entry without what is taken")

    def madvise_free_range(self, atoms: Sequence[int]) -> None:
        """Write what MADV_FREE does to entries, a table's after another; a huge page is split for a part of it."""
        for slot in dict.fromkeys(map(self.model.slot_of, atoms)):
            some = [atom for atom in atoms if self.model.slot_of(atom) == slot]
            here, done = self.huge_slots.get(slot), self.model.label()
            if here is not None:
                self.load_pmd(slot)
                with self.asm.if_bits(o.CLASS, o.ENTRY_HUGE):
                    if set(here.parts) <= set(some):
                        self.model.calls.madvise_free_huge_pmd(partial(self._free_huge_pmd, here, slot, done))
                    else:
                        self.split(slot)
            if here is None or here.splits:
                if here is not None:
                    self.gathers.change_page_size(OUTER, huge=False)
                self.model.calls.page_tables.madvise_free_pte_range(OUTER, stretches(self, some))
            self.asm.place(done)

    def _free_huge_pmd(self, here: HugeSlot, slot: int, done: Label) -> None:
        asm = self.asm
        self.gathers.change_page_size(OUTER, huge=True)
        self.lock_pmd(slot)
        self.load_pmd(slot)
        with asm.if_bits(o.CLASS, o.ENTRY_HUGE):
            self._rewrite_huge(here, o.ENTRY_DIRTY, flushes=True)
            self.gathers.remove_huge_entry(OUTER, *self.model.pages_of(here.atom))
            self.unlock_pmd(slot)
            asm.jump(done)
        self.unlock_pmd(slot)

    def move_huge(self, old: int, new: int, *, flushes_locked: bool) -> None:
        """Write move_huge_pmd() from one slot to another, with its deposited table."""
        asm, here = self.asm, self.huge_slots[old]
        pages = self.model.pages_of(here.atom)

        def move() -> None:
            asm.set(o.SLOT, old)
            self.exchange_pmd(here, "read and clear the PMD entry", clears=True)
            asm.v_xchg(self.deposited[self.mm, old], 0, o.CLASS, text="pgtable_trans_huge_withdraw")
            asm.v_store(self.deposited[self.mm, new], o.CLASS, from_register=True, text="deposit it there")
            asm.set(o.SLOT, new)
            asm.store_pud(o.SCRATCH, from_register=True, text="set_pmd_at the new address")
            self.reached("moved")

        def flush() -> None:
            if flushes_locked:
                self.model.calls.flush_pmd_tlb_range(*pages)

        self.lock_pmd(old)
        self.lock_pmd(new)
        self.load_pmd(old)
        with asm.if_bits(o.CLASS, o.ENTRY_HUGE):
            self.note_all(here)
            self.model.calls.move_huge_pmd(move, flush)
        self.unlock_pmd(new)
        self.unlock_pmd(old)
