"""Compare a format's examples with the format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shootdown._compliance import twin
from shootdown._pagetables.format import (
    Access,
    AddressExample,
    Example,
    Format,
    Settings,
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


def disagreements(format_: Format, example: AnyExample, *, rights: bool = True) -> Iterator[str]:
    """Yield what the format says of an example against what the example says.

    Args:
        format_: the format.
        example: one of its examples.
        rights: compare what user and supervisor mode may do, too.
    """
    if isinstance(example, AddressExample):
        yield from _of_address(format_, example)
    elif isinstance(example, WalkExample):
        yield from _of_walk(format_, example)
    else:
        yield from _of_entry(format_, example, rights)


def _of_entry(format_: Format, example: Example, rights: bool) -> Iterator[str]:
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
        for what, said, shown in _meanings(format_, example, level, entry, settings, rights):
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
    format_: Format, example: Example, level: int, entry: int, settings: Settings, rights: bool
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
    if rights and not example.user is example.supervisor is None:
        user, supervisor = _rights(format_, level, entry, settings, leaf=kind == "leaf")
        yield "user mode may", _letters(example.user), user
        yield "supervisor mode may", _letters(example.supervisor), supervisor
    used = format_.used
    flagged = used is not None and format_.levels[level].attributes and (kind == "leaf" or used.on_tables)
    yield "accessed is", example.accessed, bool(used and flagged and entry & used.accessed == used.accessed)
    yield "dirty is", example.dirty, bool(used and _is_dirty(used, entry))
    yield "global is", example.is_global, format_.is_global(entry, level)
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
