"""Read counts by stack: maps of bpftrace as text or JSON, and folded stacks."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from shootdown._records import paths
from shootdown._records.values import DAMAGED, OTHER, READ, Cell, Check, add, largest
from shootdown._values.recorded import StackName

_BEGIN = re.compile(r"\s*@(\w*)\[\s*(.*)$")
_END = re.compile(r"^\s*(.*?)\]:\s*(-?\d{1,20})\s*$")
_ONE_LINE = re.compile(r"\s*@(\w*)\[(.*)\]:\s*(-?\d{1,20})\s*$")
_SCALAR = re.compile(r"\s*@(\w*):\s*(-?\d{1,20})?\s*$")
#: `[4, 8)`, `[1K, 2K)`, `[1]`, and `(..., 0)` for all below zero.
_BUCKET = re.compile(
    r"\s*[\[(](-?\d+|\.\.\.)([KMGT]?)(?:,\s*(?:-?\d+|\.\.\.)[KMGT]?[\])]|\])\s+(\d{1,20})\s*\|[@ ]*\|?\s*$"
)
_KEYED_HISTOGRAM = re.compile(r"\s*@(\w*\[.*\]):\s*$")
_STATS = re.compile(r"\s*@(\w*)(?:\[(.*)\])?: count (\d{1,20}), average (-?\d{1,20}), total (-?\d{1,20})\s*$")
_FRAME = re.compile(
    r"\s*((?:0x)?[0-9a-f]{6,16}|[A-Za-z_.$][\w.$:~<>*&,() -]*?)(\+(?:0x)?[0-9a-f]+(?:/0x[0-9a-f]+)?)?"
    r"(?:\s+\[\w+\])?,?\s*$"
)
_FOLDED = re.compile(r"\s*([^\s;][^;]*(?:;[^;]+){1,200})\s+(\d{1,20})\s*$")
_HEADER = re.compile(
    r"\s*(?:Attaching \d+ probe|Attached \d+ probe|Lost (\d+) events|WARNING:? .*[Ll]ost (\d+) events?|\^C\s*$)"
)
#: A histogram of ftrace's triggers: `{ pages: 1, reason: 4 } hitcount: 12`, or a stack between the braces.
_KEY = re.compile(r"\s*\{ (\S.*?)\s*\} hitcount:\s+(\d{1,20})(?:\s.*)?$")
_STACK_KEY = re.compile(r"\s*\{ .*(?:common_)?stacktrace:\s*$")
_KEY_END = re.compile(r"\s*(?:,.*)?\} hitcount:\s+(\d{1,20})(?:\s.*)?$")
_TOTALS = re.compile(r"\s*(?:Totals:|Hits: \d+|Entries: \d+|Dropped: (\d+))\s*$")
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_MOST_FRAMES = 256
_MOST_MAPS = 64
_STATS_HAVE = ("count", "average", "total")
#: What JSON of bpftrace has besides maps.
_NOTHING = ("attached_probes", "printf", "time", "join", "syscall", "value", "cat", "helper_error")


class Stacks:
    """Read counts by stack.

    Args:
        functions: of the architectures' flushes.
    """

    def __init__(self, functions: Iterable[StackName] = ()) -> None:
        self._functions = tuple(functions)
        self._open: list[str] | None = None
        self._histogram = ""
        self.stacks = 0
        self.total = 0
        self.by_path: Counter[tuple[str, bool | None]] = Counter()
        self.by_call: Counter[str] = Counter()
        self.by_first: Counter[str] = Counter()
        self.unattributed: Counter[str] = Counter()
        self.scalars: dict[str, Counter[str]] = {}
        self.histograms: dict[str, Counter[int]] = {}
        self.seen: Counter[str] = Counter()
        self.lost = 0
        self.forms: Counter[str] = Counter()

    def take(self, line: str) -> int:
        """Take a line: OTHER, READ or DAMAGED."""
        if self._open is not None:
            return self._within(line)
        header = _HEADER.match(line)
        if header is not None:
            self.lost += int(header[1] or header[2] or 0)
            return READ
        if line.lstrip().startswith("{") and '"type"' in line:
            return self._json(line)
        if line.lstrip().startswith("{ "):
            return self._trigger(line)
        totals = _TOTALS.match(line) if self.forms else None
        if totals is not None:
            self.lost += int(totals[1] or 0)
            return READ
        if self._histogram and (bucket := _BUCKET.match(line)) is not None:
            low = -1 if bucket[1] == "..." else int(bucket[1]) << _UNITS[bucket[2]]
            self._bucket(self._histogram, low, int(bucket[3]))
            return READ
        if line.lstrip().startswith("@"):
            return self._map(line)
        self._histogram = ""
        folded = _FOLDED.match(line)
        if folded is not None:
            frames = [paths.plain(part) for part in reversed(folded[1].split(";"))][:_MOST_FRAMES]
            self.forms["folded stacks"] += 1
            self._stack(frames, int(folded[2]))
            return READ
        return OTHER

    def _trigger(self, line: str) -> int:
        """Read an entry of a histogram of ftrace's triggers."""
        key = _KEY.match(line)
        if key is not None:
            self.forms["ftrace histogram"] += 1
            self._scalar("histogram", " ".join(key[1].split()), int(key[2]))
            return READ
        if _STACK_KEY.match(line):
            self._open = []
            return READ
        return OTHER

    def _map(self, line: str) -> int:
        one = _ONE_LINE.match(line)
        if one is not None:
            self._scalar(one[1], one[2].strip(), int(one[3]))
            self.forms["bpftrace text"] += 1
            return READ
        stats = _STATS.match(line)
        if stats is not None:
            self._stats(
                stats[1], stats[2] or "", dict(zip(_STATS_HAVE, map(int, stats.groups()[2:]), strict=True))
            )
            return READ
        scalar = _SCALAR.match(line)
        if scalar is not None:
            if scalar[2] is None:
                self._histogram = scalar[1] or "@"
            else:
                self._scalar(scalar[1], "", int(scalar[2]))
            return READ
        keyed = _KEYED_HISTOGRAM.match(line)
        if keyed is not None:
            self._histogram = keyed[1]
            return READ
        if _BEGIN.match(line) is None:
            return OTHER
        self._open = []
        return READ

    def _within(self, line: str) -> int:
        assert self._open is not None
        end = _END.match(line)
        if end is not None:
            frames, self._open = self._open, None
            count = int(end[2])
            if count < 0:
                return DAMAGED
            self.forms["bpftrace text"] += 1
            self._stack(frames, count)
            return READ
        ended = _KEY_END.match(line)
        if ended is not None:
            frames, self._open = self._open, None
            self.forms["ftrace histogram"] += 1
            self._stack(frames, int(ended[1]))
            return READ
        if line.lstrip().startswith("@"):  # the map before has no end
            self._open = None
            self._map(line)
            return DAMAGED
        found = _FRAME.match(line)
        if found is None and line.strip() not in ("", ",") and not line[:1].isspace():
            # Frames are indented, and those of programs have any text: `main+9 (/usr/bin/x)`, `[unknown]`.
            self._open = None
            return DAMAGED
        if found is not None and len(self._open) < _MOST_FRAMES:
            self._open.append(paths.plain(found[1]))
        return READ

    def _json(self, line: str) -> int:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return DAMAGED
        kind, data = found.get("type"), found.get("data")
        if kind in ("lost_events",) and isinstance(data, dict):
            lost = data.get("events", 0)
            self.lost += lost if isinstance(lost, int) and lost > 0 else 0
            return READ
        if kind in ("map", "hist", "lhist", "stats", "tseries") and isinstance(data, dict):
            return self._json_map(str(kind), data)
        return READ if isinstance(kind, str) and kind in _NOTHING else OTHER

    def _json_map(self, kind: str, data: Mapping[str, Any]) -> int:
        status = READ
        for full, table in data.items():
            name = full.lstrip("@")
            if isinstance(table, int):
                self._scalar(name, "", table)
            elif isinstance(table, list):
                status = max(status, self._buckets(name or "@", table))
            elif isinstance(table, dict):
                for key, value in table.items():
                    status = max(status, self._json_value(kind, name, key, value))
            else:
                status = DAMAGED
        return status

    def _json_value(self, kind: str, name: str, key: str, value: object) -> int:
        if isinstance(value, list):
            return self._buckets(f"{name}[{key}]", value)
        if isinstance(value, dict):
            self._stats(name, key, value)
        elif not isinstance(value, int) or isinstance(value, bool) or value < 0:
            return DAMAGED if kind == "map" else READ
        elif "\n" in key:
            frames = [
                paths.plain(part.strip().rstrip(","))
                for part in key.split("\n")[:_MOST_FRAMES]
                if part.strip().strip(",")
            ]
            self.forms["bpftrace JSON"] += 1
            self._stack(frames, value)
        else:
            self._scalar(name, key, value)
        return READ

    def _buckets(self, name: str, buckets: Sequence[object]) -> int:
        status = READ
        for bucket in buckets:
            found = bucket if isinstance(bucket, dict) else {}
            low, count = found.get("min", found.get("max", 0)), found.get("count")
            if isinstance(low, int) and isinstance(count, int) and count >= 0:
                self._bucket(name, low, count)
            else:
                status = DAMAGED
        return status

    def _bucket(self, name: str, low: int, count: int) -> None:
        if name in self.histograms or len(self.histograms) < _MOST_MAPS:
            add(self.histograms.setdefault(name, Counter()), low, count, rest=0)

    def _scalar(self, name: str, key: str, count: int) -> None:
        if (name or "@") in self.scalars or len(self.scalars) < _MOST_MAPS:
            add(self.scalars.setdefault(name or "@", Counter()), key, count)

    def _stats(self, name: str, key: str, found: Mapping[str, object]) -> None:
        """Keep count, average and total of a map, which bpftrace has summed up itself."""
        for word in _STATS_HAVE:
            value = found.get(word)
            if isinstance(value, int):
                self._scalar(name, f"{key} {word}".strip(), value)

    def _stack(self, frames: list[str], count: int) -> None:
        self.stacks += 1
        self.total += count
        found = paths.attribute(frames, self._functions)
        add(self.by_path, (found.path, found.flushes), count, rest=("", None))
        if found.syscall:
            add(self.by_call, found.syscall, count)
        for name in frames:
            add(self.seen, name, count)
        if frames:
            add(self.by_first, frames[0], count)
            if not found.path:
                add(self.unattributed, " < ".join(frames[:3]), count)

    def end(self) -> None:
        """Take note that the file is at its end."""
        self._open = None

    def part(self) -> StacksPart | None:
        """Return what was found, or None if there was nothing."""
        if not self.stacks and not self.scalars and not self.histograms:
            return None
        return StacksPart(
            form=self.forms.most_common(1)[0][0] if self.forms else "bpftrace text",
            stacks=self.stacks,
            total=self.total,
            by_path=dict(self.by_path),
            by_call=dict(largest(self.by_call)),
            by_first=dict(largest(self.by_first, 5)),
            unattributed=dict(largest(self.unattributed, 5)),
            scalars={name: dict(largest(table, 50)) for name, table in self.scalars.items()},
            histograms={name: dict(sorted(table.items())) for name, table in self.histograms.items()},
            lost=self.lost,
            evidence=dict(self.seen),
        )


@attrs.frozen
class StacksPart:
    """What counts by stack tell.

    Args:
        form: the format.
        stacks: different ones that were read.
        total: of all counts.
        by_path: counts by kernel path, and whether it flushes user pages (None where nothing tells).
        by_call: counts by system call.
        by_first: counts by innermost function: where the probe was.
        unattributed: stacks of which nothing tells the path.
        scalars: maps without stacks.
        histograms: lower ends of buckets and counts, by map.
        lost: events that are missing.
        evidence: functions that were seen.
    """

    form: str
    stacks: int
    total: int
    by_path: Mapping[tuple[str, bool | None], int] = attrs.field(hash=False)
    by_call: Mapping[str, int] = attrs.field(hash=False)
    by_first: Mapping[str, int] = attrs.field(hash=False)
    unattributed: Mapping[str, int] = attrs.field(hash=False)
    scalars: Mapping[str, Mapping[str, int]] = attrs.field(hash=False)
    histograms: Mapping[str, Mapping[int, int]] = attrs.field(hash=False)
    lost: int
    evidence: Mapping[str, int] = attrs.field(hash=False)

    @property
    def kind(self) -> str:
        """Return the name of the format's content."""
        return "stacks"

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return what can't be known from it."""
        found = []
        if self.stacks:
            found.append(
                "of how many pages, how many targets each, and how long: a count by stack has none of these"
            )
            found.append(
                "what was counted: the file doesn't name the probe; its innermost functions are shown"
            )
        nothing = sum(count for (path, _), count in self.by_path.items() if not path)
        if nothing:
            found.append(f"what {nothing:,} of {self.total:,} are for: nothing in their stacks tells")
        if self.lost:
            found.append(f"{self.lost:,} events were lost: counts are lower bounds")
        return tuple(found)

    def cells(self) -> tuple[Cell, ...]:
        """Return the flushes of user pages, by path, but for those that another CPU asked for."""
        return tuple(
            Cell(path, None, None, count)
            for (path, flushes), count in sorted(self.by_path.items(), key=str)
            if flushes and path != paths.ANSWER
        )

    def checks(self) -> tuple[Check, ...]:
        """Return the cross-checks within it."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "format": self.form,
            "stacks": self.stacks,
            "total": self.total,
            "by_path": [
                {"path": path or None, "flushes_user_pages": flushes, "count": count}
                for (path, flushes), count in sorted(self.by_path.items(), key=lambda pair: -pair[1])
            ],
            "by_system_call": dict(self.by_call),
            "by_innermost_function": dict(self.by_first),
            "unattributed": dict(self.unattributed),
            "maps": {name: dict(table) for name, table in self.scalars.items()},
            "histograms": {
                name: {str(low): n for low, n in table.items()} for name, table in self.histograms.items()
            },
            "lost_events": self.lost,
        }
