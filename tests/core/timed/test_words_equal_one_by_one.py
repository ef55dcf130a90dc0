"""Interrupts delivered by words of a CPU set, or to everybody at once, against an event for each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shootdown._machine.machine import Machine
from shootdown._mm.model import Model
from shootdown._plugins.registry import registry
from shootdown._questions.case import Question, prepare
from shootdown._timed.run import Run, run_machine

pytestmark = pytest.mark.compiled

NONE: Mapping[str, str] = MappingProxyType({})
#: Sockets, threads of a core, and whether these have numbers that follow one another.
MACHINES = st.tuples(st.sampled_from((1, 2, 3)), st.sampled_from((1, 2, 4)), st.booleans())


def machine_of(where: tuple[int, int, bool]) -> Mapping[str, str]:
    """Return the settings of such a machine."""
    names = ("platform.sockets", "platform.smt", "platform.smt_adjacent")
    return {name: str(value).lower() for name, value in zip(names, where, strict=True)}


quick = settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, print_blob=True
)


def both(
    workload: str,
    kernel: str,
    platform: str,
    cpus: int,
    which: str = "likely",
    settings: Mapping[str, str] = NONE,
    **parameters: Any,
) -> tuple[Machine, Run, Run]:
    """Run a case the fast way and the slow way."""
    known = registry()
    (arch,) = (name for name in known.architectures() if platform in known.platforms(name))
    case = prepare(
        Question(
            known.workload(workload),
            known.architecture(arch),
            known.platform(arch, platform),
            kernel,
            parameters=parameters,
            cpus=cpus,
            settings=settings,
        )
    )
    machine = case.program.build(case.setup())
    fast, slow = (
        run_machine(
            machine, case.platform, which=which, seed=parameters.get("seed", 1), one_by_one=one_by_one
        )
        for one_by_one in (False, True)
    )
    return machine, fast, slow


def assert_equal(fast: Run, slow: Run) -> None:
    """Compare everything that a run found."""
    assert fast.counts == slow.counts
    assert fast.windows == slow.windows
    assert fast.actors == slow.actors
    assert fast.deliveries == slow.deliveries
    assert fast.steps == slow.steps
    assert (fast.elapsed_ns, fast.system_ns) == (slow.elapsed_ns, slow.system_ns)
    assert (fast.window_ns, fast.window_system_ns) == (slow.window_ns, slow.window_system_ns)
    assert (fast.lost_ns, fast.window_lost_ns) == (slow.lost_ns, slow.window_lost_ns)
    assert (fast.refill_ns, fast.window_own_ns) == (slow.refill_ns, slow.window_own_ns)
    for name in (
        "clocks",
        "state",
        "flushes_taken",
        "syncs_taken",
        "step_counts",
        "step_targets",
        "step_times",
    ):
        assert np.array_equal(getattr(fast, name), getattr(slow, name)), name


@quick
@given(
    st.sampled_from(("6.15", "6.16", "7.0", "proposal:skip-redundant-sync", "proposal:targeted-sync")),
    st.sampled_from(("intel-server", "amd-server", "kvm-guest", "hyper-v-guest")),
    st.sampled_from((1, 2, 3, 63, 64, 65, 130, 196)),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(("low", "likely", "high")),
    st.tuples(st.integers(1, 5), MACHINES),
)
def test_children_that_exit_at_once_take_the_same_time_either_way(
    kernel: str,
    platform: str,
    cpus: int,
    children: int,
    pages: int,
    which: str,
    drawn: tuple[int, tuple[int, int, bool]],
) -> None:
    _, fast, slow = both(
        "fork-storm", kernel, platform, cpus, which, machine_of(drawn[1]),
        children=children, gib=50, pages=pages, seed=drawn[0],
    )  # fmt: skip
    assert_equal(fast, slow)


@quick
@given(
    st.sampled_from(
        ("hugetlb-munmap", "hugetlb-exit", "hugetlb-mprotect", "hugetlb-punch", "hugetlb-migrate")
    ),
    st.sampled_from(("6.15", "6.16", "7.0")),
    st.sampled_from(("intel-server", "amd-server", "kvm-guest", "neoverse-v2")),
    st.sampled_from((2, 8, 65, 130)),
    st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 3)),
    st.tuples(st.integers(0, 70), st.sampled_from(("spin", "lazy", "switched"))),
    st.tuples(st.integers(0, 4), st.integers(0, 5)),
    MACHINES,
)
def test_a_call_takes_the_same_time_either_way(
    call: str,
    kernel: str,
    platform: str,
    cpus: int,
    sizes: tuple[int, int, int],
    threads: tuple[int, str],
    late: tuple[int, int],
    where: tuple[int, int, bool],
) -> None:
    """With CPUs that are lazy, that run another process, that have interrupts off, that are preempted."""
    tables, sharers, actors = sizes
    _, fast, slow = both(
        call,
        kernel,
        platform,
        cpus,
        settings=machine_of(where),
        tables=tables,
        sharers=sharers,
        actors=min(actors, sharers),
        threads=min(threads[0], cpus - 1),
        state=threads[1],
        walkers=min(late[0], max(cpus - 1 - threads[0], 0)),
        preempted=late[1],
    )
    assert_equal(fast, slow)


@quick
@given(
    st.sampled_from(("6.12.73", "7.0")),
    st.sampled_from(("intel-server", "amd-server", "kvm-guest")),
    st.sampled_from((2, 64, 65, 130)),
    st.integers(0, 129),
    st.sampled_from(("spin", "lazy", "switched")),
    st.sampled_from((1, 33, 34)),
    st.integers(1, 40),
    MACHINES,
)
def test_flushes_of_many_threads_take_the_same_time_either_way(
    kernel: str,
    platform: str,
    cpus: int,
    threads: int,
    state: str,
    pages: int,
    times: int,
    where: tuple[int, int, bool],
) -> None:
    """With ranges and whole flushes, all CPUs alike and some not, with INVLPGB once the mm has a global ASID."""
    _, fast, slow = both(
        "anonymous",
        kernel,
        platform,
        cpus,
        settings=machine_of(where),
        threads=min(threads, cpus - 1),
        state=state,
        pages=pages,
        times=times,
    )
    assert_equal(fast, slow)


def test_four_thousand_cpus_are_charged_alike_and_exactly() -> None:
    _, fast, slow = both("fork-storm", "6.16", "intel-server", 4096, children=30, gib=20, pages=60)
    assert fast.counts["sync_ipis"] == 4095 * fast.counts["sync_broadcasts"] > 0
    assert_equal(fast, slow)


@pytest.mark.parametrize("cpus", [1, 2])
def test_a_machine_of_one_or_two_cpus_has_nobody_or_one_to_interrupt(cpus: int) -> None:
    _, fast, slow = both("fork-storm", "6.16", "intel-server", cpus, children=5, gib=9, pages=20)
    assert fast.counts["sync_ipis"] == (cpus - 1) * fast.counts["sync_broadcasts"]
    assert_equal(fast, slow)


@pytest.mark.parametrize("cpus", [2, 3, 64, 130])
@pytest.mark.parametrize("which", ["low", "likely", "high"])
def test_broadcasts_that_overlap_queue_in_handlers_the_same_way(cpus: int, which: str) -> None:
    """Every CPU broadcasts three times, all beginning together: nobody has the same handlers behind him as another."""
    known = registry()
    platform = known.platform("x86", "intel-server")
    case = prepare(
        Question(known.workload("fork-storm"), known.architecture("x86"), platform, "6.16", cpus=cpus)
    )
    model = Model(case.kernel, case.setup().lowering, cpus=cpus, mms=cpus)
    model.starts(*[model.task(mm=i, cpu=i, ready=True) for i in range(cpus)])
    with model.asm.loop(3):
        model.asm.work("small_fault_ns", text="something of its own")
        model.gathers.sync()
    model.asm.halt()
    machine = model.build()
    fast, slow = (
        run_machine(machine, platform, which=which, one_by_one=one_by_one) for one_by_one in (False, True)
    )
    assert fast.counts["sync_ipis"] == 3 * cpus * (cpus - 1)
    assert fast.syncs_taken.tolist() == [3 * (cpus - 1)] * cpus
    assert_equal(fast, slow)


@pytest.mark.parametrize("processes", [2, 70])
def test_processes_that_call_at_once_take_the_same_time_either_way(processes: int) -> None:
    _, fast, slow = both(
        "anonymous",
        "7.0",
        "intel-server",
        80,
        processes=processes,
        callers=3,
        threads=5,
        op="madv_dontneed",
        kind="embedded",
        pages=40,
        times=3,
    )
    assert_equal(fast, slow)
