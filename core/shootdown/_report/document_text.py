"""A report as Markdown, or as plain text of a mail's width."""

from __future__ import annotations

from collections.abc import Iterator

from shootdown._report import flat
from shootdown._report.document import (
    INDENT,
    Bars,
    Block,
    Command,
    Document,
    Drawing,
    Facts,
    Heading,
    Race,
    Table,
    Text,
)
from shootdown._report.lore import continued, race
from shootdown._report.text import Column, lay_out, paragraph, widths

#: Columns of the longest bar in plain text.
_BAR = 24


def markdown(document: Document) -> Iterator[str]:
    """Write a report as Markdown; pictures are left out."""
    yield f"# {_escaped(document.title)}"
    for block in document.blocks:
        yield ""
        yield from _markdown(block)


def _markdown(block: Block) -> Iterator[str]:
    match block:
        case Heading(text, level):
            yield f"{'#' * level} {_escaped(text)}"
        case Text(text, kind):
            yield f"**{_escaped(text)}**" if kind in ("answer", "bad") else _escaped(text)
        case Facts(items):
            yield from (f"- {_escaped(item)}" for item in items)
        case Table():
            yield from flat.markdown(block.headings, block.rows)
        case Bars(caption, bars):
            yield _escaped(caption)
            yield ""
            if any(bar.note for bar in bars):
                yield from flat.markdown(("", "where", ""), [(bar.name, bar.note, bar.text) for bar in bars])
            else:
                yield from flat.markdown(("", ""), [(bar.name, bar.text) for bar in bars])
        case Race(story):
            yield from ("```text", *race(story, 100), "```")
        case Command(text):
            yield from ("```console", f"$ {text}", "```")
        case Drawing(picture):
            yield _escaped(f"(A picture, {picture.title}, is on the page of --html.)")


def _escaped(text: str) -> str:
    found = text.replace("\n", " ")
    for sign in "\\*_<[`":
        found = found.replace(sign, "\\" + sign)
    return found


def plain(document: Document, width: int) -> Iterator[str]:
    """Write a report as plain text.

    Args:
        document: it.
        width: columns.
    """
    yield from paragraph(document.title, width)
    yield "=" * min(len(document.title), width)
    for block in document.blocks:
        lines = list(_plain(block, width))
        if lines:
            yield ""
            yield from lines


def _plain(block: Block, width: int) -> Iterator[str]:
    match block:
        case Heading(text, level):
            yield from paragraph(text, width)
            yield ("=" if level < 3 else "-") * min(len(text), width)
        case Text(text, _):
            yield from paragraph(text, width)
        case Facts(items):
            for item in items:
                yield from paragraph(item, width, first="- ")
        case Table(lines=lines) if lines is not None:
            yield from lines(width)
        case Table():
            yield from _plain_table(block, width)
        case Bars(bars=bars):
            yield from paragraph(block.caption_with("/"), width)
            most = max((bar.value for bar in bars), default=0) or 1
            for bar in bars:
                yield from paragraph(
                    f"{bar.name} {f'({bar.note})' if bar.note else ''}".rstrip(), width, first="  "
                )
                full, part = round(_BAR * bar.value / most), round(_BAR * bar.part / most)
                yield f"    {'/' * part}{'#' * (full - part)} {bar.text}"
        case Race(story):
            yield from race(story, width)
        case Command(text):
            yield from continued(text, width)


def _plain_table(table: Table, width: int) -> Iterator[str]:
    columns = [
        Column(text, right=n in table.right, wraps=n not in table.right)
        for n, text in enumerate(table.headings)
    ]
    if any(cell.startswith(INDENT) for row in table.rows for cell in row):
        yield from _tree(table, width)
        return
    chosen = widths(columns, table.rows, width)
    if chosen is not None:
        yield from lay_out(columns, table.rows, chosen)
        return
    for row in table.rows:  # too narrow for a table: one fact a line
        for n, (name, cell) in enumerate(zip(table.headings, row, strict=True)):
            if cell:
                text = f"{name}: {cell}" if name else cell
                yield from paragraph(text, width, first="  " if n else "- ", rest="    ")


def _tree(table: Table, width: int) -> Iterator[str]:
    """Write a table whose first cells are indented: each row as a line, what else it has behind the first cell."""
    for first, *others in table.rows:
        words = first.lstrip(INDENT)
        indent = "  " * (len(first) - len(words))
        named = [
            f"{name} {cell}" if n in table.right else cell
            for n, (name, cell) in enumerate(zip(table.headings[1:], others, strict=True), 1)
            if cell
        ]
        more = f"  ({', '.join(named)})" if named else ""
        yield from paragraph(f"{words}{more}", width, first=indent, rest=f"{indent}    ")
