"""Compiled kernels call the C function in place of its twin, also those that another process compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shootdown._compilation.registry import FOREIGN
from shootdown.kernels import foreign

# The twin is wrong on purpose, so that what ran can be told; atol-like functions of libc stand for a plugin's own.
MODULE = """
import ctypes
import numpy as np
from shootdown.kernels import foreign, kernel

LIBC = ctypes.CDLL(None)

@foreign("llabs", ctypes.cast(LIBC.llabs, ctypes.c_void_p).value)
def absolute(x):
    return np.uint64(1000)

@kernel
def answer(x):
    return absolute(x) + np.uint64(1)
"""
RUN = """
import sys
import numpy as np
from shootdown._compilation.running import runnable
import called
from shootdown._compilation.running import compiled
found = runnable(called.answer)(np.uint64(2**64 - 41))
stats = getattr(compiled(called.answer), "stats", None) if sys.argv[1] == "now" else None
print(int(found), sum(stats.cache_hits.values()) if stats else "-")
"""


def run(folder: Path, way: str) -> str:
    module = folder / "called.py"
    if not module.exists():
        module.write_text(MODULE)
        os.utime(module, (1, 1))  # a source that is newer than the process would not be kept
    done = subprocess.run(
        [sys.executable, "-c", RUN, way],
        cwd=folder,
        env={
            **os.environ,
            "SHOOTDOWN_COMPILE": way,
            "PYTHONPATH": str(folder),
            "NUMBA_CACHE_DIR": str(folder / "kept"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_plain_runs_the_twin_and_compiled_code_calls_c(tmp_path: Path) -> None:
    assert run(tmp_path, "never") == "1001 -"
    assert run(tmp_path, "now") == "42 0"
    assert run(tmp_path, "now") == "42 1"  # from disk, with libc at another address


def test_a_symbol_has_one_twin() -> None:
    @foreign("no_such_symbol_of_a_test", 4096)
    def one(x: int) -> int:
        return x

    try:
        with pytest.raises(TypeError, match=r"has the twin .*one already"):

            @foreign("no_such_symbol_of_a_test", 8192)
            def two(x: int) -> int:
                return x
    finally:
        del FOREIGN[one]


@pytest.mark.parametrize(("symbol", "address"), [("no name", 4096), ("name", 0)])
def test_what_is_no_function_is_refused(symbol: str, address: int) -> None:
    with pytest.raises(TypeError, match="is no C function"):
        foreign(symbol, address)(lambda x: x)
