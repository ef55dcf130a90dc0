"""Rows of measurements: the format of tests/oracle/README.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from shootdown._values import inputs
from shootdown._values.errors import ShootdownError

WORKLOADS = ("hugetlb_shared", "hugetlb_threads", "anonymous", "fork_storm", "khugepaged", "program")

#: The largest values of fields, as the parameters of workloads have them.
MOST = {
    "N": 10**6,
    "k": 10**5,
    "M": 10**5,
    "conc": 10**5,
    "T": 10**5,
    "pages": 10**6,
    "ranges": 10**7,
    "pass": 10**4,
    "full_scans": 10**4,
    "spinners": 10**5,
}

#: Counts that are mappings of their own: executed instructions; attempted collapses by order and outcome.
GROUPS = ("instructions", "attempts")


@attrs.frozen
class Row:
    """One measured case.

    Args:
        number: its line in the file, from one.
        arch, kernel, workload: as in the file.
        cpus: online CPUs; 4 where the row does not say.
        fields: everything the row says besides its counts.
        counts: name to `[min, max]`; each of `GROUPS` holds a further mapping.
    """

    number: int
    arch: str
    kernel: str
    workload: str
    cpus: int
    fields: Mapping[str, Any]
    counts: Mapping[str, Any]

    def measured(self, name: str) -> tuple[int, int] | None:
        """Return the lowest and highest value that was measured of a count; None if it was not counted."""
        return bounds(self.counts[name]) if name in self.counts else None

    def integer(self, name: str, default: int | None = None) -> int:
        """Return a field that must be a whole number, not negative.

        Raises:
            ShootdownError: it is missing, larger than `MOST` says, or something else.
        """
        value = self.fields.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ShootdownError(f"{name} is {value!r:.60}; it is a whole number, not negative")
        if value > (most := MOST.get(name, 10**9)):
            raise ShootdownError(f"{name} is {value}; it is at most {most}")
        return value

    def word(self, name: str, choices: tuple[str, ...] = ()) -> str:
        """Return a field that must be a word, one of `choices` if there are any.

        Raises:
            ShootdownError: it is missing or something else.
        """
        value = self.fields.get(name)
        if not isinstance(value, str) or (choices and value not in choices):
            expected = f"one of {', '.join(choices)}" if choices else "a word"
            raise ShootdownError(f"{name} is {value!r:.60}; it is {expected}")
        return value


def read_rows(path: Path) -> list[Row]:
    """Read a file of one JSON object per line; `-` is standard input.

    Raises:
        ShootdownError: the file can't be read, has no row, or a line is not a row; it names the line.
    """
    text = inputs.read_text(path, "measured rows")
    rows = list(_parse(path, text))
    if not rows:
        name = "standard input" if str(path) == "-" else path
        raise ShootdownError(
            f"{name} has no row; one JSON object per line is expected (tests/oracle/README.md)"
        )
    return rows


def parse_rows(text: str) -> list[Row]:
    """Read rows from a text, one JSON object a line.

    Raises:
        ShootdownError: a line is not a row; it names the line.
    """
    return list(_parse(Path("rows"), text))


def _parse(path: Path, text: str) -> Iterator[Row]:
    # Not splitlines(): JSON may hold the other line separators of Unicode.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise ShootdownError(
                f"{path}, line {number}: no JSON: {error.msg} (column {error.colno})"
            ) from None
        except (ValueError, RecursionError) as error:  # a number of 5000 digits; endlessly nested brackets
            raise ShootdownError(f"{path}, line {number}: JSON that can't be read: {error}") from None
        if not isinstance(value, dict):
            raise ShootdownError(f"{path}, line {number}: a row is a JSON object, not {type(value).__name__}")
        yield _row(path, number, value)


def _row(path: Path, number: int, value: dict[str, Any]) -> Row:
    for name in ("arch", "kernel", "workload"):
        if not isinstance(value.get(name), str):
            raise ShootdownError(f"{path}, line {number}: the row has no {name}")
    counts = value.get("counts", {})
    if not isinstance(counts, dict):
        raise ShootdownError(
            f"{path}, line {number}: counts is {counts!r:.60}; it is an object of [min, max] pairs"
        )
    counts = dict(counts)
    if "attempts" in value:
        counts["attempts"] = value["attempts"]
    for name, pair in counts.items():
        if name in GROUPS:
            _check_group(path, number, name, pair)
        elif not _is_pair(pair):
            raise ShootdownError(f"{path}, line {number}: counts.{name} is {pair!r:.60}; it is [min, max]")
    cpus = value.get("cpus", 4)
    if isinstance(cpus, bool) or not isinstance(cpus, int) or cpus < 1:
        raise ShootdownError(f"{path}, line {number}: cpus is {cpus!r:.60}; it is a whole number from 1")
    if "attempts" in counts:
        counts["attempts"] = merge_outcomes(counts["attempts"])
    fields = {name: field for name, field in value.items() if name != "counts"}
    return Row(number, value["arch"], value["kernel"], value["workload"], cpus, fields, counts)


#: Outcomes of attempts that timing alone tells apart: a page that an attempt has just put back sits in a CPU's batch
#: for the LRU, with one reference more, until the batch is full; the next attempt then stops at that page.
_ALIKE = ("lack_referenced_page", "not_suitable_page_count")


def merge_outcomes(attempts: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Add up the outcomes that timing alone tells apart, under both names."""
    merged: dict[str, tuple[int, int]] = {}
    for name, pair in attempts.items():
        order, _, outcome = name.partition(" ")
        if outcome in _ALIKE:
            name = f"{order} {' or '.join(_ALIKE)}"
        (low, high), (low2, high2) = merged.get(name, (0, 0)), bounds(pair)
        merged[name] = (low + low2, high + high2)
    return merged


def _check_group(path: Path, number: int, group: str, counts: Any) -> None:
    where = group if group == "attempts" else f"counts.{group}"
    if not isinstance(counts, dict):
        raise ShootdownError(
            f"{path}, line {number}: {where} is {counts!r:.60}; it is an object of [min, max] pairs"
        )
    for name, pair in counts.items():
        if not _is_pair(pair):
            raise ShootdownError(f"{path}, line {number}: {where}.{name} is {pair!r:.60}; it is [min, max]")


def _is_pair(pair: Any) -> bool:
    ends = pair if isinstance(pair, list) else [pair, pair]
    return len(ends) == 2 and all(type(end) is int for end in ends) and 0 <= ends[0] <= ends[1]


def bounds(measured: Any) -> tuple[int, int]:
    """Return a measured count as its lowest and highest value."""
    return (measured, measured) if isinstance(measured, int) else (measured[0], measured[1])
