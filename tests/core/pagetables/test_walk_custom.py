"""A custom format's own walk is compiled into kernels that stay on disk until a source that it comes from changes."""

import os
import subprocess
import sys

import numpy as np
import pytest

from shootdown._pagetables.format import CustomFormat
from shootdown._pagetables.format_layout import Check, Walk
from shootdown._pagetables.memory import PhysicalMemory
from shootdown._pagetables.walker import Walker

WALK = """
import numpy as np
from shootdown._pagetables.format_layout import Walk
from flat.numbers import OFFSET
U = np.uint64

def walk(memory, check, root, va):
    return Walk(va + U(OFFSET), U(0), U(0), U(0), U(12), U(0))

def first_read(memory, check, root, va):
    return root
"""
RUN = """
import sys
import numpy as np
from shootdown._pagetables.format import CustomFormat
from shootdown._pagetables.format_layout import Check
from shootdown._compilation.backend.watching import watched
from shootdown._pagetables.memory import PhysicalMemory
from shootdown._pagetables.walker import Walker
from flat import walks
U = np.uint64
named, first = sys.argv[1] == "named", "flat.walks:first_read" if sys.argv[2] == "ahead" else None
form = CustomFormat(
    name="toy-flat", summary="made up", va_bits=21, walk="flat.walks:walk" if named else walks.walk, first_read=first,
    check=lambda *_: Check(U(1), U(0), U(0), U(0), (U(0),)), steps=lambda *_: None,
)
with watched() as compiled:
    print(Walker(form, PhysicalMemory()).walk(0, 0x1000).pa)
print(compiled.kernels)
"""


@pytest.mark.parametrize("ahead", ["ahead", "alone"])
def test_a_second_process_finds_it_until_its_source_or_a_number_changes(tmp_path, ahead):
    """By its name or by the function itself: the kernel is one."""
    folder = tmp_path / "flat"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "walks.py").write_text(WALK)
    (folder / "numbers.py").write_text("OFFSET = 1")
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(tmp_path / "kept"),
        "PYTHONPATH": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def run(how):
        done = subprocess.run(
            [sys.executable, "-c", RUN, how, ahead],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        pa, compiled = map(int, done.stdout.split())
        return pa, compiled > 0

    assert run("named") == (0x1001, True)
    assert run("named") == (0x1001, False)
    assert run("itself") == (0x1001, False)
    (folder / "numbers.py").write_text("OFFSET = 2")
    assert run("named") == (0x1002, True)
    assert run("named") == (0x1002, False)


def test_walks_made_within_functions_are_told_apart():
    """They have no name; each is compiled by the process that made it."""

    def made(offset):
        def walk(memory, check, root, va):
            zero = np.uint64(0)
            return Walk(va + np.uint64(offset), zero, zero, zero, np.uint64(12), zero)

        return walk

    zero = np.uint64(0)
    found = []
    for offset in (1, 2):
        form = CustomFormat(
            name="toy-flat",
            summary="made up",
            va_bits=21,
            walk=made(offset),
            check=lambda *_: Check(np.uint64(1), zero, zero, zero, (zero,)),
            steps=lambda *_: None,
        )
        found.append(Walker(form, PhysicalMemory()).walk(0, 0x1000).pa)
    assert found == [0x1001, 0x1002]
