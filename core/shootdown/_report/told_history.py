"""A saved history as the blocks of a report: since when, which commits, which release to run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shootdown._report.assumptions import assumptions
from shootdown._report.document import Block, Drawing, Heading, Table, Text
from shootdown._report.history import heading, telling, words
from shootdown._report.lanes import shown
from shootdown._report.plotting import drawable
from shootdown._report.sources import commit_link
from shootdown._report.text import exact
from shootdown._report.told_compare import NO_PICTURE
from shootdown._values.errors import ShootdownError
from shootdown._values.timelines import MAINLINE
from shootdown._values.verdict import BUG, LIVELOCK

Row = Mapping[str, Any]

#: Counts of a table that fits a page.
_MOST_COUNTS = 7


def tell(value: Mapping[str, Any]) -> Iterator[Block]:
    """Yield the report of what `history --json` printed."""
    rows: Sequence[Row] = value["rows"]
    yield Heading(f"Since when does {value['program']} do what it does, and what do I upgrade to?", 2)
    parameters = " ".join(f"{name}={shown(word)}" for name, word in value["parameters"].items())
    if parameters:
        yield Text(parameters, "soft")
    yield Text(_answer(rows), "answer")
    advice = list(value["advice"])
    if advice:
        yield Heading("The lowest release to run, in each series")
        yield Table(
            ("on", "series", "lowest", "remark"),
            [
                [f"{one['arch']} {one['platform']}", _series(one["series"]), one["release"] or "none",
                 one["reason"] or (f"lacks {', '.join(one['lacks'])}" if one["lacks"] else "")]
                for one in advice
            ],
        )  # fmt: skip
    yield Heading("Releases on which it does the same, and the commits between them")
    yield _ranges(rows)
    if drawable():
        from shootdown._report.plot_history import picture_of_history

        try:
            yield Drawing(picture_of_history(value))
        except ShootdownError as error:
            yield Text(str(error).removeprefix("--plot: ").capitalize(), "soft")
    else:
        yield Text(NO_PICTURE, "soft")
    changes: Mapping[str, Mapping[str, Any]] = value["changes"]
    if changes:
        yield Heading("The commits")
        yield Table(
            ("commit", "subject", "mainline", "stable"),
            [
                [name, one["subject"], one["mainline"] or "", ", ".join(map(str, one["stable"].values()))]
                for name, one in changes.items()
            ],
            links=[(name, commit_link(name)) for name in changes if commit_link(name)],
        )
    timed = all(row["verdict"] is None for row in rows)
    about = [{**row, "set": value["set"], "kernel": row["last"]} for row in rows]
    for one in about:
        one["first"] = ""
    yield from assumptions(about, timed=timed)


def _series(name: str) -> str:
    return name if name == MAINLINE else f"{name}.y"


def _releases(row: Row) -> str:
    return str(row["first"]) if row["first"] == row["last"] else f"{row['first']} to {row['last']}"


def _answer(rows: Sequence[Row]) -> str:
    """Say what the newest range of the first timeline does, and what the one before did."""
    first = rows[0]
    line = [row for row in rows if all(row[at] == first[at] for at in ("arch", "platform", "series"))]
    where = f"On {first['arch']} {first['platform']}, {_series(first['series'])}"
    last = line[-1]
    if len(line) == 1:
        return f"{where}: every release from {last['first']} to {last['last']} does the same: {_does(last, line)}."
    before = line[-2]
    commits = f" ({', '.join(last['commits'])})" if last["commits"] else ""
    return (
        f"{where}: since {last['first']}{commits} {_does(last, line[-2:])}; {_releases(before)} "
        f"{'have' if before['first'] != before['last'] else 'has'} {_does(before, line[-2:])}."
    )


def _does(row: Row, among: Sequence[Row]) -> str:
    """Say what a range does, by the count that tells most among some ranges."""
    if row["verdict"] is not None:
        word = str(row["verdict"])
        return f"{word.upper()} {row['invariant'] or ''}".strip() if word in (BUG, LIVELOCK) else word
    if not row["supported"]:
        return f"nothing, as it can't be run: {row['reason']}"
    names = telling([one["counts"] for one in among if one["supported"]])
    if not names:
        return "no interrupts and no flushes"
    return f"{exact(row['counts'].get(names[0], 0))} {words(names[0])}"


def _ranges(rows: Sequence[Row]) -> Table:
    verdicts = any(row["verdict"] is not None for row in rows)
    told = [row["counts"] for row in rows if row["supported"]]
    counts = [] if verdicts else telling(told)[:_MOST_COUNTS]
    several = len({(row["arch"], row["platform"]) for row in rows}) > 1
    headings = [*(["on"] if several else []), "series", "releases", *(["verdict"] if verdicts else [])]
    headings += [*map(heading, counts), "moved by"]
    cells = []
    for row in rows:
        own = [f"{row['arch']} {row['platform']}"] if several else []
        own += [_series(row["series"]), _releases(row)]
        if verdicts or not row["supported"]:
            said = _does(row, [row])
            own += [said] if verdicts else [said, *[""] * (len(counts) - 1)]
        else:
            own += [exact(row["counts"].get(name, 0)) for name in counts]
        cells.append([*own, ", ".join(row["commits"])])
    links = [(name, commit_link(name)) for row in rows if len(row["commits"]) == 1 for name in row["commits"]]
    first = 2 + several
    right = frozenset() if verdicts else frozenset(range(first, first + len(counts)))
    return Table(
        [name.replace("\u00ad", "") for name in headings], cells, right, [one for one in links if one[1]]
    )
