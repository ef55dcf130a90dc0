"""A sweep that was killed goes on, and its table is the same, byte by byte."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import shootdown
from shootdown._batches import journal
from shootdown._batches.sweep import swept
from shootdown._batches.sweep_file import read_sweep
from shootdown._cli import run
from shootdown._values.errors import ShootdownError

TABLES = {
    "program": "hugetlb-munmap",
    "arch": "x86",
    "kernel": ["6.15", "7.0"],
    "cpus": [3, 4],
    "parameters": {"tables": [1, 2, 3]},
}
COMMAND = (sys.executable, "-m", "shootdown", "sweep")


def toml(points: int) -> str:
    return (
        'program = "hugetlb-munmap"\narch = ["x86", "arm64"]\nkernel = ["6.1", "6.15", "6.16", "7.0", "7.1"]\n'
        f"cpus = [4, 8]\n[parameters]\nsharers = [2, 3]\ntables = {{ from = 1, to = {points // 40} }}\n"
    )


def done(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") - 1 if journal.exists() else -1


def killed(command: list[str], journal: Path, after: int) -> None:
    """Kill a sweep once so many further points are in its journal."""
    wanted = done(journal) + after
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 300
    while done(journal) < wanted and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    assert process.poll() is None, "it was done before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()


def killed_and_not(tmp_path: Path, points: int, *, kills: int, after: int, workers: int) -> None:
    """Compare a sweep that was killed so often with one that was not."""
    (tmp_path / "s.toml").write_text(toml(points))
    plan = read_sweep(tmp_path / "s.toml")
    assert len(plan.points) == points
    command = [*COMMAND, str(tmp_path / "s.toml"), "--workers", str(workers)]
    whole, parts = tmp_path / "whole.parquet", tmp_path / "parts.parquet"
    journal = parts.with_name(f"{parts.name}.journal")
    swept(plan, str(whole), workers=1)
    for _ in range(kills):
        killed([*command, "--out", str(parts)], journal, after)
        assert not parts.exists()
    told = subprocess.run([*command, "--out", parts], check=True, capture_output=True, text=True).stderr
    assert f"of {points:,} points were done before" in told
    assert parts.read_bytes() == whole.read_bytes()
    numbers = [json.loads(line[9:])["point"] for line in journal.read_text().splitlines()[1:]]
    assert sorted(numbers) == list(range(points))


def test_a_sweep_that_was_killed_has_the_rows_of_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOOTDOWN_COMPILE", "never")  # to load the engine takes longer than these points
    killed_and_not(tmp_path, 80, kills=1, after=10, workers=1)


@pytest.mark.long
def test_two_thousand_points_on_two_processes_killed_three_times(tmp_path: Path) -> None:
    killed_and_not(tmp_path, 2000, kills=3, after=300, workers=2)


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a scheduler and two workers."""
    from distributed.comm.core import connect as _  # the package is there

    del _
    dask = [sys.executable, "-m", "dask"]
    file = folder / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    own = ["--no-dashboard"]
    processes = [
        subprocess.Popen(
            [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file), *own],
            **quiet,  # type: ignore[call-overload]
        )
    ]
    try:
        end = time.monotonic() + 60
        while not file.exists() and time.monotonic() < end:
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        processes += [
            subprocess.Popen([*dask, "worker", address, "--nthreads", "1", "--no-nanny", *own], **quiet)  # type: ignore[call-overload]
            for _ in range(2)
        ]
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.long
def test_a_dask_cluster_of_which_a_worker_is_killed_has_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(toml(2000))
    here, there = tmp_path / "here.csv", tmp_path / "there.csv"
    journal = there.with_name("there.csv.journal")
    command = [*COMMAND, str(tmp_path / "s.toml"), "--out"]
    subprocess.run([*command, here], check=True, capture_output=True)
    with cluster(tmp_path) as (address, workers):
        process = subprocess.Popen([*command, str(there), "--scheduler", address])
        while done(journal) < 300:
            assert process.poll() is None
            time.sleep(0.05)
        workers[0].kill()
        while done(journal) < 900:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        subprocess.run([*command, there, "--scheduler", address], check=True, capture_output=True)
    assert there.read_bytes() == here.read_bytes()
    numbers = [json.loads(line[9:])["point"] for line in journal.read_text().splitlines()[1:]]
    assert sorted(numbers) == list(range(2000))


def test_every_form_has_the_same_rows(tmp_path: Path) -> None:
    import pandas

    found = {
        form: shootdown.sweep(TABLES, tmp_path / f"s.{form}", workers=1)
        for form in ("parquet", "csv", "jsonl")
    }
    frame = found["parquet"].to_pandas()
    assert len(frame) == len(found["csv"]) == 12
    assert found["csv"].rows == found["jsonl"].rows
    written = pandas.read_parquet(tmp_path / "s.parquet")
    assert written["counts.sync_ipis"].tolist() == frame["counts.sync_ipis"].tolist()
    assert (
        pandas.read_csv(tmp_path / "s.csv")["counts.sync_ipis"].tolist() == frame["counts.sync_ipis"].tolist()
    )
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert [line["counts"]["sync_ipis"] for line in lines] == frame["counts.sync_ipis"].tolist()
    assert [line["point"] for line in lines] == list(range(12))


def test_the_rows_are_those_of_compare(tmp_path: Path) -> None:
    rows = shootdown.sweep(TABLES, tmp_path / "s.csv", workers=1).rows
    compared = shootdown.compare(
        "hugetlb-munmap", arch=["x86"], kernels=["6.15", "7.0"], cpus=[3, 4], parameters={"tables": [1, 2, 3]}
    )
    key = ("kernel", "cpus", "parameters", "counts", "times")
    assert {str([getattr(row, name) for name in key]) for row in rows} == {
        str([getattr(row, name) for name in key]) for row in compared
    }


def test_what_is_done_is_not_run_again(tmp_path: Path) -> None:
    out = tmp_path / "s.csv"
    shootdown.sweep(TABLES, out, workers=1)
    bytes_before = out.read_bytes()
    out.unlink()
    more: list[int] = []
    found = swept(read_sweep(TABLES), str(out), workers=1, done=more.append)
    assert (found.before, more) == (12, [])
    assert out.read_bytes() == bytes_before


def test_the_rows_of_a_run_are_there_if_the_code_was_changed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "s.jsonl"
    found = shootdown.sweep(TABLES, out, workers=1)
    monkeypatch.setattr(journal, "code_digest", lambda: "another")
    assert len(found.rows) == len(found) == 12
    with pytest.raises(ShootdownError, match="the code of shootdown or of a plugin has changed"):
        shootdown.sweep(TABLES, out, workers=1)


def test_values_that_contradict_each_other_are_rows_with_the_reason(tmp_path: Path) -> None:
    settings = {"kernel.rcu_table_free": [True, False], "kernel.pt_reclaim": [True, False]}
    found = shootdown.sweep(
        {"program": "hugetlb-munmap", "arch": "x86", "kernel": "7.0", "cpus": 4, "set": settings},
        tmp_path / "s.jsonl",
        workers=1,
    )
    assert [row.supported for row in found.rows] == [True, True, False, True]
    assert found.rows[2].reason == (
        "kernel.pt_reclaim=true and kernel.rcu_table_free=false cannot both hold: PT_RECLAIM frees tables through RCU"
    )


def test_a_process_that_is_killed_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from shootdown._batches import running
    from shootdown._questions.workers import EndedError

    real, times = running.divided, []

    def divided(work, items, *, processes):  # type: ignore[no-untyped-def]
        times.append(len(items))
        for number, (at, row) in enumerate(real(work, items, processes=1)):
            if number == 5:
                raise EndedError("ended")
            yield at, row

    monkeypatch.setattr(running, "divided", divided)
    assert len(shootdown.sweep(TABLES, tmp_path / "s.csv").rows) == 12
    assert times == [12, 7, 2]


@pytest.mark.parametrize(
    ("out", "said"),
    [("s.xls", "its name ends in"), ("no/s.csv", "there is no folder"), ("d.csv", "is a folder")],
)
def test_a_place_where_nothing_can_be_written_is_refused_at_once(tmp_path: Path, out: str, said: str) -> None:
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(ShootdownError, match=said):
        shootdown.sweep(TABLES, tmp_path / out)


def test_the_command_refuses_a_place_before_it_reads_the_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", "no-such-file.toml", "--out", "s.xls", "--check"]) == 2
    assert "its name ends in" in capsys.readouterr().err


def test_the_command_tells_progress_result_and_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.toml").write_text(
        'program = "hugetlb-munmap"\narch = "x86"\nkernel = ["6.16", "7.0"]\ncpus = 4\n'
    )
    assert run(["sweep", "s.toml", "--check"]) == 0
    assert "2 points, a grid." in capsys.readouterr().out
    assert not Path("s.csv").exists()
    assert run(["sweep", "s.toml", "--workers", "1", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["points"], value["done"], value["out"]) == (2, 2, "s.csv")
    assert run(["sweep", "s.toml", "--workers", "1"]) == 0
    printed = capsys.readouterr()
    assert "2 of 2 points were done before" in printed.err
    assert all(len(line) <= 100 for line in printed.out.splitlines())
    assert run(["sweep", "s.toml", "--workers", "1", "--scheduler", "tcp://h:1"]) == 2
    assert run(["sweep", "no.toml"]) == 2
    assert "sweep no.toml: no such file or directory" in capsys.readouterr().err
    with open("s.toml", "a") as file:
        file.write("# more\n")
    assert run(["sweep", "s.toml"]) == 2
    assert "s.csv.journal has points of another sweep: s.toml has changed" in capsys.readouterr().err
    assert os.path.exists("s.csv")


def test_a_platform_may_be_a_file_beside_the_sweep(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        '[platform]\narch = "x86"\nlike = "intel-client"\n[cost.ipi_latency_ns]\n'
        'low = 9000\nlikely = 9000\nhigh = 9000\nsource = "a test"\n'
    )
    file = tmp_path / "sweep.toml"
    file.write_text(
        'program = "anonymous"\nplatform = ["mine.toml", "intel-client"]\nkernel = "7.0"\ncpus = 2\n'
        "parameters = { threads = 1 }\n"
    )
    plan = read_sweep(file)
    assert str(tmp_path / "mine.toml") in plan.digests, "another file is another sweep"
    out = tmp_path / "out.csv"
    swept(plan, str(out), workers=1)
    with out.open(newline="") as rows:
        slow, fast = csv.DictReader(rows)
    assert slow["platform"] == str(tmp_path / "mine.toml")
    likely = "times.elapsed_ns.likely"
    assert float(slow[likely]) > float(fast[likely]) + 8000
