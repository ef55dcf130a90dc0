"""What tells most of a comparison, in one sentence: which row sends the most IPIs, and how many times another's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shootdown._report.naming import sizes_vary, value_of, varying
from shootdown._report.text import exact, paragraph
from shootdown._values.result import Result

#: Counts of interrupts.
_IPIS = ("flush_ipis", "sync_ipis", "transition_ipis")


def first_of_all(rows: Sequence[Result], width: int) -> list[str]:
    """Return what tells most, above a table: which row sends the most IPIs, and how many times those of another.

    Rows of one platform, size and set of parameters are compared, those with the largest ratio. Where timing decides,
    the ratio is a range; nothing is said where rows are equal, or their ranges overlap.
    """
    groups: dict[Any, list[Result]] = {}
    for row in rows:
        if row.supported:
            values = tuple((name, value_of(row, name)) for name in varying(rows))
            groups.setdefault((row.arch, row.platform, row.cpus, values), []).append(row)
    found: tuple[float, str] | None = None
    for group in groups.values():
        told = _most_and_least({row.kernel: _ipis(row) for row in group})
        if told is None or (found is not None and told[0] <= found[0]):
            continue
        where = ""
        if len(groups) > 1:
            row = group[0]
            named = "".join(f" {name}={value_of(row, name)}" for name in varying(rows))
            size = f" with {exact(row.cpus)} CPUs" if sizes_vary(rows) else ""
            where = f"On {row.arch} {row.platform}{named}{size}: "
        found = (told[0], f"{where}{told[1]}.")
    return [] if found is None else [*paragraph(found[1], width), ""]


def _ipis(row: Result) -> tuple[int, int]:
    """Return how many IPIs a row sends, the fewest and the most."""
    ranges = row.ranges
    spans = [ranges.get(name, (row.counts.get(name, 0),) * 2) for name in _IPIS]
    return sum(low for low, _ in spans), sum(high for _, high in spans)


def _most_and_least(sent: Mapping[str, tuple[int, int]]) -> tuple[float, str] | None:
    """Compare the kernel that sends most with the one that sends least: the ratio and a sentence; None if neither is.

    Args:
        sent: by kernel, the fewest and the most IPIs.
    """
    most = max(sent, key=lambda kernel: sent[kernel])
    some = [kernel for kernel in sent if sent[kernel][0] > 0 and sent[kernel][1] < sent[most][0]]
    none = [kernel for kernel in sent if not sent[kernel][1]]
    if not sent[most][0] or not (some or none):
        return None
    ratio, told = 0.0, f"{most} sends {_span(sent[most])} IPIs"
    if some:
        least = min(some, key=lambda kernel: sent[kernel][1])
        ratio = sent[most][0] / sent[least][1]
        low, high = _times_over(ratio), _times_over(sent[most][1] / sent[least][0])
        many = low if low == high else f"{low} to {high}"
        numbers = f"{_span(sent[most])} and {_span(sent[least])}"
        told = f"{most} sends {many} times the IPIs of {least} ({numbers})"
    if none:
        told += f"; {_and(none)} send{'s' if len(none) == 1 else ''} none"
    return ratio, told


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def _times_over(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"


def _span(span: tuple[int, int]) -> str:
    return exact(span[0]) if span[0] == span[1] else f"{exact(span[0])} to {exact(span[1])}"
