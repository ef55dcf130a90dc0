"""The history of a program as text: ranges of releases, what moved between them, and which release to run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from shootdown._questions.history import Advice, History, Span
from shootdown._questions.trials import Outcome
from shootdown._report.comparison import HEADINGS
from shootdown._report.text import Column, exact, lay_out, paragraph, widths
from shootdown._values.changes import Change
from shootdown._values.result import ALL_COUNTS
from shootdown._values.timelines import MAINLINE

#: Counts in the order in which they tell most; the last ones are left out first where a table is too wide.
_TELLING = (
    "sync_ipis",
    "sync_broadcasts",
    "flush_ipis",
    "broadcast_invalidations",
    "stale_entries_left",
    "flush_requests",
    "hypercalls",
    "transition_ipis",
    "redundant_sync_ipis",
    "full_flushes",
    "page_invalidations",
    "unshared_tables",
    "gathers",
    "completion_waits",
    "interrupted_cpus",
)
#: How many parameters of a workload are named even if they have their defaults: the first ones.
_ALWAYS_NAMED = 3
TOGETHER = "+: turned back together, and not one of them alone, they give what was there before."
EACH = "&: each of them, turned back alone, gives what was there before."


def lines(found: History, width: int, *, defaults: Mapping[str, Any]) -> Iterator[str]:
    """Write the ranges of each platform as a table, and the commits between them below.

    Args:
        found: what `history()` returned.
        width: columns of text.
        defaults: the parameters that the program has by itself.
    """
    yield from _title(found, width, defaults)
    notes: dict[str, int] = {}
    for (arch, platform), rows in _by_platform(found.rows):
        yield from _machine(found, arch, platform, width)
        yield from _table(list(rows), width, notes, found.patch)
        yield ""
    if any(len(row.blame.commits) > 1 for row in found.rows):
        if any(row.blame.together for row in found.rows):
            yield from paragraph(TOGETHER, width, rest="   ")
        if any(len(row.blame.commits) > 1 and not row.blame.together for row in found.rows):
            yield from paragraph(EACH, width, rest="   ")
    yield from commits(found.changes, width)
    for remark in found.remarks:
        yield from paragraph(remark, width, rest="  ")
    for remark, number in notes.items():
        yield from paragraph(remark, width, first=f"[{number}] ")


def advice_lines(found: History, width: int, *, defaults: Mapping[str, Any]) -> Iterator[str]:
    """Write the lowest release to run of each series, or why there is none."""
    yield from _title(found, width, defaults)
    for (arch, platform), rows in _by_platform(found.advice):
        yield from _machine(found, arch, platform, width)
        cells = [(_series(row.series, found.patch), row.release or "none", _why(row)) for row in rows]
        columns = (Column("series"), Column("lowest"), Column("remark", wraps=True))
        sizes = widths(columns, cells, width) or [len(cells[0][0]), 9, max(width - 25, 10)]
        yield from lay_out(columns, cells, sizes)
        yield ""
    if found.kind == "workload":
        text = "lowest: from it on no release of the series has more syncs or IPIs than the newest known one."
    else:
        text = "lowest: from it on every release of the series is safe."
    yield from paragraph(text, width, rest="  ")
    if any(row.lacks for row in found.advice):
        text = "lacks: it is as good for want of what these commits brought and mended."
        yield from paragraph(text, width, rest="  ")
    named = {name: found.changes[name] for row in found.advice for name in row.lacks if name in found.changes}
    yield from commits(named, width)


def commits(changes: Mapping[str, Change], width: int) -> Iterator[str]:
    """Write what each commit is called, and since which mainline release there is."""
    for name, change in changes.items():
        since = f" ({change.mainline})" if change.mainline else ""
        yield from paragraph(f"{name} {change.subject}{since}", width, rest="  ")


def heading(count: str) -> str:
    """Return the heading of a count."""
    return HEADINGS.get(count, words(count))


def words(count: str) -> str:
    """Write the name of a count as words."""
    return count.replace("_", " ").replace("ipis", "IPIs").replace("cpus", "CPUs")


def chosen(parameters: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Write the parameters that tell most: the first ones, and those that have not their defaults."""
    return " ".join(
        f"{name}={str(value).lower() if isinstance(value, bool) else value}"
        for n, (name, value) in enumerate(parameters.items())
        if n < _ALWAYS_NAMED or name not in defaults or defaults[name] != value
    )


def _title(found: History, width: int, defaults: Mapping[str, Any]) -> Iterator[str]:
    values = chosen(found.parameters, defaults)
    parts = [f"{found.program}: {values}" if values else found.program]
    if len(found.cpus) == 1:
        parts.append(_where(found, *next(iter(found.cpus))))
    if found.set:
        parts.append("set " + " ".join(f"{name}={value}" for name, value in found.set.items()))
    yield from paragraph(", ".join(parts), width)
    yield ""


def _where(found: History, arch: str, platform: str) -> str:
    """Name a machine; a scenario has as many CPUs as it is about."""
    cpus = found.cpus[arch, platform]
    size = f", with {exact(cpus)} CPU{'' if cpus == 1 else 's'}" if found.kind == "workload" else ""
    return f"on {arch} {platform}{size}"


def _machine(found: History, arch: str, platform: str, width: int) -> Iterator[str]:
    if len(found.cpus) > 1:
        yield from paragraph(f"{_where(found, arch, platform)}:", width)


def _by_platform(rows: Sequence[Any]) -> Iterator[tuple[tuple[str, str], Iterator[Any]]]:
    yield from groupby(rows, key=lambda row: (row.arch, row.platform))


def _series(name: str, patch: str | None = None) -> str:
    """Write a series as kernel developers do: `6.12.y`, with the patch that its kernels have: `6.12.y+FILE`."""
    return (name if name == MAINLINE else f"{name}.y") + (f"+{patch}" if patch else "")


def _table(rows: Sequence[Span], width: int, notes: dict[str, int], patch: str | None) -> Iterator[str]:
    shown = [row for row in rows if row.series == MAINLINE or _turns(row, rows)]
    told = [row for row in shown if row.outcome.supported]
    counts = _counts(told)
    verdicts = any(row.outcome.verdict is not None for row in rows)
    left_out: list[str] = []
    while True:
        columns = [Column("releases"), *([Column("verdict", wraps=True)] if verdicts else ())]
        columns += [Column(heading(name), right=True) for name in counts if name not in left_out]
        columns.append(Column("moved by"))
        kept = [name for name in counts if name not in left_out]
        cells = [_cells(row, kept, notes) for row in told]
        sizes = widths(columns, cells, width, hyphenate=True)
        if sizes is not None or not kept:
            break
        left_out.append(max(kept, key=_rank))
    sizes = sizes or widths(columns, cells, 10_000, hyphenate=True)
    assert sizes is not None
    body: list[Sequence[str] | str] = []
    for series, group in groupby(shown, key=lambda row: row.series):
        body.append(_series(series, patch))
        for row in group:
            if row.outcome.supported:
                body.append(_cells(row, kept, notes))
            else:
                body.append("\n".join(_refusal(row, notes, width)))
    if told:
        yield from lay_out(columns, body, sizes, hyphenate=True)
    else:
        yield from "\n".join(map(str, body)).split("\n")
    quiet = list(dict.fromkeys(row.series for row in rows if row not in shown))
    if quiet:
        text = f"No point release of {', '.join(quiet)} differs from the first release of its series."
        yield from paragraph(text, width, rest="  ")
    if left_out:
        names = ", ".join(map(words, sorted(left_out, key=_rank)))
        yield from paragraph(f"No room for: {names} (a wider terminal or --json).", width, rest="  ")
    timed = sorted({name for row in told for name in row.outcome.timed}, key=_rank)
    if timed:
        text = f"Timing decides, of these counts: {', '.join(map(words, timed))}."
        yield from paragraph(text, width, rest="  ")


def _turns(row: Span, rows: Sequence[Span]) -> bool:
    """Whether a series has more than one range, or is shown alone."""
    return sum(other.series == row.series for other in rows) > 1 or not any(
        other.series == MAINLINE for other in rows
    )


def _counts(rows: Sequence[Span]) -> list[str]:
    """Choose the counts to show, in the order of results."""
    there = [row.outcome.counts for row in rows]
    return sorted(telling(there), key=list(ALL_COUNTS).index)


def telling(rows: Sequence[Mapping[str, int]]) -> list[str]:
    """Return the counts that differ between rows, or if none does five that are not 0, the most telling first."""
    names = sorted((name for name in ALL_COUNTS if any(name in row for row in rows)), key=_rank)
    differing = [name for name in names if len({row.get(name) for row in rows}) > 1]
    return differing or [name for name in names if any(row.get(name) for row in rows)][:5]


def _rank(name: str) -> tuple[int, str]:
    return (_TELLING.index(name) if name in _TELLING else len(_TELLING)), name


def _cells(row: Span, counts: Sequence[str], notes: dict[str, int]) -> list[str]:
    cells = [_releases(row) + _marks(row, notes)]
    if row.outcome.verdict is not None:
        cells.append(_verdict(row.outcome))
    cells += [exact(row.outcome.counts.get(name, 0)) for name in counts]
    return [*cells, blamed(row.blame.commits, together=row.blame.together)]


def _verdict(outcome: Outcome) -> str:
    """Write a verdict as the matrix does: `safe`, `BUG gup-fast`."""
    word, _, rest = (outcome.said or "").partition(" ")
    return f"{word.upper() if word in ('bug', 'livelock') else word} {rest}".rstrip()


def blamed(names: Sequence[str], *, together: bool) -> str:
    """Write commits below one another, with a sign between them."""
    sign = " +" if together else " &"
    return "\n".join(name + (sign if n < len(names) - 1 else "") for n, name in enumerate(names))


def _releases(row: Span) -> str:
    return row.first if row.first == row.last else f"{row.first} to {row.last}"


def _marks(row: Span, notes: dict[str, int]) -> str:
    numbers = [notes.setdefault(remark, len(notes) + 1) for remark in row.remarks]
    return f" [{','.join(map(str, sorted(numbers)))}]" if numbers else ""


def _refusal(row: Span, notes: dict[str, int], width: int) -> list[str]:
    reason = row.outcome.reason or ""
    text = reason if reason.startswith("not applicable") else f"not supported: {reason}"
    if row.outcome.verdict is not None:
        text = f"not applicable: {reason.removeprefix('not applicable').lstrip(': ')}"
    moved = f" ({', '.join(row.blame.commits)})" if row.blame.commits else ""
    return paragraph(text + moved, width, first=f"{_releases(row)}{_marks(row, notes)}  ", rest="    ")


def _why(row: Advice) -> str:
    if row.release is None:
        return row.reason or ""
    return f"lacks {', '.join(row.lacks)}" if row.lacks else ""
