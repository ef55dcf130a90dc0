"""The report of a replay: what became a statement, how far the model is from the recording, and other machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from shootdown._questions.replay import Distance, Prepared, distance
from shootdown._questions.replay_plan import SHORT, Statement
from shootdown._report.comparison import comparison
from shootdown._report.recorded_text import UNTOLD, count_of, draw_table, listed, pages, targets
from shootdown._report.text import Column, exact, paragraph
from shootdown._values.result import Result


def lines(prepared: Prepared, rows: Sequence[Result], width: int) -> Iterator[str]:
    """Write the report.

    Args:
        prepared: the replay.
        rows: what its cases gave, in their order; the first is where it came from.
        width: columns of text that there are.
    """
    plan = prepared.plan
    yield from _statements(plan.statements, plan.unit, width)
    yield from listed("Not in the program:", [_left(*one) for one in plan.left_out], width)
    yield from listed("Assumed:", [*plan.assumed, *prepared.source.remarks], width)
    if not rows:
        return
    yield from _source(prepared, rows[0], width)
    yield ""
    if len(rows) > 1 or rows[0].supported:
        yield from _tables(rows, width)


def _statements(statements: Sequence[Statement], unit: str, width: int) -> Iterator[str]:
    cells = [
        [
            one.path or UNTOLD,
            SHORT[one.path],
            pages(one.pages),
            targets(one.targets),
            f"{one.recorded:,.6g} {unit}".rstrip() if unit else exact(round(one.recorded)),
            exact(one.times),
        ]
        for one in statements
    ]
    columns = [
        Column("recorded as", wraps=True),
        Column("statement", wraps=True),
        Column("pages", right=True),
        Column("targets", right=True),
        Column("recorded", right=True),
        Column("in the program", right=True),
    ]
    yield from draw_table(columns, cells, width)


def _left(path: str, count: float, why: str) -> str:
    shown = exact(int(count)) if count == int(count) else f"{count:,.4g}"
    return f"{shown} of {path or 'what has no path'}: {why}"


def _source(prepared: Prepared, row: Result, width: int) -> Iterator[str]:
    source = prepared.source
    where = f"{source.arch} {source.platform}, {source.kernel}, {row.cpus} CPUs"
    if not row.supported:
        yield from paragraph(f"Where it came from ({where}) it can't be run: {row.reason}.", width, rest="  ")
        return
    found = distance(prepared, row)
    if found is None:
        sent = count_of(row.counts["flush_ipis"], "interrupt")
        text = (
            f"Where it came from ({where}) the model sends {sent}; how many CPUs each shootdown reached is not in the "
            "recording, so that nothing is compared."
        )
    else:
        text = f"Where it came from ({where}): {_compared(found)}."
    yield from paragraph(text, width, rest="  ")


def _compared(found: Distance) -> str:
    recorded = count_of(found.recorded, "interrupt was", "interrupts were")
    numbers = f"{recorded} recorded for these shootdowns, and the model sends {exact(found.model)}"
    return (
        f"{numbers}: the same"
        if found.recorded == found.model
        else f"{numbers} ({100 * found.relative:+.1f} %)"
    )


def _tables(rows: Sequence[Result], width: int) -> Iterator[str]:
    """Write a table for each program: with another number of targets it is another one."""
    groups: list[list[Result]] = []
    for row in rows:
        if groups and groups[-1][0].parameters == row.parameters:
            groups[-1].append(row)
        else:
            groups.append([row])
    for group in groups:
        yield from comparison(group, width)


def to_dict(prepared: Prepared, rows: Sequence[Result]) -> dict[str, Any]:
    """Return a replay as JSON has it."""
    plan = prepared.plan
    found = distance(prepared, rows[0]) if rows else None
    return {
        "schema": 1,
        "source": attrs.asdict(prepared.source),
        "program": plan.text,
        "statements": [attrs.asdict(one) for one in plan.statements],
        "left_out": [
            {"path": path or None, "count": count, "why": why} for path, count, why in plan.left_out
        ],
        "assumed": list(plan.assumed),
        "recorded_for_each": plan.share,
        "compared": None
        if found is None
        else {"recorded_ipis": found.recorded, "model_ipis": found.model, "relative": found.relative},
        "rows": [row.to_dict() for row in rows],
    }
