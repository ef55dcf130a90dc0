"""Flushes that reach every CPU: whole address spaces and ranges, lazily and at once; equal results first."""

from __future__ import annotations

import time

import numpy as np
import pytest

from benchmarks import common
from benchmarks.flush import loops
from shootdown._compilation.running import runnable
from shootdown._compliance.speed import on_one_cpu
from shootdown._tlb import CacheGeometry, FlushScope, Tlb, TlbGeometry
from shootdown._tlb.layout import log_entries, scope_words

PAGE, SHIFT = 4096, 12
PAGES = 1600  # entries of each CPU that hold something
GEOMETRY = TlbGeometry(l1=CacheGeometry(64, 4, (PAGE,)), l2=CacheGeometry(1536, 12, (PAGE,)), asid_bits=6)
ASID = 5
WHOLE = FlushScope(asid=ASID)
RANGE = FlushScope(start=100 * PAGE, count=33, stride=PAGE, asid=ASID, walk_cache="none")
MANY = 100_000  # flushes in a row
ROUNDS = 3 * common.ROUNDS  # of ranges
MACHINES = (8, 64, 196, 1024, 4096)
TARGETS = {"a whole mm": (196, 100), "a range of 33 pages": (196, 50)}
_rows: dict[int, dict[str, float]] = {}
_ratios: dict[int, common.Ratio] = {}


def filled(cpus, *, lazy=True):
    tlb = Tlb(GEOMETRY, cpus, lazy=lazy)
    runnable(loops.filled)(tlb.words, tlb.plan, tlb.tag(ASID), PAGES, SHIFT)
    return tlb


def same_contents(scope):
    """Flush lazily and at once, use the caches, and compare all entries and counts."""
    found = []
    for lazy in (True, False):
        tlb = filled(8, lazy=lazy)
        for _ in range(3):
            tlb.flush(None, scope)
            tlb.access(3, ASID, 101 * PAGE, PAGE)
        found.append(([tlb.entries(cpu).tolist() for cpu in range(8)], tlb.count()))
    assert found[0] == found[1]


def least(run, count, *, after=lambda: None, rounds=common.ROUNDS):
    """Give the least nanoseconds of one of `count` flushes; `after` is not counted."""
    spent = []
    for _ in range(rounds + 1):
        start = time.thread_time()
        run()
        spent.append(time.thread_time() - start)
        after()
    return min(spent[1:]) / count * 1e9


@pytest.mark.parametrize("cpus", MACHINES)
def test_flushes_on_all_cpus(benchmark, cpus):
    same_contents(WHOLE)
    same_contents(RANGE)
    tlb = filled(cpus)
    lazy, now = (scope_words(GEOMETRY, WHOLE, lazy=lazy) for lazy in (True, False))
    logged, eager = (scope_words(GEOMETRY, RANGE, lazy=lazy) for lazy in (True, False))
    words, plan = tlb.words, tlb.plan
    keys = np.ones(cpus * PAGES, np.uint64)  # the least that clearing could touch: a word for each entry
    few = max(1, 2048 // cpus)
    half = log_entries(cpus) // 2  # of the log: it does not fill up between two uses of the caches

    def everybody():
        runnable(loops.caught_up)(words, plan)

    with on_one_cpu():
        logging, empty = (loops.compiled_rounds(words, plan, logged, n, ROUNDS) for n in (half, 0))
        row = {
            "a whole mm": least(lambda: runnable(loops.flushes)(words, plan, lazy, MANY), MANY),
            "a whole mm, a generation for each CPU": least(
                lambda: runnable(loops.flushes_on_each)(words, plan, lazy, few), few
            ),
            "a whole mm, all entries visited": least(
                lambda: runnable(loops.flushes)(words, plan, now, few), few
            ),
            "a range of 33 pages": (logging - empty) / half,
            "a range of 33 pages, and every CPU replays it": least(
                lambda: (runnable(loops.flushes)(words, plan, logged, half), everybody()), half, rounds=3
            ),
            "a range of 33 pages, at once": least(
                lambda: runnable(loops.flushes)(words, plan, eager, few), few
            ),
        }
        measured = common.in_turn(
            {
                "clearing": lambda: [keys.fill(0) for _ in range(20)],
                "flushing": lambda: runnable(loops.flushes)(words, plan, lazy, MANY),
            },
            1,
        )
    clearing = common.Measured(
        {
            "clearing": [seconds / 20 for seconds in measured.seconds["clearing"]],
            "flushing": [seconds / MANY for seconds in measured.seconds["flushing"]],
        },
        1,
    )
    row["clearing a word for each entry"] = clearing.ns("clearing")
    _rows[cpus], _ratios[cpus] = row, clearing.ratio("clearing", "flushing")
    benchmark.extra_info.update(row)
    benchmark.pedantic(runnable(loops.flushes), args=(words, plan, lazy, MANY), rounds=3)
    write()


def write():
    names = list(next(iter(_rows.values())))
    lines = [
        f"One flush that reaches every CPU, nanoseconds at the initiator; {PAGES} entries on each CPU. A whole mm is",
        "a generation, as Linux's tlb_gen: one store, and a set drops what it covers when it is next touched. A range",
        "is a line of a log, which each CPU replays before it next uses its caches. The eager way, in the rows that",
        "say so, is what tests compare both with. Thread CPU time, least of the rounds; contents and counts were equal",
        "first.",
        "",
        f"Measured on: {common.machine()}.",
        "",
        *common.table(
            ["ns", *(f"{cpus:,} CPUs" for cpus in _rows)],
            [[name, *(f"{row[name]:,.1f}" for row in _rows.values())] for name in names],
        ),
        "",
        "A whole mm flushed is faster than clearing by "
        + ", ".join(f"{ratio} on {cpus:,} CPUs" for cpus, ratio in _ratios.items())
        + ".",
        "",
        "The log has room for 1024 ranges. A CPU that uses its caches less often than that replays it when the log is",
        "full, and the initiator then waits for all such CPUs: the row with the replays says what that costs at most.",
        "",
    ]
    shown = [name for name in names if "generation for each" not in name]
    panel = common.Panel(
        "CPUs", "ns for a flush", {name: [(cpus, row[name]) for cpus, row in _rows.items()] for name in shown}
    )
    if common.plot("flush-growth.svg", [panel]):
        lines += ["![How flushes grow with CPUs](flush-growth.svg)", ""]
    common.write(
        "flush",
        "Flushes",
        lines[:-1],
        {"ns": _rows, "over_clearing": _ratios, "targets": TARGETS, "machine": common.machine()},
    )
