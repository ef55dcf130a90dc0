"""The difference between two kernels as text: switches, then what programs do, with the commits that are to blame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from shootdown._questions.differing import Difference, Differs, Tried
from shootdown._report.history import EACH, TOGETHER, blamed, commits, words
from shootdown._report.text import Column, about, exact, lay_out, paragraph, widths
from shootdown._values.result import Span

_TIMES = {"elapsed_ns": "elapsed", "system_ns": "system time", "lost_ns": "what others lost"}
_SAME_MACHINE = "the same machine"


def lines(found: Difference, width: int, *, defaults: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Write everything.

    Args:
        found: what `diff()` returned.
        width: columns of text.
        defaults: by program, the parameters that it has by itself.
    """
    values = " ".join(f"{name}={value}" for name, value in found.set.items())
    yield from paragraph(f"{found.before} to {found.after}" + (f", set {values}" if values else ""), width)
    yield ""
    yield from _switches(found, width)
    for (arch, platform), tried in groupby(found.tried, key=lambda row: (row.arch, row.platform)):
        rows = [row for row in found.rows if (row.arch, row.platform) == (arch, platform)]
        yield ""
        yield from _programs(found, f"{arch} {platform}", list(tried), rows, width, defaults)
    many = [row.blame for row in found.rows if len(row.blame.commits) > 1]
    for text, there in (
        (TOGETHER, any(one.together for one in many)),
        (EACH, any(not one.together for one in many)),
    ):
        if there:
            yield from paragraph(text, width, rest="   ")
    if found.changes:
        yield ""
        yield from commits(found.changes, width)
    for remark in found.remarks:
        yield from paragraph(remark, width, rest="  ")


def _switches(found: Difference, width: int) -> Iterator[str]:
    if not found.switches:
        same = "" if found.patch is not None else ": the kernels do the same"
        yield from paragraph(f"No switch differs{same}.", width)
        return
    several = len({row.arch for row in found.tried}) > 1
    columns = [Column("switch", wraps=True), *([Column("on", wraps=True)] if several else [])]
    columns += [*(Column(name, wraps=True) for name in found.headings), Column("moved by")]
    cells = [
        [
            row.name,
            *([", ".join(row.arch)] if several else []),
            _text(row.before),
            _text(row.after),
            "\n".join(row.commits),
        ]
        for row in found.switches
    ]
    yield from _table(columns, cells, width)


def _programs(
    found: Difference,
    where: str,
    tried: Sequence[Tried],
    rows: Sequence[Differs],
    width: int,
    defaults: Mapping[str, Mapping[str, Any]],
) -> Iterator[str]:
    cells = []
    before = None
    for row in rows:
        cells.append(
            [
                row.program if row.program != before else "",
                _TIMES.get(row.name, words(row.name)) + (" (timing)" if row.timing else ""),
                _text(row.before),
                _text(row.after),
                blamed(row.blame.commits, together=row.blame.together),
            ]
        )
        before = row.program
    yield from paragraph(f"What programs do on {where}:", width)
    if cells:
        columns = [
            Column("program", wraps=True),
            Column("what", wraps=True),
            *(Column(name, right=True) for name in found.headings),
            Column("because of"),
        ]
        yield from _table(columns, cells, width)
    else:
        yield from paragraph("No count, time or verdict differs.", width, first="  ")
    if any(row.timing for row in rows):
        yield from paragraph("(timing): timing decides the count; these are of the likely costs.", width)
    yield from _tried(tried, width, defaults)


def _tried(tried: Sequence[Tried], width: int, defaults: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Say which programs were tried, and what became of those that aren't in the table."""
    groups: dict[str, list[str]] = {}
    for row in tried:
        usual = defaults[row.program]
        chosen = [
            f"{name}={_text(value)}" for name, value in row.parameters.items() if usual.get(name) != value
        ]
        name = f"{row.program} ({' '.join(chosen)})" if chosen else row.program
        groups.setdefault(_fate(row), []).append(name)
    for fate, names in groups.items():
        yield from paragraph(f"{fate}: {', '.join(names)}.", width, first="- ")


def _fate(row: Tried) -> str:
    if row.differs:
        return "Differ"
    if row.differs is None:
        return "Given up, as the search is not a matter of seconds (name one to have it done)"
    if row.verdict is not None and row.reason is None:
        return f"Searched, {row.verdict} on both"
    if row.reason is None:
        return "Run, and equal"
    if _SAME_MACHINE in row.reason:
        return "Equal step by step on both kernels, so that nothing was run"
    return f"On neither kernel, as {row.reason}"


def _text(value: Any) -> str:
    if isinstance(value, Span):
        return about(value.likely)
    if isinstance(value, bool):
        return str(value).lower()
    return exact(value) if isinstance(value, int) else str(value)


def _table(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    sizes = widths(columns, cells, width, hyphenate=True)
    if sizes is None:
        sizes = widths(columns, cells, 10_000, hyphenate=True)
    assert sizes is not None
    yield from lay_out(columns, cells, sizes, hyphenate=True)
