"""Which bits of an entry a format looks at, and what for, in each level and slot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import attrs

from shootdown._compliance import twin
from shootdown._pagetables.format import Format, Piece, Settings

Part = Literal["table", "leaf"]


@attrs.frozen
class Use:
    """Bits of an entry that a format looks at.

    Args:
        what: what for, as messages name it.
        mask: the bits.
        kind: `present`, `size` (tells a table from a page), `address`, `attribute`, `accessed`, `dirty`, `dirty-clear`,
            `global`, `run` or `next`.
    """

    what: str
    mask: int
    kind: str


def slots(format_: Format) -> Iterator[tuple[int, Part]]:
    """Yield the kinds of entry that there are: each level that can point to tables, and that can map pages."""
    last = len(format_.levels) - 1
    for n, row in enumerate(format_.levels):
        if row.leaf != "always" and n < last:
            yield n, "table"
        if row.leaf != "never":
            yield n, "leaf"


def where(format_: Format, level: int, part: Part) -> str:
    """Name a kind of entry in a message."""
    does = "maps a page" if part == "leaf" else "points to a table"
    return f"a {format_.levels[level].name} that {does}"


def uses(format_: Format, level: int, part: Part) -> list[Use]:
    """Return the bits that are looked at in one kind of entry."""
    row = format_.levels[level]
    found = [Use("present", (row.present or format_.present).mask, "present")]
    if part == "leaf" and row.leaf_present is not None:
        found.append(Use("leaf_present", row.leaf_present.mask, "present"))
    if row.leaf == "flag":
        found.append(Use("points_to_table", format_.points_to_table.mask, "size"))
    pieces = (row.leaf_address if part == "leaf" else None) or format_.address
    lowest = twin.spans(format_)[level] if part == "leaf" else lowest_of_table(format_, level)
    found += [Use("address", looked_at(piece, lowest), "address") for piece in pieces]
    for one in format_.attributes:
        place = one.leaf if part == "leaf" else one.table
        if place is not None and place >= 0 and (part == "leaf" or row.attributes):
            found.append(Use(f"attribute {one.name}", 1 << place, "attribute"))
    used = format_.used
    if used is not None:
        if row.attributes and (part == "leaf" or used.on_tables):
            found.append(Use("used.accessed", used.accessed, "accessed"))
        if part == "leaf":
            found.append(Use("used.dirty_set", used.dirty_set, "dirty"))
            found.append(Use("used.dirty_clear", used.dirty_clear, "dirty-clear"))
    if part == "leaf":
        if (test := format_.global_test(level)) is not None:
            found.append(Use("global_page", test.mask, "global"))
        found += [
            Use("contiguous", run.test.mask, "run") for run in format_.contiguous if run.level == row.name
        ]
    elif format_.next_bits:
        found.append(Use("next_bits", format_.next_bits, "next"))
    return [use for use in found if use.mask]


def lowest_of_table(format_: Format, level: int) -> int:
    """Return the lowest address bit that matters in a pointer: tables lie aligned to their size where sizes vary."""
    if not format_.next_bits or level + 1 >= len(format_.levels):
        return 0
    sizes = format_.levels[level + 1].sizes or (1,)
    return (format_.entry_bytes << min(sizes)).bit_length() - 1


def looked_at(piece: Piece, lowest: int) -> int:
    """Return the bits of a piece that hold address bits from `lowest` on."""
    return piece.mask & ~((1 << max(0, lowest - piece.up + piece.down)) - 1)


def address_bits(pieces: tuple[Piece, ...], lowest: int) -> int:
    """Return the address bits, from `lowest` on, that the pieces of an entry hold."""
    held = 0
    for piece in pieces:
        held |= piece.read(looked_at(piece, lowest))
    return held


def may_overlap(one: Use, other: Use) -> bool:
    """Whether two uses of the same bits make sense together.

    Permissions can tell a page from a table (riscv), and a permission can be what a write clears (arm64's AP[2]).
    """
    kinds = {one.kind, other.kind}
    return kinds in ({"attribute", "size"}, {"attribute", "dirty-clear"}, {"attribute", "dirty"})


def leaf_bits(format_: Format, level: int) -> int:
    """Return the bits that are set in each leaf written at a level."""
    own = format_.levels[level].leaf_bits
    return format_.leaf_bits if own is None else own


def table_bits(format_: Format, level: int) -> int:
    """Return the bits that are set in each entry written at a level to point to a table."""
    own = format_.levels[level].table_bits
    return format_.table_bits if own is None else own


def written(format_: Format, level: int, held: frozenset[str]) -> int:
    """Return the leaf that is written at a level for a page with these attributes, without its address."""
    entry = leaf_bits(format_, level)
    for one in format_.attributes:
        if one.name in held and one.leaf is not None:
            entry |= 1 << one.leaf
    return entry


def settings_in_turn(format_: Format, names: set[str] | None = None) -> Iterator[Settings]:
    """Yield the default settings, each of them changed alone, and all of them changed."""
    known = [one for one in format_.settings_known if names is None or one.name in names]
    changes: dict[str, int] = {}
    for one in known:
        if isinstance(one.default, bool):
            changes[one.name] = int(not one.default)
        else:
            changes[one.name] = one.minimum if one.default != one.minimum else one.maximum
    yield format_.settings()
    for name, value in changes.items():
        yield format_.settings(**{name: value})
    if len(changes) > 1:
        yield format_.settings(**changes)
