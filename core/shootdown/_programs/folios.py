"""Huge pages of a program's memory of which statements take parts."""

from __future__ import annotations

from shootdown._mm.anonymous import Anonymous
from shootdown._programs.areas import Area, Cut
from shootdown._programs.mapped import SMALL, Mapped


def split(mapped: Mapped, calls: Anonymous, here: Cut, part: Area) -> None:
    """Write the split of the huge page that an area is a part of: a page table takes its place."""
    mapped.put(mapped.folio_of(here, part), SMALL)
    mapped.put(mapped.table_of(here, part), 1)
    calls.split_thp()
