"""`exit` of a process of several threads: all leave, and the last one tears the address space down."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.programs.comparing import explored, ground

import shootdown
from shootdown._mm.gather import Gathers


def _program(other: str, *, count: int = 1, do: tuple[str, ...] = ("exit",)) -> dict[str, Any]:
    threads = {"other": {"count": count, "do": [f"signal ready; {other}"]}}
    first = {"do": ["touch heap write", f"wait ready {count}", *do], "thread": threads}
    return {"memory": {"heap": {"size": "8K"}}, "process": {"A": first}}


@pytest.mark.parametrize("other", ["spin", "sleep", "work 1us", "repeat 100 { work 50us }"])
def test_cpus_of_threads_that_have_left_keep_the_mm_and_are_interrupted_for_its_tables(other: str) -> None:
    """exit_mm() leaves a CPU lazy, and x86 interrupts lazy ones where page tables go (3ef938c35035)."""
    program = _program(other, count=3, do=("measure { exit }",))
    (x86,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[8])
    assert (x86.counts["flush_ipis"], x86.interrupts) == (3, (0, 1, 1, 1, 0, 0, 0, 0))


def test_threads_end_when_they_are_killed_and_not_when_they_are_through() -> None:
    program = _program("repeat 10000 { work 50us }", do=("exit",))
    (row,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])
    assert row.times["elapsed_ns"].likely < 1_000_000


def test_dirty_pages_of_a_thread_s_own_file_are_flushed_when_the_process_ends() -> None:
    program = _program("touch f write; signal written; spin", do=("wait written", "measure { exit }"))
    program["memory"]["f"] = {"kind": "file", "size": "8K", "each": "thread"}
    (row,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])
    assert row.counts["flush_requests"] == 2


@pytest.mark.compiled
@pytest.mark.parametrize("other", ["spin", "sleep", "touch heap write", "gup heap"])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_it_is_safe_whatever_the_others_do(arch: str, other: str) -> None:
    assert explored(ground(arch), _program(other)) == "safe"


@pytest.mark.compiled
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_a_gather_that_frees_tables_untold_leaves_a_walker_with_one(
    arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """x86 leaves lazy CPUs out then, and arm64 does not flush a gather of a whole address space."""
    monkeypatch.setattr(Gathers, "freed_flags", lambda *_: 0)
    assert explored(ground(arch), _program("spin")) == "bug"


@pytest.mark.parametrize(
    ("do", "other", "words"),
    [
        (("exit",), "exit", "one thread ends process A"),
        (("start other; exit",), "spin", "in a process whose `exit` ends threads it is not known yet"),
        (("exit",), "preempted", "in a process whose `exit` ends threads it is not counted yet"),
    ],
)
def test_what_is_not_known_is_one_line(do: tuple[str, ...], other: str, words: str) -> None:
    with pytest.raises(shootdown.ShootdownError, match=words) as raised:
        shootdown.compare(_program(other, do=do), arch=["x86"])
    assert "\n" not in str(raised.value)
