"""The arm64 rows beside the model: which windows may hold a page that the parent copies late."""

from __future__ import annotations

import pytest

from shootdown._oracle.rows import Row
from shootdown._oracle.validate import validate


def single_pages(mode: str, step: str, **fields: object) -> object:
    """Predict TLBI VALE1IS in a window of one table and one child."""
    row = Row(
        1,
        "arm64",
        "6.12.74",
        "hugetlb_shared",
        4,
        {"N": 8, "k": 1, "mode": mode, "step": step, **fields},
        {"instructions": {"tlbi_vale1is": [0, 0]}},
    )
    (comparison,) = validate([row])
    assert comparison.predicted is not None
    return comparison.predicted["instructions"]["tlbi_vale1is"]


@pytest.mark.parametrize(
    ("mode", "step"),
    [("punch", "punch_whole"), ("trunc", "truncate0"), ("pmunmap", "parent_munmap_first")],
)
def test_the_parent_may_copy_one_page_when_it_first_runs_after_its_forks(mode: str, step: str) -> None:
    assert single_pages(mode, step) == [0, 1]


def test_the_parent_shares_no_page_any_more_when_later_children_exit() -> None:
    assert single_pages("exit", "exit", i=1, k=3) == [0, 1]
    assert single_pages("exit", "exit", i=2, k=3) == 0
    assert single_pages("pmunmap", "exit_after_parent", i=1) == 0
