"""`mmu_gather`: collect what a call clears, flush it together, free what it queued (mm/mmu_gather.c)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shootdown._architecture import Lowering
from shootdown._kernel import Kernel
from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler, Label

_FILE = "mm/mmu_gather.c"
_TLB_H = "include/asm-generic/tlb.h"

#: Bytes in front of the pointers in one page of a batch (struct mmu_table_batch, struct mmu_gather_batch).
_TABLE_BATCH_HEADER = 24
_POINTER = 8


def table_batch(page_size: int) -> int:
    """Say how many page-table pages one batch holds: MAX_TABLE_BATCH."""
    return (page_size - _TABLE_BATCH_HEADER) // _POINTER


class Gathers:
    """Write the life of gathers: begin, flush, free, finish.

    Args:
        asm: where to write.
        kernel: whose rules.
        lowering: how the architecture flushes.
        batch_fails: no batch page can ever be had: each table is freed on its own, the slow way.
    """

    def __init__(
        self, asm: Assembler, kernel: Kernel, lowering: Lowering, *, batch_fails: bool = False
    ) -> None:
        self.asm = asm
        self.kernel = kernel
        self.lowering = lowering
        self.batch_fails = batch_fails

    def begin(self, g: int, *, fullmm: bool = False, vma: bool = False) -> None:
        """Write `tlb_gather_mmu()`, `tlb_gather_mmu_fullmm()` or `tlb_gather_mmu_vma()`."""
        name = "tlb_gather_mmu_fullmm" if fullmm else "tlb_gather_mmu_vma" if vma else "tlb_gather_mmu"
        with self.asm.function(name, _FILE):
            self.asm.emit(o.GATHER, g, o.FULLMM if fullmm else 0, text="begin a gather")
            self.asm.note(o.NOTE_GATHER_VMA if vma else o.NOTE_GATHER)
            if vma:
                self.asm.note(o.NOTE_GATHER)
        if vma:
            self.change_page_size(g, huge=True)

    def flush(self, g: int) -> None:
        """Write `tlb_flush_mmu_tlbonly()`: flush if anything was cleared, freed or unshared since the last."""
        flags = o.FREED_TABLES | (o.UNSHARED_TABLES if self.kernel.unshare_gather else 0)
        with self.asm.function("tlb_flush_mmu_tlbonly", _TLB_H), self.asm.if_cleared(g, flags):
            self.lowering.tlb_flush(self.asm, g)
            self.asm.emit(o.GATHER_RESET, g, text="__tlb_reset_range")

    def change_page_size(self, g: int, *, huge: bool) -> None:
        """Write `tlb_change_page_size()`: where a gather holds one size, entries of another are flushed first.

        Args:
            g: the gather.
            huge: what is recorded next are huge PMD entries, not base pages or tables.
        """
        if not self.kernel.gather_page_size:
            return
        size, other = (o.PMD_PAGES, o.BASE_PAGES) if huge else (o.BASE_PAGES, o.PMD_PAGES)
        with self.asm.function("tlb_change_page_size", _TLB_H):
            with self.asm.if_flags(g, other), self.asm.if_flags(g, o.FULLMM | o.NEED_FLUSH_ALL) as whole:
                whole.otherwise()
                self.flush(g)
            self.asm.emit(o.CLEAR_FLAGS, g, other)
            self.asm.emit(o.SET_FLAGS, g, size, text="page_size of what follows")

    def cleared(self, count: int, *, huge: bool, first: int = 0) -> None:
        """Write what clearing so many entries does at once, on architectures where it does anything.

        Args:
            count: how many.
            huge: they are huge PMD entries.
            first: of base pages, the first one's number in the mapping.
        """
        if count:
            self.lowering.entries_cleared(self.asm, count, huge=huge, first=first)

    def end_vma(self, g: int, *, fullmm: bool = False) -> None:
        """Write `tlb_end_vma()`: flush here unless one flush may serve several VMAs."""
        if not (self.kernel.merge_vmas or fullmm):
            with self.asm.function("tlb_end_vma", _TLB_H):
                self.flush(g)

    def free_tables(self, g: int, count: int, cleared: int, *, lo: int = 0, hi: int = 1) -> None:
        """Write `pte_free_tlb()` and its kin: queue page-table pages to be freed after the flush.

        Args:
            g: the gather.
            count: how many pages.
            cleared: the level whose entries pointed to them (CLEARED_*).
            lo, hi: the range that they translated, in address units.
        """
        if count <= 0:
            return
        with self.asm.function("tlb_remove_table", _FILE):
            self.asm.emit(
                o.GATHER_ADD, g, lo, hi, o.FREED_TABLES | cleared << 16, text="tables wait to be freed"
            )
            batch = table_batch(self.kernel.page_size)
            for part in range(0, count, batch):
                self.queue_tables(g, min(batch, count - part))
                if part + batch < count:
                    asm_flags = o.FREED_TABLES | cleared << 16
                    self.asm.emit(o.GATHER_ADD, g, lo, hi, asm_flags, text="tables wait to be freed")

    def queue_tables(self, g: int, count: int) -> None:
        """Write `tlb_remove_table()`: a batch that becomes full is flushed and handed to RCU.

        Without MMU_GATHER_TABLE_FREE (no RCU table freeing) tables are queued as pages are, and freed with them.
        """
        if not self.kernel.rcu_table_free:
            return
        if self.batch_fails:
            self._free_one_by_one(g, count)
            return
        room = Label()
        batch = table_batch(self.kernel.page_size)
        self.asm.emit(o.GATHER_TABLES, g, count, batch, room, text=f"queue {count} of a batch of {batch}")
        with self.asm.function("tlb_table_flush", _FILE):
            if self.lowering.needs_table_invalidate:
                self.flush(g)
            self.asm.note(o.NOTE_RCU, text="call_rcu for a batch of tables")
        self.asm.place(room)

    def _free_one_by_one(self, g: int, count: int) -> None:
        """Free tables without a batch: tlb_remove_table_one()."""
        with self.asm.function("tlb_remove_table_one", _FILE), self.asm.loop(count, o.SCRATCH2):
            if self.lowering.needs_table_invalidate:
                self.flush(g)
            if self.kernel.pt_reclaim or self.kernel.batch_failure == "rcu":
                self.asm.note(o.NOTE_RCU, text="the table waits for a grace period of its own")
            else:
                self.sync("no batch page could be had")

    def finish(self, g: int, *, nested: bool = True) -> None:
        """Write `tlb_finish_mmu()`; before 99baac21e458 (4.13) it did not ask for nested gathers."""
        asm = self.asm
        with asm.function("tlb_finish_mmu", _FILE):
            if nested:
                asm.emit(o.NESTED, g, text="another gather of this mm pending: flush everything")
            self.flush(g)
            asm.emit(o.GATHER_END, g, text="dec_tlb_flush_pending")

    @contextmanager
    def gather(self, g: int, *, fullmm: bool = False, vma: bool = False) -> Iterator[None]:
        """Write a gather around what is within."""
        self.begin(g, fullmm=fullmm, vma=vma)
        yield
        self.finish(g)

    def sync(self, why: str = "unsharing") -> None:
        """Write `tlb_remove_table_sync_one()`: an empty interrupt that lockless walkers have to answer.

        Without RCU table freeing it is an empty function (mm/mmu_gather.c: the stub of !MMU_GATHER_RCU_TABLE_FREE).
        """
        kernel = self.kernel
        if not kernel.rcu_table_free or kernel.skip_redundant_sync == "always":
            return
        if kernel.skip_redundant_sync == "native-ipi" and self.lowering.sync_redundant_natively:
            return
        asm = self.asm
        with asm.function("tlb_remove_table_sync_one", _FILE), asm.because("table sync"):
            if kernel.sync_targets == "own-mm":
                asm.target_mm_cpumask()
            else:
                asm.target_all_online()
                if kernel.sync_targets == "walkers":
                    asm.keep_walking_targets()
            asm.send(o.CALL_SYNC, text=f"IPI: empty handler ({why})")
            asm.wait_for_answers("wait until no CPU is inside a lockless walk")
