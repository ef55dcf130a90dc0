"""Pages of files in explored programs: whether the page cache has them, and what writeback looks at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import attrs

from shootdown._machine import ops as o
from shootdown._mm.model import Model


@attrs.frozen
class FilePage:
    """The variables of a file's page, where programs write it back.

    Args:
        mapped: how many entries map it: its mapcount.
        dirty: whether it is dirty, apart from what entries say.
        lock: its folio lock.
    """

    mapped: int
    dirty: int
    lock: int


class FilePages:
    """Declare variables of files' pages, and write what calls do to them.

    Args:
        model: the model with the programs.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._in_page_cache: dict[int, int] = {}
        #: By address, the page of a file that it can map.
        self.frames: dict[int, int] = {}
        #: By frame, the pages that programs write back.
        self.written: dict[int, FilePage] = {}

    def cached(self, frame: int) -> int:
        """Return the variable that says whether a file's page is in the page cache; it is at first."""
        if frame not in self._in_page_cache:
            self._in_page_cache[frame] = self.model.variable(1, "the page is in the page cache")
        return self._in_page_cache[frame]

    def maps(self, frame: int, atoms: Sequence[int]) -> None:
        """Say which addresses can map a page of a file: a dirty one is flushed before its page table is unlocked."""
        self.frames.update(dict.fromkeys(atoms, frame))

    def has_writeback(self, frame: int, mapped: int, *, dirty: bool) -> None:
        """Declare what writeback looks at of a file's page, which so many entries map at first."""
        self.written[frame] = FilePage(
            self.model.variable(mapped, "mapcount"),
            self.model.variable(int(dirty), "the page is dirty"),
            self.model.lock(),
        )

    @contextmanager
    def folio_lock(self, frame: int | None) -> Iterator[None]:
        """Hold the folio lock of a page within, if programs write it back: nobody else takes it."""
        page = None if frame is None else self.written.get(frame)
        if page is None:
            yield
            return
        self.model.asm.lock(page.lock, write=True, sleeps=True, at_once=True, text="the folio lock")
        yield
        self.model.asm.unlock(page.lock, write=True, text="the folio lock")

    def mark_dirty(self, frame: int, mm: int) -> None:
        """Write folio_mark_dirty(); by an mm's page-table lock; register CLASS names its tables again."""
        if frame in self.written:
            self.model.asm.v_xchg(self.written[frame].dirty, 1, o.CLASS, text="folio_mark_dirty")
            self.model.asm.set(o.CLASS, mm + 1)

    def change_mapcount(self, frame: int, by: int, mm: int) -> None:
        """Write folio_add_file_rmap_pte() or folio_remove_rmap_pte(), as `mark_dirty`."""
        if frame in self.written:
            name = "folio_add_file_rmap_pte: mapcount++" if by > 0 else "folio_remove_rmap_pte: mapcount--"
            self.model.asm.v_add(self.written[frame].mapped, by, o.CLASS, text=name)
            self.model.asm.set(o.CLASS, mm + 1)
