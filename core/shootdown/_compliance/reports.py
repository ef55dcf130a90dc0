"""Section 13: the reports that a plugin offers."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from shootdown._compliance.additions import Additions, architectures, reports, told
from shootdown._compliance.outside import noticing
from shootdown._compliance.statement import Finding, Said, Statement, Tried
from shootdown._questions.called import called
from shootdown._questions.compare import compare
from shootdown._questions.history import history
from shootdown._values.errors import nearest, typed
from shootdown._values.report import REPORTED, Report
from shootdown._values.result import ALL_COUNTS
from shootdown._values.series import newest_known

Rows = Sequence[Mapping[str, Any]]
#: A program whose rows are written.
_PROGRAM, _SMALL = "hugetlb-munmap", {"tables": 1}
_SERIES = "6.12"


@functools.cache
def _rows(command: str) -> Mapping[str, Rows]:
    """Return rows of a command by what they are, as `--jsonl` has them."""
    every = compare(
        _PROGRAM,
        arch=[one.name for one in architectures()],
        kernels=newest_known(),
        cpus=4,
        parameters=_SMALL,
    )
    found = next(one for one in every if one.supported)
    if command == "history":
        rows = history(_PROGRAM, arch=found.arch, series=(_SERIES,), parameters=_SMALL).to_dict()["rows"]
        return {"a row": rows[:1], "rows": rows}
    lacks = attrs.evolve(
        found, supported=False, reason="this kernel shares no hugetlb PMD tables", counts={}, times={}
    )
    row, without = found.to_dict(), lacks.to_dict()
    return {
        "a row": (row,),
        "a row that is not supported": (without,),
        "rows, one of them not supported": (row, without, row),
    }


def _each_writes_text(additions: Additions) -> Iterator[Said]:
    for report, what, rows in _each(additions):
        where = f"{additions.plugin}: report {report.name} of {what}"
        try:
            text: object = _written(report, rows)
        except Exception as error:
            yield Finding(f"{where}: {told(error)}")
            continue
        yield Tried(1, "reports written")
        if not isinstance(text, str):
            yield Finding(f"{where}: write() returned {typed(text)}, not a str")
        elif not text.strip():
            yield Finding(f"{where}: write() returned an empty text")


def _each(additions: Additions) -> Iterator[tuple[Report, str, Rows]]:
    """Yield each report with rows that it is to write, and what they are."""
    for report in additions.reports:
        for command in report.commands:
            for what, rows in _rows(command).items():
                yield report, f"{what} of {command}", copy.deepcopy(tuple(rows))


def _written(report: Report, rows: Rows) -> object:
    return called(f"report {report.name}: write()", report.write, rows)


def _nothing_else_happens(additions: Additions) -> Iterator[Said]:
    for report, what, rows in _each(additions):
        where = f"{additions.plugin}: report {report.name} of {what}"
        before = copy.deepcopy(rows)
        try:
            with noticing() as done:
                one = _written(report, rows)
            other = _written(report, copy.deepcopy(before))
        except Exception:
            continue  # 13.1 is about that
        yield Tried(1, "reports written twice")
        if rows != before:
            yield Finding(f"{where}: write() changes the rows that it gets")
        if one != other:
            yield Finding(
                f"{where}: write() returns another text a second time: something remembers the first run, or asks for "
                "a time or a random number"
            )
        for text in dict.fromkeys(done):
            yield Finding(f"{where}: write() {text}; it returns a text, and the user says where that goes")


def _what_is_asked_for_is_there(additions: Additions) -> Iterator[Said]:
    known = {
        name
        for command in REPORTED
        for rows in _rows(command).values()
        for row in rows
        for name in _names(row)
    }
    for report, what, rows in _each(additions):
        asked: set[str] = set()
        with contextlib.suppress(Exception):  # 13.1 is about that
            _written(report, tuple(_Asked(row, asked) for row in rows))
        yield Tried(1, "reports whose questions to rows were noted")
        for name in sorted(asked - known - set(ALL_COUNTS)):
            yield Finding(
                f"{additions.plugin}: report {report.name} of {what}: write() asks for {name!r}, which no row has; "
                f"{nearest(name, known)}"
            )


def _names(value: Mapping[str, Any]) -> Iterator[str]:
    for name, held in value.items():
        yield name
        if isinstance(held, Mapping):
            yield from _names(held)


class _Asked(dict[str, Any]):
    """A row that notes which names it is asked for, and so do the mappings in it."""

    def __init__(self, row: Mapping[str, Any], asked: set[str]) -> None:
        super().__init__(
            {name: _Asked(held, asked) if isinstance(held, dict) else held for name, held in row.items()}
        )
        self._asked = asked

    def __getitem__(self, name: str) -> Any:
        self._asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._asked.add(name)
        return super().get(name, default)


STATEMENTS = (
    Statement(
        "13.1",
        "Each report writes a text of any rows of its commands",
        "A row that is not supported has no counts and no times; one that raises there takes the whole table down.",
        "The message has the line of the plugin. `help(shootdown.Report)` says what rows have.",
        _each_writes_text,
        (reports,),
        about="additions",
    ),
    Statement(
        "13.2",
        "A report does nothing but return its text, which is the same each time",
        "Who asks for a report does not expect files to change; a text that changes by itself can't be compared.",
        "Return everything as one text. Rows and values in them belong to others.",
        _nothing_else_happens,
        (reports,),
        about="additions",
    ),
    Statement(
        "13.3",
        "A report asks rows for names that rows have",
        "A misspelt count is missing from each row, which looks like a count of nothing.",
        "`shootdown list` and docs/reference/reading-results.md have the names of counts.",
        _what_is_asked_for_is_there,
        (reports,),
        about="additions",
    ),
)
