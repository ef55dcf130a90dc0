"""Rows as other programs load them: CSV or JSON lines; and Markdown tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shootdown._values.frames import cell_text, csv_lines, flat, names_of

#: The forms for other programs, by the option that asks for each.
FORMS = ("csv", "jsonl")


def lines(form: str, rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Write rows in one of the `FORMS`.

    Args:
        form: `csv` (a heading, then a line for each row; None is empty, booleans are true and false, and a text has no
            line breaks) or `jsonl` (each row whole, as in `--json`).
        rows: as JSON has them.
    """
    whole = list(rows)
    if form == "jsonl":
        return [json.dumps(row, allow_nan=False) for row in whole]
    table = [flat(row) for row in whole]
    return csv_lines(names_of(table), table)


def markdown(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Write a Markdown table; numbers stand to the right.

    Args:
        headings: of the columns.
        rows: as many cells each; what Markdown reads as its own signs is escaped.
    """
    table = [[_escaped(cell) for cell in row] for row in rows]
    columns = list(zip(*table, strict=True)) or [()] * len(headings)
    rules = [
        "---:" if column and all(cell[:1] in "~0123456789" for cell in column) else "---"
        for column in columns
    ]
    return [
        f"| {' | '.join(map(_escaped, headings))} |",
        f"|{'|'.join(rules)}|",
        *(f"| {' | '.join(row)} |" for row in table),
    ]


def _escaped(cell: object) -> str:
    text = str(cell_text(cell)).replace("\u00ad", "").replace("\n", " ")
    for sign in "\\|*_<[`":
        text = text.replace(sign, "\\" + sign)
    return text
