"""`shootdown measure`: what is refused, and what is shown, with a script in place of the emulator."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import attrs
import pytest

from shootdown import _cli
from shootdown._measure import kernels
from shootdown._plugins.registry import registry

DROP = """
[memory]
heap = { kind = "anonymous", size = "2M" }

[process.A]
do = ["touch heap", "wait ready 2", "measure { madvise heap[0:4K] DONTNEED }"]

[process.A.thread.other]
count = 2
do = ["signal ready", "spin"]
"""
SAID = """@version Linux version 6.1.192 (x@y) #1
@program 0
@marked 0
@count 0 tlb_gather_mmu 1 1
@count 0 flush_tlb_mm_range 1 1
@row 0 {row} TLB
@window 0 1 0
@done"""

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


@pytest.fixture
def booted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernel, a program, and an emulator that says what a machine would."""
    (tmp_path / "drop.toml").write_text(DROP)
    (tmp_path / "kernel").write_bytes(bytes(0x202) + b"HdrS" + bytes(4000))
    monkeypatch.chdir(tmp_path)
    say(tmp_path, 2)
    x86 = registry().architecture("x86")
    assert x86.emulation is not None
    changed = attrs.evolve(x86.emulation, qemu=str(tmp_path / "emulator"), instructions=(), marks=None)
    monkeypatch.setattr(kernels, "_architecture", lambda *_: attrs.evolve(x86, emulation=changed))
    return tmp_path


def say(folder: Path, row: int) -> None:
    script = folder / "emulator"
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{SAID.format(row=row)}\nEND\n")
    script.chmod(0o755)


def test_each_count_stands_beside_the_models(booted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _cli.run(["measure", "kernel", "--program", "drop.toml", "--out", "rows.jsonl"]) == 0
    printed = capsys.readouterr().out
    assert "amd64 6.1.192, 4 CPUs, 1 run of each program" in printed
    assert "7 of 7 counts agree" in printed
    assert max(map(len, printed.splitlines())) <= 80
    assert _cli.run(["validate", "rows.jsonl"]) == 0
    (row,) = map(json.loads, (booted / "rows.jsonl").read_text().splitlines())
    assert row["counts"]["tlb_row"] == [2, 2]


def test_a_count_that_disagrees_is_the_exit_status(booted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    say(booted, 3)
    assert _cli.run(["measure", "kernel", "--program", "drop.toml"]) == 1
    assert "differs" in capsys.readouterr().out


def test_a_program_that_the_model_does_not_count_is_named_with_its_reason(
    booted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = DROP.replace("anonymous", "thp").replace("madvise heap[0:4K] DONTNEED", "mremap heap")
    (booted / "moved.toml").write_text(moved.replace('size = "2M"', 'size = "4M"'))
    assert _cli.run(["measure", "kernel", "--program", "moved.toml"]) == 2
    printed = " ".join(capsys.readouterr().out.split())
    assert "moved not predicted" in printed
    assert "* moved is not predicted: moved, process.A.do: `mremap heap`: it is counted of" in printed


def test_json_has_the_rows_and_remarks(booted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert booted
    assert _cli.run(["measure", "kernel", "--program", "drop.toml", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"][0]["predicted"]["tlb_row"] == 2
    assert any("instructions are not counted" in remark for remark in told["remarks"])


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["missing"], "missing can't be read"),
        (["kernel", "--program", "none.toml"], "program none.toml: no such file"),
        (
            ["kernel", "--program", "drop.toml", "-p", "pages=3"],
            "no program that is measured has a parameter 'pages'",
        ),
        (["kernel", "--program", "drop.toml", "--cpus", "2"], "needs CPU 2"),
        (["kernel", "--program", "drop.toml", "--out", "no/rows"], "no/rows can't be written"),
    ],
)
def test_a_mistake_is_one_line(
    booted: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    assert booted
    assert _cli.run(["measure", *arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert why in said
    assert said.count("\n") == 0
