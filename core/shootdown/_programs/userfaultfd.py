"""What a monitor of userfaultfd asks for, in timed runs (mm/userfaultfd.c)."""

from __future__ import annotations

from shootdown._programs.areas import Area, Cut
from shootdown._programs.mapped import NONE, PRESENT, STATE
from shootdown._programs.space import Space


def copy_in(space: Space, here: Cut, areas: tuple[Area, ...]) -> None:
    """Write UFFDIO_COPY: pages are mapped where there are none, and nothing is flushed for that."""
    mapped = space.mapped
    with space.model.calls.syscall("mfill_atomic_copy", "mm/userfaultfd.c", write=False):
        for area in areas:
            with mapped.if_equal(mapped.cell(STATE, area), NONE):
                space.calls.touch(area.pages, huge=False)
                mapped.put(mapped.table_of(here, area), 1)
                mapped.put(mapped.cell(STATE, area), PRESENT)


def write_protect(space: Space, here: Cut, areas: tuple[Area, ...]) -> None:
    """Write UFFDIO_WRITEPROTECT: entries change as by mprotect(), and VMAs stay as they are."""
    space.calls.write_protect(*space.changes(here, areas, writable=False))
