"""How walks grow with the memory that is mapped, and with the depth of the tables; equal results first."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import common
from benchmarks.tables import mapped
from benchmarks.walk.test_walk import FORMATS, WALKS, X86, drawn, references
from shootdown._pagetables.walk_many import walk_many

FOOTPRINTS = [1 << shift for shift in (24, 26, 28, 30, 32, 34, 36, 38)]
MAPPED = 1 << 34  # for the depths
#: Formats that differ in nothing but their depth: 4 KiB pages, 9 bits at each level but perhaps the first.
FAMILIES = {
    "x86-64": ("x86_64-4level", "x86_64-5level"),
    "arm64": ("arm64-4k-39", "arm64-4k-48", "arm64-4k-52"),
    "riscv": ("riscv-sv39", "riscv-sv48", "riscv-sv57"),
}
DEPTHS = [(family, name) for family, names in FAMILIES.items() for name in names if name in FORMATS]
C = ("C dependent", "C naive", "C ring", "C groups")
_footprints: dict[int, dict[str, float]] = {}
_depths: dict[str, dict[str, object]] = {}


def ways(form, memory, root, addresses):
    """Give shootdown's two walks, and what the straight one finds."""
    expected = walk_many(form, memory, root, addresses, way="in order")
    out = walk_many(form, memory, root, addresses, entries=False)
    assert np.array_equal(out.pa, expected.pa)

    def run(way):
        return walk_many(form, memory, root, addresses, entries=False, out=out, threads=1, way=way)

    return {"shootdown, in order": lambda: run("in order"), "shootdown": lambda: run(None)}, expected


@pytest.mark.parametrize("size", FOOTPRINTS)
def test_growth_with_what_is_mapped(benchmark, size):
    memory, root, table_bytes = mapped(X86, size)
    addresses = drawn(size)
    runs, pa, _ = references(memory, root, addresses)
    things, expected = ways(X86, memory, root, addresses)
    for run in runs.values():
        run()
        assert np.array_equal(pa, expected.pa)
    measured = common.in_turn(things | runs, WALKS, rounds=5)
    _footprints[size] = {"table_bytes": table_bytes} | {name: measured.ns(name) for name in measured.seconds}
    benchmark.pedantic(things["shootdown"], rounds=1)
    write()


@pytest.mark.parametrize(("family", "name"), DEPTHS)
def test_growth_with_the_depth(benchmark, family, name):
    form = FORMATS[name]
    memory, root, _ = mapped(form, MAPPED)
    things, _ = ways(form, memory, root, drawn(MAPPED))
    measured = common.in_turn(things, WALKS, rounds=5)
    _depths[name] = {"family": family, "levels": len(form.levels), "ns": {n: measured.ns(n) for n in things}}
    benchmark.pedantic(things["shootdown"], rounds=1)
    write()


def write():
    names = ["shootdown", "shootdown, in order", *C]
    lines = ["As above; nanoseconds for a walk.", "", f"Measured on: {common.machine()}.", ""]
    if _footprints:
        rows = [
            [
                f"{size >> 20:,} MiB",
                f"{row['table_bytes'] / 2**20:.1f} MiB",
                *(f"{row[n]:.1f}" for n in names),
            ]
            for size, row in _footprints.items()
        ]
        lines += [*common.table(["mapped", "tables", *names], rows), ""]
    if _depths:
        rows = [
            [name, str(row["levels"]), *(f"{row['ns'][n]:.1f}" for n in names[:2])]
            for name, row in _depths.items()
        ]
        lines += [*common.table([f"{MAPPED >> 30} GiB mapped", "levels", *names[:2]], rows), ""]
    if _footprints and _depths:
        curves = {name: [(size / 2**20, row[name]) for size, row in _footprints.items()] for name in names}
        deep = {
            f"{family}{', in order' if way else ''}": [
                (row["levels"], row["ns"][names[way]]) for row in _depths.values() if row["family"] == family
            ]
            for family in FAMILIES
            for way in (0, 1)
            if any(row["family"] == family for row in _depths.values())
        }
        panels = [
            common.Panel("MiB mapped", "ns for a walk", curves),
            common.Panel("levels", "ns for a walk", deep),
        ]
        if common.plot("walk-growth.svg", panels):
            lines += ["![How walks grow with what is mapped and with depth](walk-growth.svg)", ""]
    common.write("walk-growth", "Growth of walks", lines[:-1], {"footprints": _footprints, "depths": _depths})
