"""Collapses of a program's ordinary memory to huge pages, by MADV_COLLAPSE and by khugepaged."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.label import Label
from shootdown._mm.anonymous import Anonymous
from shootdown._mm.khugepaged import Pages, Rules, scan
from shootdown._programs.areas import Area, Cut
from shootdown._programs.mapped import FOLIO, GONE, HUGE, PRESENT, READONLY, STATE, Mapped


class Collapsing:
    """Write collapses of the ordinary memory of one address space.

    Args:
        mapped: what is mapped of it.
        calls: the kernel's calls.
    """

    def __init__(self, mapped: Mapped, calls: Anonymous) -> None:
        self.mapped = mapped
        self.model = mapped.model
        self.asm = mapped.asm
        self.calls = calls

    def collapse(self, here: Cut, areas: tuple[Area, ...], *, by_process: bool) -> None:
        """Write collapses of some areas to huge pages of PMD order: by MADV_COLLAPSE, or one pass of khugepaged."""
        done: set[int] = set()
        for area in areas:
            if area.table < 0 and area.pages and not area.huge:
                with self.mapped.if_pages(here, area):
                    self._collapse_whole(here, area, by_process=by_process)
            elif area.folio >= 0 and area.folio not in done:
                done.add(area.folio)
                parts = here.parts_of(area.folio)
                if all(part in areas for part in parts):
                    self._collapse_parts(here, parts, by_process=by_process)

    def _write_collapse(self, present: int, ranges: int, *, by_process: bool) -> None:
        """Write the collapses of PMD ranges, of each of which so many base pages are present."""
        count = self.calls.table_pages
        top = count.bit_length() - 1
        pages = Pages.full(count)
        pages.present[present:] = [False] * (count - present)
        rules = Rules(
            top, frozenset({top}), below_pmd=self.model.kernel.khugepaged_mthp, by_process=by_process
        )
        why = "MADV_COLLAPSE" if by_process else "khugepaged"
        self.calls.collapse(scan(pages, rules), ranges, pmd_order=top, why=why)

    def _collapse_whole(self, here: Cut, area: Area, *, by_process: bool) -> None:
        huge = self.model.label()
        with self.asm.aside():
            self.asm.v_load(o.SCRATCH, self.mapped.cell(FOLIO, area), text="are they huge pages already?")
            self.asm.jump_equal(o.SCRATCH, HUGE, huge)
        self._write_collapse(max(area.pages // area.tables, 1), area.tables, by_process=by_process)
        self.mapped.put(self.mapped.cell(FOLIO, area), HUGE)
        self.mapped.put(self.mapped.table_of(here, area), 0)
        self.asm.place(huge)

    def _collapse_parts(self, here: Cut, parts: tuple[Area, ...], *, by_process: bool) -> None:
        asm, folio = self.asm, self.mapped.folio_of(here, parts[0])
        some, out = self.model.label(), self.model.label()
        with asm.aside():
            asm.v_load(o.SCRATCH, folio, text="is it a huge page already?")
            asm.jump_equal(o.SCRATCH, HUGE, out)
        self._leave_unless_one_vma(parts, out)
        for part in parts:
            with self.mapped.if_pages(here, part):
                asm.jump(some)
        asm.jump(out)
        asm.place(some)
        self._write_collapse(1, 1, by_process=by_process)
        self.mapped.put(folio, HUGE)
        self.mapped.put(self.mapped.table_of(here, parts[0]), 0)
        for part in parts:
            self.mapped.put(self.mapped.cell(STATE, part), PRESENT)
        asm.place(out)

    def _leave_unless_one_vma(self, parts: tuple[Area, ...], out: Label) -> None:
        """Write a jump if one VMA does not span all parts: some are unmapped, or their rights differ."""
        asm = self.asm
        with asm.aside():
            for part in parts:
                mapped, alike = self.model.label(), self.model.label()
                asm.v_load(o.SCRATCH, self.mapped.cell(GONE, part), text="does one VMA span the range?")
                asm.jump_zero(o.SCRATCH, mapped)
                asm.jump(out)
                asm.place(mapped)
                asm.v_load(o.SCRATCH, self.mapped.cell(READONLY, parts[0]))
                asm.v_load(o.SCRATCH2, self.mapped.cell(READONLY, part))
                asm.jump_same(o.SCRATCH, o.SCRATCH2, alike)
                asm.jump(out)
                asm.place(alike)
