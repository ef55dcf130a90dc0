"""The result of a run, as a plain value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from shootdown._values.displayed import Displayed
from shootdown._values.frames import Framed

#: The version of the JSON that results are written as.
SCHEMA = 1

#: The counts of a row, in the order of tables: integers, exact but where a remark says that timing decides.
#: See docs/reference/reading-results.md.
COUNTS = (
    "unshared_tables",
    "fully_unshared_tables",
    "shared_tables",
    "gathers",
    "flush_requests",
    "flush_ipis",
    "sync_broadcasts",
    "sync_ipis",
    "redundant_sync_ipis",
    "transition_ipis",
    "interrupts_taken",
    "interrupted_cpus",
    "hypercalls",
    "broadcast_invalidations",
    "full_flushes",
    "page_invalidations",
    "completion_waits",
    "stale_entries_left",
    "lazy_switches",
    "context_switches",
    "lock_waits",
    "kernel_warnings",
)

#: Counts that a row has only if they are not 0: IPIs of membarrier(), flushes of kernel addresses, and what the
#: scheduler of a program did.
RARE_COUNTS = ("barrier_ipis", "kernel_flushes", "preemptions", "migrations")
ALL_COUNTS = (*COUNTS, *RARE_COUNTS)

#: The times of a row.
TIMES = ("elapsed_ns", "system_ns", "lost_ns", "user_ns")

#: Times that a row has only if there are some: what a program spends elsewhere, and walks for what flushes dropped.
RARE_TIMES = ("other_ns", "refill_ns")

#: How the remark on counts that differ between the low, likely and high costs begins; `NAME LOW to HIGH, ...` follows.
TIMING_DECIDES = "timing decides, over the range of costs: "


#: What an interval leaves out of the draws at each end: a tenth part.
_TENTH = 10


@attrs.frozen
class Span:
    """A time as a range, in nanoseconds: an estimate, and what 80 % of the draws of all costs lie within."""

    low: float
    likely: float
    high: float

    @classmethod
    def within(cls, likely: float, drawn: Sequence[float]) -> Span:
        """Return what 80 % of the draws of a time lie within; what is likely always does.

        Args:
            likely: with the likely costs, in nanoseconds.
            drawn: the time in each draw; with none the range is that one value.
        """
        low, high = eighty_percent(drawn) if drawn else (likely, likely)
        return cls(round(min(low, likely), 1), round(likely, 1), round(max(high, likely), 1))

    def to_dict(self) -> dict[str, float]:
        """Return it for JSON."""
        return {"low": self.low, "likely": self.likely, "high": self.high}


def eighty_percent(drawn: Sequence[float]) -> tuple[float, float]:
    """Return the ends of what 80 % of some values lie within; between two values they are interpolated."""
    ordered = sorted(drawn)
    found = []
    for part in (1, _TENTH - 1):
        at = (len(ordered) - 1) * part / _TENTH
        before = ordered[int(at)]
        found.append(before + (ordered[min(int(at) + 1, len(ordered) - 1)] - before) * (at - int(at)))
    return found[0], found[1]


@attrs.frozen
class Result(Displayed):
    """One workload on one kernel and platform: counts, times and remarks.

    Args:
        arch, platform, kernel, workload: names; `kernel` as it was typed.
        parameters: all of them, as used.
        cpus: online CPUs.
        set: the what-ifs that were asked for, by name.
        supported: whether the kernel and platform can run the workload; if not, `reason` says why.
        counts: integers by name, see `COUNTS`; empty if not supported.
        times: `elapsed_ns`, `system_ns`, `lost_ns` and `user_ns`, and `RARE_TIMES` if there are some; empty if not
            supported.
        remarks: unverified facts, what-ifs, counts that timing decides.
        interrupts: how many IPIs each CPU took, by its number; empty if not supported. Not part of the JSON.
        instructions: how often each instruction that the lowering names was executed, on all CPUs, in the
            likely run. Not part of the JSON.
        drawn: each of the times in some hundred draws of all costs, which are the same ones for all results: so the
            quotient of two results has its own range. Not part of the JSON.
        applied: by parameter, how many of something there were where more was asked for. Not part of the JSON.
        patch: the patch of the kernel, as JSON has it; None, and not part of the JSON, without one.
    """

    arch: str
    platform: str
    kernel: str
    workload: str
    parameters: Mapping[str, Any]
    cpus: int
    set: Mapping[str, str]
    supported: bool
    reason: str | None
    counts: Mapping[str, int]
    times: Mapping[str, Span]
    remarks: tuple[str, ...]
    interrupts: tuple[int, ...] = attrs.field(default=(), repr=False)
    instructions: Mapping[str, int] = attrs.field(factory=dict, repr=False)
    drawn: Mapping[str, Sequence[float]] = attrs.field(factory=dict, repr=False)
    applied: Mapping[str, int] = attrs.field(factory=dict, repr=False)
    patch: Mapping[str, Any] | None = attrs.field(default=None, repr=False)

    @property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """The counts that another timing would change, by name, with the least and the most: as the remark on them."""
        return {
            name: (int(low), int(high))
            for remark in self.remarks
            if remark.startswith(TIMING_DECIDES)
            for name, low, _, high in (
                part.split(" ") for part in remark.removeprefix(TIMING_DECIDES).split(", ")
            )
        }

    @property
    def decided_by_timing(self) -> tuple[str, ...]:
        """The counts that another timing would change, by name: those of the remark on them."""
        return tuple(self.ranges)

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON has it."""
        return {
            "arch": self.arch,
            "platform": self.platform,
            "kernel": self.kernel,
            "workload": self.workload,
            "parameters": dict(self.parameters),
            "cpus": self.cpus,
            "set": dict(self.set),
            "supported": self.supported,
            "reason": self.reason,
            "counts": dict(self.counts),
            "times": {name: span.to_dict() for name, span in self.times.items()},
            "remarks": list(self.remarks),
            **({} if self.patch is None else {"patch": dict(self.patch)}),
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Result:
        """Return the result that `to_dict` wrote; what is not part of the JSON is empty."""
        names = {field.name for field in attrs.fields(cls)}
        values = {name: value for name, value in row.items() if name in names}
        times = {name: Span(**span) for name, span in row["times"].items()}
        return cls(**{**values, "times": times, "remarks": tuple(row["remarks"])})


class Results(list[Result], Framed, Displayed):
    """Rows in their order: a list, and a table for pandas and pyarrow."""

    def _framed(self) -> Iterator[dict[str, Any]]:
        return (row.to_dict() for row in self)


def paired(before: Result, after: Result, name: str, how: Callable[[float, float], float]) -> Span:
    """Return what comes of a time of two results, in each draw of the costs that they share; without draws at each end.

    Args:
        before, after: the results.
        name: of the time: `elapsed_ns`.
        how: what is made of the two, such as their difference.
    """
    one, other = before.times[name], after.times[name]
    likely = how(one.likely, other.likely)
    drawn = (before.drawn.get(name, ()), after.drawn.get(name, ()))
    if all(drawn):
        low, high = eighty_percent([how(a, b) for a, b in zip(*drawn, strict=True)])
    else:
        low, high = sorted((how(one.low, other.low), how(one.high, other.high)))
    return Span(min(low, likely), likely, max(high, likely))
