"""Evidence for a page-table format: entries, addresses and walks as a manual or a dump has them, with their meaning.

A format that is wrong in itself alone - a bit at another place, consistently - agrees with every test that is made from
it. Only what was written down elsewhere tells. So examples are typed from a manual's table, or from a dump of memory
with what the machine made of it, and never computed by the format that they speak for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from shootdown._values.checked import checked, frozen_lists

Meaning = Literal["leaf", "table", "absent", "refused"]


def _frozen(values: Any) -> Any:
    return frozen_lists(tuple(values.items()) if isinstance(values, Mapping) else values)


def _sorted(memory: Any) -> Any:
    return tuple(sorted(memory.items())) if isinstance(memory, Mapping) else memory


def _names(names: Any) -> Any:
    if isinstance(names, list | tuple):
        return tuple(names)
    return (names,) if isinstance(names, str) else names


@attrs.frozen(field_transformer=checked)
class Example:
    """A raw entry and what it means. What is None is not said, and not compared.

    Args:
        entry: the entry as a number, or as the bytes of a dump in the order of memory, which show the byte order too.
        levels: the name of the level where it means this, or of several levels.
        meaning: `leaf` (maps a page), `table` (points to one), `absent` (not present), or `refused` (present, and a
            fault: a reserved bit is set, or a pattern that must not occur).
        source: the manual with its section, or where the dump is from.
        address: physical address, in bytes, of the page or the next table.
        span: bytes that the entry translates (of the whole run, if it belongs to a contiguous one).
        user: what user mode may do with a page: some of the letters `rwx`. Of a table: the most that pages below it
            can grant.
        supervisor: what supervisor mode may do.
        accessed: the accessed flag is set.
        dirty: the dirty flag is set (a write would change no flag of the leaf).
        is_global: the page belongs to all address spaces.
        next_bits: of a table in a format whose entries say so: log2 of the next table's entries.
        settings: the CPU's settings that differ from the format's defaults, by name.
    """

    entry: int | bytes
    levels: tuple[str, ...] = attrs.field(converter=_names)
    meaning: Meaning
    source: str
    address: int | None = None
    span: int | None = None
    user: str | None = None
    supervisor: str | None = None
    accessed: bool | None = None
    dirty: bool | None = None
    is_global: bool | None = None
    next_bits: int | None = None
    settings: tuple[tuple[str, int], ...] = attrs.field(converter=_frozen, factory=tuple)


@attrs.frozen(field_transformer=checked)
class AddressExample:
    """An address and the entries that translate it.

    Args:
        va: the address, in bytes.
        indices: the index of the entry in the table of each level, from the root on; None if the address is not
            translated at all (non-canonical).
        source: the manual with its section, or where the dump is from.
    """

    va: int
    indices: tuple[int, ...] | None
    source: str


@attrs.frozen(field_transformer=checked)
class WalkExample:
    """Tables in memory, an address, and what the machine makes of it. The only evidence for a `CustomFormat`.

    Args:
        memory: bytes by the physical address at which they begin; all else reads as zero.
        root: as the root register holds it.
        va: the address, in bytes.
        pa: its translation; None where the access faults.
        source: the manual with its section, or where the dump is from.
        access: `read`, `write` or `execute`.
        user: in user mode.
        settings: the CPU's settings that differ from the format's defaults, by name.
    """

    memory: tuple[tuple[int, bytes], ...] = attrs.field(converter=_sorted)
    root: int
    va: int
    pa: int | None
    source: str
    access: Literal["read", "write", "execute"] = attrs.field(
        default="read", validator=attrs.validators.in_(("read", "write", "execute"))
    )
    user: bool = True
    settings: tuple[tuple[str, int], ...] = attrs.field(converter=_frozen, factory=tuple)


AnyExample = Example | AddressExample | WalkExample
