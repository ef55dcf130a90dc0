"""The story of the bug report, told from rows: how many broadcasts, who needed them, how slow."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import pytest
from tests.core.report.values import SECOND, result, span

from shootdown._compilation import running
from shootdown._questions.compare import cases
from shootdown._report.headline import Pair, _search, always_shown, searches, story

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
    assert "97 tables each: the 100 pages that a child reads lie in 97 of 1,200 tables" in text
    assert "each to 195 CPUs" in text
    assert "99 % of the 9,750,000 interrupts were redundant: 50,000 reached a CPU" in text


def test_where_flush_ipis_wait_for_walkers_a_kernel_before_the_fix_is_not_said_to_have_the_race() -> None:
    text = told(pair("6.15"))
    assert "6.15: 0 broadcasts. GUP-fast walks no table that another process owns by now" in text
    assert "(`explore unshare-gup -p sharers=2`: SAFE)" in text
    assert "GUP-fast can" not in text


def test_where_flushes_wait_for_nobody_a_kernel_before_the_fix_is_said_to_have_the_race() -> None:
    _, row = pair("6.15")
    (without_ipis,) = cases(
        "fork-storm", arch=["x86"], platforms=["intel-server"], kernels=["6.15"],
        settings=["platform.flush=broadcast"],
    )  # fmt: skip
    text = told((without_ipis, row))
    assert "GUP-fast can walk it when another process owns it by now" in text
    assert "which is the race that 1013af4f585f closed (`explore unshare-gup -p sharers=2`: BUG)" in text


def test_a_race_that_only_one_way_of_flushing_has_is_told_with_that_way() -> None:
    assert ": BUG for the walker of an mm with a global ASID)" in told(pair("6.15", platform="amd-server"))


def test_targeted_syncs_are_explored_with_three_sharers() -> None:
    assert "(`explore unshare-gup -p sharers=3`: SAFE)" in told(pair("proposal:targeted-sync", 7))


def test_where_the_explorer_has_no_verdict_nothing_is_said_of_safety(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shootdown._report.headline._search", lambda *_: None)
    assert told(pair("6.15")).endswith("6.15: 0 broadcasts.")


def test_a_kernel_after_the_rework_broadcasts_at_most_once_for_each_child() -> None:
    text = told(pair("7.0", 1000))
    assert "at most one broadcast for each exiting child" in text
    assert "1,000 for 1,000 children, 1.00 a child" in text


def test_a_storm_in_which_nothing_was_shared_says_why_there_is_no_broadcast() -> None:
    told = " ".join(" ".join(story([pair("6.1.158"), pair("6.1.180")], 80)).split())
    assert "6.1.158 and 6.1.180: no broadcast: no two processes used a table at the same time" in told


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


def test_a_sentence_about_safety_is_explored_once_for_rows_that_ask_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [pair("6.15"), pair("6.15", cpus=64)]
    told(rows[0])
    monkeypatch.setattr("shootdown._questions.explore.explore_case", lambda *_, **__: pytest.fail("explored"))
    assert ": SAFE)" in told(rows[1])


def test_searches_find_what_the_sentences_need(monkeypatch: pytest.MonkeyPatch) -> None:
    row = pair("6.15", cpus=96)
    _search.cache_clear()
    for search in searches([row[0], pair("7.0")[0]]):
        search()
    monkeypatch.setattr("shootdown._questions.explore.explore_case", lambda *_, **__: pytest.fail("explored"))
    assert ": SAFE)" in told(row)


def test_work_is_small_in_its_own_thread_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.budget, "spent", 10 * running.WORTH_IT)
    with running.small_work(), ThreadPoolExecutor(1) as other:
        assert not other.submit(lambda: running.budget.lasts).result()
        assert running.budget.lasts


def test_work_that_is_foreseen_to_take_too_long_for_plain_python_is_not_begun_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running.budget, "spent", 0.0)
    running.budget.foresee(running.WORTH_IT / 2)
    assert running.budget.spent == 0.0
    running.budget.foresee(running.WORTH_IT)
    assert not running.budget.lasts


def test_small_work_stays_plain_even_after_long_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.budget, "spent", 10 * running.WORTH_IT)
    with running.small_work():
        assert running.budget.lasts
    assert not running.budget.lasts


@pytest.mark.parametrize(
    ("kernels", "seconds", "says"),
    [
        (
            ("6.15", "6.16"),
            0.1,
            "6.0 and later take ~100 ms (50-200) here, and kernels before 6.0 ~2.22 s (1.5-8.5)",
        ),
        (("6.15", "6.16"), 0.1, "By that it could have been one before 6.0."),
        (("6.15", "6.16"), 2.0, "By that it could have been one before 6.0 or 6.0 or later."),
        (("5.15.180", "5.15.189"), 2.2, "By that it could have been one before 6.0."),
        (("6.15", "6.16"), 9.0, "By that neither range holds it."),
    ],
)
def test_the_time_without_the_sync_says_which_kernels_the_report_could_have_been(
    kernels: tuple[str, str], seconds: float, says: str
) -> None:
    """Until 6.0 each of 1000 children costs 2 * 614,400 steps less those of 97 tables at exit, 1.2 to 7 ns each."""
    text = told(pair(kernels[0], seconds=seconds), pair(kernels[1], 97_000, seconds=9))
    assert says in text
