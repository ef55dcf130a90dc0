"""What unsharing does on each target, as `shootdown targets` judges it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import shootdown
from shootdown import Target
from shootdown._plugins.registry import registry

_16K = ("kernel.page_size=16k", "kernel.va_bits=47")
_RANGE_OPERATIONS = ("neoverse-v2", "cortex-x3", "qemu-tcg-max")


def judge(arch: str, platform: str, kernel: str, settings: Sequence[str] = ()) -> Target:
    (target,) = shootdown.targets(arch=[arch], platforms=[platform], kernels=[kernel], settings=settings)
    return target


@pytest.mark.parametrize(
    ("kernel", "fixed"),
    [
        ("5.15.209", False),
        ("5.15.210", True),
        ("6.18.34", False),
        ("6.18.35", True),
        ("6.19", False),
        ("7.0.11", False),
        ("7.0.12", True),
        ("7.1", True),
    ],
)
def test_arm64_keeps_walk_cache_entries_until_c2ff4764e03e(kernel: str, fixed: bool) -> None:
    target = judge("arm64", "neoverse-v2", kernel)
    assert (target.walk_cache_dropped, target.honours_unshared_tables) == (fixed, fixed)
    assert target.stale_after["munmap"].entries == (() if fixed else ("walk-cache",))


@pytest.mark.parametrize(
    ("kernel", "left"),
    [("6.4", "none"), ("6.18", "none"), ("6.19", "all"), ("7.0.11", "all"), ("7.1", "none")],
)
def test_mprotect_leaves_them_only_between_8ce720d5bd91_and_the_fix(kernel: str, left: str) -> None:
    assert judge("arm64", "neoverse-v2", kernel).stale_after["mprotect"].cpus == left


@pytest.mark.parametrize("kernel", ["6.4", "6.18.2", "7.0", "7.0.12", "7.3.4"])
def test_they_stay_where_and_only_where_the_tlbi_is_a_last_level_one_by_address(kernel: str) -> None:
    for target in shootdown.targets(arch=["arm64"], kernels=[kernel]):
        last_level = "tlbi_rvale1is" in target.reason
        cached = (
            registry().platform("arm64", target.platform).walk_entries > 0
        )  # qemu's translator has no walk cache
        assert target.walk_cache_dropped is not (last_level and cached)
        fixed = kernel in ("7.0.12", "7.3.4")
        assert last_level == (target.platform in _RANGE_OPERATIONS and not fixed)
        assert last_level or "tlbi_aside1is" in target.reason or "tlbi_rvae1is" in target.reason


@pytest.mark.parametrize("kernel", ["6.18.2", "7.0", "7.3.4"])
@pytest.mark.parametrize("platform", ["neoverse-v2", "neoverse-n1"])
def test_with_16k_pages_unsharing_one_table_leaves_even_tlb_entries(kernel: str, platform: str) -> None:
    target = judge("arm64", platform, kernel, _16K)
    assert target.walk_cache_dropped is False
    assert target.stale_after["munmap"].entries == ("walk-cache", "tlb")
    assert "the flush reaches no other CPU" in target.reason
    without = judge("arm64", platform, kernel, (*_16K, "kernel.range_truncation_16k=false"))
    assert without.walk_cache_dropped is True


@pytest.mark.parametrize(
    ("pages", "va_bits", "shared"),
    [("16k", 36, False), ("16k", 48, True), ("64k", 48, False), ("4k", 39, True)],
)
def test_page_size_and_address_bits_decide_whether_arm64_shares(
    pages: str, va_bits: int, shared: bool
) -> None:
    settings = (f"kernel.page_size={pages}", f"kernel.va_bits={va_bits}")
    target = judge("arm64", "neoverse-v2", "7.0", settings)
    assert (target.sync != "not-applicable") == shared
    assert (target.walk_cache_dropped is not None) == shared


def test_exit_flushes_an_unsharing_on_arm64_only_in_backports_of_the_fix() -> None:
    for kernel, left in (("6.12.92", "all"), ("6.12.93", "none"), ("7.0.12", "none"), ("7.1", "all")):
        assert judge("arm64", "neoverse-n1", kernel).stale_after["exit"].cpus == left, kernel


@pytest.mark.parametrize("kernel", ["6.4", "6.18.2", "7.0", "7.3.4"])
def test_x86_leaves_lazy_cpus_out(kernel: str) -> None:
    target = judge("x86", "intel-server", kernel)
    assert target.lazy_cpus_keep_entries
    assert target.walk_cache_dropped
    assert target.flush_differs_with_freed_tables
    assert "lazy CPUs" in target.reason
    honouring = judge("x86", "intel-server", kernel, ["kernel.honour_unshared_tables=true"])
    assert not honouring.lazy_cpus_keep_entries
    assert not honouring.flush_differs_with_freed_tables


def test_x86_mprotect_reaches_lazy_cpus_from_3ef938c35035_to_8ce720d5bd91() -> None:
    left = {
        k: judge("x86", "intel-server", k).stale_after["mprotect"].cpus
        for k in ("6.14", "6.15", "6.18", "6.19")
    }
    assert left == {"6.14": "lazy", "6.15": "none", "6.18": "none", "6.19": "lazy"}


@pytest.mark.parametrize(
    ("arch", "platform", "before", "since"),
    [
        ("x86", "intel-server", "redundant", "redundant"),  # flush IPIs wait for GUP-fast themselves
        ("x86", "amd-server", "redundant", "needed"),  # INVLPGB, since 6.15
        ("x86", "kvm-guest", "missing", "needed"),  # a preempted vCPU takes no IPI
        ("x86", "hyper-v-guest", "missing", "needed"),  # hypercall
        ("x86", "xen-pv-guest", "not-applicable", "not-applicable"),
        ("arm64", "neoverse-v2", "missing", "needed"),  # TLBI
        ("arm64", "neoverse-n1", "missing", "needed"),
        ("powerpc", "power9", "not-applicable", "not-applicable"),
    ],
)
def test_who_needs_the_sync(arch: str, platform: str, before: str, since: str) -> None:
    verdicts = [judge(arch, platform, kernel).sync for kernel in ("6.4", "6.16", "7.0", "7.3.4")]
    assert verdicts == [before, since, since, since]


@pytest.mark.parametrize(
    ("settings", "sync"),
    [
        (["platform.flush=invlpgb"], "needed"),
        (["platform.flush=invlpgb", "kernel.unshare_sync=none"], "missing"),
        (["kernel.unshare_sync=none"], "redundant"),
        (["kernel.gup_fast=false"], "not-applicable"),
    ],
)
def test_a_what_if_is_judged_by_what_walkers_need_not_by_what_it_sends(
    settings: list[str], sync: str
) -> None:
    assert judge("x86", "intel-server", "7.0", settings).sync == sync


def test_a_proposal_that_skips_the_sync_skips_it_where_it_is_redundant_and_nowhere_else() -> None:
    for target in shootdown.targets(arch=["x86", "arm64"], kernels=["proposal:skip-redundant-sync"]):
        assert target.sync in ("redundant", "needed", "not-applicable"), target


def test_powerpc_says_why_not_and_answers_what_if() -> None:
    target = judge("powerpc", "power9", "7.0")
    assert target.reason.startswith("not applicable: no hugetlb PMD sharing")
    assert (target.walk_cache_dropped, target.stale_after, dict(target.evidence)) == (None, {}, {})
    answer = judge("powerpc", "power9", "7.0", ["kernel.pmd_sharing=true"])
    assert (answer.walk_cache_dropped, answer.sync) == (False, "needed")  # RIC=0 tlbie keeps the PWC
    assert answer.stale_after["munmap"].entries == ("walk-cache",)


def test_each_cell_has_the_counts_that_it_follows_from() -> None:
    target = judge("x86", "kvm-guest", "7.0")
    assert set(target.evidence) == {
        *("munmap", "munmap, lazy", "exit", "exit, lazy", "mprotect", "mprotect, lazy"),
        *("munmap, freed_tables", "munmap, lazy, freed_tables", "walker", "preempted walker"),
    }
    assert target.evidence["munmap, lazy"]["stale_entries_left"] > 0
    assert target.evidence["munmap"]["stale_entries_left"] == 0
    walkers = target.evidence["preempted walker"]
    assert walkers["sync_ipis"] - walkers["redundant_sync_ipis"] > 0
