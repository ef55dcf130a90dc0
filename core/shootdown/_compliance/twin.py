"""A slow second opinion on page-table formats: the literal, read in plain Python as its docstrings say.

Nothing here uses what the walk kernels use: neither the layout of masks that is derived from a format, nor the checks
that are precomputed for an access. `Format.allows()`, which both rest on, is spelt out again too.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from shootdown._pagetables.format import (
    EVERY_ACCESS,
    Access,
    Attribute,
    Format,
    Piece,
    Reason,
    Settings,
    Test,
)

#: Reads so many bytes at a physical address; None where there is no memory.
Read = Callable[[int, int], "bytes | None"]


@attrs.frozen
class Decoded:
    """What one entry means.

    Args:
        kind: `absent`, `table` or `leaf`.
        address: of the next table or the page, as the entry has it.
        shift: log2 of the bytes that a leaf maps, a whole contiguous run where it is one; of a table, what its entry
            spans.
        napot: the address bits of the run come from the address.
        refused: it has a bit set that must be clear, or shows a pattern that must not occur.
    """

    kind: str
    address: int = 0
    shift: int = 0
    napot: bool = False
    refused: bool = False


@attrs.frozen
class Walked:
    """How a walk ended.

    Args:
        reason: how.
        pa: the translation, or None.
        level: where, counted from the root.
        shift: log2 of the bytes that the leaf maps; 0 without one.
        attributes: the combined attributes of a leaf.
    """

    reason: Reason
    pa: int | None
    level: int
    shift: int = 0
    attributes: frozenset[str] = frozenset()


def number(format_: Format, raw: bytes) -> int:
    """Read an entry from its bytes in memory."""
    value = 0
    for byte in raw if format_.big_endian else reversed(raw):
        value = value * 256 + byte
    return value


def holds(test: Test, entry: int) -> bool:
    """Whether an entry passes a test."""
    return (entry & test.mask) == test.value


def gathered(entry: int, pieces: tuple[Piece, ...]) -> int:
    """Return the address that lies in the pieces of an entry."""
    address = 0
    for piece in pieces:
        address |= ((entry & piece.mask) << piece.up) // 2**piece.down
    return address


def allowed(format_: Format, access: Access, held: frozenset[str], settings: Settings) -> bool:
    """Whether no rule refuses an access to a page with these attributes."""
    for rule in format_.deny:
        matches = [
            not rule.kinds or access.kind in rule.kinds,
            rule.user is None or rule.user is access.user,
            all(name in held for name in rule.has),
            not any(name in held for name in rule.lacks),
            all(settings[name] for name in rule.when),
            not any(settings[name] for name in rule.unless),
        ]
        if all(matches):
            return False
    return True


def grants(format_: Format, held: frozenset[str], settings: Settings) -> tuple[str, str]:
    """Return what user mode and supervisor mode may do with a page, each as letters of `rwx`."""
    letters = {"read": "r", "write": "w", "execute": "x"}
    found = {True: "", False: ""}
    for access in EVERY_ACCESS:
        if allowed(format_, access, held, settings):
            found[access.user] += letters[access.kind]
    return found[True], found[False]


def is_canonical(format_: Format, va: int) -> bool:
    """Whether the address bits above those that are translated are as the format asks."""
    upper = [va >> n & 1 for n in range(format_.va_bits, 64) if not format_.va_ignored >> n & 1]
    if format_.va_upper == "zero":
        return not any(upper)
    if format_.va_upper == "either":
        return not any(upper) or all(upper)
    top = va >> (format_.va_bits - 1) & 1
    return all(one == top for one in upper)


def spans(format_: Format) -> list[int]:
    """Return, per level, log2 of the bytes that an entry maps, where levels decide."""
    found: list[int] = []
    below = format_.page_shift
    for level in reversed(format_.levels):
        found.insert(0, below)
        below += level.bits
    return found


def decode(format_: Format, level: int, entry: int, settings: Settings, shift: int | None = None) -> Decoded:
    """Say what an entry of a level means.

    Args:
        format_: the format.
        level: counted from the root.
        entry: its value.
        settings: the CPU's.
        shift: log2 of the bytes that it spans, where that is known from a walk.
    """
    row = format_.levels[level]
    spanned = spans(format_)[level] if shift is None else shift
    if not holds(row.present or format_.present, entry):
        return Decoded("absent", shift=spanned)
    may_map = row.leaf != "never" and (row.leaf_needs is None or bool(settings[row.leaf_needs]))
    table = row.leaf != "always" and (not may_map or holds(format_.points_to_table, entry))
    refused = _must_not_be(format_, level, entry, settings, table=table)
    if not table and row.leaf_present is not None and not holds(row.leaf_present, entry):
        return Decoded("absent", shift=spanned)
    if table:
        return Decoded("table", gathered(entry, format_.address), spanned, refused=refused)
    address = gathered(entry, row.leaf_address or format_.address)
    napot = False
    for run in format_.contiguous:
        if run.level == row.name and holds(run.test, entry):
            spanned += run.bits
            napot = run.napot
    return Decoded("leaf", address, spanned, napot, refused)


def _must_not_be(format_: Format, level: int, entry: int, settings: Settings, *, table: bool) -> bool:
    """Whether an entry has a reserved bit set, or shows a pattern that must not occur."""
    name, slots = format_.levels[level].name, ("any", "table" if table else "leaf")
    for rule in format_.reserved:
        if rule.slot not in slots or (rule.levels and name not in rule.levels):
            continue
        if not all(settings[one] for one in rule.when) or any(settings[one] for one in rule.unless):
            continue
        for position in range(64):
            if rule.mask >> position & 1 and entry >> position & 1:
                lowest = 0 if rule.above is None else settings[rule.above] + rule.above_shift
                if position >= lowest:
                    return True
    return any(
        holds(refused.test, entry)
        for refused in format_.refused
        if refused.slot in slots and (not refused.levels or name in refused.levels)
    )


def combined(format_: Format, tables: list[tuple[int, int]], leaf: int) -> frozenset[str]:
    """Return the attributes of a translation.

    Args:
        format_: the format.
        tables: the level and value of each entry on the way that points to a table.
        leaf: the leaf.
    """
    return frozenset(one.name for one in format_.attributes if _held(format_, one, tables, leaf))


def _held(format_: Format, one: Attribute, tables: list[tuple[int, int]], leaf: int) -> bool:
    in_tables = [
        bool(entry >> one.table & 1)
        for level, entry in tables
        if one.table is not None and format_.levels[level].attributes
    ]
    if one.combine == "or":
        return any(in_tables) or (one.leaf is not None and bool(leaf >> one.leaf & 1))
    in_leaf = True if one.leaf is None else bool(leaf >> one.leaf & 1)
    return in_leaf and (all(in_tables) if one.combine == "and" else not any(in_tables))


def walk(format_: Format, read: Read, root: int, va: int, access: Access, settings: Settings) -> Walked:
    """Walk one address."""
    if not is_canonical(format_, va):
        return Walked(Reason.NONCANONICAL, None, 0)
    table, left = root & format_.root_mask, format_.va_bits
    on_the_way: list[tuple[int, int]] = []
    bits = format_.levels[0].bits
    for level, row in enumerate(format_.levels):
        if bits < 1 or bits > left or (format_.next_bits and row.sizes and bits not in row.sizes):
            return Walked(Reason.MALFORMED, None, level)
        left -= bits
        if format_.next_bits:
            table -= table % (format_.entry_bytes * 2**bits)
        index = (va >> left) % 2**bits
        raw = read(table + index * format_.entry_bytes, format_.entry_bytes)
        if raw is None:
            return Walked(Reason.NO_MEMORY, None, level)
        entry = number(format_, raw)
        found = decode(format_, level, entry, settings, left)
        if found.kind == "absent":
            return Walked(Reason.NOT_PRESENT, None, level)
        if found.kind == "leaf":
            return _leaf(format_, level, entry, found, left, va, access, settings, on_the_way)
        if found.refused:
            return Walked(Reason.RESERVED, None, level)
        if format_.output_bits and found.address >> settings[format_.output_bits]:
            return Walked(Reason.ADDRESS_SIZE, None, level)
        used = format_.used
        flagged = used is not None and used.on_tables and row.attributes
        if (
            used
            and flagged
            and _clear_flag_faults(format_, settings)
            and entry & used.accessed != used.accessed
        ):
            return Walked(Reason.ACCESS_FLAG, None, level)
        on_the_way.append((level, entry))
        table = found.address
        if format_.next_bits:
            bits = entry & format_.next_bits
        elif level + 1 < len(format_.levels):
            bits = format_.levels[level + 1].bits
    return Walked(Reason.MALFORMED, None, len(format_.levels) - 1)


def _clear_flag_faults(format_: Format, settings: Settings) -> bool:
    used = format_.used
    return used is not None and used.hardware is not None and not settings[used.hardware]


def _leaf(
    format_: Format,
    level: int,
    entry: int,
    found: Decoded,
    left: int,
    va: int,
    access: Access,
    settings: Settings,
    on_the_way: list[tuple[int, int]],
) -> Walked:
    """Judge an entry that maps a page."""
    attributes = combined(format_, on_the_way, entry)
    low = found.shift if found.napot else left
    base = found.address >> low << low
    translation = base + va % 2**low
    used = format_.used
    carried = used.accessed if used and format_.levels[level].attributes else 0
    old = entry & carried != carried
    unwritten = False
    if used and access.kind == "write":
        unwritten = entry & used.dirty_set != used.dirty_set or entry & used.dirty_clear != 0
    faults = _clear_flag_faults(format_, settings)
    reason = Reason.OK
    if found.refused:
        reason = Reason.RESERVED
    elif format_.output_bits and base >> settings[format_.output_bits]:
        reason = Reason.ADDRESS_SIZE
    elif faults and used and used.before_permission and old:
        reason = Reason.ACCESS_FLAG
    elif not allowed(format_, access, attributes, settings):
        reason = Reason.PERMISSION
    elif faults and (old or unwritten):
        reason = Reason.ACCESS_FLAG
    return Walked(reason, translation if reason is Reason.OK else None, level, found.shift, attributes)
