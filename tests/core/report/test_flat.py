"""Rows as CSV, as JSON lines and as Markdown hold what the JSON holds, and nothing that the form reads as its own."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from shootdown._report.flat import flat, lines, markdown

LEAVES = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=12)
NAMES = st.text("abc_", min_size=1, max_size=5)
ROWS = st.lists(
    st.dictionaries(NAMES, LEAVES | st.dictionaries(NAMES, LEAVES, max_size=3), max_size=4), min_size=1
)


def test_nested_values_are_named_by_their_path_and_lists_are_one_text() -> None:
    row = {
        "counts": {"sync_ipis": 7},
        "times": {"elapsed_ns": {"low": 1.5}},
        "remarks": ["a", "b"],
        "pairs": [[1, 2]],
    }
    assert flat(row) == {
        "counts.sync_ipis": 7,
        "times.elapsed_ns.low": 1.5,
        "remarks": "a | b",
        "pairs": "[1, 2]",
    }


@given(ROWS)
def test_a_csv_reader_finds_every_value_below_its_name(rows) -> None:
    text = "\n".join(lines("csv", rows)) + "\n"
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    table = [flat(row) for row in rows]
    if any(table):
        assert len(found) == len(rows)
    for row, values in zip(found, table, strict=False):
        for name, value in values.items():
            expected = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            assert row[name] == " ".join(expected.splitlines())


@given(ROWS)
def test_a_line_of_json_is_a_row(rows) -> None:
    assert [json.loads(line) for line in lines("jsonl", rows)] == rows


def test_markdown_escapes_its_own_signs_and_puts_numbers_to_the_right() -> None:
    assert markdown(["name", "many", "mixed"], [["a|b_c", "1,234", "~3 us"], ["*", 5, "x"]]) == [
        "| name | many | mixed |",
        "|---|---:|---|",
        "| a\\|b\\_c | 1,234 | ~3 us |",
        "| \\* | 5 | x |",
    ]
