"""Entries of explored programs: the one entry of an atom, which a call reads and clears by the lock of its table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import groupby
from typing import TYPE_CHECKING

from shootdown._machine import ops as o
from shootdown._mm.entries import Batch, FreeableEntries, Stretch
from shootdown._mm.gather import delays_rmap, dirty_pages_flush
from shootdown._mm.ordinary_parts import QUEUE

if TYPE_CHECKING:
    from shootdown._machine.label import Label
    from shootdown._mm.zapping import Zapping
    from shootdown._values.lowering import EntryFunction


class AtomEntry(FreeableEntries):
    """The entry of an atom; register SCRATCH gets it.

    Args:
        calls: the calls of the program.
        atom: the atom.
        marks: for each address of a file that is zapped with it, the bit of QUEUE which says that its page was dirty.
    """

    def __init__(self, calls: Zapping, atom: int, marks: dict[int, int] | None = None) -> None:
        super().__init__(*calls.model.pages_of(atom))
        self.calls, self.atom = calls, atom
        self.asm = calls.asm
        self.marks = {} if marks is None else marks

    def locked(self) -> AbstractContextManager[object]:
        """Hold the lock of its table within."""
        return self.calls.table_of(self.atom)

    @contextmanager
    def present(self) -> Iterator[None]:
        """Run the steps within if it is present."""
        self.asm.entry_load(o.SCRATCH, self.atom, text="read the PTE")
        with self.asm.if_bits(o.SCRATCH, o.ENTRY_PRESENT) as present:
            yield
            if "missed" in self.calls.places:
                present.otherwise()
                self.calls.reached("missed")

    @contextmanager
    def writable(self) -> Iterator[None]:
        """Run the steps within if it is dirty or may be written."""
        self.asm.entry_load(o.SCRATCH, self.atom, text="page_vma_mapped_walk: read the PTE")
        with self.asm.if_bits(o.SCRATCH, o.ENTRY_DIRTY | o.ENTRY_WRITABLE):
            yield

    def note(self) -> None:
        """Write that the call takes the right to what the address maps."""
        self.calls.note(self.atom)

    def take(self, name: str) -> None:
        """Write that it is read and cleared."""
        self.calls.clear_entry(self.atom, name)

    def changed(self, by: EntryFunction) -> None:
        """Write what an architecture does in the function that cleared it."""
        self.calls.gathers.changed(self.pages, huge=False, first=self.lo, by=by)

    def cleared(self, by: EntryFunction | None = "ptep_get_and_clear") -> None:
        """Write what an architecture does at once: its entry of a hash table goes."""
        self.calls.gathers.cleared(self.pages, huge=False, first=self.lo, by=by)

    def make_clean(self) -> None:
        """Write it again, clean, with the rights that it had."""
        self.calls.take_entry(self.atom, "ptep_get_and_clear_full")
        self.asm.clear_bits(o.SCRATCH, o.ENTRY_DIRTY)
        self.asm.entry_store(self.atom, o.SCRATCH, from_register=True, text="set_pte_at: old and clean")

    def leave_rmap(self) -> None:
        """Write what happens to a page of a file.

        A dirty one is flushed before the page-table lock is released (1cf35d47712d, 3.15), and since 5df397dec7c4 the
        page stays in the reverse map until then.
        """
        calls, files = self.calls, self.calls.files
        if self.atom not in files.frames:
            return
        frame, mark = files.frames[self.atom], self.marks[self.atom]
        with self.asm.if_bits(o.SCRATCH, o.ENTRY_DIRTY) as dirty:
            with self.asm.if_bits(QUEUE, mark) as known:
                known.otherwise()
                self.asm.add(QUEUE, mark)
            files.mark_dirty(frame, calls.mm)
            if not delays_rmap(calls.model.kernel):
                files.change_mapcount(frame, -1, calls.mm)
            if frame in files.written:
                dirty.otherwise()
                files.change_mapcount(frame, -1, calls.mm)

    def queue(self) -> None:
        """Write that its page waits for the flush, or is freed at once."""
        if not self.calls.model.kernel.gather_pages:
            self.asm.put_frames(o.SCRATCH, text="__tlb_remove_page: free the page")
            return
        self.asm.queue_frames(QUEUE, o.SCRATCH, text="__tlb_remove_page")


class MkcleanEntry(AtomEntry):
    """An entry that writeback cleans.

    Args:
        calls, atom: as for `AtomEntry`.
        frame: the file's page.
    """

    def __init__(self, calls: Zapping, atom: int, frame: int) -> None:
        super().__init__(calls, atom)
        self.frame = frame

    def clean(self) -> None:
        """Write it again, and that the page is dirty."""
        self.asm.clear_bits(o.SCRATCH, o.ENTRY_DIRTY | o.ENTRY_WRITABLE)
        self.asm.entry_store(self.atom, o.SCRATCH, from_register=True, text="set_pte_at: clean, not writable")
        self.calls.files.mark_dirty(self.frame, self.calls.mm)


class UnmappedEntry(AtomEntry):
    """An entry that reclaim unmaps; what follows is elsewhere.

    Args:
        calls, atom: as for `AtomEntry`.
        waits: where to go once it is cleared, and its flush was put off.
        flushed: where to go once it is cleared and flushed.
    """

    def __init__(self, calls: Zapping, atom: int, waits: Label, flushed: Label) -> None:
        super().__init__(calls, atom)
        self.waits, self.flushed = waits, flushed

    def unmapped(self, *, deferred: bool) -> None:
        """Write that its page waits to be freed, and the locks are released."""
        self.asm.queue_frames(QUEUE, o.SCRATCH, text="folio_remove_rmap_pte")
        self.calls.unlock_table(self.atom)
        self.calls.unlock_rmap(write=False)
        self.asm.jump(self.waits if deferred else self.flushed)


class OthersEntry(UnmappedEntry):
    """An entry of another process, which is unmapped if it maps the page that register QUEUE has."""

    @contextmanager
    def present(self) -> Iterator[None]:
        """Run the steps within if it does."""
        with super().present():
            self.asm.clear_bits(o.SCRATCH, (1 << o.ENTRY_PAGE_SHIFT) - 1)
            with self.asm.if_same(o.SCRATCH, QUEUE):
                yield


class AtomStretch(Stretch[AtomEntry]):
    """The atoms of one table.

    Args:
        calls: the calls of the program.
        atoms: the atoms.
    """

    def __init__(self, calls: Zapping, atoms: Sequence[int]) -> None:
        self.calls, self.atoms = calls, atoms
        of_file = [atom for atom in atoms if atom in calls.files.frames]
        counted = bool(calls.files.written)
        #: For each address of a file the bit of QUEUE, that no frame has, which says that it was dirty.
        self.marks = {atom: 1 << (number if counted else 0) for number, atom in enumerate(of_file)}
        self.delays_rmap = delays_rmap(calls.model.kernel) and counted
        super().__init__([AtomEntry(calls, atom, self.marks) for atom in atoms])

    def locked(self) -> AbstractContextManager[object]:
        """Hold the lock of the table within."""
        return self.calls.table_of(self.atoms[0])

    def look_at_reclaim(self) -> None:
        """Write flush_tlb_batched_pending(), if programs reclaim pages."""
        self.calls.look_at_reclaim()

    def flushed_early(self) -> AbstractContextManager[object] | None:
        """Run the steps within if some page was dirty."""
        return self._dirty() if self.marks and dirty_pages_flush(self.calls.model.kernel) else None

    def _dirty(self) -> AbstractContextManager[object]:
        return self.calls.asm.if_bits(QUEUE, sum(set(self.marks.values())))

    def flush_rmaps(self) -> None:
        """Write that pages which were dirty leave the reverse map now."""
        calls, asm = self.calls, self.calls.asm
        for atom, mark in self.marks.items():
            with asm.if_bits(QUEUE, mark):
                calls.files.change_mapcount(calls.files.frames[atom], -1, calls.mm)

    def free_flushed(self) -> None:
        """Write that what was flushed is freed."""
        if self.marks:
            with self._dirty():
                self.calls.asm.put_frames(QUEUE, text="tlb_batch_pages_flush: free the pages")
                self.calls.asm.set(QUEUE, 0)


def stretches(calls: Zapping, atoms: Sequence[int]) -> Iterator[AtomStretch]:
    """Yield some atoms, a table's together."""
    for _, some in groupby(atoms, calls.model.slot_of):
        yield AtomStretch(calls, list(some))


class AtomBatch(Batch):
    """A task's tlb_ubc in an explored program: where it is says whether something is pending.

    Args:
        note: writes that the mm has something to flush.
    """

    def __init__(self, note: Callable[[], None]) -> None:
        self.note = note

    def pend(self) -> None:
        """Write that a flush is pending, at the mm."""
        self.note()

    def required(self) -> AbstractContextManager[object]:
        """Run the steps within."""
        return nullcontext()
