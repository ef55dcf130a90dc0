"""The locks of calls on ordinary memory: mmap_lock or a VMA's, the reverse map's, those of page tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shootdown._machine import ops as o
from shootdown._mm.model import Model
from shootdown._mm.ordinary_parts import OrdinaryParts


class OrdinaryLocks(OrdinaryParts):
    """Declare locks besides the model's, and write how they are taken; see `OrdinaryParts`."""

    def __init__(self, model: Model, pte_clear: str, places: Sequence[str] = ()) -> None:
        super().__init__(model, pte_clear, places)
        self._rmap_locks: dict[int, int] = {}
        #: The page-table locks of processes after the first one, whose locks are the model's.
        self._table_locks: dict[tuple[int, int], int] = {}
        #: By mm, the locks of its VMAs where fork() leaves them out, so that faults need a lock of their own.
        self._vma_locks: dict[int, int] = {}

    def has_table_locks(self, mms: int, slots: int) -> None:
        """Declare the page-table locks of so many mms: each has tables, and locks, of its own."""
        for mm in range(1, mms):
            for slot in range(slots):
                self._table_locks[mm, slot] = self.model.lock()

    def has_vma_locks(self, mm: int) -> None:
        """Declare that faults of an mm take the lock of a VMA, and no mmap_lock."""
        self._vma_locks[mm] = self.model.lock()

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

    def lock_rmap(self, *, write: bool) -> None:
        """Write the taking of the lock of the mm's anon_vmas, where programs collapse what it guards."""
        if self.mm in self._rmap_locks:
            self.asm.lock(self._rmap_locks[self.mm], write=write, sleeps=True, text="anon_vma->root->rwsem")

    def unlock_rmap(self, *, write: bool) -> None:
        """Write its release."""
        if self.mm in self._rmap_locks:
            self.asm.unlock(self._rmap_locks[self.mm], write=write, text="anon_vma->root->rwsem")

    def table_lock(self, slot: int, mm: int | None = None) -> int:
        """Return the page-table lock of a slot's table."""
        return self._table_locks.get((self.mm if mm is None else mm, slot), self.model.locks.ptl + slot)

    @contextmanager
    def table_of(self, atom: int) -> Iterator[None]:
        """Hold the page-table lock of an atom's table within: pte_offset_map_lock(), nothing if there is no table."""
        asm, slot = self.asm, self.model.slot_of(atom)
        asm.set(o.SLOT, slot)
        asm.load_pud(o.CLASS, text="read the PMD entry")
        no_table = self.model.label()
        if slot in self.huge_slots:
            with asm.if_bits(o.CLASS, o.ENTRY_HUGE):
                asm.jump(no_table)
        with asm.if_nonzero(o.CLASS):
            asm.lock(self.table_lock(slot), write=True, sleeps=False, text="page-table lock")
            yield
            self.unlock_table(atom)
        asm.place(no_table)

    def unlock_table(self, atom: int) -> None:
        """Write the release of the page-table lock of an atom's table."""
        self.asm.unlock(self.table_lock(self.model.slot_of(atom)), write=True, text="page-table lock")

    def has_collapse(self, roots: Sequence[int], atoms: Sequence[int]) -> None:
        """Declare what khugepaged and GUP-fast tell one another about some addresses.

        Args:
            roots: for each mm the one that it is a copy of, whose lock of the reverse map it has too, or itself.
            atoms: the addresses.
        """
        locks = {root: self.model.lock() for root in dict.fromkeys(roots)}
        for mm, root in enumerate(roots):
            self._rmap_locks[mm] = locks[root]
            for atom in atoms:
                self.has_pins(mm, atom)
