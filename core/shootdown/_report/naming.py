"""What names the rows of a comparison: what they have in common, and what differs between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shootdown._report.text import exact, paragraph
from shootdown._values.result import Result

#: How many parameters of a workload are named even if they have their defaults: the first ones.
_ALWAYS_NAMED = 3


def label(row: Result, rows: Sequence[Result]) -> str:
    """Name a row by what differs from the others."""
    parts = [str(getattr(row, name)) for name in ("arch", "platform") if varies(rows, name)]
    cpus = f" with {exact(row.cpus)} CPUs" if sizes_vary(rows) else ""
    values = "".join(f" {name}={value_of(row, name)}" for name in varying(rows))
    return " ".join((*parts, row.kernel)) + values + cpus


def title(rows: Sequence[Result], width: int, defaults: Mapping[str, Any]) -> list[str]:
    """Return the lines above the table, which say what all rows have in common, and a blank one."""
    first, several = rows[0], varying(rows)
    parameters = " ".join(
        f"{name}={_parameter(rows, name, value)}"
        for i, (name, value) in enumerate(first.parameters.items())
        if name not in several and (i < _ALWAYS_NAMED or name not in defaults or defaults[name] != value)
    )
    parts = [f"{first.workload}: {parameters}" if parameters else first.workload]
    if len({(row.arch, row.platform) for row in rows}) == 1:
        parts.append(f"on {first.arch} {first.platform}")
    if len({row.cpus for row in rows}) == 1:
        parts.append(f"with {exact(first.cpus)} CPU{'' if first.cpus == 1 else 's'}")
    if first.set:
        parts.append("set " + " ".join(f"{name}={value}" for name, value in first.set.items()))
    return [*paragraph(", ".join(parts), width), ""]


def varies(rows: Sequence[Result], name: str) -> bool:
    """Whether rows have several values of an attribute."""
    return len({getattr(row, name) for row in rows}) > 1


def varying(rows: Sequence[Result]) -> list[str]:
    """Return the parameters of which rows have several values."""
    return [name for name in rows[0].parameters if len({row.parameters.get(name) for row in rows}) > 1]


def value_of(row: Result, name: str) -> str:
    """Return a row's own value of a parameter: how many there were, where fewer were possible than asked for."""
    value = row.applied.get(name, row.parameters.get(name))
    return (
        str(value).lower()
        if isinstance(value, bool)
        else exact(value)
        if isinstance(value, int)
        else str(value)
    )


def sizes_vary(rows: Sequence[Result]) -> bool:
    """Whether one platform comes with several numbers of CPUs."""
    return len({(row.arch, row.platform, row.cpus) for row in rows}) > len(
        {(row.arch, row.platform) for row in rows}
    )


def _parameter(rows: Sequence[Result], name: str, value: Any) -> str:
    """Return what was asked for, and how many there were if in all rows fewer were possible."""
    if isinstance(value, bool):
        return str(value).lower()
    applied = {row.applied.get(name, value) for row in rows if row.supported}
    if len(applied) != 1 or applied == {value}:
        return str(value)
    return f"{applied.pop()} (of {value} asked for)"


def grouped(rows: Sequence[Result]) -> bool:
    """Whether rows stand under a heading for each platform: it and something else varies."""
    platforms = {(row.arch, row.platform) for row in rows}
    return len(platforms) > 1 and len(platforms) < len(rows)


def identity(rows: Sequence[Result]) -> Iterator[tuple[str, str, bool]]:
    """Yield the columns that name a row: attribute, heading, whether it wraps."""
    under_headings = grouped(rows)
    if not under_headings:
        if varies(rows, "arch"):
            yield "arch", "arch", False
        if varies(rows, "platform"):
            yield "platform", "platform", True
    yield "kernel", "kernel", True
    for name in varying(rows):
        yield name, name, False
    if sizes_vary(rows) or (not under_headings and varies(rows, "cpus")):
        yield "cpus", "CPUs", False


def name_of(row: Result, name: str) -> str:
    """Return a cell that names a row: an attribute, or a parameter."""
    if name == "cpus":
        return exact(row.cpus)
    return value_of(row, name) if name in row.parameters else str(getattr(row, name))


def named(row: Result, name: str) -> str:
    """Return what names a row where no heading says what it is."""
    return f"{name}={value_of(row, name)}" if name in row.parameters else name_of(row, name)
