"""What is wrong with a page-table format that contradicts itself: it is refused when it is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shootdown._pagetables.format_examples import AddressExample, Example
from shootdown._pagetables.format_parts import BitField, Refused, Reserved
from shootdown._values.errors import nearest

if TYPE_CHECKING:
    from shootdown._pagetables.format import Format


#: The attributes of a translation are kept in eight bits.
MOST_ATTRIBUTES = 8


def problems(format_: Format) -> Iterator[str]:
    """Yield why a format is no format: names that nothing has, sizes that do not add up."""
    total = format_.page_shift + sum(level.bits for level in format_.levels)
    if not format_.levels:
        yield "it has no levels"
    if not format_.address:
        yield "it has no place for addresses: give address one Piece or two"
    if len(format_.address) > 2:
        yield f"its addresses lie in {len(format_.address)} pieces; a walk takes at most 2"
    for noun, names in (
        ("attributes", [attribute.name for attribute in format_.attributes]),
        ("settings", [setting.name for setting in format_.settings_known]),
    ):
        for name in {name for name in names if names.count(name) > 1}:
            yield f"two {noun} are called {name!r}"
    if total != format_.va_bits:
        yield f"its levels translate {total} address bits and va_bits says {format_.va_bits}"
    if format_.entry_bytes not in (4, 8):
        yield f"entry_bytes is 4 or 8, not {format_.entry_bytes}"
    if len(format_.attributes) > MOST_ATTRIBUTES:
        yield f"it has {len(format_.attributes)} attributes; a walk carries at most {MOST_ATTRIBUTES}"
    settings = {setting.name for setting in format_.settings_known}
    attributes = {attribute.name for attribute in format_.attributes}
    levels = {level.name for level in format_.levels}
    used = [name for rule in format_.deny for name in rule.when + rule.unless]
    used += [
        name for r in format_.reserved for name in (*r.when, *r.unless, *((r.above,) if r.above else ()))
    ]
    used += [level.leaf_needs for level in format_.levels if level.leaf_needs]
    used += [format_.output_bits] if format_.output_bits else []
    used += [n for f in format_.faults for c in f.code for n in c.any_of]
    used += [n for one in format_.examples if not isinstance(one, AddressExample) for n, _ in one.settings]
    for name in used:
        if name not in settings:
            yield f"a rule names the setting {name!r}; {nearest(name, settings)}"
    for name in [name for rule in format_.deny for name in rule.has + rule.lacks]:
        if name not in attributes:
            yield f"a rule names the attribute {name!r}; {nearest(name, attributes)}"
    named: list[Reserved | Refused | BitField] = [*format_.reserved, *format_.refused, *format_.fields]
    entries = [one for one in format_.examples if isinstance(one, Example)]
    for name in [n for rule in (*named, *entries) for n in rule.levels] + [
        run.level for run in format_.contiguous
    ]:
        if name not in levels:
            yield f"a rule names the level {name!r}; {nearest(name, levels)}"
    if not format_.faults:
        yield "it has no faults: the last one takes every reason that is left"
    if format_.faults and (format_.faults[-1].reasons or format_.faults[-1].kinds):
        yield "its last fault must take every reason that is left"
