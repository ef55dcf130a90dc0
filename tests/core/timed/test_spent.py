"""How often each cost is in a run's times: together they are those times."""

from __future__ import annotations

import attrs
import pytest

from shootdown._machine.machine import Machine
from shootdown._plugins.registry import registry
from shootdown._questions.building import built
from shootdown._questions.case import Question, prepare
from shootdown._timed.run import Run, cost_array, run_machine
from shootdown._timed.spent import is_all, spent
from shootdown._values.platform import COST_NAMES, Platform

CASES = (
    ("anonymous", "x86", "intel-server", "7.0", 16, {"threads": "9"}),
    ("anonymous", "x86", "amd-server", "7.0", 16, {"threads": "9"}),
    ("anonymous", "x86", "kvm-guest", "7.0", 16, {"threads": "9"}),
    ("anonymous", "x86", "hyper-v-guest", "7.0", 16, {"threads": "9"}),
    ("anonymous", "arm64", "neoverse-n1", "7.0", 16, {"threads": "9"}),
    ("anonymous", "powerpc", "power9", "7.0", 16, {"threads": "9"}),
    ("hugetlb-munmap", "x86", "intel-server", "6.16", 64, {"tables": "4"}),
)


def ran(
    workload: str, arch: str, on: str, kernel: str, cpus: int, given: dict[str, str]
) -> tuple[Machine, Platform, Run]:
    known = registry()
    asked = Question(
        known.workload(workload), known.architecture(arch), known.platform(arch, on), kernel, given, cpus=cpus
    )
    case = prepare(asked)
    machine = built(case, case.setup(), Machine)
    platform = attrs.evolve(case.platform, jitter=0)
    return machine, platform, run_machine(machine, platform)


@pytest.mark.compiled
@pytest.mark.parametrize("asked", CASES, ids=lambda one: f"{one[0]}-{one[2]}")
def test_costs_as_often_as_they_are_paid_are_the_time(
    asked: tuple[str, str, str, str, int, dict[str, str]],
) -> None:
    machine, platform, run = ran(*asked)
    numbers = spent(machine, platform, run)
    ns = cost_array(platform.costs, "likely") / 1000
    assert ns @ numbers["system_ns"] == pytest.approx(run.window_system_ns[0], rel=0.12)
    assert ns @ numbers["lost_ns"] == pytest.approx(run.window_lost_ns[0], rel=0.001, abs=0.1)
    assert ns @ numbers["elapsed_ns"] == pytest.approx(run.window_ns[0], rel=0.12)


@pytest.mark.compiled
def test_the_ipis_of_a_flush_are_told_apart_by_what_they_cost() -> None:
    machine, platform, run = ran(*CASES[0])
    numbers = dict(zip(COST_NAMES, spent(machine, platform, run)["system_ns"], strict=False))
    assert run.windows[0]["flush_ipis"] == 9
    assert numbers["ipi_send_ns"] == 1
    assert numbers["ipi_send_each_ns"] == numbers["ipi_answer_each_ns"] == 9
    assert numbers["ipi_handler_ns"] == 1 + 9, "the wait for the last one, and each on its own CPU"
    assert numbers["ipi_write_ns"] == pytest.approx(1), "all targets are in the cluster of the sender"
    assert numbers["broadcast_ns"] == numbers["hypercall_ns"] == 0


def test_a_thread_that_called_the_kernel_too_did_not_only_lose_time() -> None:
    """However little that is of all its time: else no draw would change what the calls took."""
    assert is_all({"exact": 1000.0, "stolen": 5.0}, 1005)
    assert not is_all({"exact": 1000.0, "stolen": 0.0}, 1005)
    assert not is_all({"exact": 1000.0, "stolen": 1.0}, 1005)
