"""MADV_FREE of huge pages cleans their entries, PAGEOUT and reclaim take them apart: as a twin says by page."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

import shootdown

_HUGE = 512
#: Ends of places, in base pages: in a huge page, at the end of one, and of the last.
_EDGES = (0, 16, 512, 600, 1024, 1536)
_PAGES = _EDGES[-1]


def run(
    do: str, *, arch: str = "x86", kernel: str = "7.0", settings: Sequence[str] = ()
) -> tuple[dict[str, int], str]:
    """Return what is counted beside a thread that computes, or why nothing is."""
    first = {"do": ["touch heap", "wait ready", f"measure {{ {do} }}"]}
    program = {
        "memory": {"heap": {"kind": "thp", "size": f"{_PAGES * 4}K"}},
        "process": {"A": first | {"thread": {"other": {"do": "signal ready; spin"}}}},
    }
    (row,) = shootdown.compare(program, arch=[arch], kernels=[kernel], cpus=[4], settings=settings)
    return dict(row.counts), row.reason or ""


class Twin:
    """What a process maps, page by page, and how often an x86 kernel flushes; all of it was written.

    Args:
        kernel: the kernel.
    """

    def __init__(self, kernel: shootdown.Kernel) -> None:
        self.reclaims = kernel.pt_reclaim
        self.ages = kernel.pageout_clears_young
        self.writes = 1 if kernel.thp_swap == "yes" else _HUGE
        self.batched = False
        self.dirty = set(range(_PAGES))
        self.present = set(range(_PAGES))
        self.huge = set(range(_PAGES // _HUGE))
        self.tables: set[int] = set()
        self.flushes = 0

    def _pages(self, huge: int) -> set[int]:
        return set(range(huge * _HUGE, (huge + 1) * _HUGE))

    def touch(self, place: range) -> None:
        for huge in {page // _HUGE for page in place}:
            if not self._pages(huge) & self.present and huge not in self.tables:
                self.huge.add(huge)
                self.present |= self._pages(huge)
                self.dirty |= self._pages(huge)
        self.present |= set(place)
        self.dirty |= set(place)

    def free(self, place: range) -> None:
        changes = False
        for huge in sorted({page // _HUGE for page in place}):
            pages = self._pages(huge)
            if huge in self.huge and pages <= set(place):
                if pages & self.dirty:
                    self.flushes += 1  # pmdp_invalidate()
                    changes = True
            elif huge in self.huge:
                self.flushes += 1  # __split_huge_pmd_locked(); each page is as dirty as the huge one was
                self._split(huge)
                self.dirty |= pages if pages & self.dirty else set()
            if huge not in self.huge:
                changes = changes or bool(pages & set(place) & self.dirty)
            self.dirty -= pages & set(place)
        self.flushes += changes

    def _swap(self, huge: int) -> None:
        """shrink_folio_list(): a split, and a flush before each write to swap."""
        self.flushes += 1 + self.writes
        self._split(huge)
        self.present -= self._pages(huge)
        self.batched = True

    def _split(self, huge: int) -> None:
        self.huge.remove(huge)
        self.tables.add(huge)

    def _swap_pages(self, pages: set[int]) -> None:
        self.flushes += len(pages)
        self.present -= pages
        self.batched = self.batched or bool(pages)

    def _look_at(self, huge: int) -> None:
        if self.batched and huge in self.tables:
            self.batched = False
            self.flushes += 1

    def pageout(self, place: range) -> None:
        ages = False
        for huge in sorted({page // _HUGE for page in place}):
            there = self._pages(huge) & set(place) & self.present
            ages = ages or bool(there)
            if huge in self.huge and len(there) == _HUGE:
                self.flushes += self.ages  # pmdp_invalidate()
                self._swap(huge)
                continue
            if huge in self.huge:
                self.flushes += 1  # split_folio()
                self._split(huge)
            self._look_at(huge)
            self._swap_pages(there)
        self.flushes += ages and self.ages

    def reclaim(self, place: range) -> None:
        for huge in sorted({page // _HUGE for page in place}):
            if huge in self.huge:
                self._swap(huge)
            else:
                self._swap_pages(self._pages(huge) & set(place) & self.present)

    def dontneed(self, place: range) -> None:
        for huge in sorted({page // _HUGE for page in place}):
            self._look_at(huge)
        gone = self.present & set(place)
        freed = {huge for huge in self.tables if self._pages(huge) <= set(place)} if self.reclaims else set()
        self.flushes += bool(gone or freed)
        self.tables -= freed
        self.present -= gone
        self.dirty -= gone
        self.huge = {huge for huge in self.huge if not self._pages(huge) <= set(place)}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kernel", ["6.1", "7.0"])
def test_random_sequences_flush_as_a_twin_that_goes_by_page(seed: int, kernel: str) -> None:
    rng, done = Random(seed), []
    twin = Twin(shootdown.kernel(kernel, "x86"))
    other = ["free"] if seed % 2 else ["pageout", "pageout", "reclaim"]
    for _ in range(rng.randint(3, 8)):
        verb = rng.choice(("touch", *other, *other, "dontneed"))
        edges = _EDGES if verb in ("free", "pageout") else [edge for edge in _EDGES if edge % _HUGE == 0]
        lo, hi = sorted(rng.sample(edges, 2))
        if verb == "touch" and twin.reclaims and set(range(lo, hi)) - twin.present:
            continue  # a table that was freed is a huge page again, which is not counted
        getattr(twin, verb)(range(lo, hi))
        said = {"touch": "touch {}", "reclaim": "reclaim {}"}.get(verb, f"madvise {{}} {verb.upper()}")
        done.append(said.format(f"heap[{lo * 4}K:{hi * 4}K]"))
    counts, _ = run("; ".join(done) or "work 1us", kernel=kernel)
    assert (counts["flush_requests"], counts["flush_ipis"]) == (twin.flushes, twin.flushes), done


@pytest.mark.parametrize(("arch", "requests"), [("x86", 2), ("arm64", 2), ("riscv", 2), ("powerpc", 2)])
def test_a_huge_page_is_flushed_as_it_is_cleaned_and_by_the_gather(arch: str, requests: int) -> None:
    """madvise_free_huge_pmd(): pmdp_invalidate(), then tlb_remove_pmd_tlb_entry() (58ceeb6bec86)."""
    assert run("madvise heap[0:2M] FREE", arch=arch)[0]["flush_requests"] == requests


def test_a_part_that_something_else_takes_is_refused() -> None:
    counts, reason = run("madvise heap FREE; madvise heap[0:4K] DONTNEED")
    assert counts == {}
    assert "where FREE is about heap, what else is done is counted of whole huge pages, of 2M" in reason


@pytest.mark.parametrize(
    ("arch", "kernel", "count", "flushes"),
    [
        ("x86", "7.0", "flush_requests", 2),
        ("arm64", "5.10", "completion_waits", 513),
        ("arm64", "6.6", "completion_waits", 2),
        ("riscv", "6.0", "flush_requests", 513),
        ("powerpc", "7.0", "flush_requests", 513),
    ],
)
def test_a_huge_page_is_split_before_it_is_unmapped_or_swapped(
    arch: str, kernel: str, count: str, flushes: int
) -> None:
    """TTU_SPLIT_HUGE_PMD: one flush of the split. Then one for the whole page, one for each entry, or for each page."""
    counts, _ = run("reclaim heap[0:2M]", arch=arch, kernel=kernel)
    assert counts[count] == flushes


def test_a_huge_page_that_swap_has_no_room_for_is_written_page_by_page() -> None:
    counts, _ = run("madvise heap[0:2M] PAGEOUT", settings=["kernel.thp_swap=no"])
    assert counts["flush_requests"] == 513


def test_the_swap_of_huge_pages_is_asked_for_where_it_is_not_known() -> None:
    counts, reason = run("reclaim heap", settings=["kernel.thp_swap=unknown"])
    assert counts == {}
    assert "--set kernel.thp_swap=yes or no" in reason


@pytest.mark.parametrize("other", ["madvise heap FREE", "touch heap every 8K", "mremap heap"])
def test_what_is_not_counted_beside_reclaim_is_one_line(other: str) -> None:
    with pytest.raises(shootdown.ShootdownError, match="of thp memory"):
        run(f"madvise heap PAGEOUT; {other}")
