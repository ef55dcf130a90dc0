"""Kernel functions on entries of page tables: their frames, which all programs share.

Whoever calls one of them writes what it does within.
"""

from __future__ import annotations

from collections.abc import Callable

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.call_parts import CallParts


class EntryFunctions(CallParts):
    """Write such functions: the name, the cause of their flushes, interrupts off in GUP-fast."""

    @function("gup_fast", "mm/gup.c")
    def gup_fast(self, walk: Callable[[], None], slot: int | None = None) -> None:
        """Write gup_fast(): interrupts are off while it walks the page tables.

        Args:
            walk: writes the walk.
            slot: the PUD entry that it begins with.
        """
        if slot is not None:
            self.asm.set(o.SLOT, slot)
        self.asm.irq_off(lockless=True, text="local_irq_save")
        self.gup_fast_pgd_range(walk)
        self.asm.irq_on(lockless=True, text="local_irq_restore")

    @function("gup_fast_pgd_range", "mm/gup.c", named=False)
    def gup_fast_pgd_range(self, walk: Callable[[], None]) -> None:
        """Write the walk of gup_fast(), between local_irq_save() and local_irq_restore()."""
        walk()

    @function("gup_fast_pte_range", "mm/gup.c")
    def gup_fast_pte_range(self, walk: Callable[[], None]) -> None:
        """Write the part of a walk that is inside a table of PTEs."""
        walk()

    @function("gup_fast_pmd_leaf", "mm/gup.c")
    def gup_fast_pmd_leaf(self, walk: Callable[[], None]) -> None:
        """Write the part of a walk that finds a huge page."""
        walk()

    @function("do_anonymous_page", "mm/memory.c")
    def do_anonymous_page(self, fault: Callable[[], None]) -> None:
        """Write do_anonymous_page(): a page of private memory that was never there, or is no more.

        Args:
            fault: writes what it does.
        """
        fault()

    @function("change_protection", "mm/mprotect.c")
    def change_protection(self, change: Callable[[], None]) -> None:
        """Write change_protection(): rights of entries change, and what is due is flushed.

        Args:
            change: writes what it does.
        """
        change()

    @function("change_pte_range", "mm/mprotect.c")
    def change_pte_range(self, change: Callable[[], None]) -> None:
        """Write change_pte_range(): the entries of a page table change.

        Args:
            change: writes how they change.
        """
        change()

    @function("move_ptes", "mm/mremap.c")
    def move_ptes(self, move: Callable[[], None]) -> None:
        """Write move_ptes(): the entries of a page table go to another one.

        Args:
            move: writes how they go, and their flush where it comes before the locks are released.
        """
        move()

    @function("move_normal_pmd", "mm/mremap.c")
    def move_normal_pmd(self, flush: Callable[[], None]) -> None:
        """Write move_normal_pmd(): a PMD entry goes to another place, and its page table with it.

        Args:
            flush: writes the flush of what the table maps, before the locks of both PMD tables are released.
        """
        self.asm.work("lock_ns", 2, text="lock both PMD tables, move the entry")
        flush()

    @function("move_page_tables", "mm/mremap.c")
    def move_page_tables(self, flush: Callable[[], None]) -> None:
        """Write what move_page_tables() does after the locks of the tables were released (before eb66ae030829).

        Args:
            flush: writes the flush of the old place.
        """
        flush()

    @function("unmap_mapping_range", "mm/memory.c")
    def unmap_mapping_range(self, zap: Callable[[], None]) -> None:
        """Write unmap_mapping_range(): pages of a file that is truncated are unmapped.

        Args:
            zap: writes how their entries are cleared, and flushed.
        """
        with self.asm.because("truncation"):
            zap()

    @function("do_wp_page", "mm/memory.c")
    def do_wp_page(self, fault: Callable[[], None]) -> None:
        """Write do_wp_page(): a write found an entry that may only be read.

        Args:
            fault: writes what is done about it.
        """
        fault()

    @function("wp_page_copy", "mm/memory.c")
    def wp_page_copy(self, replace: Callable[[], None]) -> None:
        """Write wp_page_copy(): a write to a page that others share gets a copy of it.

        Args:
            replace: writes how the page is copied, and its entry cleared, flushed and written anew.
        """
        with self.asm.because("copy on write"):
            replace()
