"""The story of the bug report, told from rows: how many broadcasts, who needed them, how slow."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from tests.core.report.values import SECOND, result, span

from shootdown._questions.compare import cases
from shootdown._report.headline import Pair, always_shown, story

REPORTED = {"children": 1000, "gib": 1200, "pages": 100}


def pair(
    kernel: str, broadcasts: int = 0, *, platform: str = "intel-server", seconds: float = 2.0, **given: Any
) -> Pair:
    """Make a row of the bug report's workload with the case that it was computed from; nothing runs."""
    (case,) = cases(
        "fork-storm", arch=["x86"], platforms=[platform], kernels=[kernel], cpus=[given.get("cpus", 196)]
    )
    counts = {
        "sync_broadcasts": broadcasts,
        "sync_ipis": 195 * broadcasts,
        "redundant_sync_ipis": 194 * broadcasts,
    }
    row = result(
        kernel, counts={**counts, **given.pop("counts", {})},
        **{
            "workload": "fork-storm", "platform": platform, "parameters": REPORTED, "cpus": 196,
            "times": {
                "elapsed_ns": span(seconds * SECOND, 0.5 * seconds * SECOND, 2 * seconds * SECOND),
                "system_ns": span(2 * seconds * SECOND),
            },
            **given,
        },
    )  # fmt: skip
    return case, row


def told(*pairs: Pair, width: int = 100) -> str:
    return " ".join(" ".join(story(pairs, width)).split())


def test_other_workloads_have_no_story() -> None:
    case, row = pair("6.16", 5)
    assert story([(attrs.evolve(case, program=attrs.evolve(case.program, name="another")), row)], 100) == []


def test_a_row_that_could_not_be_run_has_none() -> None:
    case, row = pair("6.16", 5)
    assert story([(case, attrs.evolve(row, supported=False))], 100) == []


def test_a_kernel_with_the_fix_broadcasts_for_each_table() -> None:
    text = told(pair("6.16", 50_000))
    assert (
        "6.16 broadcasts for each table that it unshares (1013af4f585f): 50,000 of the at most 97,000" in text
    )
    assert "each to 195 CPUs" in text
    assert "99 % of the 9,750,000 interrupts were redundant: 50,000 reached a CPU" in text


def test_a_kernel_before_the_fix_never_broadcasts_and_has_the_race() -> None:
    assert "6.15: 0 broadcasts. GUP-fast can then walk a table that another process owns" in told(
        pair("6.15")
    )


def test_a_kernel_after_the_rework_broadcasts_at_most_once_for_each_child() -> None:
    text = told(pair("7.0", 1000))
    assert "at most one broadcast for each exiting child" in text
    assert "1,000 for 1,000 children, 1.00 a child" in text


def test_kernels_of_one_generation_share_a_sentence() -> None:
    assert "6.19 and 7.0: at most one broadcast" in told(pair("6.19", 1000), pair("7.0", 2000))


def test_a_proposal_is_marked_as_never_merged() -> None:
    text = told(pair("proposal:skip-redundant-sync", 7))
    assert "proposal:skip-redundant-sync (never merged): 7 broadcasts." in text


def test_where_there_is_invlpgb_its_absence_is_part_of_the_story() -> None:
    with_it, without = pair("7.0", 1, platform="amd-server"), pair("7.0", 1)
    assert always_shown([with_it]) == ("broadcast_invalidations",)
    assert always_shown([without]) == ()
    assert "INVLPGB, which 7.0 can use on amd-server: 0 broadcast invalidations" in told(with_it)
    assert "It is never used" in told(with_it)
    assert "INVLPGB" not in told(without)


def test_the_slow_down_is_set_beside_the_reported_one() -> None:
    text = told(pair("6.15", seconds=2.0), pair("6.16", 97_000, seconds=10.0))
    assert "x5.0 (x5.0-x5.0)" in text
    assert "x4.56 (2.475 s to 11.275 s)" in text
    assert "~8.00 s (4.0-16)" in text
    assert "The reported 8.80 s lie inside the predicted range" in text


@pytest.mark.parametrize(("seconds", "place"), [(4.0, "lie above"), (60.0, "lie below")])
def test_a_prediction_that_misses_says_on_which_side(seconds: float, place: str) -> None:
    assert f"The reported 8.80 s {place} the predicted range" in told(
        pair("6.15", seconds=2.0), pair("6.16", 97_000, seconds=seconds)
    )


@pytest.mark.parametrize("changed", [{"parameters": {**REPORTED, "children": 10}}, {"cpus": 64}])
def test_another_case_than_the_reported_one_is_not_set_beside_it(changed: dict[str, Any]) -> None:
    assert "reported" not in told(pair("6.15", **changed), pair("6.16", 97_000, **changed))


def test_each_platform_has_a_story_of_its_own() -> None:
    text = story([pair("6.16", 5), pair("6.16", 5, platform="amd-server")], 100)
    assert "x86 intel-server:" in text
    assert "x86 amd-server:" in text


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_story_fits_its_terminal(width: int) -> None:
    lines = story([pair("6.15", seconds=2.0), pair("6.16", 97_000, seconds=10.0), pair("7.0", 1000)], width)
    assert max(map(len, lines)) <= width
