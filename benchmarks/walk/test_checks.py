"""What the checks of a batched walk cost that only malformed tables need: each left out, both, and C beside them."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from benchmarks import common
from benchmarks.tables import mapped
from benchmarks.walk.test_walk import FOOTPRINTS, REFERENCES, WALKS, X86, drawn, references
from shootdown._pagetables.format import USER_READ
from shootdown._pagetables.format_layout import TRUSTS_ALL, TRUSTS_MEMORY, TRUSTS_RESERVED, check
from shootdown._pagetables.walk_many import _in_parts, _kernel, _way, walk_many

# What is left out, by the name of its column. x86-64 has no limit of output addresses besides its reserved bits.
LEFT_OUT = {
    "nothing": 0,
    "memory": TRUSTS_MEMORY,
    "reserved bits": TRUSTS_RESERVED,
    "both (trusted)": TRUSTS_ALL,
}
_rows: dict[str, dict[str, object]] = {}


@pytest.mark.parametrize("name", FOOTPRINTS)
def test_what_each_check_costs_beside_c(benchmark, name):
    memory, root, table_bytes = mapped(X86, FOOTPRINTS[name], **({"targets": 32} if name == "64 MiB" else {}))
    addresses = drawn(FOOTPRINTS[name])
    way = _way(memory, WALKS)
    checked = walk_many(X86, memory, root, addresses, way=way)
    runs, c_pa, _ = references(memory, root, addresses)
    for run in runs.values():
        run()
        assert np.array_equal(checked.pa, c_pa)
    out = walk_many(X86, memory, root, addresses, entries=False)
    columns = (out.pa, out.reason.base, None)

    def walks(trusts):
        under = X86.settings()
        one = _kernel(X86, under, check(X86, USER_READ, under), memory, root, way, trusts)
        return functools.partial(_in_parts, one, addresses, columns, 1)

    things = {left_out: walks(trusts) for left_out, trusts in LEFT_OUT.items()}
    for run in things.values():
        out.pa[:] = 1
        run()
        assert np.array_equal(out.pa, checked.pa)
        assert out.translated.all()
    measured = common.in_turn(things | runs, WALKS)
    best = measured.best(["C ring", "C groups"])
    _rows[name] = {
        "tables_bytes": table_bytes,
        "way": way,
        "ns": {thing: measured.ns(thing) for thing in (*things, *runs)},
        "gain": {thing: measured.ratio("nothing", thing) for thing in LEFT_OUT if thing != "nothing"},
        "over_naive": {thing: measured.ratio("C naive", thing) for thing in ("nothing", "both (trusted)")},
        "over_best": {thing: measured.ratio(best, thing) for thing in ("nothing", "both (trusted)")},
        "machine": common.machine(),
    }
    benchmark.extra_info.update(_rows[name])
    benchmark.pedantic(things["both (trusted)"], rounds=3)
    write()


def write():
    first = next(iter(_rows.values()))
    lines = [
        "The walks of [page walks](#page-walks), with checks left out that only malformed tables need: that every",
        "table lies in memory, and that reserved bits are clear. `walk_many(..., trusted=True)` leaves out both. What",
        "address and access decide is checked in each: canonical addresses, presence, permissions. Results were equal",
        "first. Nanoseconds of thread CPU time per walk, least of the rounds; ratios: median and quartiles.",
        "",
        f"Measured on: {first['machine']}.",
        "",
    ]
    heading = [
        "mapped",
        "shape",
        "all checks",
        *(f"without {name}" for name in LEFT_OUT if name != "nothing"),
    ]
    lines += common.table(
        [*heading, *REFERENCES],
        [[name, row["way"], *(f"{ns:.1f}" for ns in row["ns"].values())] for name, row in _rows.items()],
    )
    lines += ["", "What that gains, and where it stands beside C (more than 1: faster than C):", ""]
    heading = ["mapped", *(f"gain without {name}" for name in LEFT_OUT if name != "nothing")]
    heading += [
        f"{walk}, beside {c}" for c in ("C naive", "the best batched C") for walk in ("all checks", "trusted")
    ]
    ratios = {
        name: [*row["gain"].values(), *row["over_naive"].values(), *row["over_best"].values()]
        for name, row in _rows.items()
    }
    lines += common.table(heading, [[name, *map(str, row)] for name, row in ratios.items()])
    common.write("walk-checks", "What the checks of a walk cost", lines, _rows)
