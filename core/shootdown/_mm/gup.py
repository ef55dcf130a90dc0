"""GUP-fast in explored programs: a page is pinned by a walk without locks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shootdown._machine import ops as o
from shootdown._mm.ordinary import Ordinary
from shootdown._mm.ordinary_parts import INVARIANTS, TAKEN, Pins

_GUP_FAST = INVARIANTS.index("gup-fast")


class Gup:
    """Write GUP-fast of single pages.

    Args:
        calls: the other calls.
    """

    def __init__(self, calls: Ordinary) -> None:
        self.calls = calls
        self.asm = calls.asm

    def gup_fast(self, atom: int, *, writes: bool = False, sequence: int | None = None) -> None:
        """Write gup_fast() of one page: interrupts off, no lock, each entry read again after the page was taken.

        Args:
            atom: its address.
            writes: it is pinned to be written (FOLL_WRITE): an entry that may only be read is left to the slow path.
            sequence: the variable of mm->write_protect_seq; None if it is not looked at.
        """
        asm, calls, model = self.asm, self.calls, self.calls.model
        out, drop, free = model.label(), model.label(), model.label()
        drop_huge, free_huge = model.label(), model.label()
        pins = calls.pins.get(atom)

        def in_table() -> None:
            self._read_in_table(o.SCRATCH, atom)
            calls.reached("walked")
            asm.jump_no_bits(o.SCRATCH, o.ENTRY_PRESENT, out)
            if writes:
                asm.jump_no_bits(o.SCRATCH, o.ENTRY_WRITABLE, out)
            if pins is not None:
                asm.v_add(pins.references, 1, o.INDEX, text="one more reference")
            asm.get_frames(o.SCRATCH, free, text="try_grab_folio_fast")
            if model.kernel.gup_rechecks_pmd:
                asm.load_pud(o.INDEX, text="read the PMD entry again")
                with self._unless_same(o.INDEX, o.CLASS):
                    asm.jump(drop)
            self._read_in_table(o.INDEX, atom)
            with self._unless_same(o.INDEX, o.SCRATCH):
                asm.jump(drop)
            calls.reached("pinned")

        def in_huge() -> None:
            asm.jump_no_bits(o.CLASS, o.ENTRY_PRESENT, out)
            if writes:
                asm.jump_no_bits(o.CLASS, o.ENTRY_WRITABLE, out)
            whole = calls.pins.get(calls.whole_of[atom])
            asm.copy(o.SCRATCH, o.CLASS)
            if whole is not None:
                asm.v_add(whole.references, 1, o.INDEX, text="one more reference")
            asm.get_frames(o.SCRATCH, free_huge, text="try_grab_folio_fast")
            asm.load_pud(o.INDEX, text="read the PMD entry again")
            with self._unless_same(o.INDEX, o.CLASS):
                asm.jump(drop_huge)
            if sequence is not None:
                asm.v_load(o.INDEX, sequence, text="read_seqcount_retry: has fork() begun to copy?")
                with self._unless_same(o.INDEX, TAKEN):
                    asm.jump(drop_huge)
            calls.reached("pinned")
            if whole is not None:
                self._returned(whole)
            asm.jump(out)
            asm.place(drop_huge)
            asm.put_frames(o.SCRATCH, text="the entry changed meanwhile: gup_put_folio")
            asm.place(free_huge)
            if whole is not None:
                asm.v_add(whole.references, -1, o.INDEX, text="one reference less")
            asm.jump(out)

        def walk() -> None:
            if sequence is not None:
                asm.v_load(TAKEN, sequence, text="write_protect_seq: does fork() copy now?")
                with asm.if_bits(TAKEN, 1):
                    asm.jump(out)
            asm.load_pud(o.CLASS, text="read the PMD entry")
            asm.jump_zero(o.CLASS, out)
            if atom in calls.whole_of:
                with asm.if_bits(o.CLASS, o.ENTRY_HUGE):
                    model.calls.gup_fast_pmd_leaf(in_huge)
            model.calls.gup_fast_pte_range(in_table)
            if sequence is not None:
                asm.v_load(o.INDEX, sequence, text="read_seqcount_retry: has fork() begun to copy?")
                with self._unless_same(o.INDEX, TAKEN):
                    asm.jump(drop)
            if pins is not None:
                self._returned(pins)
            asm.jump(out)
            asm.place(drop)
            asm.put_frames(o.SCRATCH, text="an entry changed meanwhile: gup_put_folio")
            asm.place(free)
            if pins is not None:
                asm.v_add(pins.references, -1, o.INDEX, text="one reference less")
            asm.place(out)

        calls.enter_kernel("a system call that pins user pages")
        model.calls.gup_fast(walk, model.slot_of(atom))
        asm.user_mode(True, text="returns to user mode")

    def _returned(self, pins: Pins) -> None:
        """Write that a page is returned, which nobody may have replaced."""
        self.asm.v_xchg(pins.pinned, 1, o.INDEX, text="the page is returned")
        self.asm.v_load(o.INDEX, pins.replaced)
        self.calls.model.fail_if(o.INDEX, 1, _GUP_FAST, "the page that is returned was replaced")

    def _read_in_table(self, register: int, atom: int) -> None:
        """Write a read of an entry in a table that may have been freed meanwhile."""
        self.asm.read_table(o.INDEX, o.CLASS, text="whose page is it?")
        self.calls.model.fail_if(o.INDEX, o.TABLE_FREED, _GUP_FAST, "a freed page table was read")
        self.asm.entry_load(register, atom, text="read the PTE")

    @contextmanager
    def _unless_same(self, x: int, y: int) -> Iterator[None]:
        same = self.calls.model.label()
        self.asm.jump_same(x, y, same)
        yield
        self.asm.place(same)
