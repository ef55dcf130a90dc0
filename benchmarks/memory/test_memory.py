"""Memory: what a simulated TLB entry takes, and page tables beside a kernel's own; counted, and as the host sees it."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks import common
from benchmarks.memory.cases import CASES

MOST_FOR_AN_ENTRY, MOST_FOR_TABLES = 40, 1.1
_found: dict[str, dict[str, dict[str, float]]] = {"entries": {}, "tables": {}}


def alone(kind, name):
    """Fill one case in a process of its own; returns bytes needed, bytes counted, bytes that became resident."""
    line = [sys.executable, "-m", "benchmarks.memory.cases", kind, name]
    done = subprocess.run(line, cwd=common.ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_simulated_entries(benchmark):
    for name in CASES["entries"]:
        found = alone("entries", name)
        _found["entries"][name] = found
        assert found["resident"] / found["needed"] <= MOST_FOR_AN_ENTRY
    benchmark.pedantic(alone, args=("entries", next(iter(CASES["entries"]))), rounds=1)
    write()


def test_page_tables(benchmark):
    for name in CASES["tables"]:
        found = alone("tables", name)
        _found["tables"][name] = found
        assert found["resident"] / found["needed"] <= MOST_FOR_TABLES
    benchmark.pedantic(alone, args=("tables", next(iter(CASES["tables"]))), rounds=1)
    write()


def write():
    lines = [
        "Each case fills up in a process of its own; resident is what its memory grew by, as the host counts pages.",
        "",
        f"Measured on: {common.machine()}.",
        "",
    ]
    if entries := _found["entries"]:
        rows = [
            [
                name,
                f"{found['needed']:,.0f}",
                f"{found['counted'] / found['needed']:.1f}",
                f"{found['resident'] / found['needed']:.1f}",
            ]
            for name, found in entries.items()
        ]
        columns = ["TLBs and walk caches", "entries", "bytes an entry, counted", "resident"]
        lines += [*common.table(columns, rows), "", f"The target is {MOST_FOR_AN_ENTRY} bytes.", ""]
    if tables := _found["tables"]:
        rows = [
            [
                name,
                f"{found['needed'] / 2**20:,.1f}",
                f"{found['counted'] / found['needed']:.3f}",
                f"{found['resident'] / found['needed']:.3f}",
            ]
            for name, found in tables.items()
        ]
        columns = [
            "page tables",
            "MiB that a kernel's have",
            "frames held, times that",
            "resident, times that",
        ]
        lines += [*common.table(columns, rows), "", f"The target is {MOST_FOR_TABLES}.", ""]
    common.write("memory", "Memory", lines[:-1], _found | {"machine": common.machine()})
