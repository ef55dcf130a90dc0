"""Writeback of a file's page in explored programs: its entries are cleaned before it is written.

A page that is written by an entry without a dirty bit faults, so that somebody learns of it. So no CPU may keep a
translation that can write to a page which was cleaned: what it writes by that is lost. folio_mkclean() flushes those of
the entries that it finds; it finds none of a page that has left the reverse map (5df397dec7c4).
"""

from __future__ import annotations

from collections.abc import Sequence

from shootdown._machine import ops as o
from shootdown._machine.functions import function
from shootdown._mm.atoms import MkcleanEntry
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

    @function("folio_clear_dirty_for_io", "mm/page-writeback.c")
    def write_back(self, frame: int, atoms: Sequence[int], mms: Sequence[int]) -> None:
        """Write fsync() of one page: it is cleaned under its folio lock, and written to the file if it was dirty.

        Args:
            frame: the page.
            atoms: the addresses that map it, each before the one that mremap() moves it to.
            mms: the address spaces that map it, the caller's last.
        """
        calls, asm = self.calls, self.asm
        page = calls.files.written[frame]
        gone = calls.model.label()
        calls.enter_kernel("fsync()")
        with asm.because("writeback"), calls.files.folio_lock(frame):
            asm.v_load(
                o.SCRATCH, calls.files.cached(frame), text="folio->mapping: is it in the page cache still?"
            )
            asm.jump_zero(o.SCRATCH, gone)
            asm.v_load(o.SCRATCH, page.mapped, text="folio_mapped: read the mapcount")
            with asm.if_nonzero(o.SCRATCH), asm.function("folio_mkclean", "mm/rmap.c"):
                for mm in mms:
                    self._on(mm, mms)
                    for atom in atoms:
                        calls.model.calls.page_tables.page_vma_mkclean_one(MkcleanEntry(calls, atom, frame))
            asm.v_xchg(page.dirty, 0, o.SCRATCH, text="folio_test_clear_dirty")
            with asm.if_nonzero(o.SCRATCH):
                asm.set(TAKEN, 1 << o.ENTRY_PAGE_SHIFT + frame)
                for mm in mms:
                    self._on(mm, mms)
                    for atom in atoms:
                        asm.right_is_gone(
                            TAKEN,
                            atom,
                            writes=True,
                            text="the page is written: who writes to it later has to fault",
                        )
                calls.reached("cleaned")
            asm.place(gone)
        asm.user_mode(True, text="returns to user mode")

    def _on(self, mm: int, mms: Sequence[int]) -> None:
        if len(mms) > 1:
            self.asm.on_mm(mm, text="a process that maps the file")
        self.calls.mm = mm
