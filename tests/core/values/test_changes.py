"""Which release has which change, a sentence of the kernel's history each; and in which order changes stand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.values.toys import plain

import shootdown
from shootdown._values.changes import CHANGES, Change
from shootdown._values.kernel import Kernel, switches_of
from shootdown._values.releases import (
    has_change,
)
from shootdown._values.series import (
    BY_NAME,
    HIGHEST_RC,
    SERIES,
    Release,
    Series,
)

MERGED = [change for change in CHANGES if change.mainline is not None]
merged = st.sampled_from(MERGED)
series = st.sampled_from(SERIES)


# --- first and last release of each side

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
