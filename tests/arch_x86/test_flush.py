"""What a flush on x86 takes, by kernel and interrupt controller."""

from __future__ import annotations

import pytest

import shootdown


def elapsed(kernel: str, cpus: int = 32, **settings: str) -> float:
    """Return how long munmap() of one page takes that three other CPUs of 32 use."""
    (row,) = shootdown.compare(
        "anonymous",
        arch=["x86"],
        kernels=[kernel],
        cpus=[cpus],
        parameters={"threads": 3},
        settings=[f"{name.replace('__', '.')}={value}" for name, value in settings.items()],
    )
    return row.times["elapsed_ns"].likely


def test_a_cpu_flushes_its_own_tlb_while_it_waits_for_others_since_4ce94eabac16() -> None:
    page = 100  # page_flush_ns of intel-server
    assert elapsed("5.12") - elapsed("5.13") == pytest.approx(page, rel=0.01)


def test_without_x2apic_a_flush_writes_two_words_for_each_target() -> None:
    write = 250  # ipi_write_ns of intel-server
    without = elapsed("7.0", platform__x2apic="false")
    assert without - elapsed("7.0") == pytest.approx((2 * 3 - 1) * write, rel=0.01)


def test_without_x2apic_up_to_eight_cpus_are_named_by_one_write_of_two_words() -> None:
    few = elapsed("7.0", cpus=8, platform__x2apic="false") - elapsed("7.0", cpus=8)
    assert few == pytest.approx((2 - 1) * 250, rel=0.01)


def test_before_cc95a07fef06_each_target_costs_a_cache_line_where_x2apic_clusters_are_used() -> None:
    assert elapsed("5.15") - elapsed("5.16") == pytest.approx(3 * 86, rel=0.01)
    settings = {"platform__x2apic": "false"}
    assert elapsed("5.15", **settings) == elapsed("5.16", **settings)
