"""Facts about powerpc kernels by release, the measured one among them."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shootdown import Kernel
from shootdown._values.changes import CHANGES as CORE
from shootdown._values.releases import has_change, resolve
from shootdown._values.series import SERIES, Release, Series
from shootdown._values.whatif import parse_settings, set_kernel
from shootdown.porting import BY_NAME, switches_of
from shootdown_powerpc._kernel import CHANGES, PowerpcKernel, configure

ORACLE = Path(__file__).parents[1] / "oracle" / "measured.jsonl"


@attrs.frozen
class Powerpc:
    """What resolving needs of the architecture."""

    name: str = "powerpc"
    changes: tuple[object, ...] = CHANGES
    switches: type = PowerpcKernel
    configure: object = staticmethod(configure)


def powerpc(name: str, *settings: str) -> Kernel:
    return set_kernel(resolve(name, Powerpc()), parse_settings(settings), Powerpc())


def newest(series: Series) -> str:
    return f"{series.name}.{series.newest}"


def test_the_measured_kernel_has_the_switches_that_its_counts_show() -> None:
    names = {
        row["kernel"] for row in map(json.loads, ORACLE.read_text().splitlines()) if row["arch"] == "ppc64el"
    }
    assert names == {"6.12.95"}
    kernel = powerpc("6.12.95")
    assert kernel.remarks == ()
    assert kernel.merge_vmas
    assert kernel.gather_page_size
    assert kernel.lazy_tlb_shootdown
    assert kernel.thp_zap_flushes
    assert kernel.thp_mprotect_flushes
    assert not kernel.widening_flushes
    assert kernel.arch.exit_flush_shoots_lazies


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


def test_every_change_sets_a_switch_of_powerpc_or_core_and_says_where_it_is_from() -> None:
    declared = dict(switches_of(Kernel)) | dict(switches_of(PowerpcKernel))
    for change in CHANGES:
        assert change.sets, change
        assert {name for name, _ in change.sets} <= set(declared), change
        assert change.source, change


def test_changes_are_in_the_order_of_their_releases() -> None:
    keys = [BY_NAME[str(change.mainline).partition("-rc")[0]].key for change in CHANGES]
    assert keys == sorted(keys)


@given(st.sampled_from(SERIES), st.data())
def test_a_later_point_release_never_loses_a_change(one: Series, data: st.DataObject) -> None:
    early = data.draw(st.integers(0, one.newest))
    late = data.draw(st.integers(early, one.newest))
    for change in (*CORE, *CHANGES):
        if has_change(Release(one.name, early), change)[0]:
            assert has_change(Release(one.name, late), change)[0], change


def test_configuring_twice_is_configuring_once() -> None:
    for series in SERIES:
        kernel = powerpc(newest(series))
        assert configure(kernel) == kernel
