"""Plain Python and compiled kernels give the same bytes: of every workload, scenario and verdict.

Each command line runs in two processes, with SHOOTDOWN_COMPILE=never and =now; what they print is compared.
`make test` takes a sample.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shootdown._plugins.registry import registry
from shootdown._values.workload import Workload

ROOT = Path(__file__).parents[3]

RUN = """
import contextlib, io, json, sys
from shootdown._cli import run
for line in json.loads(sys.argv[1]):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        status = run(line.split())
    print(json.dumps([line, status, out.getvalue()]))
"""
#: The smallest that shows something.
SMALL = {
    "children": "3", "gib": "1", "pages": "20", "tables": "2", "threads": "2", "actors": "2",
}  # fmt: skip
#: Searches that find a bug, end in a deadlock, hit a bound, or walk at random.
OTHERS = [
    "explore madv-free-dio --set scenario.fix=false --json",
    "explore unshare-gup --arch x86 --kernel 7.0 --set kernel.unshare_sync=none --set platform.flush=broadcast --json",
    "explore unshare-walk-cache --arch arm64 --kernel 7.0 --json",
    "explore unshare-gup --arch x86 --kernel 6.16 --reductions none --states 300 --json",
    "explore unshare-walk-cache --arch arm64 --kernel 7.1 --soak 3 --json",
    "targets --arch x86 --platform intel-server --kernel 7.0 --json",
    "explain hugetlb-munmap -p tables=2 --platform intel-server --kernel 6.16 --cpus 4 --events",
    "tlb docs/examples/threads.npy -p l2.policy=tree-plru --json",
    "tlb docs/examples/lackey.txt --instructions --json",
]


def workload_line(workload: Workload, arch: str) -> str:
    given = " ".join(f"-p {p.name}={SMALL[p.name]}" for p in workload.parameters if p.name in SMALL)
    return f"compare {workload.name} --arch {arch} --cpus 6 {given} --json"


def all_lines() -> list[str]:
    installed = registry()
    flushing = [name for name, arch in installed.architectures().items() if arch.lower is not None]
    return [
        *(workload_line(one, arch) for one in installed.workloads().values() for arch in flushing),
        *(f"explore {name} --arch {arch} --json" for name in installed.scenarios() for arch in flushing),
        *OTHERS,
    ]


def ran(lines: list[str], way: str) -> list[tuple[str, int, str]]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, json.dumps(lines)],
        cwd=ROOT,
        env={**os.environ, "SHOOTDOWN_COMPILE": way},
        check=True,
        capture_output=True,
        text=True,
    )
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def compare(lines: list[str]) -> None:
    for one, other in zip(ran(lines, "never"), ran(lines, "now"), strict=True):
        assert one == other


@pytest.mark.compiled
@pytest.mark.skipif(os.environ.get("SHOOTDOWN_COMPILE") == "never", reason="this process compiles nothing")
def test_a_sample_of_workloads_scenarios_and_verdicts() -> None:
    lines = all_lines()
    compare([*lines[: -len(OTHERS) : 19], *OTHERS])


@pytest.mark.long
@pytest.mark.compiled
@pytest.mark.parametrize("line", all_lines())
def test_every_workload_and_scenario_on_every_architecture(line: str) -> None:
    compare([line])
