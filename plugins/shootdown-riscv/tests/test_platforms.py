"""The riscv platforms: every cost has a range and a source."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from shootdown import Cost, Platform
from shootdown.porting import COST_NAMES
from shootdown_riscv._platforms import PLATFORMS

EACH = pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.name)


def costs(platform: Platform) -> dict[str, Cost]:
    return {name: getattr(platform.costs, name) for name in COST_NAMES}


@EACH
def test_a_source_cites_a_publication_or_says_that_it_is_an_estimate(platform: Platform) -> None:
    for name, cost in costs(platform).items():
        assert cost.source.startswith("estimate: ") or re.search(
            r"\b[0-9a-f]{12}\b|\blore \S+@", cost.source
        ), name


@EACH
def test_an_estimate_allows_for_twice_what_is_likely(platform: Platform) -> None:
    for name, cost in costs(platform).items():
        assert cost.low <= cost.likely <= cost.high, name
        assert cost.high >= 2 * cost.likely, name


@EACH
def test_only_time_that_no_hypervisor_takes_is_free(platform: Platform) -> None:
    assert {name for name, cost in costs(platform).items() if cost.likely == 0} == {"preempted_ns"}


def test_a_remote_fence_of_four_slow_harts_costs_no_more_than_the_whole_of_what_was_measured() -> None:
    """OpenSBI's pull request 111: 92.9 us by SBI call and 97.8 us by IPI, everything included."""
    table = costs(next(one for one in PLATFORMS if one.name == "sifive-u74"))
    by_call = table["hypercall_ns"].likely + 3 * table["hypercall_each_ns"].likely
    by_ipi = sum(table[name].likely for name in ("ipi_send_ns", "ipi_latency_ns", "ipi_handler_ns"))
    by_ipi += 3 * (table["ipi_send_each_ns"].likely + table["ipi_answer_each_ns"].likely)
    assert by_call < 92_900
    assert by_ipi < 97_800


@EACH
def test_translations_are_tagged_where_satp_keeps_asids_but_not_in_qemus_translator(
    platform: Platform,
) -> None:
    tagged = platform.arch.asid_bits > 0 and not platform.name.startswith("qemu")
    assert (platform.tlb.asid_bits > 0) == tagged


@EACH
def test_the_tlb_knows_the_levels_of_the_widest_mode(platform: Platform) -> None:
    assert len(platform.tlb.levels) == {39: 3, 48: 4, 57: 5}[platform.arch.satp_mode]


@EACH
def test_the_entries_that_can_go_stale_are_those_of_the_geometry(platform: Platform) -> None:
    tlb = platform.tlb
    pointing = sum(cache.entries for cache in tlb.walk_caches if 1 << 30 in cache.page_sizes)
    huge = sum(cache.entries for cache in (*tlb.l1, *tlb.l2) if 1 << 21 in cache.page_sizes)
    assert (platform.walk_entries, platform.huge_entries) == (max(1, pointing), huge)


def test_importing_the_platforms_imports_no_numba() -> None:
    code = "import sys, shootdown_riscv._platforms; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
