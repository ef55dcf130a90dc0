"""Which CPUs the rows of a comparison interrupted, and how evenly."""

from __future__ import annotations

from collections.abc import Sequence

from shootdown._report.naming import label
from shootdown._report.text import cpu_list, exact, paragraph
from shootdown._values.result import Result

#: With more rows than this, it isn't listed which CPUs each interrupted.
_MOST_ROWS_TOLD = 16
_NAMED_CPUS = 4


def who_was_interrupted(rows: Sequence[Result], width: int) -> list[str]:
    """Return for each row which CPUs were interrupted, and how evenly."""
    told = [row for row in rows if row.supported and any(row.interrupts)]
    if not told or len(told) > _MOST_ROWS_TOLD:
        return []
    alike: dict[str, list[str]] = {}
    for row in told:
        alike.setdefault(interrupted(row.interrupts), []).append(label(row, rows))
    lines = ["", "Who was interrupted:"]
    for text, names in alike.items():
        lines += paragraph(f"{', '.join(names)}: {text}", width, first="- ")
    return lines


def interrupted(interrupts: Sequence[int]) -> str:
    """Return which CPUs were interrupted, how often, and which most often.

    Args:
        interrupts: how many IPIs each CPU took, by its number.
    """
    taken = {cpu: times for cpu, times in enumerate(interrupts) if times}
    if not taken:
        return "nobody"
    least, most = min(taken.values()), max(taken.values())
    text = f"CPU{'s' if len(taken) > 1 else ''} {cpu_list(taken)}"
    if least == most:
        each = " each" if len(taken) > 1 else ""
        return f"{text}, {'once' if most == 1 else f'{exact(most)} times'}{each}"
    ranked = sorted(taken, key=lambda cpu: (-taken[cpu], cpu))
    named = ", ".join(
        f"CPU {cpu} ({exact(taken[cpu])})" for cpu in ranked[: _NAMED_CPUS if most >= 2 * least else 1]
    )
    return f"{text}, {exact(least)} to {exact(most)} times each; most often {named}"
