"""Rows as other programs load them: CSV or JSON lines; and Markdown tables."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

#: The forms for other programs, by the option that asks for each.
FORMS = ("csv", "jsonl")


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of JSON as one level: `counts.sync_ipis`, `times.elapsed_ns.likely`; lists as one text.

    Args:
        row: mappings in it may be nested; of other values in lists the text is taken.
    """
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found.update({f"{name}.{inner}": leaf for inner, leaf in flat(value).items()})
        elif isinstance(value, list | tuple):
            found[name] = " | ".join(one if isinstance(one, str) else json.dumps(one) for one in value)
        else:
            found[name] = value
    return found


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
    return _csv(list(dict.fromkeys(name for row in table for name in row)), table)


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
    text = str(_cell(cell)).replace("\u00ad", "").replace("\n", " ")
    for sign in "\\|*_<[`":
        text = text.replace(sign, "\\" + sign)
    return text


def _csv(names: Sequence[str], table: Sequence[Mapping[str, Any]]) -> list[str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for row in table:
        writer.writerow([_cell(row.get(name)) for name in names])
    return text.getvalue().removesuffix("\n").split("\n")


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(value.splitlines()) if isinstance(value, str) else "" if value is None else value
