"""membarrier() interrupts the CPUs that run its process, and flushes nothing."""

from __future__ import annotations

from typing import Any

import pytest

import shootdown

OTHER = {"do": ["touch heap", "signal ready", "spin"]}


def row(do: str, *, threads: dict[str, Any], arch: str = "x86", **processes: Any) -> shootdown.Result:
    program = {
        "memory": {"heap": {"size": "64K"}},
        "process": {
            "A": {
                "do": ["touch heap", *([f"wait ready {len(threads)}"] if threads else []), do],
                "thread": threads,
            },
            **processes,
        },
    }
    (found,) = shootdown.compare(program, arch=[arch], kernels=["7.0"], cpus=[8])
    return found


@pytest.mark.parametrize("arch", ["x86", "arm64", "powerpc", "riscv"])
def test_each_cpu_that_runs_another_thread_takes_one_ipi(arch: str) -> None:
    counts = row("measure { membarrier }", threads={"a": OTHER, "b": OTHER}, arch=arch).counts
    assert (counts["barrier_ipis"], counts["interrupted_cpus"]) == (2, 2)
    for name in ("flush_ipis", "sync_ipis", "flush_requests", "full_flushes", "broadcast_invalidations"):
        assert counts[name] == 0


@pytest.mark.parametrize("arch", ["x86", "arm64", "powerpc", "riscv"])
def test_idle_cpus_are_left_out_though_a_flush_may_reach_them(arch: str) -> None:
    """`b` sleeps: its CPU keeps the mm, lazily or because nothing took it away, and rq->curr is the idle task."""
    sleeper = {"do": ["touch heap", "signal ready", "sleep"]}
    counts = row("measure { work 1ms; membarrier }", threads={"a": OTHER, "b": sleeper}, arch=arch).counts
    assert counts["barrier_ipis"] == 1


def test_other_processes_are_left_out() -> None:
    counts = row("measure { membarrier }", threads={"a": OTHER}, B={"do": "spin"}).counts
    assert counts["barrier_ipis"] == 1


def test_a_process_of_one_thread_interrupts_nobody() -> None:
    counts = row("membarrier", threads={}, B={"do": "spin"}).counts
    assert "barrier_ipis" not in counts


def test_each_call_of_a_loop_interrupts_again() -> None:
    counts = row("measure { repeat 5 { membarrier PRIVATE_EXPEDITED_RSEQ } }", threads={"a": OTHER}).counts
    assert counts["barrier_ipis"] == 5


def test_the_global_command_interrupts_nobody() -> None:
    counts = row("measure { membarrier MEMBARRIER_CMD_GLOBAL }", threads={"a": OTHER}).counts
    assert ("barrier_ipis" in counts, counts["interrupted_cpus"]) == (False, 0)


@pytest.mark.parametrize(
    ("do", "said"),
    [
        ("membarrier PRIVATE", "'PRIVATE' is no command; nearest: PRIVATE_EXPEDITED"),
        ("membarrier GLOBAL_EXPEDITED", "MEMBARRIER_CMD_GLOBAL_EXPEDITED is not counted yet"),
    ],
)
def test_another_command_is_refused_in_one_line(do: str, said: str) -> None:
    with pytest.raises(shootdown.ShootdownError) as error:
        row(do, threads={"a": OTHER})
    assert said in str(error.value)
    assert "\n" not in str(error.value)
