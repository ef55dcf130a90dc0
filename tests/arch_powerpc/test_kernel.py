"""Facts about powerpc kernels by release, the measured one among them."""

from __future__ import annotations

from functools import partial

import pytest
from tests.architectures.kernels import kernel_of, measured_kernels

from shootdown import Kernel
from shootdown._values.series import SERIES, Series
from shootdown.porting import BY_NAME
from shootdown_powerpc._kernel import CHANGES

powerpc = partial(kernel_of, "powerpc")


def newest(series: Series) -> str:
    return f"{series.name}.{series.newest}"


def test_the_measured_kernel_has_the_switches_that_its_counts_show() -> None:
    assert measured_kernels("ppc64el") == ("6.12.95",)
    kernel = powerpc("6.12.95")
    assert kernel.remarks == ()
    assert kernel.merge_vmas
    assert kernel.gather_page_size
    assert kernel.lazy_tlb_shootdown
    assert kernel.thp_zap_flushes
    assert kernel.thp_mprotect_flushes
    assert not kernel.widening_flushes
    assert kernel.arch.exit_flush_shoots_lazies


@pytest.mark.parametrize(
    ("release", "kept"), [("5.10", True), ("6.1.176", True), ("6.10", True), ("6.11", False), ("7.2", False)]
)
def test_until_6_11_hugetlb_tables_are_freed_with_the_page_size_of_the_pages(
    release: str, kept: bool
) -> None:
    assert powerpc(release).hugetlb_free_keeps_page_size is kept


@pytest.mark.parametrize("series", SERIES, ids=lambda series: series.name)
def test_no_release_shares_pmd_tables_or_frees_empty_ones(series: Series) -> None:
    """ARCH_WANT_HUGE_PMD_SHARE is not selected; PT_RECLAIM depends on !HAVE_ARCH_TLB_REMOVE_TABLE."""
    kernel = powerpc(newest(series))
    assert not kernel.pmd_sharing
    assert not kernel.pt_reclaim
    assert kernel.rcu_table_free


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("one_tlbiel_on_isa31", "5.10", "5.11"),
        ("unused_mm_needs_no_flush", "5.11", "5.12"),
        ("trim_period", "5.11", "5.12"),
        ("range_drops_page_walk_cache", "5.13", "5.14"),
        ("escalates_on_isa31", "5.19", "6.0"),
        ("widening_flushes", "6.0", "6.1"),
        ("lazy_tlb_shootdown", "6.3", "6.4"),
        ("exit_flush_shoots_lazies", "6.5", "6.6"),
    ],
)
def test_each_switch_moved_with_one_release(name: str, before: str, after: str) -> None:
    """The point releases before it never got it."""

    def held(kernel: Kernel) -> object:
        return getattr(kernel, name, None) if hasattr(kernel, name) else getattr(kernel.arch, name)

    at = [series.name for series in SERIES].index(after)
    assert SERIES[at - 1].name == before
    values = [held(powerpc(newest(series))) for series in SERIES]
    assert len(set(values[:at])) == 1
    assert len(set(values[at:])) == 1
    assert values[at - 1] != values[at]
    assert held(powerpc(after)) == values[at]


def test_sharing_is_one_set_away_and_says_so() -> None:
    kernel = powerpc("7.0", "kernel.pmd_sharing=true")
    assert kernel.pmd_sharing
    assert kernel.remarks == ("what-if: pmd_sharing=true (7.0 has false)",)


def test_changes_are_in_the_order_of_their_releases() -> None:
    keys = [BY_NAME[str(change.mainline).partition("-rc")[0]].key for change in CHANGES]
    assert keys == sorted(keys)
