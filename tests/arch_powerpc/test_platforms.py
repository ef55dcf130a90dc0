"""The powerpc platforms: what decides how they flush, and costs with a range and a source each."""

from __future__ import annotations

import re

import pytest

from shootdown._platform import COST_NAMES, Cost, Platform
from shootdown_powerpc._platforms import PLATFORMS, PowerPlatform

TAKEN_OVER = "estimate: taken over from "
EVERY_COST = [
    pytest.param(getattr(platform.costs, name), id=f"{platform.name}-{name}")
    for platform in PLATFORMS
    for name in COST_NAMES
]


def by_name(name: str) -> Platform:
    return next(platform for platform in PLATFORMS if platform.name == name)


def power(platform: Platform) -> PowerPlatform:
    own: PowerPlatform = platform.arch
    return own


@pytest.mark.parametrize("cost", EVERY_COST)
def test_a_source_cites_a_publication_or_says_that_it_is_an_estimate(cost: Cost) -> None:
    cited = re.search(r"\b[0-9a-f]{12}\b|\blore \S+@\S+", cost.source)
    assert cited or cost.source.startswith("estimate: ")


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.name)
def test_only_time_that_no_hypervisor_takes_is_free(platform: Platform) -> None:
    free = {name for name in COST_NAMES if getattr(platform.costs, name).likely == 0}
    assert free == ({"preempted_ns"} if platform.hypervisor == "none" else set())


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.name)
def test_an_estimate_allows_for_twice_what_is_likely(platform: Platform) -> None:
    for name in COST_NAMES:
        cost: Cost = getattr(platform.costs, name)
        if cost.source.startswith("estimate: ") and cost.likely:
            assert cost.high >= 2 * cost.likely, name


def test_what_is_taken_over_has_the_values_of_the_platform_that_it_names() -> None:
    for platform in PLATFORMS:
        for name in COST_NAMES:
            cost: Cost = getattr(platform.costs, name)
            if cost.source.startswith(TAKEN_OVER):
                other = getattr(by_name(cost.source.removeprefix(TAKEN_OVER)).costs, name)
                assert (cost.low, cost.likely, cost.high) == (other.low, other.likely, other.high)


def test_the_parts_of_a_local_flush_add_up_to_what_was_published() -> None:
    """f6f27951fdf8: mprotect() of N pages in us; a PID flush is 128 tlbiel."""
    costs = by_name("power9").costs

    def mprotect(pages: int, *, by_pid: bool) -> float:
        flush = costs.full_flush_ns.likely if by_pid else pages * costs.page_flush_ns.likely
        return (costs.syscall_ns.likely + pages * costs.zap_ns.likely + flush) / 1000

    published = {
        (32, False): 7.4,
        (34, True): 9.0,
        (34, False): 7.8,
        (64, True): 14.6,
        (64, False): 13.8,
        (128, True): 26.4,
        (128, False): 26.4,
        (256, True): 50.2,
        (256, False): 51.9,
        (512, True): 98.3,
    }
    for (pages, by_pid), us in published.items():
        assert mprotect(pages, by_pid=by_pid) == pytest.approx(us, rel=0.04)


def test_every_power9_has_the_erat_bug_and_no_other_cpu() -> None:
    """update_tlbie_feature_flag(), arch/powerpc/kernel/dt_cpu_ftrs.c; guests always have both fix-ups."""
    for platform in PLATFORMS:
        assert power(platform).p9_tlbie_erat_bug == (power(platform).isa == "3.0"), platform.name
    assert {p.name for p in PLATFORMS if power(p).p9_tlbie_stq_bug} == {"power9-guest", "qemu-tcg"}


def test_power8_has_the_hash_mmu_and_only_a_hypervisor_takes_tlbie_away() -> None:
    assert all(power(p).mmu == "hash" for p in PLATFORMS if power(p).isa == "2.07")
    assert {p.hypervisor for p in PLATFORMS if not power(p).gtse} == {"powervm"}


def test_hash_tlbs_cache_no_levels_of_linux_tree() -> None:
    for platform in PLATFORMS:
        if power(platform).mmu == "hash":
            assert platform.tlb.walk_caches == ()


def test_names_are_unique_and_the_first_platform_is_bare_metal() -> None:
    names = [platform.name for platform in PLATFORMS]
    assert len(set(names)) == len(names)
    assert PLATFORMS[0].hypervisor == "none"
