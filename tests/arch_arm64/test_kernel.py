"""Facts about arm64 kernels by release, the measured ones among them."""

from __future__ import annotations

from functools import partial

import attrs
import pytest
from tests.architectures.kernels import GENERATION, kernel_of, measured, measured_kernels

from shootdown import Kernel, ShootdownError
from shootdown._plugins.registry import registry
from shootdown._questions import simulate
from shootdown._values.releases import resolve
from shootdown._values.whatif import parse_settings, refuse_contradictions, set_kernel
from shootdown.porting import switches_of
from shootdown_arm64._kernel import CONTRADICTIONS, VA_BITS
from shootdown_arm64._platforms import PLATFORMS

ARM64 = registry().architecture("arm64")
arm64 = partial(kernel_of, "arm64")


# --- the measured kernels


@pytest.mark.parametrize("name", measured_kernels("arm64"))
def test_a_measured_kernel_has_the_generation_and_the_walk_cache_fix_that_were_measured(name: str) -> None:
    rows = [row for row in measured("arm64") if row["kernel"] == name]
    kernel = arm64(name)
    assert {row["generation"] for row in rows} == {GENERATION[kernel.unshare_sync]}
    assert {row["arm64_walk_cache_fix"] for row in rows} == {kernel.honour_unshared_tables}


@pytest.mark.parametrize("name", measured_kernels("arm64"))
def test_a_measured_kernel_frees_tables_by_rcu_flushes_each_vma_and_is_wholly_known(name: str) -> None:
    kernel = arm64(name)
    assert kernel.rcu_table_free
    assert kernel.pmd_sharing
    assert not kernel.merge_vmas
    assert kernel.remarks == ()


def test_6_12_73_and_6_12_74_differ_by_the_rework_alone() -> None:
    before, after = arm64("6.12.73"), arm64("6.12.74")
    differing = {name for name, _ in switches_of(Kernel) if getattr(before, name) != getattr(after, name)}
    assert differing == {"unshare_sync", "unshare_gather"}
    assert before.arch == after.arch


# --- arm64's own changes


@pytest.mark.parametrize(
    ("series", "point"),
    [("5.10", 259), ("5.15", 210), ("6.1", 176), ("6.6", 143), ("6.12", 93), ("6.18", 35), ("7.0", 12)],
)
def test_c2ff4764e03e_came_to_each_stable_series_with_this_release(series: str, point: int) -> None:
    """CVE-2026-63875."""
    assert not arm64(f"{series}.{point - 1}").honour_unshared_tables
    assert arm64(f"{series}.{point}").honour_unshared_tables


def test_the_stale_walk_cache_begins_with_8ce720d5bd91_and_ends_with_c2ff4764e03e() -> None:
    def has_it(name: str) -> bool:
        kernel = arm64(name)
        return kernel.unshare_gather and not kernel.honour_unshared_tables

    assert [has_it(name) for name in ("5.15.209", "5.15.210")] == [True, False]
    assert [has_it(name) for name in ("6.12.73", "6.12.74", "6.12.92", "6.12.93")] == [
        False,
        True,
        True,
        False,
    ]
    assert [has_it(name) for name in ("6.18", "6.19", "7.0", "7.0.12", "7.1", "7.2.13")] == [
        False,
        True,
        True,
        False,
        False,
        False,
    ]


def test_exit_honours_it_in_backports_and_not_in_mainline() -> None:
    """11f6dd8dd283, v7.1: exit looks at freed_tables itself."""
    assert not arm64("7.0.12").arch.exit_ignores_unshared_tables
    assert not arm64("6.12.93").arch.exit_ignores_unshared_tables
    assert arm64("7.1").arch.exit_ignores_unshared_tables


def test_the_rework_of_the_tlbi_interface_came_with_7_1() -> None:
    """c753d667d959 takes the limit in pages away from CPUs without range operations."""
    assert arm64("7.0").arch.range_limit_without_tlbirange
    assert not arm64("7.1").arch.range_limit_without_tlbirange


def test_local_flushes_of_reused_pages_came_with_6_19() -> None:
    assert not arm64("6.18").arch.reuse_fault_flushes_locally
    assert arm64("6.19").arch.reuse_fault_flushes_locally


def test_the_tlbi_errata_came_to_all_series_in_june_2026() -> None:
    """cfd391e74134, CVE-2025-10263."""
    for name in (
        "5.10.259",
        "5.15.210",
        "6.1.176",
        "6.6.143",
        "6.12.94",
        "6.18.36",
        "7.0.13",
        "7.1.1",
        "7.2",
    ):
        assert arm64(name).arch.erratum_4118414, name
        assert arm64(name).arch.repeat_tlbi == "once", name
    assert not arm64("7.1").arch.erratum_4118414
    assert arm64("6.19").arch.repeat_tlbi == "each"


def test_tlbis_are_repeated_once_in_6_18_from_6_18_25_on_and_c1_pro_is_interrupted() -> None:
    """a8f78680ee6b and 0baba94a9779: the stable review 6.18.25-rc1."""
    before, after = arm64("6.18.24"), arm64("6.18.25")
    assert (before.arch.repeat_tlbi, after.arch.repeat_tlbi) == ("each", "once")
    assert (before.arch.erratum_4193714, after.arch.erratum_4193714) == (False, True)
    assert not before.remarks


# --- configuration


@pytest.mark.parametrize(("page_size", "va_bits"), [(p, v) for p, bits in VA_BITS.items() for v in bits])
def test_pmd_sharing_follows_from_page_size_and_address_bits(page_size: int, va_bits: int) -> None:
    """arch/arm64/Kconfig: 4K pages, or 16K pages but for 36 bits."""
    kernel = arm64("7.0", f"kernel.page_size={page_size}", f"kernel.va_bits={va_bits}")
    assert kernel.pmd_sharing == (page_size == 4096 or (page_size == 16384 and va_bits != 36))


@pytest.mark.parametrize("word", ["4k", "16k", "64k"])
def test_page_sizes_have_short_names(word: str) -> None:
    assert arm64("7.0", f"kernel.page_size={word}").page_size == int(word[:-1]) << 10


def test_pages_and_address_bits_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ShootdownError, match="va_bits=42 with pages of 4K"):
        arm64("7.0", "kernel.va_bits=42")
    with pytest.raises(ShootdownError, match="allowed: 4096, 16384, 65536"):
        arm64("7.0", "kernel.page_size=8192")


def test_a_root_cannot_be_shared_even_as_a_what_if() -> None:
    settings = parse_settings(["kernel.page_size=16k", "kernel.va_bits=36", "kernel.pmd_sharing=true"])
    kernel = set_kernel(resolve("7.0", ARM64), settings, ARM64)
    with pytest.raises(ShootdownError, match="cannot both hold") as refusal:
        refuse_contradictions(settings, kernel, PLATFORMS[0], CONTRADICTIONS)
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("flush", ["invlpgb", "kvm", "hypercall"])
def test_ways_to_flush_that_arm64_does_not_have_are_refused(flush: str) -> None:
    settings = parse_settings([f"platform.flush={flush}"])
    platform = attrs.evolve(PLATFORMS[0], flush=flush)
    with pytest.raises(ShootdownError, match="not possible here: arm64 flushes by TLBIs"):
        refuse_contradictions(settings, arm64("7.0"), platform, CONTRADICTIONS)


def test_a_page_size_that_was_configured_is_no_what_if() -> None:
    remarks = simulate.kernel("7.0", "arm64", ["kernel.page_size=64k"]).remarks
    assert "configured: page_size=65536 (default: 4096)" in remarks
    assert not [remark for remark in remarks if remark.startswith("what-if")]
