"""What decides an answer, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shootdown._report.text import about, exact

if TYPE_CHECKING:
    from shootdown._batches.sensitivity import Sensitivity

_MORRIS = "morris"


def lines(found: Sensitivity, most: int) -> tuple[list[str], list[str], list[list[str]], list[str]]:
    """Return sentences, the headings and rows of a table, and sentences below it.

    Args:
        found: what decides.
        most: rows of the table.
    """
    case = found.case
    timed = found.of.endswith("_ns")
    write = about if timed else lambda value: exact(round(value))
    name = found.of.removesuffix("_ns")
    where = f"{case.architecture.name} {case.platform.name} {case.kernel.name}, {case.cpus} CPUs"
    head = [f"{name} of {case.program.name} on {where}: {write(found.likely)} with likely costs"]
    deciding = [one for one in found.effects if one.effect > 0]
    if found.least == found.most:
        return [*head, f"nothing that varies changes it, in {found.runs:,} runs"], [], [], []
    head.append(
        f"{write(found.least)} to {write(found.most)} in {found.runs:,} runs ({found.method}, seed {found.seed})"
    )
    if found.method == _MORRIS:
        columns = ["varies", "share", "changes it by", "differing by"]
        rows = [
            [one.name, f"{one.share:.0%}", _size(one.effect, timed), _size(one.spread, timed)]
            for one in deciding
        ]
        foot = [
            "changes it by: the mean change as it moves across its range",
            "differing by: how much that change depends on the others",
        ]
    else:
        columns = ["varies", "share", "with others", "alone"]
        rows = [[one.name, f"{one.share:.0%}", f"{one.effect:.2f}", f"{one.spread:.2f}"] for one in deciding]
        foot = [
            "with others, alone: its part of the variance, with what it does together with others and without"
        ]
    rest = len(found.effects) - min(len(deciding), most)
    if rest:
        foot.append(f"{rest} other{'s do' if rest > 1 else ' does'} less, or nothing")
    return head, columns, rows[:most], foot


def _size(value: float, timed: bool) -> str:
    return about(value) if timed else f"{value:,.1f}"
