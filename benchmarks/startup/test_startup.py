"""Start-up: how long commands take that need no kernel, a warm one, each further kernel, and compiling them all."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time

from benchmarks import common
from shootdown import compare
from shootdown._questions.warm import jobs

SMALL = {"arch": ["x86"], "kernels": ["7.0"], "parameters": {"tables": 4}, "cpus": [8]}
COMMAND = f"{sys.executable} -m shootdown"
LINES = {
    "python, nothing else": f"{sys.executable} -c pass",
    "import numpy": f"{sys.executable} -c import\tnumpy",
    "import numba": f"{sys.executable} -c import\tnumba",
    "shootdown --help": f"{COMMAND} --help",
    "shootdown list platforms": f"{COMMAND} list platforms",
    "shootdown compare --arch nope": f"{COMMAND} compare --arch nope",
    "shootdown compare, a small case": (
        f"{COMMAND} compare hugetlb-munmap -p tables=4 --arch x86 --kernel 7.0 --cpus 8 --json"
    ),
    "shootdown walk, one address": (
        f"{COMMAND} walk --format x86_64-4level --memory tests/oracle/walks/amd64-4l.npz"
        " --root 0x4062000 0x2c0d57f1000 --json"
    ),
    "shootdown tlb, a short trace": f"{COMMAND} tlb docs/examples/compiler-like.bin.xz --json",
    "shootdown explore, a small case": f"{COMMAND} explore unshare-walk-cache --arch arm64 --kernel 7.0 --json",
}
# As an installed program runs: modules are kept compiled.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
TARGETS = {"shootdown --help": 0.15, "shootdown compare, a small case": 0.8}
MOST_FOR_A_KERNEL = 0.005
_found: dict[str, object] = {}


def spent(line):
    """Run a command; returns its wall time and CPU time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(line.split(" "), cwd=common.ROOT, env=ENVIRONMENT, check=False, capture_output=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_commands_in_turn(benchmark):
    """The command's rows are those of the same call in this process."""
    shown = subprocess.run(
        LINES["shootdown compare, a small case"].split(" "),
        cwd=common.ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(shown.stdout)["rows"] == [row.to_dict() for row in compare("hugetlb-munmap", **SMALL)]
    times = {name: [] for name in LINES}
    for line in LINES.values():
        spent(line)
    for _ in range(common.ROUNDS):
        for name, line in LINES.items():
            times[name].append(spent(line))
    _found["commands"] = {
        name: {
            "wall": min(wall for wall, _ in each),
            "cpu": min(cpu for _, cpu in each),
            "wall_median": statistics.median(wall for wall, _ in each),
            "target": TARGETS.get(name),
        }
        for name, each in times.items()
    }
    benchmark.pedantic(spent, args=(LINES["shootdown --help"],), rounds=3)
    write()


def test_one_more_kernel(benchmark):
    line = [sys.executable, "-m", "benchmarks.startup.kernels"]

    def run():
        done = subprocess.run(line, cwd=common.ROOT, check=True, capture_output=True, text=True)
        return list(json.loads(done.stdout).values())

    run()
    rounds = [run() for _ in range(common.ROUNDS)]
    each = [min(times) for times in zip(*rounds, strict=True)]
    _found["kernels"] = {"first": each[0], "median": statistics.median(each[1:]), "most": max(each[1:])}
    benchmark.pedantic(run, rounds=1)
    write()


def test_compiling_everything(benchmark, tmp_path):
    line = f"{COMMAND} warm --json".split(" ")
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}

    def run():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(line, env=environment, check=True, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return json.loads(done.stdout)[
            "rows"
        ], after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    rows, cold = benchmark.pedantic(run, rounds=1)
    again, warm = run()
    assert [row["name"] for row in rows] == [job.name for job in jobs()]
    assert not any(row["kernels"] for row in again)
    parts = list(dict.fromkeys(row["part"] for row in rows))
    _found["cold"] = {
        part: {
            "kernels": sum(row["kernels"] for row in rows if row["part"] == part),
            "seconds": sum(row["seconds"] for row in rows if row["part"] == part),
        }
        for part in parts
    }
    _found["whole"] = {"cold": cold, "warm": warm}
    _found["bytes"] = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    write()


def write():
    lines = [
        "numba is imported when a kernel runs, numpy when an array is made; kernels come from disk, and a second",
        "process compiles nothing and writes nothing. Processes ran in turn; least of the rounds.",
        "",
        f"Measured on: {common.machine()}.",
        "",
    ]
    if commands := _found.get("commands"):
        rows = [
            [
                name,
                f"{found['wall']:.3f}",
                f"{found['wall_median']:.3f}",
                f"{found['cpu']:.3f}",
                f"{found['target'] or ''}",
            ]
            for name, found in commands.items()
        ]
        columns = ["process", "wall seconds", "median", "CPU seconds", "target"]
        lines += [*common.table(columns, rows), ""]
    if kernels := _found.get("kernels"):
        lines += [
            f"Each further warm kernel, walks of one more format: {kernels['median'] * 1e3:.1f} ms (median), "
            f"{kernels['most'] * 1e3:.1f} ms (most); the target is {MOST_FOR_A_KERNEL * 1e3:.0f} ms. "
            f"The first of a process: {kernels['first'] * 1e3:.0f} ms, of which numba sets itself up.",
            "",
        ]
    if cold := _found.get("cold"):
        rows = [[part, str(found["kernels"]), f"{found['seconds']:.0f}"] for part, found in cold.items()]
        lines += [
            "`shootdown warm` into an empty folder:",
            "",
            *common.table(["part", "kernels", "wall seconds"], rows),
            "",
            f"{_found['whole']['cold']:.0f} seconds of CPU time in all, {_found['bytes'] / 2**20:.0f} MiB on disk; "
            f"again, with nothing to do: {_found['whole']['warm']:.1f}.",
            "",
        ]
    common.write("startup", "Start-up", lines[:-1], _found)
