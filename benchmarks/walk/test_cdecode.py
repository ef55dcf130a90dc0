"""A hashed page table decoded in C, by the C functions' twin in Python, and a format of levels for the same pages."""

import functools
import runpy
import sys

import numpy as np
import pytest

from benchmarks import common

PLUGIN = common.ROOT / "plugins" / "shootdown-cdecode"
PAGES = (512, 65_536)
WALKS = 1 << 16
NAMES = ("levels", "twin", "C")


@pytest.fixture(scope="module")
def plugin():
    if not runpy.run_path(str(PLUGIN / "tests" / "conftest.py"))["build"]():
        pytest.skip("there is no C compiler, or no cffi")
    sys.path.insert(0, str(PLUGIN / "src"))


def walks(pages):
    """Return, by name, what walks so many pages in a random order; results are equal first."""
    from shootdown.formats import AddressSpace, PhysicalMemory, Walker
    from shootdown_cdecode import _table
    from shootdown_cdecode._formats import LEVELS, NATIVE, TWIN

    memory = PhysicalMemory()
    space = AddressSpace(LEVELS, memory)
    groups = pages.bit_length() - 1  # one entry in a group of eight, on average: none is full
    root = _table.root_of(memory.allocate(128 << groups), groups)
    rng = np.random.default_rng(1)
    numbers = rng.choice(1 << 20, size=pages, replace=False)
    for n, vpn in enumerate(map(int, numbers)):
        space.map(vpn << 12, (n + 1) << 12, size=4096, permissions="rw")
        _table.insert(memory, root, vpn << 12, (n + 1) << 12, _table.USER | _table.WRITABLE)
    addresses = (rng.choice(numbers, size=WALKS).astype(np.uint64) << np.uint64(12)) + np.uint64(8)
    things = {}
    for name, form, top in zip(NAMES, (LEVELS, TWIN, NATIVE), (space.root, root, root), strict=True):
        things[name] = functools.partial(Walker(form, memory).walk_many, top, addresses)
    first, *others = (run() for run in things.values())
    assert all(np.array_equal(first.pa, one.pa) for one in others)
    assert np.all(first.pa)
    return things


def test_walks_of_a_hashed_table_in_c_beside_its_twin_and_levels(benchmark, plugin):
    measured = {}

    def run():
        for pages in PAGES:
            measured[pages] = common.in_turn(walks(pages), WALKS)

    benchmark.pedantic(run, rounds=1)
    rows, data = [], {"machine": common.machine()}
    for pages, found in measured.items():
        ns = {name: found.ns(name) for name in NAMES}
        ratios = {name: str(found.ratio(name, "twin")) for name in ("C", "levels")}
        data[str(pages)] = {"ns": ns, "over_twin": ratios}
        rows.append([f"{pages:,}", *(f"{ns[name]:.1f}" for name in NAMES), ratios["C"], ratios["levels"]])
    common.write(
        "cdecode",
        "C in a walk",
        [
            "Walks of many addresses in a random order, ns each, by",
            "[shootdown-cdecode](../../plugins/shootdown-cdecode/README.md): a hashed page table whose decode is",
            "a C function, its twin in Python that numba compiles, and a format of four levels for the same",
            "pages. Results were equal first. A walk reads a hashed table once or twice, and levels four times.",
            "",
            f"Measured on: {data['machine']}.",
            "",
            *common.table(["pages", "levels", "twin", "C", "C over twin", "levels over twin"], rows),
        ],
        data,
    )
