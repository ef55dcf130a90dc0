"""Calls on ordinary memory in explored programs: each entry is cleared, flushed and freed as the kernel does.

A program's memory is atoms (`Model.atom`), each mapped by one entry, and frames with references. Registers: SLOT and
CLASS name the page table; INDEX collects frames to free after the flush, SCRATCH2 those whose right is taken away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby

import attrs

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.call_parts import OUTER, SCRATCH
from shootdown._mm.file_pages import FilePages
from shootdown._mm.model import Model

#: Registers of a call: frames to free after the flush; frames whose right it takes, or what it did.
QUEUE, TAKEN = o.INDEX, o.SCRATCH2
#: What programs can mark as reached: a call found an entry gone already; a call that takes a right has returned; an
#: entry was moved; a file's page was freed; GUP-fast was inside a table, and has a page; a table was freed; an entry
#: was changed of which a CPU held a copy; a call began while another one of the mm had yet to flush; a page was
#: cleaned; a page that fork() shares was copied.
PLACES = (
    "missed", "returned", "moved", "freed", "walked", "pinned", "table freed", "a copy was alive", "calls overlapped",
    "cleaned", "copied",
)  # fmt: skip
#: The invariants of every program, in the order in which its problem names them.
INVARIANTS = ("walk-cache", "stale-tlb-entry", "gup-fast")
#: The most tables that one munmap() frees: bits of a register that no frame has.
MOST_TABLES = o.ENTRY_PAGE_SHIFT


@attrs.frozen
class Pins:
    """The variables of an address whose page GUP-fast may pin while khugepaged replaces it.

    Args:
        references: those of GUP-fast to the page, which khugepaged looks at.
        pinned: GUP-fast has returned the page.
        replaced: khugepaged has replaced it by a copy.
    """

    references: int
    pinned: int
    replaced: int


class Ordinary:
    """Write calls on atoms.

    Args:
        model: the model with the programs.
        pte_clear: `xchg` or `store`, as the architecture clears an entry.
        places: those that the programs mark as reached, of `PLACES`.
    """

    def __init__(self, model: Model, pte_clear: str, places: Sequence[str] = ()) -> None:
        self.model = model
        self.places = tuple(places)
        self.asm = model.asm
        self.gathers = model.gathers
        self.lowering = model.lowering
        self._ordered = pte_clear == "xchg"
        #: The files' pages.
        self.files = FilePages(model)
        #: The mm that calls are written for: the class of its page tables.
        self.mm = 0
        #: The number of the thread that calls are written for.
        self.task = 0
        self._batched: dict[int, int] = {}
        #: By mm and address, what khugepaged or fork() and GUP-fast tell one another.
        self._pins: dict[tuple[int, int], Pins] = {}
        self._rmap_locks: dict[int, int] = {}
        #: The page-table locks of processes after the first one, whose locks are the model's.
        self._table_locks: dict[tuple[int, int], int] = {}
        #: By mm, the locks of its VMAs where fork() leaves them out, so that faults need a lock of their own.
        self._vma_locks: dict[int, int] = {}
        #: By thread, mm and address: whether a right that the thread takes away was given again since.
        self._given: dict[tuple[int, int, int], int] = {}
        #: By thread, mm and slot: the table that a call has unlinked, where there may be several.
        self._unlinked: dict[tuple[int, int, int], int] = {}

    def has_collapse(self, mms: int, atoms: Sequence[int]) -> None:
        """Declare what khugepaged and GUP-fast tell one another about some addresses of so many mms."""
        for mm in range(mms):
            self._rmap_locks[mm] = self.model.lock()
            for atom in atoms:
                self.has_pins(mm, atom)

    def has_pins(self, mm: int, atom: int) -> None:
        """Declare what GUP-fast tells those who replace or share the page of an address."""
        if (mm, atom) not in self._pins:
            self._pins[mm, atom] = Pins(
                self.model.variable(0, "references of GUP-fast"),
                self.model.variable(0, "GUP-fast has returned the page"),
                self.model.variable(0, "the page was replaced"),
            )

    def has_table_locks(self, mms: int, slots: int) -> None:
        """Declare the page-table locks of so many mms: each has tables, and locks, of its own."""
        for mm in range(1, mms):
            for slot in range(slots):
                self._table_locks[mm, slot] = self.model.lock()

    def has_vma_locks(self, mm: int) -> None:
        """Declare that faults of an mm take the lock of a VMA, and no mmap_lock."""
        self._vma_locks[mm] = self.model.lock()

    def may_be_given_again(self, task: int, mm: int, atom: int) -> None:
        """Declare that the right to an address which a thread takes away may be given again before it returns."""
        if (task, mm, atom) not in self._given:
            self._given[task, mm, atom] = self.model.variable(0, "the right was given again")

    def note(self, atom: int) -> None:
        """Write that the call takes a right to what an address maps now; by the page-table lock."""
        given = self._given.get((self.task, self.mm, atom))
        if given is not None:
            self.asm.v_store(given, 0, text="from here on the call takes it away")
        self.asm.occupants(TAKEN, atom)

    def gives(self, atom: int) -> None:
        """Write that an address maps again what it mapped before, with a right that it had; by the page-table lock.

        Register QUEUE is overwritten.
        """
        for (_, mm, where), given in self._given.items():
            if (mm, where) == (self.mm, atom):
                self.asm.v_xchg(given, 1, QUEUE, text="who takes this right away takes what was before")

    @contextmanager
    def faulting(self) -> Iterator[None]:
        """Hold within what page faults hold: the mmap_lock for reading, or the lock of the VMA."""
        asm, own = self.asm, self._vma_locks.get(self.mm)
        if own is None:
            asm.lock(self.model.locks.mmap, index=1, write=False, sleeps=True, text="mmap_lock")
        else:
            asm.lock(own, write=False, sleeps=True, text="vma_start_read: the VMA's lock")
        yield
        if own is None:
            asm.unlock(self.model.locks.mmap, index=1, write=False, text="mmap_lock")
        else:
            asm.unlock(own, write=False, text="the VMA's lock")

    @property
    def pins(self) -> dict[int, Pins]:
        """By address, what khugepaged and GUP-fast tell one another of the mm that calls are written for."""
        return {atom: found for (mm, atom), found in self._pins.items() if mm == self.mm}

    def lock_rmap(self, *, write: bool) -> None:
        """Write the taking of the lock of the mm's anon_vmas, where programs collapse what it guards."""
        if self.mm in self._rmap_locks:
            self.asm.lock(self._rmap_locks[self.mm], write=write, sleeps=True, text="anon_vma->root->rwsem")

    def unlock_rmap(self, *, write: bool) -> None:
        """Write its release."""
        if self.mm in self._rmap_locks:
            self.asm.unlock(self._rmap_locks[self.mm], write=write, text="anon_vma->root->rwsem")

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

    def leave_page_cache(self, frame: int, name: str, where: str) -> None:
        """Write that a file's page leaves the page cache, unless it did before."""
        asm = self.asm
        with asm.function(name, where), self.files.folio_lock(frame):
            asm.v_xchg(
                self.files.cached(frame), 0, o.SCRATCH, text="filemap_remove_folio: is the page there still?"
            )
            with asm.if_nonzero(o.SCRATCH):
                asm.set(o.SCRATCH, 1 << o.ENTRY_PAGE_SHIFT + frame)
                asm.put_frames(o.SCRATCH, text="the page leaves the page cache")
                self.reached("freed")

    def reached(self, place: str) -> None:
        """Mark a place as reached, if the programs mark it."""
        if place in self.places:
            self.asm.reached(self.places.index(place))

    def enter_kernel(self, text: str) -> None:
        """Write the way out of user mode: nothing is queued, and no right taken away yet."""
        self.asm.user_mode(False, text=text)
        self.asm.set(QUEUE, 0)
        self.asm.set(TAKEN, 0)
        self._look_for_others()

    def _look_for_others(self) -> None:
        """Mark, if the programs do, that another call of this mm has begun a gather and not ended it."""
        if "calls overlapped" in self.places:
            with self.asm.if_flush_pending():
                self.reached("calls overlapped")

    def _begin_gather(self) -> None:
        """Write tlb_gather_mmu() for base pages."""
        self.gathers.begin(OUTER)
        self.gathers.change_page_size(OUTER, huge=False)

    @contextmanager
    def syscall(self, name: str, where: str, *, write: bool) -> Iterator[None]:
        """Write a system call around the steps within: out of user mode, mmap_lock, back."""
        self.enter_kernel(f"{name}()")
        vmas = self._vma_locks.get(self.mm) if write else None
        with self.model.calls.syscall(name, where, write=write):
            if vmas is not None:
                self.asm.lock(vmas, write=True, sleeps=True, text="vma_start_write")
            yield
            if vmas is not None:
                self.asm.unlock(vmas, write=True, text="vma_end_write_all")

    def returns(self, atoms: Sequence[int], *, writes: bool = False) -> None:
        """Write the return of a call that takes the right to some atoms, or to write to them."""
        for atom in atoms:
            self.right_ends(atom, writes=writes)
        self.reached("returned")
        self.asm.user_mode(True, text="returns to user mode")

    def right_ends(self, atom: int, *, writes: bool = False) -> None:
        """Write that what a call has noted of an address is gone, unless it was given again meanwhile."""
        given = self._given.get((self.task, self.mm, atom))
        if given is None:
            self.asm.right_is_gone(TAKEN, atom, writes=writes)
            return
        self.asm.right_is_gone_unless(TAKEN, atom, given, writes=writes)

    def table_lock(self, slot: int, mm: int | None = None) -> int:
        """Return the page-table lock of a slot's table."""
        return self._table_locks.get((self.mm if mm is None else mm, slot), self.model.locks.ptl + slot)

    @contextmanager
    def table_of(self, atom: int) -> Iterator[None]:
        """Hold the page-table lock of an atom's table within: pte_offset_map_lock(), nothing if there is no table."""
        asm, slot = self.asm, self.model.slot_of(atom)
        asm.set(o.SLOT, slot)
        asm.load_pud(o.CLASS, text="read the PMD entry")
        with asm.if_nonzero(o.CLASS):
            asm.lock(self.table_lock(slot), write=True, sleeps=False, text="page-table lock")
            yield
            self.unlock_table(atom)

    def unlock_table(self, atom: int) -> None:
        """Write the release of the page-table lock of an atom's table."""
        self.asm.unlock(self.table_lock(self.model.slot_of(atom)), write=True, text="page-table lock")

    def clear_flush(self, atom: int) -> None:
        """Write ptep_clear_flush(): an entry is cleared, and its page flushed; register SCRATCH gets its old value."""
        self.take_entry(atom, "ptep_clear_flush")
        lo, hi = self.model.pages_of(atom)
        self.asm.request(SCRATCH, cleared=o.CLEARED_PTES, lo=lo, hi=hi, text="the page")
        self.lowering.flush_page(self.asm, SCRATCH)

    def take_entry(self, atom: int, name: str) -> None:
        """Write the clearing of an entry; register SCRATCH gets its old value."""
        asm = self.asm
        with asm.function(name):
            if self._ordered:
                asm.entry_xchg(atom, 0, o.SCRATCH, text="read and clear the PTE")
            else:
                asm.entry_load(o.SCRATCH, atom, text="read the PTE")
                asm.entry_store(atom, 0, text="clear the PTE")
        self.reached("a copy was alive")
        lo, hi = self.model.pages_of(atom)
        self.gathers.cleared(hi - lo, huge=False, first=lo)

    @function("zap_pte_range", "mm/memory.c")
    def zap_pte_range(self, atoms: Sequence[int], g: int = OUTER) -> None:
        """Write zap_pte_range(): clear present entries and queue their frames."""
        asm = self.asm
        for _, some in groupby(atoms, self.model.slot_of):
            part = list(some)
            with self.table_of(part[0]):
                self._after_reclaim(part[0])
                for atom in part:
                    self.note(atom)
                    asm.entry_load(o.SCRATCH, atom, text="read the PTE")
                    with asm.if_bits(o.SCRATCH, o.ENTRY_PRESENT) as present:
                        self.take_entry(atom, "ptep_get_and_clear_full")
                        self._file_page_goes(atom, part)
                        asm.queue_frames(QUEUE, o.SCRATCH, text="__tlb_remove_page")
                        lo, hi = self.model.pages_of(atom)
                        self.gathers.remove_entry(g, lo, hi)
                        if "missed" in self.places:
                            present.otherwise()
                            self.reached("missed")
                self._flush_dirty(part, g)
            self._free_flushed(part)

    def _marks(self, part: Sequence[int]) -> dict[int, int]:
        """Return for each address of a file the bit of QUEUE, that no frame has, which says that it was dirty."""
        of_file = [atom for atom in part if atom in self.files.frames]
        counted = bool(self.files.written)
        return {atom: 1 << (number if counted else 0) for number, atom in enumerate(of_file)}

    def _file_page_goes(self, atom: int, part: Sequence[int]) -> None:
        """Write what zap_present_folio_ptes() does about the page of a file whose entry is in register SCRATCH.

        A dirty one is flushed before the page-table lock is released (1cf35d47712d, 3.15), and since 5df397dec7c4 the
        page stays in the reverse map until then.
        """
        if atom not in self.files.frames:
            return
        asm, frame, mark = self.asm, self.files.frames[atom], self._marks(part)[atom]
        with asm.if_bits(o.SCRATCH, o.ENTRY_DIRTY) as dirty:
            with asm.if_bits(QUEUE, mark) as known:
                known.otherwise()
                asm.add(QUEUE, mark)
            self.files.mark_dirty(frame, self.mm)
            if not self.model.kernel.delayed_rmap:
                self.files.change_mapcount(frame, -1, self.mm)
            if frame in self.files.written:
                dirty.otherwise()
                self.files.change_mapcount(frame, -1, self.mm)

    def _flush_dirty(self, part: Sequence[int], g: int) -> None:
        """Write the flush of dirty pages of files, if some were found, and their delayed removal from the rmap."""
        asm, marks = self.asm, self._marks(part)
        if not marks:
            return
        with asm.if_bits(QUEUE, sum(set(marks.values()))):
            self.gathers.flush(g)
            if self.model.kernel.delayed_rmap and self.files.written:
                with asm.function("tlb_flush_rmaps", "mm/mmu_gather.c"):
                    for atom, mark in marks.items():
                        with asm.if_bits(QUEUE, mark):
                            self.files.change_mapcount(self.files.frames[atom], -1, self.mm)

    def _free_flushed(self, part: Sequence[int]) -> None:
        """Write tlb_flush_mmu() after the page-table lock was released: what was flushed is freed."""
        marks = self._marks(part)
        if marks:
            with self.asm.if_bits(QUEUE, sum(set(marks.values()))):
                self.asm.put_frames(QUEUE, text="tlb_batch_pages_flush: free the pages")
                self.asm.set(QUEUE, 0)

    def finish(self, g: int = OUTER, *, nested: bool = True) -> None:
        """Write tlb_finish_mmu(), which frees the queued pages after the flush."""
        self.gathers.finish(g, nested=nested)
        self.tlb_batch_pages_flush()

    @function("tlb_batch_pages_flush", "mm/mmu_gather.c")
    def tlb_batch_pages_flush(self) -> None:
        """Write tlb_batch_pages_flush(): the pages that are queued lose their references."""
        self.asm.put_frames(QUEUE, text="free the pages")
        self.asm.set(QUEUE, 0)

    def madvise(self, atoms: Sequence[int], *, nested: bool = True) -> None:
        """Write madvise(MADV_DONTNEED); `nested`: it checks for nested gathers, if the kernel does."""
        with (
            self.syscall("madvise", "mm/madvise.c", write=False),
            self.asm.because("MADV_DONTNEED"),
            self.asm.function("zap_page_range_single", "mm/memory.c"),
        ):
            self._begin_gather()
            self.zap_pte_range(atoms)
            self.finish(nested=nested)
        self.returns(atoms)

    def mremap(self, old: int, new: int, *, flushes_locked: bool = True) -> None:
        """Write mremap() of an atom to another; `flushes_locked`: it flushes under the locks, if the kernel does."""
        asm = self.asm
        flushes_locked = flushes_locked and self.model.kernel.mremap_flushes_locked
        with self.syscall("mremap", "mm/mremap.c", write=True), asm.because("mremap"):
            self.model.calls.move_ptes(lambda: self._move_entry(old, new, flushes_locked))
            if not flushes_locked:
                self.model.calls.move_page_tables(lambda: self._flush([old]))
            with asm.function("unmap_region", "mm/mmap.c"):  # move_vma() unmaps the old place
                self._begin_gather()
                self.zap_pte_range([old])
                self.finish()
        self.returns([old])

    def _move_entry(self, old: int, new: int, flushes_locked: bool) -> None:
        """Write the move of an entry, with both tables locked."""
        asm = self.asm
        with self.table_of(old):
            other = self.table_lock(self.model.slot_of(new))
            asm.lock(other, write=True, sleeps=False, text="page-table lock of the new address")
            self._after_reclaim(old)
            self.note(old)
            asm.entry_load(o.SCRATCH, old, text="read the PTE")
            with asm.if_bits(o.SCRATCH, o.ENTRY_PRESENT):
                self.take_entry(old, "ptep_get_and_clear")
                asm.set(o.SLOT, self.model.slot_of(new))
                asm.load_pud(o.CLASS, text="read the PMD entry of the new address")
                asm.entry_store(new, o.SCRATCH, from_register=True, text="set_pte_at the new address")
                self.reached("moved")
                if flushes_locked:
                    self._flush([old])
            asm.unlock(other, write=True, text="page-table lock of the new address")

    def _flush(self, atoms: Sequence[int]) -> None:
        """Write flush_tlb_range() from the first page of some atoms to their last."""
        lo, hi = self._pages_from_to(atoms)
        self.asm.request(SCRATCH, cleared=o.CLEARED_PTES, lo=lo, hi=hi, text="flush_tlb_range")
        self.lowering.flush_range(self.asm, SCRATCH)

    def _pages_from_to(self, atoms: Sequence[int]) -> tuple[int, int]:
        """Return the range of base pages, `(lo, hi)`, that has some atoms in it."""
        ends = [self.model.pages_of(atom) for atom in atoms]
        return min(lo for lo, _ in ends), max(hi for _, hi in ends)

    def truncate(self, atoms: Sequence[int], *frames: int, mms: Sequence[int] = ()) -> None:
        """Write ftruncate() of a file: unmap its pages wherever they are mapped, then free them.

        Args:
            atoms: the addresses that map them.
            frames: its pages.
            mms: the address spaces that map it, the caller's last; the caller's alone if empty.
        """
        asm = self.asm
        self.enter_kernel("ftruncate()")

        def zap() -> None:
            for mm in mms or (None,):
                if mm is not None and len(mms) > 1:
                    asm.on_mm(mm, text="a process that maps the file")
                    self.mm = mm
                self._begin_gather()
                self.zap_pte_range(atoms)
                self.finish()

        self.model.calls.unmap_mapping_range(zap)
        for frame in frames:
            self.leave_page_cache(frame, "truncate_inode_pages_range", "mm/truncate.c")
        asm.user_mode(True, text="returns to user mode")

    def mprotect(self, atoms: Sequence[int], *, widens: bool = False, vmas: Sequence[int] = ()) -> None:
        """Write mprotect(): through a gather where the kernel has it, else one flush at the end.

        Args:
            atoms: the addresses.
            widens: it gives the right to write; otherwise it takes it away.
            vmas: the variables that say whether its VMAs may be written, where others look at them.
        """
        asm, kernel = self.asm, self.model.kernel
        with self.syscall("mprotect", "mm/mprotect.c", write=True), asm.because("mprotect"):
            for vma in vmas:
                asm.v_store(vma, int(widens), text="the VMA's rights")
            if kernel.mprotect_gather:
                self._begin_gather()
            for atom in atoms:
                self.change_pte_range(atom, gathers=kernel.mprotect_gather, widens=widens)
            if kernel.mprotect_gather:
                self.gathers.end_vma(OUTER)
                self.gathers.finish(OUTER)
            else:

                def flush() -> None:
                    with asm.if_nonzero(QUEUE):
                        self._flush(atoms)

                self.model.calls.change_protection(flush)
        if widens:
            asm.user_mode(True, text="returns to user mode")
        else:
            self.returns(atoms, writes=True)

    def change_pte_range(self, atom: int, *, gathers: bool, widens: bool = False) -> None:
        """Write change_pte_range() of one entry; where a right is given it stays as it is, and a write faults."""
        self.model.calls.change_pte_range(lambda: self._change_entry(atom, gathers, widens))

    def _change_entry(self, atom: int, gathers: bool, widens: bool) -> None:
        asm = self.asm
        with self.table_of(atom):
            self._after_reclaim(atom)
            if not widens:
                self.note(atom)
            asm.entry_load(o.SCRATCH, atom, text="read the PTE")
            with asm.if_bits(o.SCRATCH, o.ENTRY_PRESENT):
                self.take_entry(atom, "ptep_modify_prot_start")
                if not widens:
                    asm.clear_bits(o.SCRATCH, o.ENTRY_WRITABLE)
                asm.entry_store(atom, o.SCRATCH, from_register=True, text="ptep_modify_prot_commit")
                if gathers and not (widens and not self.model.kernel.widening_flushes):
                    lo, hi = self.model.pages_of(atom)
                    asm.gather_add(OUTER, lo, hi, cleared=o.CLEARED_PTES, text="tlb_flush_pte_range")
                elif not gathers:
                    asm.set(QUEUE, 1)  # nothing is flushed if nothing changed

    def mmap(self, atoms: Sequence[int], vmas: Sequence[int], writable: Sequence[int] = ()) -> None:
        """Write mmap() at a fixed address: what is mapped there goes, and nothing is mapped by entries yet.

        Args:
            atoms: the addresses.
            vmas: the variables that say whether its VMAs are there.
            writable: those that say whether they may be written.
        """
        asm, fresh = self.asm, self.model.label()
        with self.syscall("mmap", "mm/mmap.c", write=True), asm.because("mmap"):
            for vma in vmas:
                asm.v_load(o.SCRATCH, vma, text="is another mapping in its place?")
                with asm.if_nonzero(o.SCRATCH):
                    asm.set(QUEUE, 1)
            asm.jump_zero(QUEUE, fresh)
            asm.set(QUEUE, 0)
            self._begin_gather()
            self.zap_pte_range(atoms)
            self.gathers.end_vma(OUTER)
            self.finish()
            asm.place(fresh)
            for vma in (*vmas, *writable):
                asm.v_store(vma, 1, text="the VMA is there")
        self.returns(atoms)

    def munmap(
        self,
        atoms: Sequence[int],
        *,
        tables: Sequence[int] | Mapping[int, Sequence[int]] = (),
        klass: int = 0,
        vmas: Sequence[int] = (),
    ) -> None:
        """Write munmap(), which frees the PTE tables of some slots with it.

        Args:
            atoms: the addresses.
            tables: the slots; a mapping has for each the VMAs of others that use its table too, which is freed if they
                are gone (variables that are zero by then).
            klass: the class of the tables.
            vmas: the variables of its own VMAs, where others look at them.
        """
        slots = tables if isinstance(tables, Mapping) else dict.fromkeys(tables, ())
        with self.syscall("munmap", "mm/mmap.c", write=True), self.asm.because("munmap"):
            for vma in vmas:
                self.asm.v_store(vma, 0, text="the VMA goes")
            self._begin_gather()
            self.zap_pte_range(atoms)
            self.gathers.end_vma(OUTER)
            self.model.calls.free_pgtables(lambda: self._unlink_tables(slots))
            self.finish()
        self.returns(atoms)
        self._free_unlinked(slots, klass)

    def exit(self, atoms: Sequence[int], tables: Sequence[int], klass: int) -> None:
        """Write exit() of a process of one thread: exit_mmap() tears down everything by one gather.

        Args:
            atoms: all addresses of the process.
            tables: the slots of its page tables.
            klass: the class of the tables.
        """
        slots: dict[int, Sequence[int]] = dict.fromkeys(tables, ())
        self.enter_kernel("exit()")

        def freed() -> None:
            self.tlb_batch_pages_flush()
            self._free_unlinked(slots, klass)

        self.model.calls.exit(
            (),
            others=lambda: self.zap_pte_range(atoms),
            tables=lambda: self._unlink_tables(slots),
            freed=freed,
        )
        self.reached("returned")

    def has_other_tables(self, task: int, mm: int, slot: int) -> None:
        """Declare that a thread may free a table of a slot that is not the first one there."""
        self._unlinked[task, mm, slot] = self.model.variable(0, "the table that the call frees")

    def _unlink_tables(self, slots: Mapping[int, Sequence[int]]) -> None:
        """Write what free_pgtables() does: tables that no VMA uses any more leave the page tables.

        A bit that no frame has says in register TAKEN that this call frees the table; where a slot may have others
        than its first one, a variable says which.
        """
        asm, pages = self.asm, self.model.slot_pages
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
            self.gathers.free_tables(OUTER, 1, o.CLEARED_PMDS, lo=slot * pages, hi=slot * pages + 1)
            which = self._unlinked.get((self.task, self.mm, slot))
            with asm.aside():
                if which is None:
                    asm.add(TAKEN, 1 << number)
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
            with asm.if_bits(TAKEN, 1 << number) if which is None else asm.if_nonzero(o.CLASS):
                asm.set(o.SLOT, slot)
                if which is None:
                    asm.set(o.CLASS, klass + 1)
                else:
                    asm.v_store(which, 0)
                self.model.free_table()
                self.reached("table freed")
