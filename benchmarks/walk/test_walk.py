"""Batched walks beside C and beside peers: x86-64 over growing tables, every other format, and the fixed layout."""

from __future__ import annotations

import time

import numpy as np
import pytest

from benchmarks import common, native, peers
from benchmarks.tables import mapped
from shootdown._pagetables.format import Format, Reason
from shootdown._pagetables.walk_many import _way, walk_many
from shootdown._plugins.registry import registry

WALKS = 1_000_000
FEW = 3_000  # for peers
FOOTPRINTS = {"64 MiB": 1 << 26, "4 GiB": 1 << 32, "64 GiB": 1 << 36, "512 GiB": 1 << 39}
FORMATS = {
    form.name: form
    for architecture in registry().architectures().values()
    for form in architecture.formats
    if isinstance(form, Format)
}
X86 = FORMATS["x86_64-4level"]
FAULTS = {
    Reason.OK: 0,
    Reason.NOT_PRESENT: 1,
    Reason.PERMISSION: 2,
    Reason.RESERVED: 3,
    Reason.NONCANONICAL: 4,
}
REFERENCES = ("C dependent", "C naive", "C ring", "C groups")
RATIOS = ("over_naive", "over_dependent", "best_batched", "c_batched_over_naive", "both_cpus_over_naive")
_rows: dict[str, dict[str, object]] = {}
_formats: dict[str, dict[str, object]] = {}


def references(memory, root, addresses):
    """Give the C walks, and where they write.

    A walk keeps what it reads and writes: C has addresses only, and a caller may let go of the arrays.
    """
    try:
        lib, ffi = native.load("walk")
    except native.NoCompilerError as problem:
        pytest.skip(str(problem))
    pa, fault = np.empty(addresses.size, np.uint64), np.empty(addresses.size, np.uint8)
    out = ffi.new("walk_out *")
    out.pa, out.fault = ffi.cast("uint64_t *", pa.ctypes.data), ffi.cast("uint8_t *", fault.ctypes.data)
    view = memory.view
    base = ffi.cast("uint8_t *", view.window - view.window_base)
    wanted = ffi.cast("uint64_t *", addresses.ctypes.data)
    functions = (lib.walk_dependent, lib.walk_naive, lib.walk_ring, lib.walk_groups)
    kept = (memory, view, pa, fault)
    runs = {
        name: lambda function=function, kept=kept: function(base, root, wanted, addresses.size, out)
        for name, function in zip(REFERENCES, functions, strict=True)
    }
    return runs, pa, fault


def drawn(size, kind="random"):
    rng = np.random.default_rng(2)
    pages = size >> 12
    if kind == "zipf":
        chances = np.cumsum(np.arange(1, pages + 1, dtype=np.float32) ** np.float32(-0.9), dtype=np.float64)
        ranks = np.searchsorted(chances, rng.random(WALKS) * chances[-1]).astype(np.uint64)
        found = ranks * np.uint64(0x9E3779B97F4A7C15 | 1) % np.uint64(pages)
    else:
        found = rng.integers(0, pages, WALKS, dtype=np.uint64)
    return found * np.uint64(4096) + rng.integers(0, 4096, WALKS, dtype=np.uint64)


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, "random") for name in FOOTPRINTS), ("64 GiB", "zipf")], ids=str
)
def test_x86_walks_beside_c(benchmark, name, kind):
    targets = {"targets": 32} if name == "64 MiB" else {}  # peers want pages that are there
    memory, root, table_bytes = mapped(X86, FOOTPRINTS[name], **targets)
    addresses = drawn(FOOTPRINTS[name], kind)
    runs, _, _ = references(memory, root, addresses)
    strange = addresses.copy()
    strange[::7] ^= np.uint64(1 << 47)  # not canonical, so that the equal results are not all alike
    for way in ("in order", "ring", "group"):
        for wanted in (addresses, strange):
            checked, c_pa, c_fault = references(memory, root, wanted)
            found = walk_many(X86, memory, root, wanted, way=way)
            for reference, run in checked.items():
                run()
                assert np.array_equal(found.pa, c_pa), (way, reference)
                assert np.array_equal(
                    [FAULTS[Reason(r)] for r in np.unique(found.reason)], np.unique(c_fault)
                )
    out = walk_many(X86, memory, root, addresses, entries=False)
    one = lambda: walk_many(X86, memory, root, addresses, entries=False, out=out, threads=1)  # noqa: E731
    both = lambda: walk_many(X86, memory, root, addresses, entries=False, out=out)  # noqa: E731
    measured = common.in_turn({"shootdown": one} | runs, WALKS)
    wall = common.in_turn(
        {"both CPUs": both, "C naive": runs["C naive"]}, WALKS, clock=time.perf_counter, pin=False
    )
    label = f"{name} {kind}"
    _rows[label] = {
        "tables_bytes": table_bytes,
        "way": _way(memory, WALKS),
        "ns": {thing: measured.ns(thing) for thing in ("shootdown", *runs)},
        "over_naive": measured.ratio("C naive", "shootdown"),
        "over_dependent": measured.ratio("C dependent", "shootdown"),
        "best_batched": measured.ratio(measured.best(["C ring", "C groups"]), "shootdown"),
        "c_batched_over_naive": measured.ratio("C naive", measured.best(["C ring", "C groups"])),
        "both_cpus_over_naive": wall.ratio("C naive", "both CPUs"),
        "peers": {},
        "machine": common.machine(),
    }
    if name == "64 MiB":
        content = memory.read(0, -(-(table_bytes + (1 << 16)) // 4096) * 4096)
        few = addresses[:FEW]
        for peer, run in peers.walk_peers(content, root, few):
            _rows[label]["peers"][peer] = common.in_turn({peer: run}, FEW, rounds=3).ns(peer)
    benchmark.extra_info.update(_rows[label])
    benchmark.pedantic(one, rounds=3)
    write()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_beside_its_own_walk_in_order(benchmark, name):
    """How much a batch gains over the same compiled walk without prefetch, on tables that leave the cache."""
    form = FORMATS[name]
    size = min(1 << (form.va_bits - 1), 1 << 34)
    memory, root, _ = mapped(form, size)
    addresses = drawn(size)
    expected = walk_many(form, memory, root, addresses, way="in order")
    assert expected.translated.all()
    out = walk_many(form, memory, root, addresses, entries=False)
    things = {
        way: lambda way=way: walk_many(
            form, memory, root, addresses, entries=False, out=out, threads=1, way=way
        )
        for way in ("in order", "ring", "group")
    }
    for run in things.values():
        assert np.array_equal(run().pa, expected.pa)
    measured = common.in_turn(things, WALKS, rounds=5)
    _formats[name] = {
        "ns": {way: measured.ns(way) for way in things},
        "gain": measured.ratio("in order", measured.best(["ring", "group"])),
    }
    benchmark.extra_info.update(_formats[name])
    benchmark.pedantic(things["ring"], rounds=3)
    write()


def write():
    lines = [
        "A million user-mode reads of x86-64 4-level tables, base pages, last tables scattered at random; results of",
        "all were equal first. The C is hand-written for the format and has memory in one piece; shootdown's walk is",
        "compiled from the format's description and also checks reserved bits that depend on settings, and where",
        "memory ends. Nanoseconds of thread CPU time per walk, least of the rounds; ratios: median and quartiles.",
        "",
    ]
    if _rows:
        lines += [f"Measured on: {next(iter(_rows.values()))['machine']}.", ""]
        lines += common.table(
            [
                "mapped", "tables", "shape", "shootdown", *REFERENCES, "faster than C naive",
                "faster than C dependent", "faster than the best batched C", "best batched C over C naive",
                "both CPUs over C naive, wall time",
            ],
            [
                [
                    label,
                    f"{row['tables_bytes'] / 2**20:.1f} MiB",
                    row["way"],
                    *(f"{row['ns'][c]:.1f}" for c in ("shootdown", *REFERENCES)),
                    *(
                        str(row[ratio])
                        for ratio in RATIOS
                    ),
                ]
                for label, row in _rows.items()
            ],
        )  # fmt: skip
        for label, row in _rows.items():
            for peer, ns in row["peers"].items():
                lines += [
                    "",
                    f"{peer}, {label}: {ns:,.0f} ns, {ns / row['ns']['shootdown']:,.0f} times as much.",
                ]
    if _formats:
        lines += [
            "",
            "Every format, 16 GiB mapped (32-bit ones: half of their space), gain over its own walk in order:",
            "",
        ]
        lines += common.table(
            ["format", "in order", "ring", "group", "gain of the better"],
            [
                [name, *(f"{row['ns'][way]:.1f}" for way in ("in order", "ring", "group")), str(row["gain"])]
                for name, row in _formats.items()
            ],
        )
    common.write("walk", "Page walks", lines, {"x86_64-4level": _rows, "formats": _formats})
