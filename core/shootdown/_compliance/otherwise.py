"""Find what no example of a format shows.

What examples show is found by changing the format: if a bit could lie elsewhere, a rule be missing or a level be larger
without any example disagreeing, then nothing shows that bit, rule or level.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import attrs

from shootdown._compliance import entries, twin
from shootdown._compliance.examples import disagreements
from shootdown._pagetables.format import EVERY_ACCESS, Deny, Example, Format, Piece, Test
from shootdown._pagetables.format_examples import AnyExample


def unshown(format_: Format) -> list[str]:
    """Return what could be otherwise without any example disagreeing, in words."""
    agreeing = [one for one in format_.examples if not _disagrees(format_, one, True)]
    agreeing.sort(key=lambda one: isinstance(one, Example) and one.meaning == "table")  # those take longest
    found: dict[str, None] = {}
    for what, changed in _changed(format_):
        rights = changed.deny is not format_.deny or changed.attributes is not format_.attributes
        if what not in found and not any(_disagrees(changed, one, rights) for one in agreeing):
            found[what] = None
    return list(found)


def _disagrees(format_: Format, example: AnyExample, rights: bool) -> bool:
    return any(True for _ in disagreements(format_, example, rights=rights))


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
        if test.mask:  # where empty tables stand for absence, nothing is absent
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
            flipped = Test(test.mask, test.value ^ bit)
            yield f"that bit {_place(bit)} tells a table from a page", _with(format_, points_to_table=flipped)


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
        for mask in (
            format_.next_bits & ~lowest,
            format_.next_bits & format_.next_bits >> 1,
            format_.next_bits << 1,
        ):
            yield "the size of the next table in an entry", _with(format_, next_bits=mask)


def _other_pieces(pieces: tuple[Piece, ...], span: int) -> Iterator[tuple[str, tuple[Piece, ...]]]:
    for n, piece in enumerate(pieces):
        looked_at = [
            place
            for place in range(piece.mask.bit_length())
            if piece.mask >> place & 1 and place + piece.up - piece.down >= span
        ]
        if not looked_at:
            continue
        for place in (looked_at[0], looked_at[-1]):
            fewer = attrs.evolve(piece, mask=piece.mask & ~(1 << place))
            yield f"bit {place}", (*pieces[:n], fewer, *pieces[n + 1 :])
        move = piece.up - piece.down
        for other in (move + 1, move - 1):
            moved = Piece(piece.mask, max(other, 0), down=max(-other, 0))
            yield (
                f"the place of bits {looked_at[0]} to {looked_at[-1]}",
                (*pieces[:n], moved, *pieces[n + 1 :]),
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
        if _decides(format_, n):
            yield f"the rule {_rule(rule)}", _with(format_, deny=format_.deny[:n] + format_.deny[n + 1 :])


def _with_attribute(format_: Format, n: int, **fields: Any) -> Format:
    every = list(format_.attributes)
    every[n] = attrs.evolve(every[n], **fields)
    return _with(format_, attributes=tuple(every))


def _decides(format_: Format, number: int) -> bool:
    """Whether there is any page that is a page at all, of whose accesses this rule alone refuses one."""
    rule = format_.deny[number]
    others = format_.deny[:number] + format_.deny[number + 1 :]
    free = [
        name
        for other in others
        for name in (*other.when, *other.unless)
        if name not in (*rule.when, *rule.unless)
    ]
    fixed = dict.fromkeys(rule.when, 1) | dict.fromkeys(rule.unless, 0)
    level = max(n for n, row in enumerate(format_.levels) if row.leaf != "never")
    for index in range(1 << len(format_.attributes)):
        held = format_.held(index)
        for value in (0, 1):
            settings = format_.settings(**(dict.fromkeys(free, value) | fixed))
            found = twin.decode(format_, level, entries.written(format_, level, held), settings)
            if found.kind != "leaf" or found.refused:
                continue
            for access in EVERY_ACCESS:
                if rule.applies(access, held, settings) and not any(
                    other.applies(access, held, settings) for other in others
                ):
                    return True
    return False


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
        if any(row.leaf != "always" for row in format_.levels) and not _is_reserved_in_tables(
            format_, used.accessed
        ):
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


def _is_reserved_in_tables(format_: Format, mask: int) -> bool:
    """Whether entries that point to tables never have these bits set."""
    return any(
        rule.mask & mask == mask
        and rule.slot != "leaf"
        and not (rule.levels or rule.when or rule.unless or rule.above)
        for rule in format_.reserved
    )


def _changed_rules(format_: Format) -> Iterator[tuple[str, Format]]:
    for n, rule in enumerate(format_.reserved):
        what = f"reserved bits {rule.mask:#x}" + (f" ({rule.why})" if rule.why else "")
        yield what, _with(format_, reserved=format_.reserved[:n] + format_.reserved[n + 1 :])
        for outer in {rule.mask & -rule.mask, 1 << rule.mask.bit_length() - 1} - {rule.mask}:
            if rule.above is None or outer != rule.mask & -rule.mask:
                fewer = attrs.evolve(rule, mask=rule.mask & ~outer)
                others = (*format_.reserved[:n], fewer, *format_.reserved[n + 1 :])
                yield f"that bit {_place(outer)} is among {what}", _with(format_, reserved=others)
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
