"""What holds of every platform of every architecture that is installed: ranges, sources, and TLBs that add up."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from shootdown import Cost, Platform
from shootdown._plugins.registry import registry
from shootdown.porting import COST_NAMES

TAKEN_OVER = "estimate: taken over from "
KNOWN = {name: tuple(registry().platforms(name).values()) for name in registry().architectures()}
EACH = pytest.mark.parametrize(
    "platform",
    [
        pytest.param(platform, id=f"{name}-{platform.name}")
        for name, platforms in KNOWN.items()
        for platform in platforms
    ],
)


def costs(platform: Platform) -> dict[str, Cost]:
    """Return the costs of a platform by their names."""
    return {name: getattr(platform.costs, name) for name in COST_NAMES}


@EACH
def test_a_source_cites_a_publication_or_says_that_it_is_an_estimate_or_a_measurement(
    platform: Platform,
) -> None:
    for name, cost in costs(platform).items():
        cited = re.search(r"\b[0-9a-f]{12}\b|\blore \S+@\S+", cost.source)
        assert cited or cost.source.startswith(("estimate: ", "measured ")), name
        assert len(cost.source) > len("estimate: ") + 5, name


@EACH
def test_a_cost_is_a_range_in_order(platform: Platform) -> None:
    for name, cost in costs(platform).items():
        assert 0 <= cost.low <= cost.likely <= cost.high, name


@EACH
def test_only_time_that_no_hypervisor_takes_is_free(platform: Platform) -> None:
    free = {
        name
        for name, cost in costs(platform).items()
        if cost.likely == 0 and not cost.source.startswith("estimate: part of ")
    }
    assert free == ({"preempted_ns"} if platform.hypervisor == "none" else set())


@EACH
def test_an_estimate_allows_for_twice_what_is_likely(platform: Platform) -> None:
    for name, cost in costs(platform).items():
        if cost.source.startswith("estimate: "):
            assert cost.high >= 2 * cost.likely, name


@pytest.mark.parametrize("arch", KNOWN)
def test_what_is_taken_over_has_the_values_of_the_platform_that_it_names(arch: str) -> None:
    by_name = {platform.name: platform for platform in KNOWN[arch]}
    for platform in KNOWN[arch]:
        for name, cost in costs(platform).items():
            if cost.source.startswith(TAKEN_OVER):
                other = getattr(by_name[cost.source.removeprefix(TAKEN_OVER)].costs, name)
                assert (cost.low, cost.likely, cost.high) == (other.low, other.likely, other.high), name


def test_platforms_do_take_costs_over() -> None:
    taken = [
        cost
        for platforms in KNOWN.values()
        for platform in platforms
        for cost in costs(platform).values()
        if cost.source.startswith(TAKEN_OVER)
    ]
    assert len(taken) > 200


@pytest.mark.parametrize("arch", KNOWN)
def test_platforms_have_names_of_their_own(arch: str) -> None:
    names = [platform.name for platform in registry().architectures()[arch].platforms]
    assert len(set(names)) == len(names) > 0


@pytest.mark.parametrize("arch", KNOWN)
def test_the_first_platform_is_bare_metal(arch: str) -> None:
    assert KNOWN[arch][0].hypervisor == "none"


@EACH
def test_the_entries_that_can_go_stale_are_those_of_the_geometry(platform: Platform) -> None:
    tlb = platform.tlb
    pointing = sum(cache.entries for cache in tlb.walk_caches if 1 << 30 in cache.page_sizes)
    least = 0 if tlb.source.startswith("QEMU") else 1  # its translator has no walk cache
    huge = sum(cache.entries for cache in (*tlb.l1, *tlb.l2) if 1 << 21 in cache.page_sizes)
    assert (platform.walk_entries, platform.huge_entries) == (pointing or least, huge)


def test_listing_all_platforms_imports_no_numba() -> None:
    code = (
        "import sys; from shootdown._plugins.registry import registry; "
        "found = [registry().platforms(name) for name in registry().architectures()]; "
        "sys.exit(not found or 'numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
