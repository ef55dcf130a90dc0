"""`shootdown.walk_many`: the walks of `_pagetables.walk_many`, with formats by name."""

from __future__ import annotations

import numpy.typing as npt

from shootdown._pagetables import walk_many as walks
from shootdown._pagetables.format import USER_READ, Access, CustomFormat, Format, Settings
from shootdown._pagetables.memory import PhysicalMemory
from shootdown._pagetables.walk_many import ManyWalks, Way
from shootdown._plugins.registry import registry
from shootdown._values.errors import ShootdownError, nearest


def walk_many(
    format: Format | CustomFormat | str,
    memory: PhysicalMemory,
    root: int,
    addresses: npt.ArrayLike,
    access: Access = USER_READ,
    *,
    settings: Settings | None = None,
    hardware_sets_flags: bool = False,
    entries: bool = True,
    out: ManyWalks | None = None,
    threads: int | None = None,
    way: Way | None = None,
    trusted: bool = False,
) -> ManyWalks:
    """Walk the page tables for each address of an array.

    Args:
        format: the page-table format, or its name (`shootdown list formats`).
        memory: where the tables are.
        root: physical address of the top table.
        addresses: in bytes, unsigned.
        access: the access; a user-mode data read by default.
        settings: the CPU's settings; the format's defaults if None.
        hardware_sets_flags: write accessed and dirty flags into the tables. Walks then run in order, as each may read
            what an earlier one wrote.
        entries: whether to return the last entry of each walk.
        out: the result of an earlier batch of the same length that is no longer needed: its arrays are reused, which
            avoids page faults on new memory.
        threads: the most threads; if None, the number of usable CPUs, at most two.
        way: without prefetch, or one of the two forms of prefetch of `walk_batch`; chosen by the size of the tables
            if None. The results are the same.
        trusted: all tables are well-formed: reserved bits are clear, and what an entry points to lies in memory. The
            walks leave out the checks that only other tables need. Set it for tables that your program built itself:
            with others, results are wrong, and a table outside of memory crashes the process.

    Raises:
        ShootdownError: there is no such format, or an argument is out of range.
    """
    return walks.walk_many(
        _format(format) if isinstance(format, str) else format,
        memory,
        root,
        addresses,
        access,
        settings=settings,
        hardware_sets_flags=hardware_sets_flags,
        entries=entries,
        out=out,
        threads=threads,
        way=way,
        trusted=trusted,
    )


def _format(name: str) -> Format | CustomFormat:
    known: dict[str, Format | CustomFormat] = {
        form.name: form for arch in registry().architectures().values() for form in arch.formats
    }
    if name not in known:
        raise ShootdownError(f"there is no page-table format {name!r}; {nearest(name, known)}")
    return known[name]
