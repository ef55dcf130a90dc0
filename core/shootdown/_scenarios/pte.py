"""Common parts of scenarios on single page-table entries: an entry's value, its lock, clearing and flushing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from shootdown._machine import ops as o
from shootdown._machine.branches import Branch
from shootdown._mm.call_parts import SCRATCH
from shootdown._mm.entries import Entries, Stretch
from shootdown._mm.model import Model
from shootdown._values.lowering import EntryFunction


def page(number: int) -> int:
    """Return the bit by which an entry maps this page, so that one bit is enough to test for a page."""
    return 1 << (o.ENTRY_PAGE_SHIFT + number)


def maps(number: int, *, writable: bool = True, dirty: bool = False, bits: int = 0) -> int:
    """Return the value of a present entry."""
    flags = o.ENTRY_PRESENT | (o.ENTRY_WRITABLE if writable else 0) | (o.ENTRY_DIRTY if dirty else 0)
    return flags | page(number) | bits


class LeafEntry(Entries):
    """A single page-table entry, which kernel functions (`model.calls.page_tables`) work on.

    Args:
        leaf: writes what is done to it.
        entry: the entry.
        register: gets its value when it is read.
        lo: its page.
    """

    def __init__(self, leaf: Leaf, entry: int, register: int, lo: int = 0) -> None:
        super().__init__(lo, lo + 1)
        self.leaf, self.entry, self.register = leaf, entry, register
        self.asm = leaf.asm

    def locked(self) -> AbstractContextManager[object]:
        """Hold the page-table lock within."""
        return self.leaf.locked()

    def take(self, name: str) -> None:
        """Write that it is read and cleared at once."""
        self.leaf.exchange(self.entry, 0, self.register, name)

    def changed(self, by: EntryFunction) -> None:
        """Write what an architecture does in the function that cleared it."""
        self.leaf.model.gathers.changed(self.pages, huge=False, by=by)

    def cleared(self, by: EntryFunction | None = "ptep_get_and_clear") -> None:
        """Write what an architecture does at once: its entry of a hash table goes."""
        self.leaf.changed(self.pages, by)


class LeafStretch(Stretch[LeafEntry]):
    """Single entries that are zapped under the page-table lock.

    Args:
        leaf: writes what is done to them.
        entries: the entries.
    """

    def __init__(self, leaf: Leaf, *entries: LeafEntry) -> None:
        super().__init__(entries)
        self.leaf = leaf

    def locked(self) -> AbstractContextManager[object]:
        """Hold the page-table lock within."""
        return self.leaf.locked()


class PmdEntry(Entries):
    """The PMD entry of a table.

    Args:
        pages: base pages that the table maps.
        clear: writes that it is cleared; gets the words for it.
    """

    def __init__(self, pages: int, clear: Callable[[str], None]) -> None:
        super().__init__(0, pages)
        self.clear = clear

    def take(self, name: str) -> None:
        """Write that it is cleared."""
        self.clear(f"{name}: the PMD entry is none")


class Leaf:
    """Write what kernel code does to page-table entries under their lock.

    Args:
        model: the model with the programs.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.asm = model.asm

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the page-table lock within (pte_offset_map_lock())."""
        self.asm.lock(self.model.locks.ptl, write=True, sleeps=False, text="page-table lock")
        yield
        self.asm.unlock(self.model.locks.ptl, write=True, text="page-table lock")

    @contextmanager
    def mmap_locked(self, *, write: bool) -> Iterator[None]:
        """Hold mmap_lock within."""
        self.asm.lock(self.model.locks.mmap, index=1, write=write, sleeps=True, text="mmap_lock")
        yield
        self.asm.unlock(self.model.locks.mmap, index=1, write=write, text="mmap_lock")

    def exchange(self, variable: int, value: int, register: int, text: str) -> None:
        """Write an atomic exchange; the register gets the old value."""
        self.asm.v_xchg(variable, value, register, text=text)

    def load(self, register: int, variable: int, text: str) -> None:
        """Write a load."""
        self.asm.v_load(register, variable, text=text)

    def store(self, variable: int, value: int, text: str) -> None:
        """Write a plain store."""
        self.asm.v_store(variable, value, text=text)

    def changed(self, entries: int = 1, by: EntryFunction | None = "ptep_get_and_clear") -> None:
        """Write what an architecture does before the page-table lock is released: hash-table entries are flushed."""
        self.model.gathers.cleared(entries, huge=False, by=by)

    def flush_page(self) -> None:
        """Write flush_tlb_page()."""
        self.asm.request(SCRATCH, cleared=o.CLEARED_PTES, hi=1, text="one page")
        self.model.lowering.flush_page(self.asm, SCRATCH)

    def flush_range(self, pages: int) -> None:
        """Write flush_tlb_range()."""
        self.asm.request(SCRATCH, cleared=o.CLEARED_PTES, hi=pages, text=f"{pages} pages")
        self.model.lowering.flush_range(self.asm, SCRATCH)

    def clear_flush(self, entry: int, register: int) -> None:
        """Write ptep_clear_flush(): the register gets the entry's last value."""
        self.model.calls.page_tables.ptep_clear_flush(LeafEntry(self, entry, register))

    @contextmanager
    def unless_same(self, x: int, y: int) -> Iterator[None]:
        """Run the steps within if two registers differ."""
        same = self.model.label()
        self.asm.jump_same(x, y, same)
        yield
        self.asm.place(same)

    def if_page(self, register: int, number: int) -> AbstractContextManager[Branch]:
        """Run the steps within if the register holds an entry that maps this page."""
        return self.asm.if_bits(register, page(number))

    def access(self, register: int, entry: int, *, write: bool) -> None:
        """Write a user-mode access through the TLB, or by a walk; the register gets 0 for a fault."""
        kind = "write to" if write else "read"
        self.asm.access(register, entry, write=write, text=f"{kind} the page")
