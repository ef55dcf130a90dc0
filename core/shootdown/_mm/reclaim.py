"""Reclaim of a page in explored programs: it is unmapped now, flushed later, and freed after that.

try_to_unmap_one() clears an entry without a flush where the architecture batches them (`Lowering.defers_unmaps`), and
leaves a mark at the mm. Whoever works on entries of that mm until the batch is flushed looks at the mark and flushes
first (flush_tlb_batched_pending(), `Ordinary.look_at_reclaim`): the entries that it finds gone may still be in
TLBs. A page that is mapped again after that is another one: that a fault finds the old one in the swap cache is left
out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.atoms import AtomBatch, OthersEntry, UnmappedEntry
from shootdown._mm.ordinary import Ordinary
from shootdown._mm.ordinary_parts import QUEUE, TAKEN


class Reclaim:
    """Write reclaim of single pages.

    Args:
        calls: the other calls.

    `times` is how often reclaim was written: each time says in a bit of its own that it has unmapped a page. `mms` are
    those whose entries may map a page that is unmapped next, that of the process it is asked for first; none: its
    alone. `huge` are the slots whose huge pages are split first: each part is swapped out as a page of its own.
    """

    def __init__(self, calls: Ordinary) -> None:
        self.calls = calls
        self.asm = calls.asm
        self.lowering = calls.lowering
        self.times = 0
        self.mms: Sequence[int] = ()
        self.huge: Sequence[int] = ()

    def reclaim(self, pages: Sequence[tuple[Sequence[int], int | None]], *, by_kswapd: bool = False) -> None:
        """Write reclaim of a page after another, each what `shrink_folio_list` takes.

        Args:
            pages: the pages.
            by_kswapd: by a kernel thread; otherwise direct reclaim by a task of the mm.
        """
        self.calls.enter_kernel("kswapd runs" if by_kswapd else "memory is short")
        self._split()
        for atoms, frame in pages:
            self.shrink_folio_list(atoms, frame)
        if not by_kswapd:
            self.asm.user_mode(True, text="returns to user mode")

    def page_out(self, pages: Sequence[tuple[Sequence[int], int | None]], vmas: Sequence[int | None]) -> None:
        """Write madvise(MADV_PAGEOUT), as `reclaim`, which passes over holes.

        Args:
            pages: as for `reclaim`.
            vmas: for each page the variable that is zero once its VMA is gone, where others look at it.
        """
        with self.calls.syscall("madvise", "mm/madvise.c", write=False):
            self._split()
            for (atoms, frame), vma in zip(pages, vmas, strict=True):
                gone = self.calls.model.label()
                if vma is not None:
                    self.asm.v_load(o.SCRATCH, vma, text="find_vma")
                    self.asm.jump_zero(o.SCRATCH, gone)
                with self.calls.table_of(atoms[0]):
                    self.calls.look_at_reclaim()
                with self._unless_shared(atoms[0]):
                    self.shrink_folio_list(atoms, frame)
                self.asm.place(gone)
        self.asm.user_mode(True, text="returns to user mode")

    def _split(self) -> None:
        """Write the split of huge pages by the lock of the reverse map: try_to_unmap() with TTU_SPLIT_HUGE_PMD."""
        for slot in self.huge:
            self.calls.lock_rmap(write=False)
            self.calls.load_pmd(slot)
            with self.asm.if_bits(o.CLASS, o.ENTRY_HUGE):
                self.calls.split(slot)
            self.calls.unlock_rmap(write=False)

    def move_pages(self, pages: Sequence[tuple[Sequence[int], int | None]]) -> None:
        """Write move_pages(), as `reclaim`: the next access maps the page where it is then."""
        self.calls.enter_kernel("move_pages()")
        for atoms, frame in pages:
            with self._unless_shared(atoms[0]):
                self.migrate_pages_batch(atoms, frame)
        self.asm.user_mode(True, text="returns to user mode")

    @function("shrink_folio_list", "mm/vmscan.c")
    def shrink_folio_list(self, atoms: Sequence[int], frame: int | None = None) -> None:
        """Write shrink_folio_list() of one page.

        Args:
            atoms: the addresses that may map it, at most one of them at a time.
            frame: the page, if it is one of a file; a dirty one stays in the page cache.
        """
        with self.asm.because("reclaim"), self._unmapped(atoms, "try_to_unmap", frame):
            if frame is not None:
                with self.asm.if_bits(o.SCRATCH, o.ENTRY_DIRTY) as dirty:
                    dirty.otherwise()
                    self.calls.leave_page_cache(frame, "__remove_mapping", "mm/vmscan.c")

    @function("migrate_pages_batch", "mm/migrate.c")
    def migrate_pages_batch(self, atoms: Sequence[int], frame: int | None = None) -> None:
        """Write migrate_pages_batch() of one page; arguments as for `shrink_folio_list`.

        Another page takes the place of a file's in the page cache, be it dirty or not.
        """
        with self.asm.because("migration"), self._unmapped(atoms, "try_to_migrate", frame):
            if frame is not None:
                self.calls.leave_page_cache(frame, "folio_migrate_mapping", "mm/migrate.c")

    @contextmanager
    def _unmapped(self, atoms: Sequence[int], name: str, frame: int | None) -> Iterator[None]:
        """Write the unmapping of a page, and its flush, before the steps within; register SCRATCH has its entry.

        Where several processes may map it, SCRATCH has the dirty bit of any of their entries.
        """
        calls, asm = self.calls, self.asm
        own, mms = calls.mm, self.mms or (calls.mm,)
        for mm in mms:
            if len(mms) > 1:
                asm.on_mm(mm, text="the reverse map leads to this mm")
                calls.mm = mm
            self._unmap(atoms, name, others=mm != mms[0] and frame is None)
            if len(mms) > 1 and frame is not None:
                with asm.if_bits(o.SCRATCH, o.ENTRY_DIRTY):
                    asm.set(TAKEN, o.ENTRY_DIRTY)
        if len(mms) > 1:
            asm.on_mm(own, text="back to the own mm")
            calls.mm = own
            asm.copy(o.SCRATCH, TAKEN)
            asm.set(TAKEN, 0)
        asm.put_frames(QUEUE, text="the page's mapping lets go of it")
        asm.set(QUEUE, 0)
        yield
        calls.reached("freed")
        self.times += 1

    def _unmap(self, atoms: Sequence[int], name: str, *, others: bool) -> None:
        """Write the unmapping of a page in one mm, and its flush; `others`: only of the page that QUEUE has."""
        calls, asm = self.calls, self.asm
        waits, flushed = calls.model.label(), calls.model.label()
        page_tables, batch = calls.model.calls.page_tables, AtomBatch(lambda: calls.note_batched(self.times))
        migrates = name == "try_to_migrate"
        with asm.function(name, "mm/rmap.c"):
            calls.lock_rmap(write=False)
            for atom in atoms:
                entry = (OthersEntry if others else UnmappedEntry)(calls, atom, waits, flushed)
                if migrates:
                    page_tables.try_to_migrate_one(entry, batch)
                else:
                    page_tables.try_to_unmap_one(entry, batch)
            calls.unlock_rmap(write=False)
            asm.set(o.SCRATCH, 0)
            asm.jump(flushed)
        asm.place(waits)
        if self.lowering.defers_unmaps != "never" and not (
            migrates and not calls.model.kernel.batched_migration
        ):
            page_tables.try_to_unmap_flush(batch)
        asm.place(flushed)

    @contextmanager
    def _unless_shared(self, atom: int) -> Iterator[None]:
        """Run the steps within unless several processes map the page, which stays then; mmap_lock is held."""
        calls, asm = self.calls, self.asm
        shared = calls.shared_pages.get((calls.mm, atom))
        if shared is None:
            yield
            return
        stays, looked = calls.model.label(), calls.model.label()
        with calls.table_of(atom):
            asm.entry_load(o.SCRATCH, atom, text="read the PTE")
            with asm.if_bits(o.SCRATCH, o.ENTRY_PRESENT):
                asm.v_load(TAKEN, shared, text="folio_maybe_mapped_shared")
                with asm.if_nonzero(TAKEN):
                    asm.jump_referenced(o.SCRATCH, looked)
                    asm.set(TAKEN, 0)
                asm.place(looked)
        with asm.if_nonzero(TAKEN):
            asm.set(TAKEN, 0)
            asm.jump(stays)
        yield
        asm.place(stays)
