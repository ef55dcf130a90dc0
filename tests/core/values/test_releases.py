"""Facts about which release has which change; each assertion is a sentence of the kernel's history."""

from __future__ import annotations

import re

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shootdown
from shootdown._plugins.registry import registry
from shootdown._values.changes import CHANGES, Change
from shootdown._values.errors import ShootdownError
from shootdown._values.kernel import Kernel, NoSwitches, switch, switches_of
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
    HIGHEST_RC,
    PLAUSIBLE_AHEAD,
    SERIES,
    Release,
    Series,
    parse_release,
)


@attrs.frozen
class ToySwitches:
    """One switch of its own, and a page size that core declares too."""

    page_size: int = switch(65536, "bytes in a base page", choices=(4096, 65536))
    toy: bool = switch(False, "something that only this architecture does")


@attrs.frozen
class Toy:
    """An architecture with a history of its own, part of it not known."""

    name: str = "toy"
    switches: type = ToySwitches
    configure: None = None
    changes: tuple[Change, ...] = (
        Change("aaaaaaaaaaaa", "toy: do it", "6.3", {"toy": True}, {"5.10": 100}, unverified=("6.1", "6.2")),
    )


@attrs.frozen
class Plain:
    """An architecture that adds nothing."""

    name: str = "plain"
    switches: type = NoSwitches
    configure: None = None
    changes: tuple[Change, ...] = ()


MERGED = [change for change in CHANGES if change.mainline is not None]
merged = st.sampled_from(MERGED)
series = st.sampled_from(SERIES)


def plain(name: str) -> Kernel:
    return resolve(name, Plain())


# --- generations, first and last release of each side

SYNC = [("5.10", 239), ("5.15", 186), ("6.1", 142), ("6.6", 95), ("6.12", 35), ("6.15", 4)]
REWORK = [("5.10", 253), ("5.15", 203), ("6.1", 167), ("6.6", 127), ("6.12", 74), ("6.18", 13)]


@pytest.mark.parametrize(("name", "point"), SYNC)
def test_the_sync_per_table_came_to_each_stable_series_in_june_2025(name: str, point: int) -> None:
    assert plain(f"{name}.{point - 1}").unshare_sync == "none"
    assert plain(f"{name}.{point}").unshare_sync == "per-table"


@pytest.mark.parametrize(("name", "point"), REWORK)
def test_the_rework_through_mmu_gather_replaced_it(name: str, point: int) -> None:
    before, after = plain(f"{name}.{point - 1}"), plain(f"{name}.{point}")
    assert (before.unshare_sync, before.unshare_gather) == ("per-table", False)
    assert (after.unshare_sync, after.unshare_gather) == ("last-sharer", True)


@pytest.mark.parametrize(
    ("name", "sync"),
    [
        ("5.15.0", "none"),
        ("6.14.11", "none"),
        ("6.15", "none"),
        ("6.16", "per-table"),
        ("6.17.13", "per-table"),
        ("6.18", "per-table"),
        ("6.19", "last-sharer"),
        ("7.0", "last-sharer"),
        ("7.3.4", "last-sharer"),
    ],
)
def test_mainline_synced_from_6_16_and_by_the_last_sharer_from_6_19(name: str, sync: str) -> None:
    assert plain(name).unshare_sync == sync


def test_a_series_that_ended_before_the_backports_has_neither() -> None:
    assert plain("6.13.12").unshare_sync == "none"
    assert plain("6.16.12").unshare_sync == "per-table"


def test_hugetlb_operations_appeared_in_5_16_and_5_18() -> None:
    assert (plain("5.15.222").hugetlb_mremap, plain("5.16").hugetlb_mremap) == (False, True)
    assert not plain("5.17.15").hugetlb_madvise_dontneed
    assert plain("5.18").hugetlb_madvise_dontneed


def test_fork_shares_pmd_tables_before_6_0() -> None:
    assert plain("5.15.209").fork_shares_pmd
    assert plain("5.19.17").fork_shares_pmd
    assert not plain("6.0").fork_shares_pmd


def test_the_vma_lock_appeared_in_6_1() -> None:
    assert not plain("6.0.19").hugetlb_vma_lock
    assert plain("6.1").hugetlb_vma_lock


def test_mprotect_flushes_through_a_gather_from_5_19_and_thp_needs_no_flush_of_its_own() -> None:
    before, after = plain("5.18.19"), plain("5.19")
    assert (before.mprotect_gather, before.thp_mprotect_flushes) == (False, True)
    assert (after.mprotect_gather, after.thp_mprotect_flushes) == (True, False)
    assert not plain("5.15.222").mprotect_gather


def test_mprotect_flushes_no_entries_that_stay_as_they_are_where_the_architecture_says_so() -> None:
    """pte_needs_flush(): c9fe66560bf2 with x86's, b11931e9adc1 of powerpc, c320dbb7c80d of arm64; riscv has none."""
    for arch, before, after in (
        ("x86", "5.18.19", "5.19"),
        ("powerpc", "6.0", "6.1"),
        ("arm64", "6.18", "6.19"),
    ):
        assert shootdown.kernel(before, arch).unchanged_flushes
        assert not shootdown.kernel(after, arch).unchanged_flushes


def test_munmap_did_not_flush_unshared_tables_before_cve_2021_4002_was_fixed() -> None:
    assert not plain("5.10.81").zap_flushes_unshared
    assert plain("5.10.82").zap_flushes_unshared
    assert not plain("5.14.21").zap_flushes_unshared
    assert not plain("5.15.4").zap_flushes_unshared
    assert plain("5.15.5").zap_flushes_unshared


def test_the_share_count_left_the_page_count_in_6_13() -> None:
    assert plain("6.12.8").share_count == "page_count"
    assert plain("6.12.9").share_count == "pt_share_count"
    assert plain("5.10.238").share_count == "page_count"
    assert plain("6.13").share_count == "pt_share_count"


def test_a_vma_split_unshared_nothing_then_before_then_during_the_split() -> None:
    splits = [plain(f"5.15.{point}").unshare_at_split for point in (89, 90, 185, 186)]
    assert splits == ["never", "before", "before", "during"]
    assert plain("5.10.238").unshare_at_split == "never"
    assert plain("5.10.239").unshare_at_split == "during"
    assert plain("6.12").unshare_at_split == "before"


def test_fork_locks_vmas_since_6_4_3_and_faults_do_without_mmap_lock_since_6_4() -> None:
    assert [plain(name).fork_locks_vmas for name in ("6.3", "6.4.2", "6.4.3", "6.5")] == [
        False,
        False,
        True,
        True,
    ]
    assert [plain(name).gup_sees_fork for name in ("5.10.3", "5.10.4", "5.15")] == [False, True, True]


def test_khugepaged_syncs_from_6_1_and_gup_rechecks_the_pmd_from_6_0() -> None:
    assert not plain("6.0.12").khugepaged_sync
    assert plain("6.0.13").khugepaged_sync
    assert (plain("5.10.158").khugepaged_sync, plain("5.10.159").khugepaged_sync) == (False, True)
    assert (plain("5.10.147").gup_rechecks_pmd, plain("5.10.148").gup_rechecks_pmd) == (False, True)


def test_delayed_rmap_is_6_2_and_the_rcu_fallback_7_1_with_no_backports() -> None:
    assert (plain("6.1.192").delayed_rmap, plain("6.2").delayed_rmap) == (False, True)
    assert (plain("7.0.14").batch_failure, plain("7.1").batch_failure) == ("sync", "rcu")


def test_gup_never_rechecks_the_pud_in_any_release() -> None:
    assert not any(plain(f"{each.name}.{each.newest}").gup_rechecks_pud for each in SERIES)


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


# --- order


@given(merged, series, st.data())
def test_a_later_point_release_never_loses_a_change(change: Change, one: Series, data: st.DataObject) -> None:
    name, newest = one.name, one.newest
    early = data.draw(st.integers(0, newest))
    late = data.draw(st.integers(early, newest))
    if has_change(Release(name, early), change)[0]:
        assert has_change(Release(name, late), change)[0]


@given(merged, series, series)
def test_a_mainline_release_never_lacks_what_an_earlier_one_had(
    change: Change, one: Series, other: Series
) -> None:
    early, late = sorted((one, other), key=lambda each: each.key)
    if has_change(Release(early.name), change)[0]:
        assert has_change(Release(late.name), change)[0]


@given(merged, series, st.integers(1, HIGHEST_RC - 1))
def test_a_candidate_never_loses_a_change_and_the_release_has_all(
    change: Change, one: Series, candidate: int
) -> None:
    name = one.name
    if has_change(Release(name, candidate=candidate), change)[0]:
        assert has_change(Release(name, candidate=candidate + 1), change)[0]
        assert has_change(Release(name), change)[0]


def test_the_table_is_in_mainline_order_so_that_later_changes_win() -> None:
    keys = [BY_NAME[change.mainline.partition("-rc")[0]].key for change in MERGED if change.mainline]
    assert keys == sorted(keys)


def test_backports_go_to_series_that_are_older_than_the_change_and_to_releases_that_exist() -> None:
    for change in MERGED:
        assert change.mainline is not None
        first = BY_NAME[change.mainline.partition("-rc")[0]].key
        for name, point in change.stable:
            assert BY_NAME[name].key < first, change
            assert 0 < point <= BY_NAME[name].newest, change
            assert name not in change.unverified, change
            assert change.source, change


def test_every_change_sets_switches_that_exist_to_values_in_their_range() -> None:
    declared = dict(switches_of(Kernel))
    for change in CHANGES:
        assert change.sets, change
        for name, value in change.sets:
            choices = declared[name].metadata["choices"]
            assert value in choices if choices else isinstance(value, bool), change
            assert value != declared[name].default, change


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
