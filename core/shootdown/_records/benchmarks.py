"""Read the comparisons of LKP (the 0day bot): a metric of a base, and of commits after it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs

from shootdown._records.values import OTHER, READ, Cell, Check

_NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,18})?(?:e[+-]?\d{1,2})?$")
_CHANGE = re.compile(r"[+-]\d{1,18}(?:\.\d{1,18})?%?$")
_METRIC = re.compile(r"[A-Za-z][\w\-]*(?:\.[\w\-%<>@/.:+~\[\]()*,]+)+$")
_SPREAD = re.compile(r"\s*(?:±|\+-)\s*\d+%")
_COMMIT = re.compile(r"\b[0-9a-f]{12,40}\b")
_MOST = 4096


class Benchmarks:
    """Read rows of LKP's comparisons."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, tuple[float, ...], tuple[str, ...]]] = []
        self.more = 0
        self.commits: list[str] = []

    def take(self, line: str) -> int:
        """Take a line: OTHER, READ or DAMAGED."""
        if "%" not in line and "+" not in line and "-" not in line:
            return self._commits(line)
        words = _SPREAD.sub(" ", line).split()
        if len(words) < 4 or _METRIC.match(words[-1]) is None or len(words) % 2:
            return OTHER
        first, rest = words[0], words[1:-1]
        if not _NUMBER.match(first):
            return OTHER
        values, changes = [float(first)], []
        for change, value in zip(rest[::2], rest[1::2], strict=True):
            if not _CHANGE.match(change) or not _NUMBER.match(value):
                return OTHER
            changes.append(change)
            values.append(float(value))
        if len(self.rows) < _MOST:
            self.rows.append((words[-1], tuple(values), tuple(changes)))
        else:
            self.more += 1
        return READ

    def _commits(self, line: str) -> int:
        found = _COMMIT.findall(line)
        if len(found) < 2 or len(self.commits) > 16 or _COMMIT.sub("", line).strip():
            return OTHER
        self.commits += found
        return READ

    def end(self) -> None:
        """Take note that the file is at its end."""

    def part(self) -> BenchmarksPart | None:
        """Return what was found, or None if there was nothing."""
        return BenchmarksPart(tuple(self.rows), self.more, tuple(self.commits)) if self.rows else None


@attrs.frozen
class BenchmarksPart:
    """What a comparison of LKP tells.

    Args:
        rows: metric, the values of base and commits, and the changes against the base as they are printed.
        more: rows that are not kept.
        commits: names of the columns, where the file has them.
    """

    rows: tuple[tuple[str, tuple[float, ...], tuple[str, ...]], ...]
    more: int
    commits: tuple[str, ...]
    evidence: Mapping[str, int] = attrs.field(factory=Counter, hash=False)

    @property
    def kind(self) -> str:
        """Return the name of the format's content."""
        return "benchmarks"

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return what can't be known from it."""
        found = ["how many flushes: metrics of a benchmark are rates, and interrupts of all kinds"]
        if not self.commits:
            found.append("which commits the columns are: their header is not in the file")
        return tuple(found)

    def cells(self) -> tuple[Cell, ...]:
        """Return nothing: these are no flushes."""
        return ()

    def checks(self) -> tuple[Check, ...]:
        """Compare changes with the values beside them."""
        wrong = [
            metric
            for metric, values, changes in self.rows
            for value, change in zip(values[1:], changes, strict=True)
            if change.endswith("%")
            and values[0]
            and abs(100 * (value / values[0] - 1) - float(change[:-1])) > 0.51
        ]
        return (
            Check(
                "changes are those of the values",
                not wrong,
                f"{len(self.rows)} rows" + (f"; not in {wrong[0]}" if wrong else ""),
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "columns": list(self.commits),
            "rows": [
                {"metric": metric, "values": list(values), "changes": list(changes)}
                for metric, values, changes in self.rows
            ],
        }
