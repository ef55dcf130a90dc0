"""The explorer: states and transitions for each second, growth, the matrix, and beside Spin; equal results first."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.core.explore.plain_search import plain_search

from benchmarks import common
from benchmarks.explore.cases import (
    BESIDE_SPIN,
    FOUR_SHARERS,
    VERDICTS,
    Case,
    spin_is_here,
    timed,
    verdict_of_spin,
    verifier,
)
from shootdown._compliance.speed import on_one_cpu
from shootdown._explore.engine import Explorer
from shootdown._explore.outcome import Reductions

ROUNDS = min(common.ROUNDS, 5)
#: What issue 4 asks for: transitions each second, bytes for each state, and seconds of the matrix.
RATE, BYTES, MATRIX = 5e6, 100, 60

_searches: dict[str, dict[str, object]] = {}
_growth: dict[str, list[tuple[int, int, int, float, float]]] = {}
_matrix: dict[str, object] = {}
_spin: dict[str, dict[str, object]] = {}
_about: dict[str, str] = {}


def same_as_a_plain_search(case):
    """Compare with dictionaries in plain Python, two sharers; and with all reductions off."""
    problem = case._replace(sharers=2).problem()
    explorer = Explorer(problem, Reductions(symmetry=False))
    outcome = explorer.search()
    plain = plain_search(explorer)
    assert outcome.verdict == plain.verdict == "safe"
    assert (outcome.states, outcome.transitions) == (plain.states, plain.transitions)
    bare = Explorer(problem, Reductions(fuse=False, dead=False, symmetry=False, arrive=False)).search()
    assert bare.verdict == outcome.verdict
    assert bare.reached == outcome.reached


def measured(case):
    """Search a fresh machine in each round; give the least times of all rounds."""
    found = []
    with on_one_cpu():
        while len(found) < 2 or (len(found) < ROUNDS and sum(one.seconds for one in found) < 2):
            found.append(timed(case.problem()))
    assert len({(one.outcome.states, one.outcome.transitions) for one in found}) == 1
    outcome = found[0].outcome
    return outcome, min(one.seconds for one in found), min(one.kernel for one in found)


@pytest.mark.parametrize("case", FOUR_SHARERS, ids=str)
def test_four_sharers(benchmark, case):
    same_as_a_plain_search(case)
    outcome, seconds, kernel = measured(case)
    assert outcome.verdict == "safe"
    _searches[str(case)] = {
        "states": outcome.states,
        "transitions": outcome.transitions,
        "depth": outcome.depth,
        "row_bytes": outcome.row_bytes,
        "bytes": outcome.total_bytes / outcome.states,
        "seconds": seconds,
        "kernel_seconds": kernel,
    }
    benchmark.extra_info.update(_searches[str(case)])
    benchmark.pedantic(timed, args=(case.problem(),), rounds=1)
    write()


#: What grows with the number of sharers.
GROWTH = {
    "unshare-gup, 7.0, IPIs": Case("unshare-gup", "x86", "7.0"),
    "unshare-gup, 6.16, IPIs": Case("unshare-gup", "x86", "6.16"),
    "unshare-gup, 7.0, broadcast": Case("unshare-gup", "arm64", "7.0"),
    "unshare-walk-cache, 7.0, IPIs": Case("unshare-walk-cache", "x86", "7.0"),
}


@pytest.mark.parametrize("what", GROWTH)
def test_growth(benchmark, what):
    _growth[what] = []
    for sharers in (2, 3, 4, 5):
        outcome, seconds, kernel = measured(GROWTH[what]._replace(sharers=sharers))
        assert outcome.verdict == "safe"
        _growth[what].append((sharers, outcome.states, outcome.transitions, seconds, kernel))
    benchmark.extra_info[what] = _growth[what]
    benchmark.pedantic(timed, args=(GROWTH[what].problem(),), rounds=1)
    write()


def test_the_whole_matrix(benchmark):
    """The command as it is typed; a first run compiles what is not compiled yet."""
    command = [sys.executable, "-m", "shootdown", "matrix", "--markdown"]

    seconds = []

    def run():
        start = time.perf_counter()
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        seconds.append(time.perf_counter() - start)
        return text

    text = run()
    seconds.clear()
    assert benchmark.pedantic(run, rounds=2) == text
    _matrix.update(
        seconds=seconds,
        rows=sum(1 for line in text.splitlines() if line.startswith("| ")),
        cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    )
    assert min(seconds) < MATRIX
    benchmark.extra_info.update(_matrix)
    write()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if not spin_is_here():
        pytest.skip("neither Spin nor a C compiler is here (Debian: apt-get install spin gcc)")
    _about["spin"] = subprocess.run(["spin", "-V"], capture_output=True, text=True, check=True).stdout.strip()
    return tmp_path_factory.mktemp("spin")


def test_spin_and_we_agree(benchmark, folder):
    """Every generation of the protocol with every way of flushing, three sharers."""
    with ThreadPoolExecutor(2) as pool:
        theirs = list(pool.map(lambda case: verdict_of_spin(case, folder), VERDICTS))
    ours = [Explorer(case.problem()).search().verdict for case in VERDICTS]
    assert [found["verdict"] for found in theirs] == ours
    assert {"safe", "bug"} == set(ours)
    _about["verdicts"] = f"{ours.count('safe')} safe, {ours.count('bug')} with a bug"
    benchmark.pedantic(lambda: None, rounds=1)


@pytest.mark.parametrize("case", BESIDE_SPIN, ids=lambda case: f"{case}, {case.sharers} sharers")
def test_beside_spin(benchmark, folder, case):
    """The whole search, wall time: Spin's compiled verifier, a process, and ours in this one."""
    name = f"{case}, {case.sharers} sharers"
    spin = verifier(case, folder)
    theirs = spin.run()
    outcome = Explorer(case.problem()).search()
    assert outcome.verdict == theirs["verdict"] == "safe"
    whole = Explorer(case.problem(), Reductions(symmetry=False)).search()
    rounds = min(ROUNDS, 5)
    machines = [case.problem() for _ in range(rounds + 1)]
    took = common.in_turn(
        {"shootdown": lambda: Explorer(machines.pop()).search(), "Spin": spin.run},
        1,
        rounds=rounds,
        clock=time.perf_counter,
        pin=False,
    )
    _spin[name] = {
        "seconds": {which: statistics.median(times) for which, times in took.seconds.items()},
        "ratio": took.ratio("Spin", "shootdown"),
        "spin": theirs,
        "states": outcome.states,
        "transitions": outcome.transitions,
        "bytes": outcome.total_bytes / outcome.states,
        "states_without_symmetry": whole.states,
    }
    benchmark.extra_info.update(_spin[name])
    benchmark.pedantic(timed, args=(case.problem(),), rounds=1)
    write()


def write():
    lines = [
        "Unsharing with four sharers, seven CPUs (`rmap`: five), all safe: nothing ends the search early. First, with",
        "two sharers, a plain search in Python found the same states and transitions, and one without any reduction",
        "the same verdict. Thread CPU time, least of the rounds, each on a machine that nobody has looked at: *whole*",
        "is what `Explorer(problem).search()` takes, *kernel* the loop that makes and keeps states.",
        "",
        f"Measured on: {common.machine()}.",
        "",
    ]
    if _searches:
        rows = [
            [
                name,
                f"{found['states']:,}",
                f"{found['transitions']:,}",
                f"{found['bytes']:.0f}",
                f"{found['seconds'] * 1e3:.1f}",
                f"{found['transitions'] / found['seconds'] / 1e6:.2f}",
                f"{found['transitions'] / found['kernel_seconds'] / 1e6:.2f}",
            ]
            for name, found in _searches.items()
        ]
        columns = [
            "scenario",
            "states",
            "transitions",
            "bytes for each state",
            "whole, ms",
            "million transitions/s, whole",
            "kernel",
        ]
        lines += [*common.table(columns, rows), ""]
    for what, points in _growth.items():
        rows = [
            [
                str(sharers),
                f"{states:,}",
                f"{transitions:,}",
                f"{seconds * 1e3:.1f}",
                f"{transitions / kernel / 1e6:.2f}",
            ]
            for sharers, states, transitions, seconds, kernel in points
        ]
        columns = [f"sharers: {what}", "states", "transitions", "whole, ms", "million transitions/s, kernel"]
        lines += [*common.table(columns, rows), ""]
    if _growth and plot():
        lines += ["![How the search grows with the sharers](explore-growth.svg)", ""]
    if _matrix:
        lines += [
            f"`shootdown matrix`, the command as it is typed, kernels on disk: "
            f"{min(_matrix['seconds']):.1f} s of wall time on {_matrix['cpus']} CPUs (target: {MATRIX} s).",
            "",
        ]
    if _spin:
        lines += beside_spin()
    common.write(
        "explore",
        "Exploring",
        lines[:-1],
        {"searches": _searches, "growth": _growth, "matrix": _matrix, "spin": _spin, "about": _about},
    )


def beside_spin():
    lines = [
        f"Beside {_about['spin']}: the same protocol in Promela",
        "(`benchmarks/explore/unshare.pml`), the same steps as atomic as ours. First, with three sharers, verdicts",
        f"of {len(VERDICTS)} cases were equal ({_about.get('verdicts', 'not run')}): each generation of the",
        "protocol with each way of flushing. Wall time of the whole search, median: Spin's verifier is a process,",
        "`-O2 -DSAFETY -DNOREDUCE`, states kept whole, the table no larger than needed, compilation left out; ours",
        "runs in a process that is there, kernels compiled, on a machine that nobody has looked at. (Partial order",
        "reduction leaves out no state, as nearly every step is one that others can see, and takes longer.)",
        "",
    ]
    rows = [
        [
            name,
            f"{found['states']:,}",
            f"{found['states_without_symmetry']:,}",
            f"{found['spin']['states']:,}",
            f"{found['bytes']:.0f}",
            f"{found['spin']['bytes']}",
            f"{found['seconds']['shootdown'] * 1e3:.1f}",
            f"{found['seconds']['Spin'] * 1e3:.1f}",
            str(found["ratio"]),
        ]
        for name, found in _spin.items()
    ]
    columns = [
        "case",
        "states",
        "without symmetry",
        "Spin's",
        "bytes for each state, in all",
        "Spin's state vector alone",
        "ms",
        "Spin, ms",
        "faster than Spin",
    ]
    return [*lines, *common.table(columns, rows), ""]


def plot():
    """Draw states and seconds; returns whether matplotlib is there."""
    states, seconds = (
        {what: [(point[0], point[which]) for point in points] for what, points in _growth.items()}
        for which in (1, 3)
    )
    panels = [common.Panel("sharers", "states", states), common.Panel("sharers", "seconds", seconds)]
    return common.plot("explore-growth.svg", panels)
