"""Compare a format's examples with the format, and find what none of them shows.

What an example shows is found by changing the format: if a bit could lie elsewhere, a rule be missing or a level be
larger without any example disagreeing, then nothing shows that bit, rule or level.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import attrs

from shootdown._compliance import twin
from shootdown._pagetables.format import (
    Access,
    AddressExample,
    Deny,
    Example,
    Format,
    Piece,
    Settings,
    Test,
    UsedFlags,
    WalkExample,
)
from shootdown._pagetables.format_examples import AnyExample


def named(example: AnyExample) -> str:
    """Name an example in a message."""
    if isinstance(example, Example):
        entry = example.entry if isinstance(example.entry, int) else "bytes " + example.entry.hex(" ")
        text = f"{entry:#x}" if isinstance(entry, int) else entry
        return f"example {text} at {', '.join(example.levels)} ({example.source})"
    return f"example of address {example.va:#x} ({example.source})"


def settings_of(format_: Format, example: Example | WalkExample) -> Settings:
    """Return the settings that an example is for."""
    return format_.settings(**dict(example.settings))


def disagreements(format_: Format, example: AnyExample) -> Iterator[str]:
    """Yield what the format says of an example against what the example says.

    Args:
        format_: the format.
        example: one of its examples.
    """
    if isinstance(example, AddressExample):
        yield from _of_address(format_, example)
    elif isinstance(example, WalkExample):
        yield from _of_walk(format_, example)
    else:
        yield from _of_entry(format_, example)


def _of_entry(format_: Format, example: Example) -> Iterator[str]:
    if isinstance(example.entry, bytes):
        if len(example.entry) != format_.entry_bytes:
            yield f"it has {len(example.entry)} bytes; the format says entry_bytes {format_.entry_bytes}"
            return
        entry = twin.number(format_, example.entry)
    else:
        entry = example.entry
        if entry >> 8 * format_.entry_bytes:
            yield f"it needs more than {format_.entry_bytes} bytes; the format says entry_bytes {format_.entry_bytes}"
            return
    settings = settings_of(format_, example)
    for name in example.levels:
        level = next(n for n, row in enumerate(format_.levels) if row.name == name)
        for what, said, shown in _meanings(format_, example, level, entry, settings):
            if said is not None and said != shown:
                yield f"{what} {_text(what, said)}; the format reads {_text(what, shown)} in a {name}"


def _text(what: str, value: object) -> str:
    if value is None:
        return "none"
    if what.startswith("address"):
        return f"{value:#x}"
    if what.endswith("may"):
        return "".join(sorted(str(value))) or "nothing"
    return str(value)


def _meanings(
    format_: Format, example: Example, level: int, entry: int, settings: Settings
) -> Iterator[tuple[str, Any, Any]]:
    """Yield what is compared: its name, what the example says, and what the format says."""
    found = twin.decode(format_, level, entry, settings)
    kind = "refused" if found.refused and found.kind != "absent" else found.kind
    yield "it is", _meaning(example.meaning), _meaning(kind)
    if kind != example.meaning or kind not in ("leaf", "table"):
        return
    own = twin.spans(format_)[level]
    address = found.address
    if kind == "leaf":
        low = found.shift if found.napot else own
        address = address >> low << low
    yield "address", example.address, address
    yield "span", example.span, 1 << found.shift
    user, supervisor = _rights(format_, level, entry, settings, leaf=kind == "leaf")
    yield "user mode may", _letters(example.user), user
    yield "supervisor mode may", _letters(example.supervisor), supervisor
    used = format_.used
    flagged = used is not None and format_.levels[level].attributes and (kind == "leaf" or used.on_tables)
    yield "accessed is", example.accessed, bool(used and flagged and entry & used.accessed == used.accessed)
    yield "dirty is", example.dirty, bool(used and _is_dirty(used, entry))
    yield "global is", example.is_global, format_.global_page is not None and format_.global_page.holds(entry)
    yield "next_bits", example.next_bits, entry & format_.next_bits if format_.next_bits else None


def _meaning(kind: str) -> str:
    return {"leaf": "a page", "table": "a pointer to a table", "refused": "refused"}.get(kind, "absent")


def _letters(text: str | None) -> str | None:
    return None if text is None else "".join(sorted(text))


def _is_dirty(used: UsedFlags, entry: int) -> bool:
    has = used.dirty_set or used.dirty_clear
    return bool(has) and entry & used.dirty_set == used.dirty_set and not entry & used.dirty_clear


def _rights(format_: Format, level: int, entry: int, settings: Settings, *, leaf: bool) -> tuple[str, str]:
    """Return what user and supervisor mode may do, sorted; of a table, the most that leaves below it can grant."""
    if leaf:
        user, supervisor = twin.grants(format_, twin.combined(format_, [], entry), settings)
        return "".join(sorted(user)), "".join(sorted(supervisor))
    granted: tuple[set[str], set[str]] = (set(), set())
    places = [one.leaf for one in format_.attributes if one.leaf is not None]
    for index in range(1 << len(places)):
        below = sum(1 << place for n, place in enumerate(places) if index >> n & 1)
        for found, more in zip(
            granted,
            twin.grants(format_, twin.combined(format_, [(level, entry)], below), settings),
            strict=True,
        ):
            found |= set(more)
    return "".join(sorted(granted[0])), "".join(sorted(granted[1]))


def _of_address(format_: Format, example: AddressExample) -> Iterator[str]:
    found: tuple[int, ...] | None = None
    if twin.is_canonical(format_, example.va):
        found = tuple(
            example.va >> span & (1 << row.bits) - 1
            for span, row in zip(twin.spans(format_), format_.levels, strict=True)
        )
    if found != example.indices:
        yield f"indices {example.indices}; the format reads {found if found is not None else 'no valid address'}"


def _of_walk(format_: Format, example: WalkExample) -> Iterator[str]:
    content = dict(example.memory)

    def read(address: int, size: int) -> bytes:
        for start, data in content.items():
            if start <= address < start + len(data):
                return (data[address - start :] + bytes(size))[:size]
        return bytes(size)

    access = Access(example.access, example.user)
    found = twin.walk(format_, read, example.root, example.va, access, settings_of(format_, example))
    if found.pa != example.pa:
        said = "a fault" if example.pa is None else f"{example.pa:#x}"
        shown = (
            f"{found.pa:#x}"
            if found.pa is not None
            else f"a fault at level {found.level}: {found.reason.text}"
        )
        yield f"it translates to {said}; the format says {shown}"


# --- what no example shows


def unshown(format_: Format) -> list[str]:
    """Return what could be otherwise without any example disagreeing, in words."""
    agreeing = [one for one in format_.examples if not any(disagreements(format_, one))]
    found: dict[str, None] = {}
    for what, changed in _changed(format_):
        if what not in found and not any(_disagrees(changed, one) for one in agreeing):
            found[what] = None
    return list(found)


def _disagrees(format_: Format, example: AnyExample) -> bool:
    return any(True for _ in disagreements(format_, example))


def _with(format_: Format, **fields: Any) -> Format:
    """Return a format with other values of some fields, whether or not they make sense."""
    other = copy.copy(format_)
    for name, value in fields.items():
        object.__setattr__(other, name, value)
    return other


def _with_level(format_: Format, index: int, **fields: Any) -> Format:
    rows = list(format_.levels)
    rows[index] = attrs.evolve(rows[index], **fields)
    return _with(format_, levels=tuple(rows))


def _changed(format_: Format) -> Iterator[tuple[str, Format]]:
    """Yield formats that differ in one value each, with what shows that value."""
    yield from _changed_levels(format_)
    yield from _changed_addresses(format_)
    yield from _changed_rights(format_)
    yield from _changed_flags(format_)
    yield from _changed_rules(format_)
    yield from _changed_frame(format_)


def _changed_levels(format_: Format) -> Iterator[tuple[str, Format]]:
    for n, row in enumerate(format_.levels):
        test = row.present or format_.present
        yield f"an absent {row.name}", _with_level(format_, n, present=Test(0, 0))
        for bit in _bits_of(test.mask):
            flipped = Test(test.mask, test.value ^ bit)
            yield f"a present {row.name}", _with_level(format_, n, present=flipped)
            if test.mask != bit:
                fewer = Test(test.mask & ~bit, test.value & ~bit)
                yield (
                    f"that bit {_place(bit)} decides about presence in a {row.name}",
                    _with_level(format_, n, present=fewer),
                )
        if row.leaf != "always":
            yield (
                f"a {row.name} that points to a table",
                _with_level(format_, n, leaf="always", leaf_needs=None),
            )
        if row.leaf != "never":
            yield f"a {row.name} that maps a page", _with_level(format_, n, leaf="never", leaf_needs=None)
        if row.leaf_needs is not None:
            yield f"a {row.name} without {row.leaf_needs}", _with_level(format_, n, leaf_needs=None)
    for n, (above, below) in enumerate(zip(format_.levels, format_.levels[1:], strict=False)):
        what = f"how many address bits index a {above.name} and a {below.name}"
        for more in (1, -1):
            rows = list(format_.levels)
            rows[n] = attrs.evolve(above, bits=above.bits + more)
            rows[n + 1] = attrs.evolve(below, bits=below.bits - more)
            if min(row.bits for row in rows) > 0:
                yield what, _with(format_, levels=tuple(rows))
    if any(row.leaf == "flag" for row in format_.levels):
        test = format_.points_to_table
        for bit in _bits_of(test.mask):
            yield (
                f"that bit {_place(bit)} tells a table from a page",
                _with(format_, points_to_table=Test(test.mask & ~bit, test.value & ~bit)),
            )
            yield (
                f"that bit {_place(bit)} tells a table from a page",
                _with(format_, points_to_table=Test(test.mask, test.value ^ bit)),
            )


def _changed_addresses(format_: Format) -> Iterator[tuple[str, Format]]:
    for what, pieces in _other_pieces(format_.address, 0):
        yield f"{what} of addresses", _with(format_, address=pieces)
    for n, row in enumerate(format_.levels):
        if row.leaf_address is not None and row.leaf != "never":
            for what, pieces in _other_pieces(row.leaf_address, twin.spans(format_)[n]):
                yield (
                    f"{what} of the page's address in a {row.name}",
                    _with_level(format_, n, leaf_address=pieces),
                )
    if format_.next_bits:
        lowest = format_.next_bits & -format_.next_bits
        for mask in (format_.next_bits & ~lowest, format_.next_bits >> 1):
            yield "the size of the next table in an entry", _with(format_, next_bits=mask)


def _other_pieces(pieces: tuple[Piece, ...], span: int) -> Iterator[tuple[str, tuple[Piece, ...]]]:
    for n, piece in enumerate(pieces):
        looked_at = [
            place
            for place in range(piece.mask.bit_length())
            if piece.mask >> place & 1 and place + piece.up >= span
        ]
        if not looked_at:
            continue
        for place in (looked_at[0], looked_at[-1]):
            fewer = attrs.evolve(piece, mask=piece.mask & ~(1 << place))
            yield f"bit {place}", (*pieces[:n], fewer, *pieces[n + 1 :])
        for up in (piece.up + 1, piece.up - 1):
            if up >= 0:
                other = attrs.evolve(piece, up=up)
                yield (
                    f"the place of bits {looked_at[0]} to {looked_at[-1]}",
                    (*pieces[:n], other, *pieces[n + 1 :]),
                )


def _changed_rights(format_: Format) -> Iterator[tuple[str, Format]]:
    matter = {name for rule in format_.deny for name in (*rule.has, *rule.lacks)}
    for n, one in enumerate(format_.attributes):
        if one.name not in matter:
            continue
        for slot in ("leaf", "table"):
            place = getattr(one, slot)
            if place is None:
                continue
            where = "leaves" if slot == "leaf" else "entries that point to tables"
            for other in (place + 1, place - 1):
                if 0 <= other < 8 * format_.entry_bytes:
                    yield f"the bit of {one.name} in {where}", _with_attribute(format_, n, **{slot: other})
        if one.table is not None:
            for combine in sorted({"and", "or", "and-not"} - {one.combine}):
                yield (
                    f"how {one.name} of tables and leaves combine",
                    _with_attribute(format_, n, combine=combine),
                )
    for n, rule in enumerate(format_.deny):
        yield f"the rule {_rule(rule)}", _with(format_, deny=format_.deny[:n] + format_.deny[n + 1 :])


def _with_attribute(format_: Format, n: int, **fields: Any) -> Format:
    every = list(format_.attributes)
    every[n] = attrs.evolve(every[n], **fields)
    return _with(format_, attributes=tuple(every))


def _rule(rule: Deny) -> str:
    """Name a rule by what it refuses."""
    who = {True: "user ", False: "supervisor ", None: ""}[rule.user]
    what = " and ".join(rule.kinds) or "every access"
    parts = [f"{who}{what} refused"]
    for word, names in (
        ("with", rule.has),
        ("without", rule.lacks),
        ("under", rule.when),
        ("unless", rule.unless),
    ):
        parts += [f"{word} {' and '.join(names)}"] if names else []
    return " ".join(parts)


def _changed_flags(format_: Format) -> Iterator[tuple[str, Format]]:
    used = format_.used
    if used is not None:
        for field, what in (("accessed", "accessed"), ("dirty_set", "dirty"), ("dirty_clear", "dirty")):
            mask = getattr(used, field)
            for other in (mask << 1, mask >> 1):
                if mask and other:
                    yield (
                        f"the bit of the {what} flag",
                        _with(format_, used=attrs.evolve(used, **{field: other})),
                    )
        if any(row.leaf != "always" for row in format_.levels):
            flipped = attrs.evolve(used, on_tables=not used.on_tables)
            yield "whether entries that point to tables have an accessed flag", _with(format_, used=flipped)
    if format_.global_page is not None:
        mask, value = format_.global_page.mask, format_.global_page.value
        for test in (Test(mask << 1, value << 1), Test(mask >> 1, value >> 1), Test(mask, value ^ mask)):
            yield "the mark of global pages", _with(format_, global_page=test)
    for n, run in enumerate(format_.contiguous):
        what = f"a contiguous run of {run.level}"
        yield what, _with(format_, contiguous=format_.contiguous[:n] + format_.contiguous[n + 1 :])
        more = attrs.evolve(run, bits=run.bits + 1)
        yield what, _with(format_, contiguous=(*format_.contiguous[:n], more, *format_.contiguous[n + 1 :]))


def _changed_rules(format_: Format) -> Iterator[tuple[str, Format]]:
    for n, rule in enumerate(format_.reserved):
        what = f"reserved bits {rule.mask:#x}" + (f" ({rule.why})" if rule.why else "")
        yield what, _with(format_, reserved=format_.reserved[:n] + format_.reserved[n + 1 :])
    for n, pattern in enumerate(format_.refused):
        what = f"the refused pattern {pattern.test.value:#x} of {pattern.test.mask:#x}"
        yield what, _with(format_, refused=format_.refused[:n] + format_.refused[n + 1 :])


def _changed_frame(format_: Format) -> Iterator[tuple[str, Format]]:
    yield "the byte order (give an entry as bytes)", _with(format_, big_endian=not format_.big_endian)
    other = 4 if format_.entry_bytes == 8 else 8
    yield "the bytes of an entry (give an entry as bytes)", _with(format_, entry_bytes=other)
    if format_.va_bits < 64:
        for upper in sorted({"sign", "either", "zero"} - {format_.va_upper}):
            yield "which addresses are translated at all (AddressExample)", _with(format_, va_upper=upper)
    if format_.va_ignored:
        yield "the address bits that are ignored (AddressExample)", _with(format_, va_ignored=0)


def _bits_of(mask: int) -> list[int]:
    return [1 << n for n in range(mask.bit_length()) if mask >> n & 1]


def _place(bit: int) -> int:
    return bit.bit_length() - 1
