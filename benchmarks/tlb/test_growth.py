"""How the TLB simulation grows with what a trace touches, and with the TLB; equal counts first."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import common
from benchmarks.tlb.test_tlb import ACCESSES, ours, references
from shootdown._tlb.parameters import PLAIN, geometry_of
from shootdown._traces.columns import Columns
from shootdown._traces.stream import Passes, Records

FOOTPRINTS = [1 << shift for shift in (16, 18, 20, 22, 24, 26, 30, 34)]
ENTRIES = (384, 768, 1536, 3072, 6144, 12288)
_footprints: dict[int, dict[str, float]] = {}
_entries: dict[int, dict[str, float]] = {}


def addresses_in(size):
    return np.random.default_rng(7).integers(0, size, ACCESSES).astype(np.uint64)


@pytest.mark.parametrize("size", FOOTPRINTS)
def test_growth_with_what_a_trace_touches(benchmark, size):
    addresses = addresses_in(size)
    things = references()
    expected = ours(addresses)
    for name, run in things.items():
        assert run(addresses) == expected, name
    assert ours(addresses, Records) == expected
    measured = common.in_turn(
        {
            "shootdown": lambda: ours(addresses),
            "shootdown, record by record": lambda: ours(addresses, Records),
        }
        | {name: lambda run=run: run(addresses) for name, run in things.items()},
        ACCESSES,
        rounds=5,
    )
    _footprints[size] = {name: measured.ns(name) for name in measured.seconds}
    benchmark.pedantic(ours, args=(addresses,), rounds=1)
    write()


@pytest.mark.parametrize("entries", ENTRIES)
def test_growth_with_the_second_level(benchmark, entries):
    """Random addresses over four times what the level holds."""
    geometry = geometry_of({"l2.entries": entries}, PLAIN)
    addresses = addresses_in(4 * entries * 4096)

    def simulated(kind):
        simulation = kind(geometry, 4096)
        simulation.feed(Columns(addresses))
        counts = simulation.count()
        # One of them also lists the page sizes that nothing had.
        return [
            {k: n for k, n in each.items() if n} for each in (counts.l1_hits, counts.l2_hits, counts.walks)
        ]

    assert simulated(Passes) == simulated(Records)
    measured = common.in_turn(
        {"shootdown": lambda: simulated(Passes), "shootdown, record by record": lambda: simulated(Records)},
        ACCESSES,
        rounds=5,
    )
    _entries[entries] = {name: measured.ns(name) for name in measured.seconds}
    benchmark.pedantic(simulated, args=(Passes,), rounds=1)
    write()


def write():
    lines = [
        "Random addresses; nanoseconds for an access. Record by record is the kernel for every policy, page size,",
        "process and flush.",
        "",
        f"Measured on: {common.machine()}.",
        "",
    ]
    panels = []
    for rows, what, label in (
        (_footprints, "the trace touches, KiB", lambda n: n >> 10),
        (_entries, "entries of L2", lambda n: n),
    ):
        if not rows:
            continue
        names = list(next(iter(rows.values())))
        lines += common.table(
            [what, *names], [[f"{label(n):,}", *(f"{row[c]:.1f}" for c in names)] for n, row in rows.items()]
        )
        lines += [""]
        curves = {name: [(label(n), row[name]) for n, row in rows.items()] for name in names}
        panels.append(common.Panel(what, "ns for an access", curves))
    if common.plot("tlb-growth.svg", panels):
        lines += ["![How TLB simulation grows](tlb-growth.svg)", ""]
    common.write(
        "tlb-growth", "Growth of TLB simulation", lines[:-1], {"footprints": _footprints, "entries": _entries}
    )
