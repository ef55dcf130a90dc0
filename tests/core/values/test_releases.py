"""What a release is called, what is not known of it, and the lists of all."""

from __future__ import annotations

import re

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.values.toys import Plain, Toy, plain

from shootdown._plugins.registry import registry
from shootdown._values.changes import Change
from shootdown._values.errors import ShootdownError
from shootdown._values.known import kernels_known, switches
from shootdown._values.releases import (
    changes_of,
    evolve,
    has_change,
    kernel_with,
    newest_known,
    proposals,
    resolve,
)
from shootdown._values.series import (
    BY_NAME,
    PLAUSIBLE_AHEAD,
    SERIES,
    Series,
    parse_release,
)

series = st.sampled_from(SERIES)


# --- names


def test_a_series_alone_means_its_first_release() -> None:
    assert plain("6.15").release == plain("6.15.0").release == "6.15"
    assert plain("6.15").remarks == ()


def test_the_kernel_keeps_the_name_that_was_typed() -> None:
    assert plain("7.0.0").name == "7.0.0"
    assert plain("6.12.120").name == "6.12.120"


def test_a_newer_point_release_is_the_newest_known_with_a_remark() -> None:
    kernel = plain("6.12.120")
    assert kernel.release == f"6.12.{BY_NAME['6.12'].newest}"
    assert "6.12.120 is newer than the tables" in kernel.remarks[0]


def test_a_release_after_the_end_of_its_series_is_its_last_with_a_remark() -> None:
    kernel = plain("6.16.13")
    assert kernel.release == "6.16.12"
    assert kernel.remarks[0].startswith("6.16 ended with 6.16.12, and 6.16.13 is newer than the tables")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("6.20", "after 6.19 comes 7.0"),
        ("6.999.1", "after 6.19 comes 7.0"),
        ("5.20", "after 5.19 comes 6.0"),
        ("9.1", f"nearest: {SERIES[-1].name}"),
        ("5.9.16", "nearest: 5.10"),
        ("4.19.325", "nearest: 5.10"),
        ("6.12.5000", f"nearest: 6.12.{BY_NAME['6.12'].newest}"),
        ("6.13.99", "nearest: 6.13.12, the last"),
        ("7.2.999", "nearest: 7.2.13"),
        ("6.12.99999999999", f"nearest: 6.12.{BY_NAME['6.12'].newest}"),
        ("07.0", "is not a release"),
        ("6.1.158..6.1.180", "is not a release"),
        ("7.00", "is not a release"),
        ("7.0+late_flush", "nearest: 7.0"),
        ("\uff16.12", "is not a release"),
        ("6.16-rc9", "nearest: 6.16-rc8"),
        ("6.16-rc0", "nearest: 6.16-rc1"),
        ("6.12.74-", "nearest: 6.12.74"),
        ("6.1.9999-amd64", "nearest: 6.1.192"),
        ("6.12.-1", "is not a release"),
        ("6", "is not a release"),
        ("", "is not a release"),
        ("banana", "is not a release"),
        ("8ce720d5bd91", "is a commit, which 6.19-rc7 has first"),
        ("proposal:skip", "there is: proposal:skip-redundant-sync, proposal:targeted-sync"),
        ("proposal:targeted-sync@6.20", "after 6.19 comes 7.0"),
        ("proposal:targeted-sync@", "is not a release"),
    ],
)
def test_what_is_no_release_is_refused_with_one_line_that_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ShootdownError, match=re.escape(nearest)) as refusal:
        plain(name)
    assert "\n" not in str(refusal.value)


@given(series, st.integers(0, 10**9))
def test_every_point_release_resolves_or_is_refused_and_never_crashes(one: Series, point: int) -> None:
    name, newest = one.name, one.newest
    limit = newest + PLAUSIBLE_AHEAD[one.state]
    if point > limit:
        with pytest.raises(ShootdownError):
            parse_release(f"{name}.{point}")
    else:
        release, remark = parse_release(f"{name}.{point}")
        assert release.point == min(point, newest)
        assert (remark is not None) == (point > newest)


@given(st.text(max_size=12))
def test_any_text_is_a_release_or_is_refused_in_one_line(text: str) -> None:
    message = ""
    try:
        release, _ = parse_release(text)
        assert release.series in BY_NAME
    except ShootdownError as refusal:
        message = str(refusal)
    assert len(message.splitlines()) <= 1


# --- what is not known


def test_what_is_not_known_is_remarked_with_change_and_series() -> None:
    for name in ("6.1", "6.1.50", "6.2.16"):
        kernel = resolve(name, Toy())
        (remark,) = kernel.remarks
        assert remark.startswith("UNVERIFIED: whether 6.")
        assert 'aaaaaaaaaaaa "toy: do it"' in remark
        assert not kernel.arch.toy


def test_what_is_known_carries_no_remark() -> None:
    assert resolve("5.10.99", Toy()).remarks == resolve("5.10.100", Toy()).remarks == ()
    assert (resolve("5.10.99", Toy()).arch.toy, resolve("5.10.100", Toy()).arch.toy) == (False, True)
    assert resolve("6.3", Toy()).arch.toy
    assert not resolve("6.0", Toy()).arch.toy


def test_a_doubt_that_a_later_change_settles_is_not_remarked() -> None:
    later = Change("bbbbbbbbbbbb", "toy: do it again", "6.4", {"toy": False}, {"6.1": 60})
    toy = attrs.evolve(Toy(), changes=(*Toy().changes, later))
    assert resolve("6.1.59", toy).remarks != ()
    assert resolve("6.1.60", toy).remarks == ()


def test_a_candidate_of_the_series_that_got_a_change_at_an_unknown_candidate_says_so() -> None:
    kernel = plain("6.13-rc3")
    assert (kernel.release, kernel.share_count) == ("6.13-rc3", "page_count")
    (remark,) = kernel.remarks
    assert remark.startswith("UNVERIFIED: which candidate of 6.13 got 59d9094df3d7")


def test_candidates_of_the_merge_window_are_known() -> None:
    assert plain("6.16-rc1").unshare_sync == "per-table"
    assert plain("6.15-rc8").unshare_sync == "none"
    assert (plain("6.19-rc6").unshare_sync, plain("6.19-rc7").unshare_sync) == ("per-table", "last-sharer")
    assert not plain("6.0-rc7").gup_rechecks_pmd
    assert plain("6.0-rc8").gup_rechecks_pmd


# --- proposals


def test_proposals_are_the_newest_release_with_one_thing_changed() -> None:
    newest, proposed = plain(newest_known()), plain("proposal:targeted-sync")
    assert proposed.release == newest.release
    assert proposed.sync_targets == "walkers"
    assert attrs.evolve(proposed, name=newest.name, sync_targets="all", remarks=()) == newest
    assert any("never merged" in each for each in proposed.remarks)


def test_a_proposal_can_be_put_on_another_release() -> None:
    kernel = plain("proposal:skip-redundant-sync@6.12.73")
    assert (kernel.skip_redundant_sync, kernel.unshare_sync) == ("native-ipi", "per-table")
    assert kernel.name == "proposal:skip-redundant-sync@6.12.73"


def test_no_release_has_a_proposal() -> None:
    for each in SERIES:
        kernel = plain(f"{each.name}.{each.newest}")
        assert (kernel.skip_redundant_sync, kernel.sync_targets) == ("never", "all")


def test_proposals_are_listed_once() -> None:
    assert proposals((Plain(),)) == ("targeted-sync", "skip-redundant-sync")


# --- an architecture's own


def test_a_switch_that_both_declare_is_set_in_both() -> None:
    kernel = resolve("7.0", Toy())
    assert kernel.page_size == kernel.arch.page_size == 65536
    smaller = evolve(kernel, {"page_size": 4096})
    assert smaller.page_size == smaller.arch.page_size == 4096


def test_a_change_of_a_switch_that_nobody_declares_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ShootdownError, match="unshare_sync"):
        evolve(plain("7.0"), {"unshare_synk": "none"})


# --- lists


def test_every_series_and_proposal_is_listed_with_the_changes_that_are_new_in_it() -> None:
    rows = {row.name: row for row in kernels_known((Toy(),))}
    assert [each.name for each in SERIES] == [name for name in rows if not name.startswith("proposal:")]
    arrivals = {each.change.commit: each.release for each in rows["6.12"].arrivals}
    assert arrivals["8ce720d5bd91"] == "6.12.74"
    assert arrivals["1013af4f585f"] == "6.12.35"
    assert "aaaaaaaaaaaa" not in arrivals
    assert [each.architecture for each in rows["6.3"].arrivals] == [None, "toy"]
    assert rows["6.19"].arrivals[0].release == "6.19"
    assert rows["7.3"].newest == newest_known()
    assert rows["proposal:targeted-sync"].arrivals[0].change.commit == "v4"


@given(series)
def test_no_series_was_read_further_than_it_is_known(one: Series) -> None:
    assert one.read is None or 0 <= one.read <= one.newest


@given(series)
def test_the_list_of_arrivals_says_what_resolving_does(one: Series) -> None:
    row = next(row for row in kernels_known() if row.name == one.name)
    for each in row.arrivals:
        release = parse_release(each.release)[0]
        assert has_change(release, each.change)[0]
        if release.point:
            assert not has_change(attrs.evolve(release, point=release.point - 1), each.change)[0]


def test_every_switch_is_listed_with_its_values_and_the_commits_that_moved_it() -> None:
    rows = {(row.architecture, row.name): row for row in switches((Toy(),))}
    sync = rows[None, "unshare_sync"]
    assert sync.choices == ("none", "per-table", "last-sharer")
    assert sync.default == "none"
    assert [(commit, release) for commit, release, _ in sync.changes] == [
        ("1013af4f585f", "6.16-rc1"),
        ("8ce720d5bd91", "6.19-rc7"),
    ]
    assert rows["toy", "toy"].changes == (("aaaaaaaaaaaa", "6.3", "true"),)
    assert rows[None, "sync_targets"].changes == (("v4", "proposal:targeted-sync", "walkers"),)


def test_a_kernel_with_all_changes_of_a_release_is_that_release() -> None:
    """Whatever takes changes away one by one starts from the same kernel."""
    for architecture in registry().architectures().values():
        for name in (
            "5.10",
            "6.1.150",
            "6.12.74",
            "6.16-rc1",
            "7.0",
            "7.3.4",
            "proposal:skip-redundant-sync",
        ):
            changes, doubts = changes_of(name, architecture)
            whole = resolve(name, architecture)
            again = kernel_with(
                changes, architecture, name=name, release=whole.release, remarks=whole.remarks
            )
            assert again == whole
            assert {remark for _, remark in doubts} <= set(whole.remarks)


def test_a_release_without_one_commit_has_the_switches_from_before_it() -> None:
    x86 = registry().architecture("x86")
    changes, _ = changes_of("7.0", x86)
    without = [change for change in changes if change.commit != "8ce720d5bd91"]
    kernel = kernel_with(without, x86, name="", release="")
    assert (kernel.unshare_sync, kernel.unshare_gather) == ("per-table", False)
