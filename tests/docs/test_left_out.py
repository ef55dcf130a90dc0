"""docs/reference/left-out.md shows the changes that were left out, and no table of changes has one of them."""

from __future__ import annotations

from pathlib import Path

from shootdown._plugins.registry import registry
from shootdown._values.changes import CHANGES
from shootdown._values.left_out import LEFT_OUT

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "left-out.md"


def test_the_page_has_a_line_for_each_change_that_was_left_out() -> None:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    assert lines == [
        f"| {one.commit or 'not found'} | {one.subject} | {one.first} | {one.why} |" for one in LEFT_OUT
    ]


def test_no_table_of_changes_has_what_was_left_out() -> None:
    every = (*CHANGES, *(change for one in registry().architectures().values() for change in one.changes))
    assert not {one.commit for one in LEFT_OUT} & {change.commit for change in every}
    assert not {one.subject for one in LEFT_OUT} & {change.subject for change in every}
