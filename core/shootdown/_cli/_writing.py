"""Write the report of a command: lines, tables and JSON.

Only what goes through here reaches standard output: while a command runs, everything else that Python code prints, a
plugin's included, goes to standard error.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

from shootdown._cli import _asked, _console

_NARROWEST = 10  # columns below which wrapped text can't be read
_GAP = 3  # columns that rich puts between two cells


def write_line(text: str) -> None:
    """Write a line, or several, of the report to standard output."""
    print(text, file=_console.stream())


def write_wrapped(text: str, *, rest: str) -> None:
    """Write a sentence of the report, wrapped where the report goes to a terminal or COLUMNS is set.

    Args:
        text: begins with the blanks of its first line.
        rest: what stands before each further line.
    """
    columns = line_width()
    if columns is None or len(text) <= columns:
        write_line(text)
        return
    from shootdown._report.text import paragraph

    words = text.lstrip(" ")
    for line in paragraph(words, columns, first=" " * (len(text) - len(words)), rest=rest):
        write_line(line)


def write_part(text: str) -> None:
    """Write a part of a line, or of a long JSON text, to standard output."""
    _console.stream().write(text)


def write_json(value: Any) -> None:
    """Write a value as JSON to standard output; NaN and infinities are errors.

    An object gets the key `asked`, with which `shootdown rerun` asks the same again.
    """
    if isinstance(value, Mapping) and (asked := _asked.asked()) is not None:
        value = {**value, "asked": asked}
    write_line(json.dumps(value, indent=2, allow_nan=False))


def asked_at_the_end() -> str:
    """Return how a JSON object ends that was written in parts: with the key `asked`, as `write_json()` adds it."""
    asked = _asked.asked()
    return "\n}" if asked is None else "," + json.dumps({"asked": asked}, indent=2)[1:]


def write_result(value: Mapping[str, Any]) -> None:
    """Write a result as JSON that `shootdown report` reads: with the version and the command that made it.

    Options that write files besides are no part of that command.

    Args:
        value: what `schema` and the command's own keys are; the two come after `schema`.
    """
    from importlib.metadata import version

    schema, rest = value["schema"], {name: one for name, one in value.items() if name != "schema"}
    words = ("shootdown", *_asked.without_writing(_console.arguments.get()))
    write_json({"schema": schema, "version": version("shootdown"), "command": shlex.join(words), **rest})


def command_line() -> str:
    """Return the command that runs, as a shell takes it."""
    return shlex.join(("shootdown", *_console.arguments.get()))


def write_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    right: Collection[str] = (),
    whole: Collection[str] | None = None,
) -> None:
    """Write a table to standard output: as wide as the terminal, or 80 columns of plain text elsewhere.

    Cells are shown as they are, never read as markup, and wrap where they don't fit. None is an empty cell.

    Args:
        columns: the headings.
        rows: as many cells each.
        title: a line above.
        right: the headings whose cells are numbers, aligned to the right.
        whole: the headings whose cells don't wrap while there is room; the first one unless given.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console = _console.console(_console.stream())
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    gap = _GAP
    kept = set(columns[:1] if whole is None else whole)
    if _needed(columns, cells, kept) + gap * (len(columns) - 1) > console.width:
        used = [i for i, name in enumerate(columns) if name not in right or any(row[i] for row in cells)]
        columns, cells = [columns[i] for i in used], [[row[i] for i in used] for row in cells]
        gap = 1
    if _needed(columns, cells, kept) + gap * (len(columns) - 1) > console.width:
        kept = set()  # rich would cut names off rather than wrap them
        if console.width >= _needed(columns, cells, set(right)) + gap * (len(columns) - 1):
            kept = set(right)
            cells = _broken(columns, cells, kept, console.width - gap * (len(columns) - 1))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, gap // 2))
    for name in columns:
        justify: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(Text(name), justify=justify, overflow="fold", no_wrap=name in kept)
    for row in cells:
        table.add_row(*map(Text, row))
    with console.capture() as capture:
        if title is not None:
            console.print(Text(title, style="bold"))
        console.print(table)
    # Rich pads every line to the width of the table; blanks at the end only get in the way of diff and grep.
    for line in capture.get().splitlines():
        write_line(line.rstrip())


def _needed(columns: Sequence[str], cells: Sequence[Sequence[str]], kept: Collection[str]) -> int:
    """Return how many columns of text a table needs between its gaps."""
    sizes = [max(map(len, texts)) for texts in zip(columns, *cells, strict=True)]
    return sum(
        size if name in kept else min(size, _NARROWEST) for name, size in zip(columns, sizes, strict=True)
    )


def _broken(
    columns: Sequence[str], cells: Sequence[Sequence[str]], kept: Collection[str], room: int
) -> list[list[str]]:
    """Break the names of the only column that may wrap after a sign, rather than anywhere."""
    others = [i for i, name in enumerate(columns) if name not in kept]
    if len(others) != 1:
        return [list(row) for row in cells]
    (at,) = others
    room -= _needed(columns, cells, {*columns}) - max(len(row[at]) for row in [columns, *cells])
    return [[_wrap(cell, room) if i == at else cell for i, cell in enumerate(row)] for row in cells]


def _wrap(name: str, room: int) -> str:
    lines = [""]
    for piece in re.findall(r"[^-_. ]+[-_. ]*|[-_. ]+", name):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > room:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)


def width() -> int:
    """Return how many columns the report has: the terminal's, or 80 of plain text unless COLUMNS says otherwise."""
    stream = _console.stream()
    if not stream.isatty():  # to import rich takes as long as a small answer
        return _console.plain_width(os.environ)
    columns: int = _console.console(stream).width
    return columns


def line_width() -> int | None:
    """Return the columns after which a long list wraps its lines: the terminal's or COLUMNS.

    None elsewhere: what is piped into grep has its lines whole.
    """
    return width() if _console.stream().isatty() or os.environ.get("COLUMNS") else None
