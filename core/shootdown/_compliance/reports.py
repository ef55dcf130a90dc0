"""Section 13: the reports that a plugin offers."""

from __future__ import annotations

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
from shootdown._values.errors import typed
from shootdown._values.report import Report
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
)
