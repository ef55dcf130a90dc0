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
    free = {name: cost for name, cost in costs(platform).items() if cost.likely == 0}
    assert {name for name, cost in free.items() if "part of ipi_send_each_ns" not in cost.source} == {
        "preempted_ns"
    }


def test_no_single_cost_of_the_u74_is_as_long_as_a_whole_benchmark_takes_for_each_of_its_flushes() -> None:
    """OpenSBI's pull request 111 has seconds of a whole benchmark: 97.8 us of everything for each of its flushes."""
    table = costs(next(one for one in PLATFORMS if one.name == "sifive-u74"))
    assert table["ipi_latency_ns"].high <= 12_000
    assert sum(table[name].high for name in ("ipi_send_ns", "ipi_latency_ns", "ipi_handler_ns")) < 97_800
    assert table["hypercall_ns"].high + 3 * table["hypercall_each_ns"].high < 92_900


def test_on_the_u74_an_ipi_goes_by_the_firmware_and_takes_longer_to_send_than_a_native_one() -> None:
    u74 = costs(next(one for one in PLATFORMS if one.name == "sifive-u74"))
    server = costs(next(one for one in PLATFORMS if one.name == "rva23-server"))
    assert u74["ipi_send_ns"].likely > 3 * server["ipi_send_ns"].high


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
    assert (platform.walk_entries, platform.huge_entries) == (pointing, huge)


def test_importing_the_platforms_imports_no_numba() -> None:
    code = "import sys, shootdown_riscv._platforms; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
