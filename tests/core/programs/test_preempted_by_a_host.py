"""Threads on vCPUs that a host has preempted: what flushes of guests make of them."""

from __future__ import annotations

import pytest

import shootdown


def _row(state: str, platform: str, call: str = "madvise heap DONTNEED") -> shootdown.Result:
    program = {
        "memory": {"heap": {"size": "64K"}, "pool": {"kind": "hugetlb", "size": "1G"}},
        "process": {
            "A": {
                "do": ["touch heap; touch pool", "wait ready 2", f"measure {{ {call} }}"],
                "thread": {"other": {"count": 2, "do": f"signal ready; {state}"}},
            }
        },
    }
    (row,) = shootdown.compare(program, platforms=[platform], kernels=["7.0"], cpus=[4])
    return row


def test_a_guest_of_kvm_leaves_preempted_vcpus_out_of_flushes() -> None:
    """kvm_flush_tlb_multi(): they flush when they enter the guest again."""
    assert [_row(state, "kvm-guest").counts["flush_ipis"] for state in ("preempted", "spin")] == [0, 2]


def test_who_waits_for_a_preempted_vcpu_waits_until_its_host_runs_it() -> None:
    """MEMBARRIER_CMD_PRIVATE_EXPEDITED knows no vCPUs."""
    late, soon = (_row(state, "kvm-guest", "membarrier") for state in ("preempted", "spin"))
    assert late.counts["barrier_ipis"] == soon.counts["barrier_ipis"] == 2
    assert late.times["elapsed_ns"].likely > 10 * soon.times["elapsed_ns"].likely


@pytest.mark.parametrize("platform", ["intel-server", "neoverse-v2"])
def test_without_a_hypervisor_nobody_is_preempted(platform: str) -> None:
    preempted, spins = (_row(state, platform) for state in ("preempted", "spin"))
    assert (preempted.counts, preempted.times) == (spins.counts, spins.times)


def test_a_thread_that_a_scheduler_places_has_no_vcpu_of_its_own() -> None:
    with pytest.raises(shootdown.ShootdownError, match="the scheduler chooses its CPU"):
        shootdown.compare({"process": {"A": {"cpu": "any", "do": "preempted"}}}, arch=["x86"])
