"""Random sequences of calls by one thread flush as often as a twin says that keeps a set of pages."""

from __future__ import annotations

from random import Random

import pytest

import shootdown

_PAGE = 4096
_TABLE = 512
#: Ends of places, in base pages: within a table, at its end, in the next one, and in a third that is not whole.
_EDGES = (0, 1, 7, 511, 512, 600, 1024, 1030)
_PAGES = _EDGES[-1]


class Twin:
    """What one process maps, page by page, and how often its calls flush.

    A call is about one VMA after another: one ends where rights differ.

    Args:
        batches: MADV_DONTNEED has one gather for all of them.
        merges: one flush of munmap() may serve entries and tables.
        reclaims: MADV_DONTNEED frees tables that became wholly empty.
        widens: mprotect() flushes too where it gives a right.
    """

    def __init__(self, *, batches: bool, merges: bool, reclaims: bool, widens: bool) -> None:
        self.batches, self.merges, self.reclaims, self.widens = batches, merges, reclaims, widens
        self.present: set[int] = set()
        self.zero: set[int] = set()
        self.mapped = set(range(_PAGES))
        self.readonly: set[int] = set()
        self.tables: set[int] = set()
        self.flushes = 0
        self.gathers = 0

    def touch(self, place: set[int], *, writes: bool) -> None:
        self.tables |= {page // _TABLE for page in place}
        if writes:  # each zero page is replaced by a copy, and flushed
            self.flushes += len(self.zero & place)
            self.zero -= place
        else:
            self.zero |= place - self.present
        self.present |= place

    def _vmas(self, place: set[int]) -> list[set[int]]:
        """Return the parts of a place that lie in one VMA each."""
        found: list[set[int]] = []
        for page in sorted(place):
            if page - 1 not in place or (page in self.readonly) != (page - 1 in self.readonly):
                found.append(set())
            found[-1].add(page)
        return found

    def madvise(self, place: set[int]) -> None:
        changes = []
        for vma in self._vmas(place):
            gone = self.present & vma
            self.present -= gone
            self.zero -= gone
            freed: set[int] = set()
            if (
                self.reclaims
            ):  # a table that the call covers whole, in one VMA, goes even if nothing was in it
                freed = {n for n in self.tables if set(range(n * _TABLE, (n + 1) * _TABLE)) <= vma}
            self.tables -= freed
            changes.append(bool(gone or freed))
        self.gathers += 1 if self.batches else len(changes)
        self.flushes += any(changes) if self.batches else sum(changes)

    def munmap(self, place: set[int]) -> None:
        self.gathers += 1
        gone = self.present & place
        self.present -= gone
        self.zero -= gone
        self.mapped -= place
        self.readonly -= place
        freed = {
            table
            for table in self.tables & {page // _TABLE for page in place}
            if not self.mapped & set(range(table * _TABLE, (table + 1) * _TABLE))
        }
        self.tables -= freed
        if self.merges:
            self.flushes += bool(gone or freed)
        else:
            self.flushes += bool(gone) + bool(freed)

    def mprotect(self, place: set[int], *, writable: bool) -> None:
        self.gathers += 1
        changes = place & self.readonly if writable else place - self.readonly
        self.readonly = self.readonly - place if writable else self.readonly | place
        written = changes & self.present - self.zero  # the zero page can't be written anyhow
        self.flushes += bool(written and (self.widens or not writable))

    def mmap(self) -> None:
        self.mapped = set(range(_PAGES))


def _sequence(rng: Random, twin: Twin) -> list[str]:
    """Return statements, and let the twin do them."""
    done = []
    for _ in range(rng.randint(3, 9)):
        lo, hi = sorted(rng.sample(range(len(_EDGES)), 2))
        place = set(range(_EDGES[lo], _EDGES[hi]))
        name = f"heap[{_EDGES[lo] * _PAGE}:{_EDGES[hi] * _PAGE}]"
        verb = rng.choice(("touch", "touch", "madvise", "munmap", "protect", "allow", "mmap"))
        if verb == "mmap":
            if twin.mapped:  # the program would map over what is there
                continue
            done.append("mmap heap")
            twin.mmap()
            continue
        if not place <= twin.mapped:
            if verb == "touch":
                continue  # it would be a segmentation fault
            place &= twin.mapped
            if not place or (verb in ("protect", "allow", "madvise")):
                continue  # the call would fail in the hole
        if verb == "touch":
            writes = rng.random() < 0.5 and not place & twin.readonly
            done.append(f"touch {name} {'write' if writes else 'read'}")
            twin.touch(place, writes=writes)
        elif verb == "madvise":
            done.append(f"madvise {name} DONTNEED")
            twin.madvise(place)
        elif verb == "munmap":
            done.append(f"munmap {name}")
            twin.munmap(place)
        else:
            done.append(f"mprotect {name} {'write' if verb == 'allow' else 'read'}")
            twin.mprotect(place, writable=verb == "allow")
    return done


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kernel", ["6.1", "7.0"])
def test_calls_flush_exactly_where_something_was_mapped(seed: int, kernel: str) -> None:
    """Two threads compute meanwhile, so that each flush of x86 interrupts two CPUs."""
    switches = shootdown.kernel(kernel, "x86")
    twin = Twin(
        batches=switches.madvise_gather,
        merges=switches.merge_vmas,
        reclaims=switches.pt_reclaim,
        widens=switches.widening_flushes,
    )
    do = _sequence(Random(seed), twin)
    program = {
        "memory": {"heap": {"size": f"{_PAGES * 4}K"}},
        "process": {
            "A": {
                "do": ["mmap heap", "wait ready 2", f"measure {{ {'; '.join(do) or 'work 1ns'} }}"],
                "thread": {"other": {"count": 2, "do": "signal ready; spin"}},
            }
        },
    }
    (row,) = shootdown.compare(program, arch=["x86"], kernels=[kernel], cpus=[4])
    counts = row.counts
    assert (counts["gathers"], counts["flush_requests"]) == (twin.gathers, twin.flushes), do
    assert counts["flush_ipis"] == 2 * twin.flushes


@pytest.mark.parametrize("turns", [1, 5, 40])
def test_what_is_measured_in_a_loop_adds_up(turns: int) -> None:
    """What lies between the measured parts counts in no turn: neither its flushes nor its time."""
    program = {
        "memory": {"heap": {"size": "64K"}},
        "process": {
            "A": {
                "cpu": 0,
                "do": [
                    "wait ready 2",
                    f"repeat {turns} {{ mmap heap; touch heap; measure {{ madvise heap[0:4K] DONTNEED; work 1ms }}",
                    "munmap heap; work 2ms }",
                ],
                "thread": {"other": {"count": 2, "do": "signal ready; spin"}},
            }
        },
    }
    (row,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])
    assert (row.counts["gathers"], row.counts["flush_requests"]) == (turns, turns)
    assert row.counts["flush_ipis"] == 2 * turns
    assert row.interrupts == (0, turns, turns, 0)
    assert 1e6 * turns < row.times["elapsed_ns"].low < row.times["elapsed_ns"].high < 1.2e6 * turns
    assert row.times["system_ns"].likely < 0.2e6 * turns
