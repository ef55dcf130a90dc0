"""A read fault of a file maps the pages around it that the page cache has (mm/memory.c: do_fault_around())."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

import pytest

import shootdown

_WINDOW = 16
_PAGES = 64
_SAID = {"drop": "madvise {} DONTNEED", "punch": "punch {}", "unmap": "munmap {}"}


def run(do: str, *, shared: bool = True, first: str = "touch f read", **more: Any) -> dict[str, int]:
    """Return what is counted while a thread does something beside one that computes."""
    program = {
        "memory": {"f": {"kind": "file", "size": f"{_PAGES * 4}K", "shared": shared}},
        "process": {
            "A": {"do": ["wait ready", first, f"measure {{ {do} }}"], "thread": {"other": {"do": "signal ready; spin"}}}
        },
    }  # fmt: skip
    (row,) = shootdown.compare(program, arch=["x86"], kernels=["6.12"], cpus=[4], **more)
    return dict(row.counts)


class Twin:
    """Pages of a file one by one: those that the page cache has, and those that the process maps.

    `flushes` and `pages` are what an x86 kernel flushes with one other CPU in mm_cpumask.
    """

    def __init__(self, *, shared: bool) -> None:
        self.shared = shared
        self.cached: set[int] = set()
        self.mapped: dict[int, str] = {}
        self.gone: set[int] = set()
        self.flushes = 0

    def read(self, place: range) -> None:
        for page in place:
            if page in self.mapped:
                continue
            self.cached.add(page)
            begin = max((gone + 1 for gone in self.gone if gone < page), default=0)
            end = min((gone for gone in self.gone if gone > page), default=_PAGES)
            first = max(page // _WINDOW * _WINDOW, begin)
            for near in range(first, min(first + _WINDOW, end)):
                if near in self.cached:
                    self.mapped.setdefault(near, "file's")

    def write(self, place: range) -> None:
        for page in place:
            if page not in self.mapped:
                self.cached.add(page)
            self.flushes += self.mapped.get(page) == "file's" and not self.shared
            self.mapped[page] = "written"

    def drop(self, place: range) -> None:
        self._unmap(place)

    def unmap(self, place: range) -> None:
        self._unmap(place)
        self.gone |= set(place)

    def punch(self, place: range) -> None:
        """Private copies stay."""
        gone = {page for page in place if self.shared or self.mapped.get(page) == "file's"}
        self._unmap(gone)
        self.cached -= set(place)

    def _unmap(self, pages: Iterable[int]) -> None:
        gone = set(pages) & set(self.mapped)
        self.flushes += bool(gone)
        for page in gone:
            del self.mapped[page]


def _place(lo: int, hi: int) -> str:
    return f"f[{lo * 4}K:{hi * 4}K]"


def _drawn(draw: Random, twin: Twin) -> str:
    """Draw statements, and let the twin do them too."""
    said = []
    for _ in range(draw.randrange(8, 20)):
        lo, hi = sorted(draw.sample(range(_PAGES + 1), 2))
        what = draw.choice(("read", "read", "write", "drop", "every", "punch", "unmap"))
        place = range(lo, hi)
        if twin.gone & set(place) or (what == "unmap" and hi - lo > 24):
            continue
        if what == "every":
            step = draw.choice((5, 16, 24))
            twin.read(range(lo, hi, step))
            said.append(f"touch {_place(lo, hi)} read every {step * 4}K")
        else:
            getattr(twin, what)(place)
            verb = {"drop": "madvise {} DONTNEED", "punch": "punch {}", "unmap": "munmap {}"}.get(
                what, f"touch {{}} {what}"
            )
            said.append(verb.format(_place(lo, hi)))
    return "; ".join(said)


@pytest.mark.compiled
@pytest.mark.parametrize("seeds", [range(8), pytest.param(range(8, 400), marks=pytest.mark.long)], ids=str)
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "private"])
def test_random_statements_flush_as_a_twin_that_goes_by_page(shared: bool, seeds: range) -> None:
    flushes = 0
    for seed in seeds:
        twin = Twin(shared=shared)
        do = _drawn(Random(seed), twin)
        counts = run(do, shared=shared, first="work 1us")
        assert counts["flush_ipis"] == twin.flushes, do
        flushes += twin.flushes
    assert flushes > len(seeds)


def test_a_page_beside_one_that_is_read_is_copied_by_a_write() -> None:
    """Measured on Debian's amd64 6.12.117 and 7.2.13: one flush."""
    first = "touch f read; madvise f DONTNEED"
    counts = run("touch f[0:4K] read; touch f[4K:8K] write", shared=False, first=first)
    assert (counts["flush_requests"], counts["flush_ipis"]) == (1, 1)


def test_a_page_that_the_page_cache_has_not_is_not_mapped_beside_another() -> None:
    """Measured likewise: none."""
    counts = run("touch f[0:4K] read; touch f[4K:8K] write", shared=False, first="work 1us")
    assert counts["flush_requests"] == 0


def test_a_kernel_with_a_fault_around_of_a_page_maps_the_page_alone() -> None:
    first = "touch f read; madvise f DONTNEED"
    do = "touch f[0:4K] read; touch f[4K:8K] write"
    assert run(do, shared=False, first=first, settings={"kernel.fault_around": 4096})["flush_requests"] == 0


def test_a_window_that_begins_with_its_vma_ends_as_much_later() -> None:
    """do_fault_around(): `to_pte` is counted from `from_pte`, which is not below the VMA's beginning."""
    first = "touch f read; madvise f DONTNEED; munmap f[0:16K]"
    for page, flushes in ((19, 1), (20, 0)):
        do = f"touch f[20K:24K] read; touch {_place(page, page + 1)} write"
        assert run(do, shared=False, first=first)["flush_requests"] == flushes


def test_pages_that_were_reclaimed_come_back_one_by_one() -> None:
    do = "touch f[0:4K] read; touch f[4K:8K] write"
    assert run(do, shared=False, first="touch f read; reclaim f")["flush_requests"] == 0
