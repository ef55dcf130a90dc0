"""Calls on ordinary memory in explored programs: each entry is cleared, flushed and freed as the kernel does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs

from shootdown._machine import ops as o
from shootdown._mm import mapping
from shootdown._mm.call_parts import OUTER, SCRATCH
from shootdown._mm.freed_tables import FreedTables
from shootdown._mm.huge_pages import HugePages
from shootdown._mm.ordinary_parts import QUEUE, TAKEN


@attrs.frozen
class TornDown:
    """What is written when a process is torn down: entries go, page tables go, what was queued is freed."""

    others: Callable[[], None]
    tables: Callable[[], None]
    freed: Callable[[], None]


class Ordinary(HugePages, FreedTables):
    """Write calls on atoms.

    Args:
        model: the model with the programs.
        pte_clear: `xchg` or `store`, as the architecture clears an entry.
        places: those that the programs mark as reached, of `PLACES`.
    """

    @property
    def notes_by_thread(self) -> bool:
        """Whether a thread has variables of its own, for rights that were given again or tables that it frees."""
        return bool(self._given or self._unlinked)

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
        """Write tlb_gather_mmu()."""
        self.gathers.begin(OUTER)

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

    def madvise(self, atoms: Sequence[int], *, nested: bool = True) -> None:
        """Write madvise(MADV_DONTNEED); `nested`: it checks for nested gathers, if the kernel does."""
        with (
            self.syscall("madvise", "mm/madvise.c", write=False),
            self.asm.because("MADV_DONTNEED"),
            self.asm.function("zap_page_range_single", "mm/memory.c"),
        ):
            self._begin_gather()
            self.zap(atoms)
            self.finish(nested=nested)
        self.returns(atoms)

    def madvise_free(self, atoms: Sequence[int]) -> None:
        """Write madvise(MADV_FREE): who writes later has to mark the page dirty again."""
        with self.syscall("madvise", "mm/madvise.c", write=False), self.asm.because("MADV_FREE"):
            self._begin_gather()
            self.madvise_free_range(atoms)
            self.gathers.end_vma(OUTER)
            self.finish()
        self.returns(atoms, writes=True)

    def mremap(self, old: int, new: int, *, flushes_locked: bool = True, vmas: Sequence[int] = ()) -> None:
        """Write mremap() of an atom to another.

        Args:
            old, new: the atoms.
            flushes_locked: it flushes under the locks, if the kernel does.
            vmas: the variables of its VMA, where others look at it.
        """
        asm = self.asm
        flushes_locked = flushes_locked and self.model.kernel.mremap_flushes_locked
        with self.syscall("mremap", "mm/mremap.c", write=True), asm.because("mremap"):
            slots = self.model.slot_of(old), self.model.slot_of(new)
            if slots[0] in self.huge_slots:
                self.move_huge(*slots, flushes_locked=flushes_locked)
            else:
                self.model.calls.move_ptes(lambda: self._move_entry(old, new, flushes_locked))
            if not flushes_locked:
                moved = [self.whole_of.get(old, old)]
                self.model.calls.move_page_tables(lambda: self.flush_atoms(moved))
            for vma in vmas:
                asm.v_store(vma, 0, text="the VMA goes")
            with asm.function("unmap_region", "mm/mmap.c"):  # move_vma() unmaps the old place
                self._begin_gather()
                self.zap([old])
                self.finish()
        self.returns([old])

    def _move_entry(self, old: int, new: int, flushes_locked: bool) -> None:
        """Write the move of an entry, with both tables locked."""
        asm = self.asm
        with self.table_of(old):
            other = self.table_lock(self.model.slot_of(new))
            asm.lock(other, write=True, sleeps=False, text="page-table lock of the new address")
            self.look_at_reclaim()
            self.note(old)
            asm.entry_load(o.SCRATCH, old, text="read the PTE")
            with asm.if_bits(o.SCRATCH, o.ENTRY_PRESENT):
                self.take_entry(old, "ptep_get_and_clear")
                asm.set(o.SLOT, self.model.slot_of(new))
                asm.load_pud(o.CLASS, text="read the PMD entry of the new address")
                asm.entry_store(new, o.SCRATCH, from_register=True, text="set_pte_at the new address")
                self.reached("moved")
                if flushes_locked:
                    self.flush_atoms([old])
            asm.unlock(other, write=True, text="page-table lock of the new address")

    def flush_atoms(self, atoms: Sequence[int]) -> None:
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
        asm = self.asm
        with self.syscall("mprotect", "mm/mprotect.c", write=True), asm.because("mprotect"):
            for vma in vmas:
                asm.v_store(vma, int(widens), text="the VMA's rights")
            self.split_first(atoms)
            self._change_rights(atoms, widens=widens)
        if widens:
            asm.user_mode(True, text="returns to user mode")
        else:
            self.returns(atoms, writes=True)

    def write_protect(self, atoms: Sequence[int]) -> None:
        """Write UFFDIO_WRITEPROTECT: other threads fault meanwhile, as mmap_lock is held for reading, and VMAs stay."""
        with (
            self.syscall("mwriteprotect_range", "mm/userfaultfd.c", write=False),
            self.asm.because("userfaultfd"),
        ):
            self._change_rights(atoms, protects=True)
        self.returns(atoms, writes=True)

    def _change_rights(self, atoms: Sequence[int], *, widens: bool = False, protects: bool = False) -> None:
        """Write the change of entries, and their flush; `protects`: who writes to a page waits for a monitor."""
        asm, gathers = self.asm, self.model.kernel.mprotect_gather
        if gathers:
            self._begin_gather()
            self.gathers.change_page_size(OUTER, huge=False)
        self.change_pmd_range(
            atoms,
            lambda atom: self.change_pte_range(atom, gathers=gathers, widens=widens, protects=protects),
            gathers=gathers,
            widens=widens,
        )
        if gathers:
            self.gathers.end_vma(OUTER)
            self.gathers.finish(OUTER)
            return

        def flush() -> None:
            with asm.if_nonzero(QUEUE):
                self.flush_atoms(atoms)

        self.model.calls.change_protection(flush)

    def change_pte_range(
        self, atom: int, *, gathers: bool, widens: bool = False, protects: bool = False
    ) -> None:
        """Write change_pte_range() of one entry; where a right is given it stays as it is, and a write faults."""
        self.model.calls.change_pte_range(lambda: self._change_entry(atom, gathers, widens, protects))

    def _change_entry(self, atom: int, gathers: bool, widens: bool, protects: bool) -> None:
        asm = self.asm
        with self.table_of(atom):
            self.look_at_reclaim()
            if not widens:
                self.note(atom)
            asm.entry_load(o.SCRATCH, atom, text="read the PTE")
            with asm.if_bits(o.SCRATCH, o.ENTRY_PRESENT):
                self.take_entry(atom, "ptep_modify_prot_start")
                if not widens:
                    asm.clear_bits(o.SCRATCH, o.ENTRY_WRITABLE)
                asm.entry_store(atom, o.SCRATCH, from_register=True, text="ptep_modify_prot_commit")
                if protects:
                    asm.v_store(self.protected[self.mm, atom], 1, text="pte_mkuffd_wp")
                if gathers and not (widens and not self.model.kernel.widening_flushes):
                    lo, hi = self.model.pages_of(atom)
                    asm.gather_add(OUTER, lo, hi, cleared=o.CLEARED_PTES, text="tlb_flush_pte_range")
                elif not gathers:
                    asm.set(QUEUE, 1)  # nothing is flushed if nothing changed

    def mmap(
        self,
        atoms: Sequence[int],
        vmas: Sequence[int],
        writable: Sequence[int] = (),
        *,
        tables: Mapping[int, Sequence[int]] | None = None,
        klass: int = 0,
    ) -> None:
        """Write mmap() at a fixed address: what is mapped there goes, and nothing is mapped by entries yet.

        Args:
            atoms: the addresses.
            vmas: the variables that say whether its VMAs are there.
            writable: those that say whether they may be written.
            tables, klass: the page tables that go with what was mapped, as for `munmap`.
        """
        asm, fresh, slots = self.asm, self.model.label(), tables or {}
        with self.syscall("mmap", "mm/mmap.c", write=True), asm.because("mmap"):
            for vma in vmas:
                asm.v_load(o.SCRATCH, vma, text="is another mapping in its place?")
                with asm.if_nonzero(o.SCRATCH):
                    asm.set(QUEUE, 1)
            asm.jump_zero(QUEUE, fresh)
            asm.set(QUEUE, 0)
            self._begin_gather()
            self.zap(atoms)
            self.gathers.end_vma(OUTER)
            if slots:
                self.model.calls.free_pgtables(lambda: self._unlink_tables(slots))
            self.finish()
            asm.place(fresh)
            for vma in (*vmas, *writable):
                asm.v_store(vma, 1, text="the VMA is there")
        self.returns(atoms)
        self._free_unlinked(slots, klass)

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
            self.split_first(atoms)
            self._begin_gather()
            self.zap(atoms)
            self.gathers.end_vma(OUTER)
            self.model.calls.free_pgtables(lambda: self._unlink_tables(slots))
            self.finish()
        self.returns(atoms)
        self._free_unlinked(slots, klass)

    def exit(
        self,
        atoms: Sequence[int],
        tables: Sequence[int],
        klass: int,
        *,
        mappings: tuple[mapping.Mapping, ...] = (),
        freed: Callable[[], None] = lambda: None,
    ) -> None:
        """Write exit() of a process of one thread: exit_mmap() tears down everything by one gather.

        Args:
            atoms: all addresses of the process.
            tables: the slots of its page tables.
            klass: the class of the tables.
            mappings: its hugetlb VMAs.
            freed: writes how the tables of those are freed after the flush.
        """
        self.enter_kernel("exit()")
        torn = self._torn_down(atoms, tables, klass, mappings, freed)
        self.model.calls.exit(mappings, others=torn.others, tables=torn.tables, freed=torn.freed)
        self.reached("returned")

    def exec(self, atoms: Sequence[int], tables: Sequence[int], klass: int, new_mm: int) -> None:
        """Write execve() of a process of one thread, which goes on in another mm; other arguments as for `exit`."""
        self.enter_kernel("execve()")
        torn = self._torn_down(atoms, tables, klass, (), lambda: None)
        self.model.calls.exec(new_mm, self.mm, (), torn.others, tables=torn.tables, freed=torn.freed)
        self.reached("returned")
        self.asm.user_mode(True, text="the new program begins")

    def _torn_down(
        self,
        atoms: Sequence[int],
        tables: Sequence[int],
        klass: int,
        mappings: tuple[mapping.Mapping, ...],
        freed: Callable[[], None],
    ) -> TornDown:
        """Return how the entries and tables of a process go; arguments as for `exit`.

        Work on hugetlb VMAs uses the registers, so that a variable has the frames that wait for the flush.
        """
        asm, slots = self.asm, dict[int, Sequence[int]].fromkeys(tables, ())
        queued = self.model.variable(0, "pages that wait for the flush") if mappings else None

        def zap() -> None:
            asm.set(QUEUE, 0)
            self.zap(atoms)
            if queued is not None:
                asm.v_store(queued, QUEUE, from_register=True)

        def free() -> None:
            if queued is not None:
                asm.v_load(QUEUE, queued)
                asm.v_store(queued, 0)
            self.tlb_batch_pages_flush()
            self._free_unlinked(slots, klass)
            freed()

        return TornDown(zap, lambda: self._unlink_tables(slots), free)
