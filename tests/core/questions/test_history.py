"""History: every release is in one range, ranges are of equal outcomes, and each boundary names the commits."""

from __future__ import annotations

import functools
import json
from itertools import pairwise
from typing import Any

import pytest

import shootdown
from shootdown import Change, ShootdownError
from shootdown._plugins.registry import registry
from shootdown._questions import history as history_module
from shootdown._questions import trials as t
from shootdown._questions.history import History, Span, history
from shootdown._questions.trials import Trials, program_named, sizes
from shootdown._values.releases import changes_of
from shootdown._values.series import SERIES, parse_release
from shootdown._values.timelines import MAINLINE, timeline, timelines

QEMU = ("qemu-tcg",)


@functools.cache
def of(program: str, arch: str = "x86", *series: str, **parameters: Any) -> History:
    """Return a history on four CPUs, worked out once."""
    return history(program, arch=[arch], platforms=QEMU, series=series, parameters=parameters)


def ranges(found: History, series: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(row.first, row.last, row.blame.commits) for row in found.rows if row.series == series]


def test_the_rework_of_unsharing_is_in_the_history_of_munmap() -> None:
    found = of("hugetlb-munmap")
    assert ranges(found, MAINLINE) == [
        ("5.10", "5.15", ()),
        ("5.16", "6.15", ("a4a118f2eead",)),
        ("6.16", "6.18", ("1013af4f585f",)),
        ("6.19", "7.3", ("8ce720d5bd91",)),
    ]
    assert ranges(found, "6.12") == [
        ("6.12", "6.12.34", ()),
        ("6.12.35", "6.12.73", ("1013af4f585f",)),
        ("6.12.74", "6.12.118", ("8ce720d5bd91",)),
    ]
    assert [row.outcome.counts["sync_ipis"] for row in found.rows if row.series == "6.12"] == [0, 12, 3]


def test_a_scenario_has_ranges_of_equal_verdicts() -> None:
    found = history("unshare-walk-cache", arch=["arm64"], series=["7.0", MAINLINE], verdict=True)
    assert ranges(found, "7.0") == [("7.0", "7.0.11", ()), ("7.0.12", "7.0.14", ("c2ff4764e03e",))]
    verdicts = [(row.outcome.verdict, row.outcome.invariant) for row in found.rows if row.series == "7.0"]
    assert verdicts == [("bug", "walk-cache"), ("safe", None)]
    assert all(row.to_dict()["counts"] == {} for row in found.rows)


@pytest.mark.parametrize("arch", sorted(registry().architectures()))
def test_every_known_release_is_in_exactly_one_range_of_its_series(arch: str) -> None:
    found = history("anonymous", arch=[arch], cpus=4)
    for name in timelines():
        rows = [row for row in found.rows if row.series == name]
        releases = [str(release) for release in timeline(name)]
        assert rows[0].first == releases[0]
        assert rows[-1].last == releases[-1]
        for row, following in pairwise(rows):
            assert releases.index(following.first) == releases.index(row.last) + 1
            assert row.outcome.same != following.outcome.same
        assert sum(row.releases for row in rows) == len(releases)


@pytest.mark.parametrize("arch", sorted(registry().architectures()))
def test_a_release_has_the_counts_that_compare_gives_it(arch: str) -> None:
    """Releases are not run one by one; those on both sides of each boundary have the counts of their own runs."""
    if "qemu-tcg" not in registry().platforms(arch):
        pytest.skip("no platform of this name")
    found = of("hugetlb-munmap", arch, MAINLINE, "5.10", "6.12")
    ends = list(dict.fromkeys(name for row in found.rows for name in (row.first, row.last)))
    compared = shootdown.compare(
        "hugetlb-munmap", arch=[arch], platforms=QEMU, kernels=ends, parameters={"tables": 4}
    )
    counts = {row.kernel: (row.supported, dict(row.counts)) for row in compared}
    for row in found.rows:
        for name in (row.first, row.last):
            assert (row.outcome.supported, dict(row.outcome.counts)) == counts[name], name


def test_kernels_with_equal_switches_and_kernels_with_equal_machines_run_once() -> None:
    """There are fourteen hundred releases; what they do differently for one call fits on two hands."""
    found = of("hugetlb-munmap")
    assert sum(row.releases for row in found.rows if row.series != MAINLINE) == sum(
        series.newest + 1 for series in SERIES
    )
    assert len({row.outcome.same for row in found.rows}) <= found.runs <= 20


def test_what_a_commit_at_a_boundary_is_turned_back_to_is_the_range_before() -> None:
    """The commits of a row are those that, turned back, give the counts of the row before: asked of the slow way."""
    found = of("hugetlb-mprotect", "x86", "6.1")
    x86 = registry().architecture("x86")
    trials = Trials(
        program_named("hugetlb-mprotect"),
        x86,
        registry().platform("x86", "qemu-tcg"),
        parameters={"tables": 4},
    )
    for before, row in pairwise(found.rows):
        changes, _ = changes_of(row.first, x86)
        for commit in row.blame.commits:
            without = [change for change in changes if change.commit != commit]
            assert (trials.of(without).same == before.outcome.same) is not row.blame.together
    assert len(found.rows) > 1


def test_a_release_that_cannot_run_the_program_says_why_and_is_a_range_too() -> None:
    found = of("hugetlb-mremap", "x86", MAINLINE)
    row = found.rows[0].to_dict()
    assert (row["first"], row["last"], row["supported"], row["counts"]) == ("5.10", "5.15", False, {})
    assert "came with v5.16" in row["reason"]
    assert found.rows[1].blame.commits == ("550a7d60bd5e",)


def test_a_doubt_is_told_where_it_would_make_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """If nobody knew whether 6.18 has a8f78680ee6b, it would matter on CPUs with the erratum alone."""

    def doubtful(name: str, architecture: Any) -> tuple[tuple[Change, ...], tuple[tuple[Change, str], ...]]:
        has, doubts = changes_of(name, architecture)
        repeat = next(one for one in architecture.changes if one.commit == "a8f78680ee6b")
        return tuple(one for one in has if one is not repeat), (*doubts, (repeat, "UNVERIFIED: a8f78680ee6b"))

    monkeypatch.setattr(history_module, "changes_of", doubtful)
    quiet = history("hugetlb-munmap", arch=["arm64"], platforms=["neoverse-v2"], series=["6.18"])
    assert [row.remarks for row in quiet.rows] == [()] * len(quiet.rows)
    told = history(
        "hugetlb-munmap",
        arch=["arm64"],
        platforms=["neoverse-v2"],
        settings=["platform.tlbi_erratum=1286807"],
        series=["6.18"],
    )
    assert "UNVERIFIED: a8f78680ee6b" in told.rows[0].remarks


def test_the_advice_for_a_workload_is_the_lowest_release_that_interrupts_no_more_than_the_newest() -> None:
    advice = {row.series: row for row in of("hugetlb-munmap").advice}
    assert (advice["6.12"].release, advice["6.12"].lacks) == ("6.12.74", ())
    assert advice[MAINLINE].release == "6.19"
    assert (advice["6.17"].release, advice["6.17"].reason) == (None, "4 sync broadcasts, where 7.3.4 has 1")


def test_a_release_that_is_as_good_because_it_lacks_a_fix_is_advised_with_that_said() -> None:
    advice = {row.series: row for row in of("hugetlb-munmap").advice}
    assert advice["6.2"].release == "6.2"
    assert advice["6.2"].lacks == ("1013af4f585f", "8ce720d5bd91")


def test_the_advice_for_a_scenario_is_the_lowest_release_from_which_on_all_are_safe() -> None:
    found = history("unshare-gup", arch=["arm64"], series=["5.10", "6.16", "6.14"])
    advice = {row.series: (row.release, row.reason) for row in found.advice}
    assert advice == {"5.10": ("5.10.239", None), "6.16": ("6.16", None), "6.14": (None, "bug gup-fast")}


def test_all_of_it_is_json() -> None:
    for found in (of("hugetlb-munmap"), history("unshare-gup", arch=["arm64"], series=["6.15"])):
        value = json.loads(json.dumps(found.to_dict()))
        for row in value["rows"]:
            assert set(row) >= {
                *("arch", "platform", "series", "first", "last", "counts", "verdict", "commits"),
            }
        assert set(value["changes"]) == {commit for row in value["rows"] for commit in row["commits"]}


def test_a_large_workload_is_made_small_unless_its_size_is_given() -> None:
    storm = program_named("fork-storm")
    assert sizes(storm, {})["children"] < 10
    assert sizes(storm, {"children": "7"}) == {"children": "7"}
    assert sizes(storm, {"seed": "2"}) == {**storm.small, "seed": "2"}  # type: ignore[union-attr]
    assert sizes(program_named("unshare-gup"), {}) == {}


def test_a_what_if_holds_on_every_release() -> None:
    found = history(
        "hugetlb-munmap", arch=["x86"], platforms=QEMU, series=["6.12"], settings=["kernel.unshare_sync=none"]
    )
    assert {row.outcome.counts["sync_ipis"] for row in found.rows} == {0}
    assert found.set == {"kernel.unshare_sync": "none"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"program": "no-such"}, "there is no workload or scenario 'no-such'"),
        ({"program": "hugetlb-munmp"}, "nearest: hugetlb-munmap"),
        (
            {"program": "hugetlb-munmap", "verdict": True},
            "is a workload, which is counted and has no verdict",
        ),
        ({"program": "hugetlb-munmap", "series": ["4.19"]}, "there is no series 4.19"),
        ({"program": "hugetlb-munmap", "series": ["6.6..6.1"]}, "no series lies between"),
        ({"program": "hugetlb-munmap", "parameters": {"tabels": 1}}, "has no parameter 'tabels'"),
        ({"program": "hugetlb-munmap", "settings": ["kernel.no=1"]}, "there is no switch 'kernel.no'"),
        ({"program": "hugetlb-munmap", "arch": ["vax"]}, "there is no architecture 'vax'"),
        ({"program": "hugetlb-munmap", "cpus": 10**6}, "a machine has between 1 and"),
        ({"program": "no-such-file.py"}, "there is no such file"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_runs(
    asked: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(t, "simulate", lambda case: pytest.fail("it ran"))
    with pytest.raises(ShootdownError) as refused:
        history(**asked)
    assert message in str(refused.value)


def test_a_range_knows_how_many_releases_it_has() -> None:
    row: Span = of("hugetlb-munmap").rows[-1]
    last, first = (parse_release(name)[0].point for name in (row.last, row.first))
    assert row.releases == last - first + 1


def test_a_commit_of_a_boundary_can_be_looked_up() -> None:
    change: Change = of("hugetlb-munmap").changes["8ce720d5bd91"]
    assert change.mainline == "6.19-rc7"
