"""Entries of a timed run: N pages of an area at once, whose number is known when the program is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from shootdown._machine import ops as o
from shootdown._mm.entries import Entries, FreeableEntries, Stretch
from shootdown._mm.gather import Gathers

if TYPE_CHECKING:
    from shootdown._machine.assembler import Assembler
    from shootdown._values.lowering import EntryFunction


class CountedEntries(FreeableEntries):
    """So many entries that a timed run clears in one step.

    Args:
        gathers: what happens to gathers; it has the assembler and the lowering.
        count: how many.
        lo, hi: the base pages that they lie among; more than `count` where there are some between them.
        of_folio: the first one's page of the large folio that they are a part of, where that may be mapped by a
            contiguous block; None where it isn't.
        cached: their pages are a file's, which stay in the page cache.
    """

    def __init__(
        self,
        gathers: Gathers,
        count: int,
        lo: int = 0,
        hi: int | None = None,
        *,
        of_folio: int | None = None,
        cached: bool = False,
    ) -> None:
        super().__init__(lo, lo + count if hi is None else hi)
        self.gathers = gathers
        self.count = count
        self.of_folio = of_folio
        self.cached = cached

    @property
    def asm(self) -> Assembler:
        """The assembler."""
        return self.gathers.asm

    def take(self, name: str) -> None:
        """Write that time passes: they are cleared."""
        del name
        what = "the entry" if self.count == 1 else f"{self.count} entries"
        self.asm.work("zap_ns", self.count, text=f"clear {what}", keeps=self.cached)

    @property
    def _first(self) -> int:
        return self.lo if self.of_folio is None else 0

    def changed(self, by: EntryFunction) -> None:
        """Write what an architecture does in the function that cleared them."""
        self.gathers.changed(self.count, huge=False, first=self._first, by=by)

    def cleared(self, by: EntryFunction | None = "ptep_get_and_clear") -> None:
        """Write what an architecture does at once, and the conversion of contiguous blocks."""
        self.gathers.cleared(self.count, huge=False, first=self._first, by=by)
        if self.of_folio is not None:
            self.gathers.lowering.folio_entries_changed(
                self.asm, self.count, first=self.of_folio, clears=True
            )

    def make_clean(self) -> None:
        """Write that time passes: they become old and clean."""
        self.asm.work("zap_ns", self.count, text="make the entries old and clean")
        self.gathers.cleared(self.count, huge=False, first=self._first)

    @contextmanager
    def each(self) -> Iterator[Entries]:
        """Run the steps within once for each: in a loop, of which one is as the next."""
        if self.count == 1:
            yield CountedEntries(self.gathers, 1)
            return
        with self.asm.loop(self.count, o.SCRATCH2):
            yield CountedEntries(self.gathers, 1)


class CountedStretch(Stretch[CountedEntries]):
    """Entries of a timed run between two flushes. Timed runs have no page-table locks of ordinary memory.

    Args:
        entries: the entries; None: there are none, and a table goes.
        forced: a flush is forced after them.
        table: writes the freeing of the table that ends there.
    """

    def __init__(
        self,
        entries: CountedEntries | None,
        *,
        forced: bool = False,
        table: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(() if entries is None else (entries,))
        self.forced = forced
        self.table = table

    def flushed_early(self) -> AbstractContextManager[object] | None:
        """Say whether a flush is forced: full batches and dirty pages are known beforehand."""
        return nullcontext() if self.forced else None

    def free_table(self) -> None:
        """Write the freeing of the page table, if it goes."""
        if self.table is not None:
            self.table()


class CountedTable(Entries):
    """The entry of a page table in a timed run, where clearing it takes no time of its own.

    Args:
        pages: base pages that the table maps.
    """

    def __init__(self, pages: int) -> None:
        super().__init__(0, pages)

    def take(self, name: str) -> None:
        """Write nothing."""
