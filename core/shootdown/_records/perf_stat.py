"""Read the output of `perf stat`: text, with `-A`, `-I`, `-x,` or `-j`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs

from shootdown._records.values import DAMAGED, OTHER, READ, Cell, Check, add

_HEADER = re.compile(r"\s*Performance counter stats for (.*?):?\s*$")
_INTERVALS = re.compile(r"#\s+time\s+(?:CPU\s+)?counts unit events")
_NUMBER = r"(\d[\d,.' \u00a0\u202f]*\d|\d|<not counted>|<not supported>)"
_EVENT = re.compile(
    rf"\s*(?:(CPU\d+|S\d+(?:-D\d+)?(?:-C\d+)?|N\d+)\s+(?:\d+\s+)?)?(?:(\d+\.\d{{9}})\s+)?(?:(CPU\d+)\s+)?{_NUMBER}\s+"
    r"(?:(?:msec|ns|Joules|MiB|MB|C)\s+)?([A-Za-z_][\w:\-./=]*)\s*(?:#.*|\(\s*[\d.]+%\s*\)|\(\s*\+-.*|\s)*(.*)$"
)
_ELAPSED = re.compile(r"\s*([\d.,]+)(?:\s+\+-\s+[\d.,]+)?\s+seconds\s+(time elapsed|user|sys)")
#: Seconds that an output may have counted: ten years.
_LONGEST = 3e8
_RUNNING = re.compile(r"\(\s*([\d.,]+)%\s*\)\s*$")
_OURS = re.compile(
    r"tlb|ipi|csd|irq_vectors|call_function|page-faults|context-switches|sched:|migrat", re.IGNORECASE
)


class PerfStat:
    """Read lines of `perf stat`."""

    def __init__(self) -> None:
        self._inside = False
        self.runs: list[dict[str, int]] = []
        self.elapsed: list[float] = []
        self.scaled: Counter[str] = Counter()
        self.not_counted: Counter[str] = Counter()
        self._until = 0.0

    def take(self, line: str) -> int:
        """Take a line: OTHER, READ or DAMAGED."""
        if _HEADER.match(line) or _INTERVALS.match(line):
            self._end_intervals()
            self._inside = True
            if len(self.runs) < 1000:
                self.runs.append({})
            return READ
        elapsed = _ELAPSED.match(line)
        if elapsed is not None:
            if elapsed[2] == "time elapsed":
                self._until = _decimal(elapsed[1])
                self._end_intervals()
            return READ if self._inside or self.runs else OTHER
        if line.lstrip().startswith("{") and '"counter-value"' in line:
            return self._json(line)
        if line.count(",") >= 3:
            status = self._csv(line)
            if status != OTHER:
                return status
        found = _EVENT.match(line)
        if found is None or found[6].strip():
            if self._inside and line.strip() and line[:1] not in (" ", "\t"):
                self._inside = False
            return READ if self._inside and not line.strip() else OTHER
        name = found[5]
        if not self._inside and not (":" in name and _OURS.search(name)):
            return OTHER
        return self._add(name, found[4], found[2], line)

    def _end_intervals(self) -> None:
        """Take the time at which the last interval of an output ended as how long it counted."""
        if self._until and len(self.elapsed) < 1000:
            self.elapsed.append(self._until)
        self._until = 0.0

    def _add(self, name: str, number: str, interval: str | None, line: str = "") -> int:
        if not self.runs:
            self.runs.append({})
        if interval is not None:
            self._until = _decimal(interval)
        name = re.sub(r":(?:[ukhHGpPSD]{1,6})$", "", name)
        if number.startswith("<"):
            add(self.not_counted, name)
            return READ
        digits = re.sub(r"[,.' \u00a0\u202f]", "", number)
        if (
            re.search(r"\.\d{1,2}$", number) or not digits.isdecimal()
        ):  # task-clock and its like: times, not counts
            return READ
        run = self.runs[-1]
        if name in run or len(run) < 2048:
            run[name] = run.get(name, 0) + int(digits[:24])
        running = _RUNNING.search(line)
        if running is not None and _decimal(running[1]) < 99.9:
            add(self.scaled, name)
        return READ

    def _csv(self, line: str) -> int:
        fields = line.strip().split(",")
        for at in (0, 1, 2):  # an interval's time and a CPU may come first
            if at + 2 < len(fields) and re.fullmatch(r"\d{1,24}|<not (?:counted|supported)>", fields[at]):
                name = fields[at + 2]
                if re.fullmatch(r"[A-Za-z_][\w:\-./=]*", name) and (self._inside or _OURS.search(name)):
                    timed = at > 0 and re.fullmatch(r"\s*\d+\.\d{9}", fields[0])
                    return self._add(name, fields[at], fields[0] if timed else None)
        return OTHER

    def _json(self, line: str) -> int:
        try:
            found = json.loads(line.rstrip().rstrip(","))
        except (ValueError, RecursionError):
            return DAMAGED
        name, value = found.get("event"), found.get("counter-value")
        if not isinstance(name, str) or not isinstance(value, str):
            return DAMAGED
        interval = found.get("interval")
        timed = isinstance(interval, int | float) and 0 < interval < _LONGEST
        return self._add(name, re.sub(r"\.0+$", "", value), str(interval) if timed else None)

    def end(self) -> None:
        """Take note that the file is at its end."""
        self._end_intervals()
        self._inside = False

    def part(self) -> PerfStatPart | None:
        """Return what was found, or None if there was nothing."""
        runs = tuple(run for run in self.runs if run)
        if not runs and not self.not_counted:
            return None
        return PerfStatPart(runs, tuple(self.elapsed), tuple(self.scaled), tuple(self.not_counted))


def _decimal(text: str) -> float:
    try:
        return float(text.replace(",", ".") if "." not in text else text.replace(",", ""))
    except ValueError:
        return 0.0


@attrs.frozen
class PerfStatPart:
    """What `perf stat` tells.

    Args:
        runs: counts by event, of each output.
        elapsed: seconds of each that has them, of intervals up to the end of the last.
        scaled: events that were counted part of the time only, and scaled.
        not_counted: events without a count.
    """

    runs: tuple[Mapping[str, int], ...] = attrs.field(hash=False)
    elapsed: tuple[float, ...]
    scaled: tuple[str, ...]
    not_counted: tuple[str, ...]
    evidence: Mapping[str, int] = attrs.field(factory=Counter, hash=False)

    @property
    def kind(self) -> str:
        """Return the name of the format's content."""
        return "perf stat"

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return what can't be known from it."""
        found = []
        if any("tlb:tlb_flush" in run for run in self.runs):
            found.append(
                "which of the tlb_flush events are shootdowns: the count has local flushes, switches of address "
                "spaces, sends and answers in one"
            )
        if self.scaled:
            found.append(
                f"exact counts of {', '.join(self.scaled[:5])}: counted part of the time, and scaled"
            )
        if self.not_counted:
            found.append(f"{', '.join(self.not_counted[:5])}: not counted")
        found.append("of how many pages, by whom and from which call")
        return tuple(found)

    def cells(self) -> tuple[Cell, ...]:
        """Return nothing: no event is a shootdown."""
        return ()

    def checks(self) -> tuple[Check, ...]:
        """Return the cross-checks within it."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "runs": [dict(run) for run in self.runs],
            "seconds": list(self.elapsed),
            "scaled": list(self.scaled),
            "not_counted": list(self.not_counted),
        }
