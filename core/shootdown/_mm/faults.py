"""Page faults in explored programs: pages are mapped where none are, and copied where a write finds them shared.

An entry that fork() has made read-only is written again by whoever writes: the page is copied unless nobody else has a
reference to it. While it is copied no CPU may still write to it by a TLB, else the write is lost: fork() flushes before
anybody can fault (fb49c455323f). What an address mapped before the copy is gone when the fault returns.
"""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.huge_faults import HugeFault, HugeFaults, Rights
from shootdown._mm.ordinary import Ordinary
from shootdown._mm.ordinary_parts import QUEUE, TAKEN

_WRITES = o.ENTRY_WRITABLE | o.ENTRY_DIRTY


class Faults:
    """Write page faults.

    Args:
        calls: the other calls.
    """

    def __init__(self, calls: Ordinary) -> None:
        self.calls = calls
        self.asm = calls.asm
        self.model = calls.model

    def fault(
        self,
        atom: int,
        value: int,
        *,
        vma: int | None = None,
        cached: bool = False,
        rights: Rights | None = None,
        new_table: int | None = None,
        huge: HugeFault | None = None,
    ) -> None:
        """Write an access to an atom: its page is mapped unless one is there, or the VMA is gone.

        Args:
            atom: the address.
            value: the entry; an anonymous page has one reference, which becomes that of the entry.
            vma: the variable that is zero once the VMA is gone; None if it stays.
            cached: the page is one of a file's page cache.
            rights: what a write to a page that is mapped and may only be read looks at; None: it stays undone.
            new_table: the class of the table that is allocated where there is none; None: the table stays.
            huge: where a huge page may map the slot, what a fault does about that.
        """
        asm, calls, out = self.asm, self.calls, self.model.label()
        changes = rights is not None and bool(value & o.ENTRY_WRITABLE)
        slot = self.model.slot_of(atom)
        asm.user_mode(False, text="page fault")
        if changes:
            asm.set(TAKEN, 0)
        with asm.function("handle_pte_fault" if changes else "do_pte_missing", "mm/memory.c"):
            with calls.faulting():
                if vma is not None:
                    asm.v_load(o.SCRATCH, vma, text="find_vma")
                    asm.jump_zero(o.SCRATCH, out)
                if huge is not None:
                    HugeFaults(self).fault(slot, value, huge, rights if changes else None, out)
                elif new_table is not None:
                    self.pte_alloc(atom, new_table)
                frame = calls.files.frames.get(atom) if cached else None
                if huge is None or calls.huge_slots[slot].splits:
                    with calls.files.folio_lock(frame), calls.table_of(atom):
                        asm.entry_load(o.SCRATCH, atom, text="read the PTE")
                        with asm.if_bits(o.SCRATCH, o.ENTRY_PRESENT) as present:
                            if changes and rights is not None:
                                self._write_present(atom, value, frame, cached, rights)
                            present.otherwise()
                            self._is_new(atom, writes=bool(value & o.ENTRY_WRITABLE))
                            self._map(atom, value, frame, cached, rights if changes else None)
                asm.place(out)
            if changes and not cached:
                calls.right_ends(atom)
        asm.user_mode(True, text="returns to user mode")

    def fill(self, atom: int, value: int, *, vma: int | None = None, new_table: int | None = None) -> None:
        """Write UFFDIO_COPY or UFFDIO_ZEROPAGE: a page is mapped where there is none; arguments as for `fault`."""
        asm, calls, out = self.asm, self.calls, self.model.label()
        asm.user_mode(False, text="userfaultfd")
        with asm.function("mfill_atomic_install_pte", "mm/userfaultfd.c"), calls.faulting():
            if vma is not None:
                asm.v_load(o.SCRATCH, vma, text="find_dst_vma")
                asm.jump_zero(o.SCRATCH, out)
            if new_table is not None:
                self.pte_alloc(atom, new_table)
            with calls.table_of(atom):
                asm.entry_load(o.SCRATCH, atom, text="read the PTE")
                with asm.if_bits(o.SCRATCH, o.ENTRY_PRESENT) as present:
                    present.otherwise()
                    self._is_new(atom, writes=bool(value & o.ENTRY_WRITABLE))
                    self._map(atom, value, None, cached=False, rights=None)
            asm.place(out)
        asm.user_mode(True, text="returns to user mode")

    def _is_new(self, atom: int, *, writes: bool) -> None:
        """Write what is known of a page that is mapped anew; who only reads gets one that a write copies."""
        key = self.calls.mm, atom
        if key in self.calls.protected:
            self.asm.v_store(self.calls.protected[key], 0, text="a page that is new is not write-protected")
        if not writes and key in self.calls.shared_pages:
            self.asm.v_store(self.calls.shared_pages[key], 1, text="the zero page, or the file's")

    def _map(self, atom: int, value: int, frame: int | None, cached: bool, rights: Rights | None) -> None:
        """Write do_anonymous_page() or filemap_map_pages(); by the page-table lock."""
        asm, calls = self.asm, self.calls
        gone = self.model.label()
        if rights is not None and rights.writable is not None:
            asm.v_load(o.SCRATCH, rights.writable, text="may it be written?")
            asm.jump_zero(o.SCRATCH, gone)
        if cached:
            asm.set(o.SCRATCH, value)
            asm.get_frames(o.SCRATCH, gone, text="filemap_map_pages: is it in the page cache?")
            calls.gives(atom)
        if frame is not None:
            calls.files.change_mapcount(frame, 1, calls.mm)
        if rights is not None and rights.shared is not None:
            asm.v_store(rights.shared, 0, text="SetPageAnonExclusive")
        if not cached:
            self.belongs_to_one(atom)
        asm.entry_store(atom, value, text="set_pte_at")
        if frame is not None and value & o.ENTRY_DIRTY:
            calls.files.mark_dirty(frame, calls.mm)
        asm.place(gone)

    def _write_present(self, atom: int, value: int, frame: int | None, cached: bool, rights: Rights) -> None:
        """Write what a write finds that a page is mapped: nothing to do, or do_wp_page(), if the VMA may be written."""
        asm, over = self.asm, self.model.label()
        with asm.if_bits(o.SCRATCH, o.ENTRY_WRITABLE) as fine:
            if rights.freed:
                with asm.if_bits(o.SCRATCH, o.ENTRY_DIRTY) as dirty:
                    dirty.otherwise()
                    self.calls.gives(atom)
                    asm.add(o.SCRATCH, o.ENTRY_DIRTY)
                    asm.entry_store(
                        atom, o.SCRATCH, from_register=True, text="hardware or a fault: it is dirty"
                    )
            fine.otherwise()
            if rights.writable is not None:
                asm.v_load(QUEUE, rights.writable, text="may it be written?")
                asm.jump_zero(QUEUE, over)
            self.model.calls.do_wp_page(lambda: self._write_protected(atom, value, frame, cached, rights))
            asm.place(over)

    def _write_protected(
        self, atom: int, value: int, frame: int | None, cached: bool, rights: Rights
    ) -> None:
        """Write do_wp_page(): register SCRATCH has the entry, which may not be written, and the table is locked."""
        asm, reuse, done = self.asm, self.model.label(), self.model.label()
        if rights.protected is not None:
            asm.v_load(QUEUE, rights.protected, text="userfaultfd_pte_wp: is it for a monitor to answer?")
            with asm.if_nonzero(QUEUE):
                asm.jump(done)
        if not cached and rights.shared is not None:
            copy = self.model.label()
            asm.v_load(QUEUE, rights.shared, text="PageAnonExclusive: has fork() shared the page?")
            asm.jump_zero(QUEUE, reuse)
            asm.jump_referenced(o.SCRATCH, copy, text="wp_can_reuse_anon_folio: has it other references?")
            asm.jump(reuse)
            asm.place(copy)
            self._copy(atom, value, rights.shared)
            asm.jump(done)
            asm.place(reuse)
            asm.v_store(rights.shared, 0, text="SetPageAnonExclusive")
        self._reuse(atom, frame)
        asm.place(done)

    def _reuse(self, atom: int, frame: int | None) -> None:
        """Write wp_page_reuse(): the entry may be written again. A CPU that held it only to read walks again."""
        asm = self.asm
        with asm.function("wp_page_reuse", "mm/memory.c"):
            self.calls.gives(atom)
            self.belongs_to_one(atom)
            asm.clear_bits(o.SCRATCH, _WRITES)
            asm.add(o.SCRATCH, _WRITES)
            asm.entry_store(atom, o.SCRATCH, from_register=True, text="ptep_set_access_flags")
            lo, hi = self.model.pages_of(atom)
            self.calls.gathers.changed(hi - lo, huge=False, first=lo, by="ptep_set_access_flags")
            if frame is not None:
                self.calls.files.mark_dirty(frame, self.calls.mm)

    def _copy(self, atom: int, value: int, shared: int) -> None:
        """Write the copy of a page: the table is unlocked meanwhile, and the entry looked at again."""
        asm, calls, free = self.asm, self.calls, self.model.label()

        def replace() -> None:
            changed = self.model.label()
            asm.get_frames(o.SCRATCH, free, text="folio_get: the page stays while it is copied")
            calls.unlock_table(atom)
            for one in calls.with_whole(atom):
                asm.right_is_gone(
                    o.SCRATCH, one, writes=True, text="the page is copied: what is written to it now is lost"
                )
            self._lock_again(atom)
            asm.entry_load(QUEUE, atom, text="pte_same: read the PTE again")
            with asm.if_same(QUEUE, o.SCRATCH) as same:
                same.otherwise()
                asm.jump(changed)
            calls.note(atom)
            self.belongs_to_one(atom)
            self._replace(atom, value)
            asm.v_store(shared, 0, text="the copy is nobody else's")
            asm.put_frames(o.SCRATCH, text="folio_remove_rmap_pte: the entry's reference")
            calls.reached("copied")
            asm.place(changed)
            asm.put_frames(o.SCRATCH, text="folio_put")
            asm.place(free)

        self.model.calls.wp_page_copy(replace)

    def belongs_to_one(self, atom: int) -> None:
        """Note, before GUP-fast can find the page by an entry that may be written, that fork() does not share it."""
        pins = self.calls.pins.get(atom)
        if pins is not None:
            self.asm.v_xchg(pins.replaced, 0, QUEUE)

    def _lock_again(self, atom: int) -> None:
        lock = self.calls.table_lock(self.model.slot_of(atom))
        self.asm.lock(lock, write=True, sleeps=False, text="page-table lock")

    def _replace(self, atom: int, value: int) -> None:
        """Write the new entry after the old one was cleared and flushed; register SCRATCH gets the old one."""
        self.calls.clear_flush(atom)
        self.asm.entry_store(atom, value, text="set_pte_at: the copy")

    @function("pte_alloc", "mm/memory.c")
    def pte_alloc(self, atom: int, klass: int) -> None:
        """Write pte_alloc(): a new table of a class, if there is none."""
        asm, slot = self.asm, self.model.slot_of(atom)
        lock = self.calls.table_lock(slot)
        asm.set(o.SLOT, slot)
        asm.load_pud(o.CLASS, text="read the PMD entry")
        with asm.if_nonzero(o.CLASS) as there:
            there.otherwise()
            asm.lock(lock, write=True, sleeps=False, text="pmd_lock")
            asm.load_pud(o.CLASS, text="read the PMD entry")
            with asm.if_nonzero(o.CLASS) as meanwhile:
                meanwhile.otherwise()
                asm.set_pud(klass, text="pmd_populate: a new table")
            asm.unlock(lock, write=True, text="pmd_lock")
