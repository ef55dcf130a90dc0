"""`shootdown warm` compiles ahead what the commands run: after it no command compiles anything."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shootdown._cli import run
from shootdown._plugins.registry import registry
from shootdown._questions.warm import PARTS, Job, jobs, warm
from shootdown._values.errors import ShootdownError

ROOT = Path(__file__).parents[3]
Shell = Callable[..., "subprocess.CompletedProcess[str]"]

# Runs command lines in a process that counts what is compiled, and keeps what is asked of the disk and printed.
CODE = """
import contextlib, io, json, sys
from shootdown._cli import run
from shootdown._compilation.backend.disk import Disk
from shootdown._compilation.backend.watching import watched
load, asked = Disk.load_overload, []
def loading(disk, signature, *rest):
    asked.append(f"{disk._function.__module__}.{disk._function.__name__} {signature}")
    return load(disk, signature, *rest)
Disk.load_overload = loading
for line in json.loads(sys.argv[1]):
    out, asked[:] = io.StringIO(), []
    with watched() as compiled, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        status = run(line.split())
    print(json.dumps([line, status, compiled.kernels, asked, out.getvalue()]))
"""
LINES = [
    *(f"compare hugetlb-munmap --arch {name} -p tables=2 --cpus 4" for name in registry().architectures()),
    "compare fork-storm --arch x86 -p children=3 -p gib=2 -p pages=20 --cpus 70",
    "compare anonymous --arch x86 --kernel 7.0 --cpus 4",
    "compare thp-collapse --arch x86 --kernel 7.0 --cpus 4",
    "explain hugetlb-munmap -p tables=2 --platform intel-server --kernel 6.16 --cpus 4",
    "explore unshare-walk-cache --arch arm64 --kernel 7.0",
    "explore unshare-walk-cache --arch arm64 --kernel 7.1 --soak 20",
    "explore unshare-gup --arch x86 --kernel 6.16",
    "explore unshare-gup --arch x86 --kernel 6.16 --reductions none --states 1000",
    "explore cow-stale-writable --arch x86 --kernel 7.0",
    "explore pfn-unmap --arch arm64 --kernel 7.0",
    "targets --arch x86 --platform intel-server --kernel 7.0",
    "tlb docs/examples/compiler-like.bin.xz docs/examples/lackey.txt docs/examples/threads.npy",
    "tlb docs/examples/compiler-like.bin.xz -p l2.policy=tree-plru --walk-cache off",
    "walk --format x86_64-4level --memory tests/oracle/walks/amd64-4l.npz --root 0x4062000 0x2c0d57f1000",
    "walk --format x86_64-4level --memory tests/oracle/walks/amd64-4l.npz --root 0x4062000 --all",
]


def test_there_is_a_job_for_every_format_and_for_each_engine() -> None:
    assert {job.name for job in jobs(["walks"])} == {f"walks of {name}" for name in registry().formats()}
    assert list(dict.fromkeys(job.part for job in jobs())) == list(PARTS)
    assert {job.part for job in jobs(["engine", "tlb"])} == {"engine", "tlb"}


def test_an_unknown_part_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ShootdownError, match="tlb"):
        jobs(["tlbs"])
    assert run(["warm", "tlbs"]) == 2
    assert "nearest: tlb" in capsys.readouterr().err


def test_without_a_folder_to_keep_kernels_in_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from shootdown._compilation.backend import disk

    monkeypatch.setattr(disk, "keeps", lambda _: False)
    with pytest.raises(ShootdownError, match="NUMBA_CACHE_DIR"):
        warm(Job("tlb", "nothing", lambda: None))


@pytest.mark.skipif(os.environ.get("SHOOTDOWN_COMPILE") == "never", reason="this process compiles nothing")
def test_what_a_full_disk_does_not_keep_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was compiled, and no later command would find it."""
    from shootdown._compilation.backend import disk
    from shootdown._compilation.kernels import kernel
    from shootdown._compilation.running import compiled

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(disk, "lost", [])
    monkeypatch.setattr(disk._Kept, "save_overload", full)
    successor = kernel(lambda x: x + 1)
    job = Job("tlb", "one kernel", lambda: compiled(successor)(1))
    monkeypatch.setattr("shootdown._questions.warm.jobs", lambda _: [job])
    assert run(["warm"]) == 2
    assert "No space left on device; NUMBA_CACHE_DIR names another folder" in capsys.readouterr().err


def test_what_is_done_is_shown_when_somebody_interrupts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    made = [Job("tlb", "nothing", lambda: None), Job("tlb", "interrupted", interrupted)]
    monkeypatch.setattr("shootdown._questions.warm.jobs", lambda _: made)
    assert run(["warm", "--json"]) == 130
    shown = capsys.readouterr()
    assert [row["name"] for row in json.loads(shown.out)["rows"]] == ["nothing"]
    assert "1 of 2 parts are done" in shown.err


def ran(lines: list[str]) -> list[tuple[str, int, int, set[str], str]]:
    """Return each line with its exit status, the number of kernels compiled, those asked of the disk, and its text."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(lines)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    rows = map(json.loads, done.stdout.splitlines())
    return [(line, status, kernels, set(asked), text) for line, status, kernels, asked, text in rows]


def test_after_it_no_command_compiles_anything(shell: Shell) -> None:
    """The kernels stay where those of the other tests are, which may have compiled more: that is no help here."""
    assert shell("warm").returncode == 0
    ((_, status, kernels, warmed, text),) = ran(["warm"])
    said = text.splitlines()[-1]  # a slow machine tells of its progress before
    assert (status, kernels, said) == (0, 0, "nothing to do: all kernels are compiled")
    inconclusive = {line for line in LINES if "--soak" in line or "--states" in line}
    for (line, status, kernels, asked, _), expected in zip(ran(LINES), LINES, strict=True):
        assert (line, status, kernels) == (expected, 3 if line in inconclusive else 0, 0)
        assert asked <= warmed, line


# A number of a format in the plugin's source.
OLD, NEW = "root_mask=bits(12, 55)", "root_mask=bits(12, 54)"
WALK = """
import sys
import numpy as np
from shootdown._compilation.backend.watching import watched
from shootdown._plugins.registry import registry
from shootdown.formats import AddressSpace, PhysicalMemory
from shootdown._pagetables.walk_many import walk_many
for name in ("x86_64-4level", "riscv-sv39"):
    form = registry().formats()[name]
    memory = PhysicalMemory()
    root = AddressSpace(form, memory, settings=form.settings()).root
    with watched() as compiled:
        walk_many(form, memory, root, np.zeros(1, np.uint64), way="in order")
    print(compiled.kernels > 0)
"""


@pytest.mark.skipif("riscv" not in registry().architectures(), reason="shootdown-riscv is not installed")
def test_an_edited_plugin_compiles_its_own_kernels_anew_and_no_other(tmp_path: Path) -> None:
    """Of a second process nothing is compiled or written; nor where the edit changes no number of a format."""
    plugin = tmp_path / "shootdown_riscv"
    shutil.copytree(
        ROOT / "plugins/shootdown-riscv/src/shootdown_riscv",
        plugin,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    source = plugin / "_formats.py"
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(tmp_path / "kept"),
        "PYTHONPATH": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def walked() -> tuple[list[bool], dict[Path, int]]:
        done = subprocess.run(
            [sys.executable, "-c", WALK], env=environment, check=True, capture_output=True, text=True
        )
        files = {file: file.stat().st_mtime_ns for file in (tmp_path / "kept").rglob("*") if file.is_file()}
        return [word == "True" for word in done.stdout.split()], files

    compiled, written = walked()
    assert compiled == [True, True]
    assert walked() == ([False, False], written)
    source.write_text("# Edited.\n" + source.read_text())
    assert walked() == ([False, False], written)
    text = source.read_text()
    assert OLD in text
    source.write_text(text.replace(OLD, NEW))
    compiled, _ = walked()
    assert compiled == [False, True]
