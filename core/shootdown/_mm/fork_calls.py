"""fork() with its flush of the parent, and the copy-on-write faults that follow (kernel/fork.c, mm/memory.c)."""

from __future__ import annotations

from collections.abc import Callable

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.call_parts import SCRATCH
from shootdown._mm.entry_functions import EntryFunctions
from shootdown._mm.mapping import Mapping


class ForkCalls(EntryFunctions):
    """Write fork() and what the parent's writes cost it afterwards."""

    def fork(
        self,
        child: int,
        child_mm: int,
        parent_mm: int,
        mappings: tuple[Mapping, ...],
        *,
        populated: bool,
        cow_pages: int = 0,
    ) -> None:
        """Write fork(): dup_mmap() with its flush of the parent, then the parent's own copy-on-write faults.

        Args:
            child: the task that starts.
            child_mm, parent_mm: their address spaces.
            mappings: hugetlb VMAs that the child inherits.
            populated: the parent has touched them.
            cow_pages: pages of the parent that it writes soon after.
        """
        asm = self.asm
        with asm.because("fork"):
            self.alloc_mm(child_mm, parent_mm)

        def copy() -> None:
            asm.work("fork_ns", text="copy the process")
            for m in mappings:
                self.hugetlb.fork(m, child_mm, parent_mm, m.shareable if populated else ())
            with asm.because("fork"):
                self.gathers.cleared(cow_pages, huge=False, by="ptep_set_wrprotect")

        self.dup_mmap(copy)
        asm.spawn(child, text="wake_up_new_task")
        self.copy_on_write(cow_pages)

    def alloc_mm(self, new: int, own: int) -> None:
        """Write mm_alloc(): the tables of the new address space are populated, which flushes where its lowering says.

        Args:
            new, own: the new address space, and the one that this task's work is on.
        """
        asm = self.asm
        if self.lowering.new_mm_flushes:
            with asm.function("mm_alloc_pgd", "kernel/fork.c"):
                asm.on_mm(new)
                for _ in range(self.lowering.new_mm_flushes):
                    asm.request(
                        SCRATCH, flags=o.FULLMM, text="flush_tlb_mm: a table of the new mm is populated"
                    )
                    self.lowering.flush_mm(asm, SCRATCH)
                asm.on_mm(own)

    @function("dup_mmap", "mm/mmap.c")
    def dup_mmap(self, copy: Callable[[], None]) -> None:
        """Write dup_mmap(): mappings are copied, then the parent's address space is flushed, with mmap_lock held.

        Args:
            copy: writes how its mappings and page tables are copied.
        """
        asm = self.asm
        asm.lock(self.locks.mmap, index=1, write=True, sleeps=True, text="mmap_lock")
        copy()
        with asm.because("fork"):
            asm.request(SCRATCH, flags=o.FULLMM, text="flush_tlb_mm: entries became read-only")
            self.lowering.flush_mm(asm, SCRATCH)
        asm.unlock(self.locks.mmap, index=1, write=True, text="mmap_lock")

    def copy_on_write(self, pages: int) -> None:
        """Write copy-on-write faults: each replaces one page and flushes it."""

        def replace() -> None:
            self.asm.work("small_fault_ns", text="copy a page")
            self.gathers.cleared(1, huge=False, by="ptep_clear_flush")
            self.asm.request(SCRATCH, cleared=o.CLEARED_PTES, hi=1, text="one page")
            self.lowering.flush_page(self.asm, SCRATCH)
            self.lowering.entries_mapped(self.asm, 1)

        for _ in range(pages):
            self.wp_page_copy(replace)
