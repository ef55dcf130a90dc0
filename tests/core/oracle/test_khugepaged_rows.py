"""khugepaged below PMD order, measured on 7.3.4 (tests/oracle/measured-mthp.jsonl), beside the model."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import attrs
import pytest

from shootdown import ShootdownError
from shootdown._oracle.rows import merge_outcomes, read_rows
from shootdown._oracle.validate import Comparison, validate
from shootdown._plugins.registry import registry

pytestmark = pytest.mark.skipif("x86" not in registry().architectures(), reason="the rows are of amd64")

FILE = Path(__file__).parents[2] / "oracle" / "measured-mthp.jsonl"
ROWS = read_rows(FILE)


@functools.cache
def compared() -> tuple[Comparison, ...]:
    return tuple(validate(ROWS))


def test_every_count_of_every_row_agrees() -> None:
    assert [c.reason for c in compared() if c.predicted is None] == []
    wrong = [(c.row.number, v) for c in compared() for v in c.verdicts if not v.agrees]
    assert wrong == []


def test_flushes_syncs_and_attempts_are_predicted_as_numbers() -> None:
    for comparison in compared():
        for verdict in comparison.verdicts:
            if verdict.count != "tlb_row":
                assert verdict.predicted is not None
                assert verdict.predicted[0] == verdict.predicted[1] == verdict.measured[0]


def test_only_a_process_that_sleeps_and_wakes_leaves_open_how_often_it_is_interrupted() -> None:
    for comparison in compared():
        (row,) = (v for v in comparison.verdicts if v.count == "tlb_row")
        fields = comparison.row.fields
        assert row.predicted is not None
        if (
            fields["spinners"]
            or fields.get("madv_collapse")
            or not comparison.row.counts["sync_broadcasts"][1]
        ):
            assert row.predicted[0] == row.predicted[1]
        else:
            assert row.predicted == (0, comparison.row.counts["sync_broadcasts"][0])
            assert "sleeps" in (row.open or "")


def test_madv_collapse_interrupts_nobody_who_does_not_run_the_process() -> None:
    by_process = [c for c in compared() if c.row.fields.get("madv_collapse")]
    assert len(by_process) == 3
    for comparison in by_process:
        assert comparison.predicted is not None
        assert comparison.predicted["tlb_row"] == 0
        assert comparison.predicted["sync_broadcasts"] == 4


def test_attempts_of_a_window_of_stock_pace_are_given_and_only_their_cost_is_predicted() -> None:
    (comparison,) = [c for c in compared() if c.row.number == 73]
    assert comparison.predicted is not None
    assert comparison.predicted["sync_broadcasts"] == 176
    assert "attempts" not in comparison.predicted


def test_a_wrong_outcome_is_seen() -> None:
    row = attrs.evolve(ROWS[0], counts={**ROWS[0].counts, "attempts": merge_outcomes({"8 succeeded": 4})})
    (comparison,) = validate([row])
    assert [v.count for v in comparison.verdicts if not v.agrees] == [
        "attempts.8 succeeded",
        "attempts.9 succeeded",
    ]


def test_outcomes_that_timing_tells_apart_are_added_up() -> None:
    assert merge_outcomes(
        {"2 lack_referenced_page": 3, "2 not_suitable_page_count": [4, 5], "9 succeeded": 1}
    ) == {
        "2 lack_referenced_page or not_suitable_page_count": (7, 8),
        "9 succeeded": (1, 1),
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"populated": "sideways"}, "not made of"),
        ({"orders": "x"}, "not made of"),
        ({"pass": -1}, "not negative"),
        ({"pass": 0, "attempts": {"hello": 1}}, "is no order and outcome"),
        ({"ranges": "many"}, "not negative"),
    ],
)
def test_a_row_that_can_not_be_read_says_why(tmp_path: Path, change: dict[str, object], says: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(json.loads(FILE.read_text().splitlines()[0]) | change))
    (comparison,) = validate(read_rows(file))
    assert comparison.predicted is None
    assert says in (comparison.reason or "")


@pytest.mark.parametrize("attempts", [5, {"9 succeeded": "x"}, {"9 succeeded": [2, 1]}])
def test_malformed_attempts_are_refused_by_line(tmp_path: Path, attempts: object) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(json.loads(FILE.read_text().splitlines()[0]) | {"attempts": attempts}))
    with pytest.raises(ShootdownError, match="line 1: attempts"):
        read_rows(file)
