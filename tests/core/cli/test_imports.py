"""What no kernel has to answer is answered without numba; what no array holds, without numpy."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from shootdown._cli import COMMANDS

# Runs command lines one after another and tells after which of them a module was there.
CODE = """
import contextlib, io, json, sys
from shootdown._cli import run
lines, module = json.loads(sys.argv[1]), sys.argv[2]
for line in lines:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        status = run(line.split())
    print(json.dumps([line, status, module in sys.modules]))
"""

HELP = ["", "--help", "--version", *(f"{name} --help" for name in COMMANDS)]
WRONG = [
    "no-such-command",
    "--no-such-option",
    "compare no-such-workload",
    "compare --arch no-such-arch",
    "compare hugetlb-munmap --kernel 1.0",
    "compare hugetlb-munmap --platform no-such-platform",
    "compare hugetlb-munmap -p tables=no-number",
    "compare hugetlb-munmap -p no-such-parameter=1",
    "compare hugetlb-munmap --cpus 0",
    "compare hugetlb-munmap --set kernel.no_such_switch=1",
    "explain no-such-workload",
    "explore no-such-scenario",
    "history no-such-program",
    "diff 6.16 7.0 no-such-program",
    "diff 6.16 6.16",
    "explore unshare-walk-cache --arch no-such-arch",
    "targets --platform no-such-platform",
    "list no-such-kind",
    "validate no-such-file",
]
KINDS = ("architectures", "platforms", "kernels", "workloads", "scenarios", "switches", "formats", "settings")
LISTS = ["plugins", "list", *(f"list {kind}" for kind in KINDS)]
# These import numpy, and no numba: states, images and traces are arrays.
WITH_NUMPY = [
    "matrix no-such-scenario",
    "tlb no-such-file",
    "tlb no-such-file -p l1.entries=0",
    "walk --format no-such-format --memory no-such-file --root 0 0",
    "walk --format x86_64-4level --memory no-such-file --root no-number 0",
]
FAILS = {*WRONG, *WITH_NUMPY}
# np.unique() imports numpy.ma, which takes a tenth of the time to import numpy.
SMALL = [
    "compare hugetlb-munmap --arch x86 -p tables=4",
    "explain hugetlb-munmap --arch x86 --kernel 7.0 -p tables=2",
    "explore unshare-gup --arch x86 --kernel 7.0",
    "explore unshare-gup --arch arm64 --kernel 6.15",
]


def answered(lines: list[str], module: str) -> tuple[list[tuple[str, int]], list[str]]:
    """Run command lines in one new process; give their statuses, and the first that imported a module."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(lines), module],
        env={**os.environ, "SHOOTDOWN_COMPILE": "never"},
        check=True,
        capture_output=True,
        text=True,
    )
    rows = [json.loads(row) for row in done.stdout.splitlines()]
    return [(line, status) for line, status, _ in rows], [line for line, _, there in rows if there][:1]


@pytest.mark.parametrize(
    ("lines", "module"),
    [(HELP + WRONG + LISTS, "numpy"), (WITH_NUMPY, "numba"), (SMALL, "numpy.ma")],
    ids=["numpy", "numba", "numpy.ma"],
)
def test_help_lists_errors_and_small_commands_import_nothing_heavy(lines: list[str], module: str) -> None:
    statuses, importing = answered(lines, module)
    assert statuses == [(line, 2 if line in FAILS else 0) for line in lines]
    assert importing == []


CYCLES = """
import atexit, gc, sys
from shootdown.__main__ import main
looked = []
atexit.register(lambda: print(len(looked), gc.get_freeze_count() > 100_000, file=sys.stderr))
gc.collect()
gc.callbacks.append(lambda phase, _: looked.append(phase))
main()
"""


def test_a_small_command_never_looks_for_cycles_not_even_as_it_ends() -> None:
    line = "compare hugetlb-munmap --arch x86 -p tables=4"
    done = subprocess.run(
        [sys.executable, "-c", CYCLES, *line.split()],
        env={**os.environ, "SHOOTDOWN_COMPILE": "auto"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr.split() == ["0", "True"]
