"""Writeback of a file's page in explored programs: its entries are cleaned before it is written.

A page that is written by an entry without a dirty bit faults, so that somebody learns of it. So no CPU may keep a
translation that can write to a page which was cleaned: what it writes by that is lost. folio_mkclean() flushes those of
the entries that it finds; it finds none of a page that has left the reverse map (5df397dec7c4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shootdown._machine import ops as o
from shootdown._mm.atoms import MkcleanEntry
from shootdown._mm.entries import CleanedPage
from shootdown._mm.ordinary import Ordinary
from shootdown._mm.ordinary_parts import TAKEN


class Writeback:
    """Write writeback of single pages of files.

    Args:
        calls: the other calls.
    """

    def __init__(self, calls: Ordinary) -> None:
        self.calls = calls
        self.asm = calls.asm

    def write_back(self, frame: int, atoms: Sequence[int], mms: Sequence[int]) -> None:
        """Write fsync() of one page: it is cleaned under its folio lock, and written to the file if it was dirty.

        Args:
            frame: the page.
            atoms: the addresses that map it, each before the one that mremap() moves it to.
            mms: the address spaces that map it, the caller's last.
        """
        calls, asm = self.calls, self.asm
        gone = calls.model.label()
        calls.enter_kernel("fsync()")
        with asm.because("writeback"), calls.files.folio_lock(frame):
            asm.v_load(
                o.SCRATCH, calls.files.cached(frame), text="folio->mapping: is it in the page cache still?"
            )
            asm.jump_zero(o.SCRATCH, gone)
            calls.model.calls.page_tables.folio_clear_dirty_for_io(FilePageCleaned(calls, frame, atoms, mms))
            asm.place(gone)
        asm.user_mode(True, text="returns to user mode")


class FilePageCleaned(CleanedPage):
    """A page of a file in an explored program.

    Args:
        calls: the other calls.
        frame, atoms, mms: as for `Writeback.write_back`.
    """

    def __init__(self, calls: Ordinary, frame: int, atoms: Sequence[int], mms: Sequence[int]) -> None:
        self.calls, self.asm = calls, calls.asm
        self.frame, self.atoms, self.mms = frame, atoms, mms
        self.page = calls.files.written[frame]

    @contextmanager
    def mapped(self) -> Iterator[None]:
        """Run the steps within if its mapcount is not zero."""
        self.asm.v_load(o.SCRATCH, self.page.mapped, text="folio_mapped: read the mapcount")
        with self.asm.if_nonzero(o.SCRATCH):
            yield

    def entries(self) -> Iterator[MkcleanEntry]:
        """Yield the entry of each address in each process."""
        for mm in self.mms:
            self._on(mm)
            for atom in self.atoms:
                yield MkcleanEntry(self.calls, atom, self.frame)

    @contextmanager
    def cleaned(self) -> Iterator[None]:
        """Clear the dirty flag."""
        self.asm.v_xchg(self.page.dirty, 0, o.SCRATCH, text="folio_test_clear_dirty")
        with self.asm.if_nonzero(o.SCRATCH):
            yield

    def written(self) -> None:
        """Write that nobody may write to it by an old entry from now on."""
        self.asm.set(TAKEN, 1 << o.ENTRY_PAGE_SHIFT + self.frame)
        for mm in self.mms:
            self._on(mm)
            for atom in self.atoms:
                self.asm.right_is_gone(
                    TAKEN,
                    atom,
                    writes=True,
                    text="the page is written: who writes to it later has to fault",
                )
        self.calls.reached("cleaned")

    def _on(self, mm: int) -> None:
        if len(self.mms) > 1:
            self.asm.on_mm(mm, text="a process that maps the file")
        self.calls.mm = mm
