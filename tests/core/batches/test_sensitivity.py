"""What decides an answer is found, and what does nothing is not."""

from __future__ import annotations

import json

import pytest

from shootdown._cli import run

ASKED = ["sensitivity", "hugetlb-munmap", "--arch", "x86", "--kernel", "6.16", "--cpus", "4"]


def told(capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, object]:
    assert run([*ASKED, *options, "--json"]) == 0
    value: dict[str, object] = json.loads(capsys.readouterr().out)
    return value


@pytest.mark.parametrize("method", ["morris", "sobol"])
def test_a_count_is_decided_by_the_parameter_and_by_no_cost(
    capsys: pytest.CaptureFixture[str], method: str
) -> None:
    samples = {"morris": "4", "sobol": "8"}[method]
    options = ("--of", "sync_ipis", "--vary", "cost.lock", "--vary", "tables=1..5", "--method", method)
    found = told(capsys, *options, "--samples", samples)
    first, second = found["rows"]  # type: ignore[misc]
    assert (first["name"], first["share"]) == ("tables", 1.0)
    assert (second["name"], second["effect"]) == ("cost.lock_ns", 0.0)
    assert (found["least"], found["most"]) in ((3, 12), (3, 15))


def test_the_change_by_a_cost_is_what_two_runs_differ_by(capsys: pytest.CaptureFixture[str]) -> None:
    # Each of two tables is unshared under one lock of i_mmap_rwsem: only times without waiting are linear.
    found = told(capsys, "--vary", "cost.syscall_ns=0..1000", "--samples", "2")
    (row,) = found["rows"]  # type: ignore[misc]
    assert row["effect"] == pytest.approx(1000, rel=0.15)
    assert row["spread"] == pytest.approx(0, abs=100)


def test_the_same_seed_gives_the_same_answer(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--vary", "cost.ipi_latency", "--vary", "cost.flush", "--samples", "3")
    first, again = told(capsys, *options), told(capsys, *options)
    assert first == again
    assert told(capsys, *options, "--seed", "2")["rows"] != first["rows"]


def test_what_changes_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*ASKED, "--of", "sync_ipis", "--vary", "cost.lock", "--samples", "2"]) == 0
    assert "nothing that varies changes it, in 4 runs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--of", "sync_ipi"), "there is no such count or time; nearest: sync_ipis"),
        (("--vary", "cost.locks"), "there is no cost 'locks'; nearest: cost.lock_ns"),
        (("--vary", "table=1..2"), "there is no number 'table' to vary; nearest: tables"),
        (("--vary", "tables"), "a parameter has a range of whole numbers"),
        (("--vary", "tables=3..1"), "a range is two numbers"),
        (("--vary", "tables=1..2..3"), "a range is two numbers"),
        (("--vary", "tables=0..3"), "-p tables=0: it lies between 1 and"),
        (("--vary", "cost.lock", "--vary", "cost.lock_ns"), "cost.lock_ns is given twice"),
        (("--method", "sobol", "--samples", "3"), "are a power of two"),
        (("--kernel", "7.0"), "2 combinations are asked about: name one platform, kernel and number of CPUs"),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert run([*ASKED, *options]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
