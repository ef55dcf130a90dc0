"""A second process compiles nothing and writes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

USE_A_TLB = """
from shootdown._compilation.backend.watching import watched
from shootdown._tlb import CacheGeometry, FlushScope, Tlb, TlbGeometry
with watched() as compiled:
    tlb = Tlb(TlbGeometry(l1=CacheGeometry(64, 4, (4096,)), l2=CacheGeometry(64, 4, (4096,))), 1)
    tlb.lookup(0, 1, 0)
    tlb.flush(0, FlushScope(start=0, asid=1))
print(compiled.kernels > 0)
"""


def compiles(environment: dict[str, str]) -> bool:
    """Say whether a process that uses a TLB compiles a kernel."""
    done = subprocess.run(
        [sys.executable, "-c", USE_A_TLB], env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip() == "True"


@pytest.mark.compiled
def test_a_second_process_finds_every_kernel_on_disk() -> None:
    """The kernels stay where those of the other tests are."""
    compiles(dict(os.environ))
    assert not compiles(dict(os.environ))


@pytest.mark.long
def test_the_first_process_compiles_and_the_second_writes_nothing(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}

    def written() -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if file.is_file()}

    assert compiles(environment)
    first = written()
    assert first
    assert not compiles(environment)
    assert written() == first
