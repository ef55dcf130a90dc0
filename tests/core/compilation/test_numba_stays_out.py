"""Nothing imports numba before a kernel is compiled, and where nothing compiles nothing ever does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

ALL = """
import importlib, json, pkgutil, sys
from shootdown._plugins.registry import registry
registry()
packages = [name for name in sys.modules if name.startswith("shootdown") and "." not in name]
names = [
    found.name
    for package in packages
    for found in pkgutil.walk_packages(sys.modules[package].__path__, package + ".")
    if not found.name.endswith("__main__") and "._compilation.backend" not in found.name
]
for name in names:
    importlib.import_module(name)
print(json.dumps([len(names), [name for name in ("numba", "llvmlite") if name in sys.modules]]))
"""

RUN = """
import contextlib, io, json, sys
from shootdown._cli import run
for line in json.loads(sys.argv[1]):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = run(line.split())
    print(json.dumps([line, status, out.getvalue()]))
print(json.dumps([name for name in ("numba", "llvmlite") if name in sys.modules]))
"""
LINES = [
    "compare hugetlb-munmap --arch x86 -p tables=2 --cpus 4 --json",
    "explain hugetlb-munmap -p tables=2 --platform intel-server --kernel 6.16 --cpus 4",
    "explore unshare-walk-cache --arch arm64 --kernel 7.0 --json",
    "explore unshare-gup --arch x86 --kernel 6.16 --json",
    "tlb docs/examples/lackey.txt docs/examples/threads.npy --json",
    "walk --format x86_64-4level --memory tests/oracle/walks/amd64-4l.npz --root 0x4062000 --all --json",
]


def test_importing_every_module_imports_no_numba() -> None:
    done = subprocess.run([sys.executable, "-c", ALL], check=True, capture_output=True, text=True)
    count, loaded = json.loads(done.stdout)
    assert count > 200
    assert loaded == []


def ran(lines: list[str], **variables: str) -> tuple[list[tuple[str, int, str]], list[str]]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, json.dumps(lines)],
        cwd=ROOT,
        env={**os.environ, **variables},
        check=True,
        capture_output=True,
        text=True,
    )
    *rows, loaded = (json.loads(line) for line in done.stdout.splitlines())
    return [(line, status, out) for line, status, out in rows], loaded


@pytest.mark.skipif(os.environ.get("SHOOTDOWN_COMPILE") == "never", reason="this process compiles nothing")
def test_commands_print_the_same_whether_kernels_are_compiled_or_not() -> None:
    """Plain, they import no numba, and nothing that numpy would warn of happens."""
    plain, without = ran(LINES, SHOOTDOWN_COMPILE="never")
    compiled, _ = ran(LINES, SHOOTDOWN_COMPILE="now")
    assert without == []
    assert [row[1] for row in plain] == [0] * len(LINES)
    for one, other in zip(plain, compiled, strict=True):
        assert one == other


@pytest.mark.parametrize("line", [*LINES[:4], LINES[-1]])
def test_a_small_question_is_answered_without_numba_and_compiles_nothing(line: str, tmp_path: Path) -> None:
    """Whether or not there are compiled kernels."""
    _, loaded = ran([line], SHOOTDOWN_COMPILE="auto", NUMBA_CACHE_DIR=str(tmp_path))
    assert loaded == []
    assert not list(tmp_path.iterdir())
