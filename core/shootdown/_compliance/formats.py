"""Section 1, entries: what a format says of the bits of an entry has to hold together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from shootdown._compliance import capabilities, entries, twin
from shootdown._compliance.statement import Finding, Said, Statement, Tried
from shootdown._compliance.subject import Subject
from shootdown._pagetables.format import Format


def bits_in_words(mask: int) -> str:
    """Name bits: `bit 5`, `bits 5 to 7 and 63`."""
    places = [n for n in range(mask.bit_length()) if mask >> n & 1]
    runs: list[list[int]] = []
    for n in places:
        if runs and runs[-1][1] == n - 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    texts = [str(a) if a == b else f"{a} to {b}" for a, b in runs]
    return f"bit{'s' if len(places) > 1 else ''} {' and '.join(texts)}"


def title_of(subject: Subject, format_: Format) -> str:
    """Begin a message about a format."""
    return f"{subject.plugin}: format {format_.name}"


def _masks_are_disjoint(subject: Subject) -> Iterator[Said]:
    for format_ in subject.formats:
        for level, part in entries.slots(format_):
            place = f"{title_of(subject, format_)}: in {entries.where(format_, level, part)}"
            uses = entries.uses(format_, level, part)
            for one, other in itertools.combinations(uses, 2):
                if one.mask & other.mask and not entries.may_overlap(one, other):
                    yield Finding(
                        f"{place}, {one.what} and {other.what} share {bits_in_words(one.mask & other.mask)}"
                    )
            yield from _reserved_uses(format_, level, part, place, uses)
            yield from _shared_fields(format_, level, part, place)
            yield Tried(len(uses), "uses of bits")


def _reserved_uses(
    format_: Format, level: int, part: entries.Part, place: str, uses: list[entries.Use]
) -> Iterator[Said]:
    name = format_.levels[level].name
    for rule in format_.reserved:
        if rule.slot not in ("any", part) or (rule.levels and name not in rule.levels):
            continue
        if rule.when or rule.unless or rule.above is not None:
            continue  # under some settings the bits are free
        for use in uses:
            if use.mask & rule.mask and use.kind not in ("size", "run"):
                yield Finding(
                    f"{place}, {use.what} uses {bits_in_words(use.mask & rule.mask)}, which is "
                    f"reserved: {rule.why or 'must be zero'}"
                )


def _shared_fields(format_: Format, level: int, part: entries.Part, place: str) -> Iterator[Said]:
    name = format_.levels[level].name
    fields = [
        field
        for field in format_.fields
        if field.slot in ("any", part) and (not field.levels or name in field.levels)
    ]
    for one, other in itertools.combinations(fields, 2):
        if one.mask & other.mask:
            yield Finding(
                f"{place}, the fields {one.name} and {other.name} share {bits_in_words(one.mask & other.mask)}"
            )


def _bits_are_inside(subject: Subject) -> Iterator[Said]:
    for format_ in subject.formats:
        title, width = title_of(subject, format_), 8 * format_.entry_bytes
        count = 0
        for what, mask in _all_masks(format_):
            count += 1
            if mask < 0:
                yield Finding(f"{title}: {what} is {mask}, not a mask of bits")
            elif mask >> width:
                yield Finding(
                    f"{title}: {what} names {bits_in_words(mask >> width << width)}; an entry has "
                    f"bits 0 to {width - 1}"
                )
        for what, pieces in (
            ("address", format_.address),
            *(
                (f"leaf_address of {row.name}", row.leaf_address)
                for row in format_.levels
                if row.leaf_address
            ),
        ):
            for piece in pieces:
                if (piece.mask << piece.up).bit_length() > 64:
                    yield Finding(
                        f"{title}: {what} reaches address bit {(piece.mask << piece.up).bit_length() - 1}"
                    )
                if lost := piece.mask & (1 << piece.down) - 1:
                    yield Finding(
                        f"{title}: {bits_in_words(lost)} of {what} move down by {piece.down}, out of the address"
                    )
        yield Tried(count, "masks")


def _all_masks(format_: Format) -> Iterator[tuple[str, int]]:
    """Yield every mask of entry bits that a format names."""
    tests = [("present", format_.present), ("points_to_table", format_.points_to_table)]
    tests += [(f"present of {row.name}", row.present) for row in format_.levels if row.present is not None]
    tests += [("global_page", format_.global_page)] if format_.global_page is not None else []
    tests += [(f"contiguous of {run.level}", run.test) for run in format_.contiguous]
    tests += [("a refused pattern", rule.test) for rule in format_.refused]
    for what, test in tests:
        yield what, test.mask
        yield f"{what} (value)", test.value
    for piece in format_.address:
        yield "address", piece.mask
    for row in format_.levels:
        for piece in row.leaf_address or ():
            yield f"leaf_address of {row.name}", piece.mask
        yield f"leaf_bits of {row.name}", row.leaf_bits or 0
        yield f"table_bits of {row.name}", row.table_bits or 0
    for one in format_.attributes:
        for slot, place in (("leaf", one.leaf), ("table", one.table)):
            if place is not None:
                yield f"attribute {one.name} ({slot})", 1 << place if place >= 0 else place
    if format_.used is not None:
        for name in ("accessed", "dirty_set", "dirty_clear"):
            yield f"used.{name}", getattr(format_.used, name)
    yield from (
        ("next_bits", format_.next_bits),
        ("leaf_bits", format_.leaf_bits),
        ("table_bits", format_.table_bits),
    )
    for rule in format_.reserved:
        yield f"reserved ({rule.why})" if rule.why else "reserved", rule.mask
    for field in format_.fields:
        yield f"field {field.name}", field.mask


def _tests_can_hold(subject: Subject) -> Iterator[Said]:
    for format_ in subject.formats:
        title = title_of(subject, format_)
        tests = [("present", format_.present)]
        tests += [
            (f"present of {row.name}", row.present) for row in format_.levels if row.present is not None
        ]
        tests += [
            (f"leaf_present of {row.name}", row.leaf_present)
            for row in format_.levels
            if row.leaf_present is not None
        ]
        tests += [("global_page", format_.global_page)] if format_.global_page is not None else []
        tests += [(f"contiguous of {run.level}", run.test) for run in format_.contiguous]
        tests += [("a refused pattern", rule.test) for rule in format_.refused]
        if any(row.leaf == "flag" for row in format_.levels):
            tests.append(("points_to_table", format_.points_to_table))
        for what, test in tests:
            if test.value & ~test.mask:
                yield Finding(
                    f"{title}: {what} can never hold: its value {test.value:#x} has "
                    f"{bits_in_words(test.value & ~test.mask)} set, "
                    f"which its mask {test.mask:#x} leaves out"
                )
            elif not test.mask and not (format_.empty_tables and what.startswith("present of ")):
                yield Finding(f"{title}: {what} holds of every entry: its mask is 0")
        for level, part in entries.slots(format_):
            yield from _can_be(format_, level, part, title)
        yield Tried(len(tests), "tests")


def _can_be(format_: Format, level: int, part: entries.Part, title: str) -> Iterator[Said]:
    """Find whether any entry of a level can be of a kind, given when it is present."""
    row, size = format_.levels[level], format_.points_to_table
    if row.leaf != "flag":
        return
    present = row.present or format_.present
    both = present.mask & size.mask
    agree = present.value & both == size.value & both
    if part == "table" and not agree:
        yield Finding(
            f"{title}: {entries.where(format_, level, part)} can't exist: present and points_to_table contradict"
        )
    if part == "leaf" and agree and not size.mask & ~present.mask:
        yield Finding(
            f"{title}: {entries.where(format_, level, part)} can't exist: points_to_table holds of "
            "every present entry"
        )


def _what_is_written_is_meant(subject: Subject) -> Iterator[Said]:
    for format_ in subject.formats:
        title, settings = title_of(subject, format_), format_.settings()
        for level, part in entries.slots(format_):
            if part == "table":
                texts = [("", entries.table_bits(format_, level))]
                if format_.next_bits:
                    texts = [("", texts[0][1] | format_.levels[level + 1].bits)]
            elif not format_.has_leaves(level, settings):
                continue
            else:
                texts = [
                    (f" ({who} {letters})", entries.written(format_, level, held))
                    for who, letters, held in _granted(format_)
                ]
            yield from _read_back(format_, level, part, title, texts)
            yield Tried(len(texts), "entries written")


def _read_back(
    format_: Format, level: int, part: entries.Part, title: str, texts: list[tuple[str, int]]
) -> Iterator[Said]:
    """Read entries as the twin does; of those that go wrong alike, the first is named."""
    place, settings = f"{title}: {entries.where(format_, level, part)}", format_.settings()
    said: set[str] = set()
    for what, entry in texts:
        found = twin.decode(format_, level, entry, settings)
        is_it = "refused" if found.refused and found.kind != "absent" else found.kind
        if is_it != part and is_it not in said:
            said.add(is_it)
            field = "leaf_bits" if part == "leaf" else "table_bits"
            yield Finding(f"{place}{what} is written as {entry:#x}, which is {_is(is_it)}: look at {field}")
        for use in entries.uses(format_, level, part):
            if use.kind == "address" and use.mask & entry and "address" not in said:
                said.add("address")
                yield Finding(f"{place}{what} is written with address {bits_in_words(use.mask & entry)} set")


def _is(kind: str) -> str:
    return {"leaf": "a page", "table": "a pointer to a table", "absent": "absent"}.get(
        kind, "refused as reserved"
    )


def _granted(format_: Format) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Yield the pages that can be asked for: for whom, with which permissions, and their attributes."""
    for user in (True, False):
        for letters in ("r", "w", "x", "rw", "rx", "rwx"):
            try:
                yield "user" if user else "supervisor", letters, format_.attributes_for(letters, user=user)
            except Exception:
                continue


def _zero_is_absent(subject: Subject) -> Iterator[Said]:
    for format_ in subject.formats:
        for level, row in enumerate(format_.levels):
            found = twin.decode(format_, level, row.empty, format_.settings()).kind
            stands = format_.empty_tables and found == "table" and level + 1 < len(format_.levels)
            if found != "absent" and not stands:
                yield Finding(
                    f"{title_of(subject, format_)}: an entry of {row.empty} is present in a {row.name}: a table "
                    "that was just cleared maps "
                    "something. Its test is `present`; `Level.empty` says which entry maps nothing, and "
                    "`empty_tables` that tables do"
                )
        yield Tried(len(format_.levels), "levels")


_NEEDS = (capabilities.formats,)

STATEMENTS = (
    Statement(
        "1.1",
        "Of the bits of an entry, each has one use in each level",
        "A bit that is an address bit and a permission at once makes translations depend on where "
        "tables happen to lie.",
        "Compare the masks that the message names with the manual's figure of that entry; a large "
        "page has fewer address "
        "bits than a base page (`Level.leaf_address`).",
        _masks_are_disjoint,
        _NEEDS,
    ),
    Statement(
        "1.2",
        "Every bit lies inside the entry",
        "A bit beyond the entry's end is never set, so that whatever depends on it never happens.",
        "Check `entry_bytes`, and whether the manual counts bits from the most significant one.",
        _bits_are_inside,
        _NEEDS,
    ),
    Statement(
        "1.3",
        "Every test can hold, and both pages and tables can exist where a level has both",
        "A test whose value has bits outside of its mask never holds; with it a kind of entry disappears.",
        "`Test(mask, value)`: `value` is a part of `mask`. A single bit that must be set is `Test(bit(n), bit(n))`.",
        _tests_can_hold,
        _NEEDS,
    ),
    Statement(
        "1.4",
        "What is written as a table or as a page is read as one",
        "`table_bits` and `leaf_bits` are written into each new entry; a walk must take it for what it was meant.",
        "Add the bits that `present` and `points_to_table` ask for to `table_bits` and `leaf_bits`, "
        "or to the level's own.",
        _what_is_written_is_meant,
        _NEEDS,
    ),
    Statement(
        "1.5",
        "An entry of 0 is absent in every level",
        "New tables are cleared; entries are cleared to unmap. If 0 maps something, physical address "
        "0 is what it maps.",
        "Correct `present`. If the architecture fills its empty tables with another value, declare that.",
        _zero_is_absent,
        _NEEDS,
    ),
)
