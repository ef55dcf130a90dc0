"""What a monitor of userfaultfd asks for, in timed runs (mm/userfaultfd.c)."""

from __future__ import annotations

from shootdown._programs.areas import Area, Cut
from shootdown._programs.mapped import NONE, PRESENT, STATE, ZERO
from shootdown._programs.space import Space


def fill(space: Space, here: Cut, areas: tuple[Area, ...], *, zero: bool) -> None:
    """Write UFFDIO_COPY or UFFDIO_ZEROPAGE: pages are mapped where there are none, and nothing is flushed for that."""
    mapped = space.mapped
    name = "mfill_atomic_zeropage" if zero else "mfill_atomic_copy"
    with space.model.calls.syscall(name, "mm/userfaultfd.c", write=False):
        for area in areas:
            with mapped.if_equal(mapped.cell(STATE, area), NONE):
                space.calls.touch(area.pages, huge=False)
                mapped.put(mapped.table_of(here, area), 1)
                mapped.put(mapped.cell(STATE, area), ZERO if zero else PRESENT)


def write_protect(space: Space, here: Cut, areas: tuple[Area, ...]) -> None:
    """Write UFFDIO_WRITEPROTECT: entries change as by mprotect(), and VMAs stay as they are."""
    space.calls.write_protect(*space.rights.changes(here, areas, writable=False))
