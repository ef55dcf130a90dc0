"""Rows are divided among processes where that pays, and come out the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shootdown._cli import run
from shootdown._questions import workers
from shootdown._questions.workers import divided
from shootdown._values.errors import ShootdownError

#: Items of `eval`, which another process finds: its process, and one that ends it.
WHOSE = "__import__('os').getpid()"
ENDS = "__import__('os')._exit(1)"


def test_little_work_starts_no_process() -> None:
    assert list(divided(eval, [WHOSE] * 20, processes=2)) == [(number, os.getpid()) for number in range(20)]


def test_one_process_is_this_one_however_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "ALONE", 0.0)
    monkeypatch.setattr(workers, "WORTH_IT", 0.0)
    assert {pid for _, pid in divided(eval, [WHOSE] * 4, processes=1)} == {os.getpid()}


def test_much_work_goes_on_in_other_processes_and_each_item_is_done_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "ALONE", 0.0)
    monkeypatch.setattr(workers, "WORTH_IT", 0.0)
    found = list(divided(eval, [f"({number}, {WHOSE})" for number in range(9)], processes=2))
    assert sorted(number for number, _ in found) == list(range(9))
    assert all(item == number for number, (item, _) in found)
    others = {pid for _, (_, pid) in found} - {os.getpid()}
    assert 1 <= len(others) <= 2


@pytest.mark.parametrize(
    ("sizes", "done", "took", "processes", "pays"),
    [
        ([1] * 10, 0, 0.0, 2, False),
        ([1] * 10, 5, workers.ALONE * 0.9, 2, False),
        ([1] * 10, 9, 9.0, 2, False),  # what is left takes a second
        ([1] * 10, 5, 9.0, 2, True),
        ([1] * 5 + [9] * 5, 5, 2.0, 2, True),
    ],
)
def test_others_start_once_they_are_likely_to_save_time(
    sizes: list[int], done: int, took: float, processes: int, pays: bool
) -> None:
    assert workers._pays(sizes, done, took, processes) == pays


@pytest.mark.parametrize(("busy", "left"), [(0.1, 4), (1.0, 4), (3.0, 2), (4.0, 1), (40.0, 1)])
def test_cpus_that_others_keep_busy_get_no_process(
    busy: float, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4))
    monkeypatch.setattr(os, "getloadavg", lambda: (busy, 0.0, 0.0))
    assert workers.free_cores() == left


def test_a_process_that_is_ended_is_an_error_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_pays", lambda *_: True)
    with pytest.raises(ShootdownError, match="--jobs 1"):
        list(divided(eval, [ENDS] * 4, processes=2))


def test_a_loop_that_is_left_ends_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_pays", lambda *_: True)
    began = time.monotonic()
    rows = divided(time.sleep, [0.05] * 10_000, processes=2)
    next(rows)
    rows.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("command", ["targets", "matrix"])
def test_tables_of_several_processes_are_the_same_bytes(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {
        "targets": ["targets", "--platform", "neoverse-v2,neoverse-n1", "--kernel", "6.4,7.0", "--json"],
        "matrix": [
            "matrix",
            "unshare-gup",
            "--platform",
            "neoverse-v2,intel-server",
            "--kernel",
            "7.0",
            "--json",
        ],
    }[command]
    assert run([*words, "--jobs", "1"]) == 0
    alone = capsys.readouterr().out
    monkeypatch.setattr(workers, "_pays", lambda *_: True)
    assert run([*words, "--jobs", "2"]) == 0
    assert capsys.readouterr().out == alone


_INTERRUPTED = """
import sys
from shootdown._questions import workers
if __name__ == "__main__":
    workers._pays = lambda sizes, done, took, processes: done > 0
    from shootdown._cli import run
    sys.exit(run(["targets", "--jobs", "2", "--json"]))
"""


def test_ctrl_c_ends_the_processes_and_keeps_what_was_done(tmp_path: Path) -> None:
    script = tmp_path / "interrupted.py"
    script.write_text(_INTERRUPTED)
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(
            [sys.executable, str(script)],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while len(pids := children.read_text().split()) < 2:  # the processes, and multiprocessing's tracker
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "targets are done" in errors
    assert len(json.loads((tmp_path / "out").read_text())["rows"]) >= 1
    ended = time.monotonic() + 60
    while any(_runs(pid) for pid in pids):  # the tracker ends when it sees that its parent has
        assert time.monotonic() < ended
        time.sleep(0.01)


def _runs(pid: str) -> bool:
    """Whether a process still runs, and is none that has only not been waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
