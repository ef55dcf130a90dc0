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
) -> ManyWalks:
    """Walk the page tables for each address of an array.

    Args:
        format: the page-table format, or its name (`shootdown list formats`).
        memory: where the tables are.
        root: physical address of the top table.
        addresses: in bytes, unsigned.
        access: what is asked; a user-mode data read where not given.
        settings: the CPU's; the format's defaults where None.
        hardware_sets_flags: accessed and dirty flags are written into the tables. Walks then happen in order, as
            each may see what the one before has written.
        entries: whether the last entries are wanted; without them less is written.
        out: the result of a batch of the same length that nobody needs any more: its arrays are used again, which
            saves touching new memory.
        threads: at most so many; as many as there are CPUs to run on, up to two, where None.
        way: without prefetch, or with one of the two shapes of `walk_batch`; chosen by the size of the tables
            where None. The results are the same.

    Raises:
        ShootdownError: there is no such format, or the arguments can't be.
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
    )


def _format(name: str) -> Format | CustomFormat:
    known: dict[str, Format | CustomFormat] = {
        form.name: form for arch in registry().architectures().values() for form in arch.formats
    }
    if name not in known:
        raise ShootdownError(f"there is no page-table format {name!r}; {nearest(name, known)}")
    return known[name]
