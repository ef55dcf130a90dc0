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


def test_x2apics_in_physical_mode_are_written_to_one_by_one() -> None:
    assert elapsed("7.0", platform__x2apic_phys="true") - elapsed("7.0") == pytest.approx(2 * 250, rel=0.01)


def broadcast(**settings: str) -> float:
    """Return how long an unsharing takes that interrupts all 63 other CPUs of 64."""
    (row,) = shootdown.compare(
        "hugetlb-munmap",
        arch=["x86"],
        kernels=["7.0"],
        cpus=[64],
        settings=["platform.jitter=0", *(f"platform.{name}={value}" for name, value in settings.items())],
    )
    assert row.counts["sync_ipis"] == 63
    return row.times["elapsed_ns"].likely


def test_a_broadcast_writes_once_for_each_cluster_of_apic_ids() -> None:
    """64 CPUs are 4 clusters. With 12 sockets of 6 cores, whose ids have three bits for the core, they are 6."""
    near = {"cost.far_line": "0", "cost.far_ipi": "0"}
    settings = [f"{name}={value}" for name, value in near.items()]
    (one, many) = (
        shootdown.compare(
            "hugetlb-munmap", arch=["x86"], kernels=["7.0"], cpus=[64],
            settings=["platform.jitter=0", f"platform.sockets={sockets}", *settings],
        )[0].times["elapsed_ns"].likely
        for sockets in (1, 12)
    )  # fmt: skip
    assert many - one == pytest.approx(2 * 250, rel=0.01)


def test_one_write_reaches_all_other_cpus_where_the_kernel_uses_the_shorthand() -> None:
    assert broadcast() - broadcast(ipi_shorthand="true") == pytest.approx(3 * 250, rel=0.01)
