"""A `wait` that is repeated uses up the signals that it was for."""

from __future__ import annotations

from typing import Any

import pytest

import shootdown
from shootdown import explore


def count(**processes: Any) -> dict[str, int]:
    """Return what a program's measured part counts on x86."""
    program = {"memory": {"heap": {"size": "64K"}}, "process": processes}
    (row,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])
    return dict(row.counts)


def test_two_threads_wake_each_other_in_turns() -> None:
    """Each turn one drops a page while the other runs or has just gone idle; all flushes of all turns count."""
    counts = count(
        A={
            "do": "measure { repeat 20 { touch heap; signal there; wait back; madvise heap[0:4K] DONTNEED } }",
            "thread": {"other": {"do": "repeat 20 { wait there; touch heap; signal back }"}},
        }
    )
    assert counts["flush_requests"] == 20


@pytest.mark.parametrize("turns", [1, 7])
def test_each_turn_of_context_switch1_switches_twice(turns: int) -> None:
    """One CPU runs both processes: each wake-up that is waited for switches to the other."""
    shown = shootdown.compare(
        "context_switch1", arch=["x86"], kernels=["7.0"], cpus=[2], parameters={"turns": turns}
    )
    assert 2 * turns - 1 <= shown[0].counts["context_switches"] <= 2 * turns + 1


def test_a_signal_is_there_for_who_comes_later() -> None:
    """Three signals before the first wait let three turns go on at once; a fourth would wait for ever."""
    counts = count(A={"do": "signal go; signal go; signal go; measure { repeat 3 { wait go } }"})
    assert counts["flush_requests"] == 0
    with pytest.raises(shootdown.ShootdownError, match="wait go"):
        count(A={"do": "signal go; measure { repeat 2 { wait go } }"})


def test_several_who_would_share_signals_are_refused() -> None:
    with pytest.raises(
        shootdown.ShootdownError, match="several threads wait for go: give each its own"
    ) as error:
        count(A={"do": "repeat 3 { wait go }", "thread": {"b": {"do": "signal go; wait go"}}})
    assert "\n" not in str(error.value)


def _explored(first: list[str], others: list[str], count: int = 1) -> str:
    threads = {"other": {"count": count, "do": others}}
    program = {
        "memory": {"heap": {"size": "4K"}},
        "process": {"A": {"do": first, "thread": threads}},
    }
    (row,) = explore(program, arch=["x86"], kernels=["7.0"])
    return row.verdict


def test_threads_that_wait_for_one_another_in_loops_are_explored_with_as_many_turns() -> None:
    produce = ["repeat 5 { touch heap write; signal full; wait empty }"]
    consume = ["repeat 5 { wait full; madvise heap DONTNEED; signal empty }"]
    assert _explored(produce, consume) == "safe"
    each_first = ["repeat 5 { wait empty; touch heap write; signal full }"]
    assert _explored(each_first, consume) == "bug"  # both wait for ever


def test_a_barrier_in_a_loop_waits_for_the_threads_that_are_left() -> None:
    gather = ["touch heap write", "repeat 9 { wait done 6; madvise heap DONTNEED }"]
    assert _explored(gather, ["repeat 9 { touch heap write; signal done }"], 6) == "safe"
