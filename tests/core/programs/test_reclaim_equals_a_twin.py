"""Reclaim, MADV_PAGEOUT, MADV_FREE and migration flush as often as the source says, and as a twin that goes by page."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from random import Random
from typing import Any

import pytest

import shootdown

_TABLE = 512
#: Ends of places, in base pages: in a list of 32, at the end of a table, in the next one, in one that is not whole.
_EDGES = (0, 1, 33, 80, 511, 512, 600, 1024, 1070)
_PAGES = _EDGES[-1]
_OTHERS = 2
#: A read fault maps its page alone: the twin knows no page cache (tests/core/programs/test_fault_around.py).
_ALONE = {"kernel.fault_around": 4096}


def _heap(kind: str, shared: bool, size: str = f"{_PAGES * 4}K") -> dict[str, Any]:
    return {"kind": kind, "size": size} | ({} if shared else {"shared": False})


def run(
    do: str,
    *,
    arch: str = "x86",
    kernel: str = "7.0",
    kind: str = "anonymous",
    others: int = _OTHERS,
    shared: bool = True,
    **more: str,
) -> dict[str, int]:
    """Return what is counted while the first of three threads does something; the others compute."""
    thread = {"other": {"count": others, "do": "signal ready; spin"}} if others else {}
    program = {
        "memory": {"heap": _heap(kind, shared, more.pop("size", f"{_PAGES * 4}K"))},
        "process": {
            "A": {
                "do": [more.pop("first", "touch heap"), *([f"wait ready {others}"] if others else []),
                       f"measure {{ {do} }}"],
                "thread": thread,
            }
        },
    }  # fmt: skip
    platforms = [more["platform"]] if "platform" in more else []
    (row,) = shootdown.compare(
        program, arch=[arch], platforms=platforms, kernels=[kernel], cpus=[4], settings=_ALONE
    )
    return dict(row.counts)


class Twin:
    """What one process maps, page by page, and how often an x86 kernel flushes, with other CPUs in mm_cpumask.

    Args:
        ages: MADV_PAGEOUT makes entries old through its gather first.
        reclaims: MADV_DONTNEED frees tables that it covers whole.
        widens: mprotect() flushes too where it gives a right.
        frees: reclaim frees 31 pages at a time, after a flush.
        written: what a page is that was written: `dirty`, or `in file`.
        elsewhere: pages of the file that another process maps too.
        private: it is a file that is mapped privately: what was only read is the file's.

    `shared` are the pages that fork() has shared.
    """

    def __init__(
        self,
        *,
        ages: bool,
        reclaims: bool,
        widens: bool,
        frees: bool,
        written: str = "dirty",
        elsewhere: Collection[int] = (),
        private: bool = False,
    ) -> None:
        self.private = private
        self.ages, self.reclaims, self.widens, self.frees = ages, reclaims, widens, frees
        self.written, self.elsewhere = written, elsewhere
        self.pages: dict[int, str] = {}
        self.shared: set[int] = set()
        self.tables: set[int] = set()
        self.unmapped_in_batches = self.waits = False
        self.flushes = self.listed = 0

    def _look_at(self, table: int) -> None:
        """Do what whoever locks a PTE table does."""
        if table in self.tables and self.unmapped_in_batches:
            self.unmapped_in_batches = False
            self.flushes += 1

    def _flush_what_waits(self) -> None:
        self.flushes += self.waits
        self.waits = False

    def _unmap_all(self, pages: list[int], limit: int, *, writes: bool) -> None:
        listed = freed = 0
        for page in pages:
            self.unmapped_in_batches = self.waits = True
            listed += 1
            if writes and self.pages[page] == "dirty":
                self._flush_what_waits()
            elif writes and self.frees and self.pages[page] != "in file":
                freed += 1
                if freed == 31:
                    self._flush_what_waits()
                    freed = 0
            if listed == limit:
                self._flush_what_waits()
                listed = freed = 0
        self._flush_what_waits()

    def touch(self, place: range) -> None:
        self.tables |= {page // _TABLE for page in place}
        self.flushes += sum(self.pages.get(page) == "zero" or page in self.shared for page in place)
        self.shared -= set(place)
        self.pages |= dict.fromkeys(place, self.written)

    def fork(self) -> None:
        self.shared = {page for page in self.pages if self.pages[page] != "zero"}

    def read(self, place: range) -> None:
        self.tables |= {page // _TABLE for page in place}
        self.pages = dict.fromkeys(place, "zero") | self.pages

    def _own(self, pages: Iterable[int]) -> list[int]:
        """Return those that the process has pages of its own for: the zero page is nobody's."""
        nobodys = (None,) if self.private else (None, "zero")
        return [page for page in pages if self.pages.get(page) not in nobodys]

    def _alone(self, pages: Iterable[int]) -> list[int]:
        """Return those of them that it alone maps: nobody else maps its copies of a private file's pages."""
        copied = "dirty" if self.private else ""
        return [page for page in self._own(pages) if page not in self.elsewhere or self.pages[page] == copied]

    def reclaim(self, place: range) -> None:
        there = self._own(place)
        dirty = [page for page in there if self.pages[page] == "dirty"]
        self._unmap_all(dirty, 32, writes=True)
        self._unmap_all([page for page in there if page not in dirty], 32, writes=True)
        for page in there:
            del self.pages[page]

    def _zap_file(self, place: range, kept: str) -> None:
        changed = False
        for table, there in self._by_table(place):
            self._look_at(table)
            gone = [page for page in there if self.pages[page] != kept]
            changed = changed or bool(gone)
            for page in gone:
                del self.pages[page]
        self.flushes += changed

    def punch(self, place: range) -> None:
        self._zap_file(place, "dirty")

    def truncate(self, place: range) -> None:
        self._zap_file(place, "none")

    def migrate(self, place: range) -> None:
        self._unmap_all(self._alone(place), _TABLE, writes=False)

    def _by_table(self, place: range) -> list[tuple[int, list[int]]]:
        tables = dict.fromkeys(page // _TABLE for page in place)
        return [(table, [p for p in place if p // _TABLE == table and p in self.pages]) for table in tables]

    def pageout(self, place: range) -> None:
        young = False
        for table, there in self._by_table(place):
            self._look_at(table)
            young = young or any(self.pages[page] in (self.written, "zero") for page in self._alone(there))
            self._unmap_all(self._alone(there), 0, writes=True)
            for page in self._alone(there):
                del self.pages[page]
        self.flushes += young and self.ages

    def free(self, place: range) -> None:
        changed = False
        for table, there in self._by_table(place):
            self._look_at(table)
            changed = changed or any(self.pages[page] == "dirty" for page in there)
            self.pages |= dict.fromkeys(self._own(there), "clean")
        self.flushes += changed

    def dontneed(self, place: range) -> None:
        changed = False
        for table, there in self._by_table(place):
            self._look_at(table)
            for page in there:
                del self.pages[page]
            self.shared -= set(there)
            whole = range(table * _TABLE, (table + 1) * _TABLE)
            frees = self.reclaims and table in self.tables and set(whole) <= set(place)
            self.tables -= {table} if frees else set()
            changed = changed or bool(there) or frees
        self.flushes += changed

    def protect(self, place: range) -> None:
        """Take the right to write away, and give it back."""
        for gives in (False, True):
            there = 0
            for table, pages in self._by_table(place):
                self._look_at(table)
                there += len([page for page in self._own(pages) if page not in self.shared])
            self.flushes += there > 0 and (self.widens or not gives)


_SAID = {
    "touch": "touch {}",
    "read": "touch {} read",
    "reclaim": "reclaim {}",
    "migrate": "migrate {}",
    "pageout": "madvise {} PAGEOUT",
    "free": "madvise {} FREE",
    "dontneed": "madvise {} DONTNEED",
    "punch": "punch {}",
    "truncate": "truncate {}",
    "protect": "mprotect {0} read; mprotect {0} write",
}
#: What can be said of anonymous memory, and of a file that is mapped privately.
_ANONYMOUS = [verb for verb in _SAID if verb not in ("punch", "truncate")]
_PRIVATE = [verb for verb in _SAID if verb not in ("free", "protect")]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("kernel", ["6.6", "7.0"])
def test_random_sequences_flush_as_a_twin_that_goes_by_page(seed: int, kernel: str) -> None:
    twin, rng = _twin(kernel), Random(seed)
    twin.touch(range(_PAGES))
    do = _drawn(rng, twin, (*_ANONYMOUS, "touch"))
    counts = run(do, kernel=kernel)
    assert counts["flush_requests"] == twin.flushes, do
    assert counts["flush_ipis"] == _OTHERS * twin.flushes


def _twin(kernel: str, **more: Any) -> Twin:
    """Return what a process of an x86 kernel maps: nothing."""
    switches = shootdown.kernel(kernel, "x86")
    return Twin(
        ages=switches.pageout_clears_young,
        reclaims=switches.pt_reclaim,
        widens=switches.widening_flushes,
        frees=switches.reclaim_frees_batches,
        **more,
    )


def _drawn(rng: Random, twin: Twin, verbs: Sequence[str]) -> str:
    """Return some statements, which the twin has done."""
    done = []
    for _ in range(rng.randint(4, 10)):
        lo, hi = sorted(rng.sample(range(len(_EDGES)), 2))
        verb = rng.choice(verbs)
        hi = len(_EDGES) - 1 if verb == "truncate" else hi
        getattr(twin, verb)(range(_EDGES[lo], _EDGES[hi]))
        done.append(_SAID[verb].format(f"heap[{_EDGES[lo] * 4}K:{_EDGES[hi] * 4}K]"))
    return "; ".join(done)


def _run_beside(
    first: str, do: str, other: str, kind: str = "anonymous", kernel: str = "7.0", shared: bool = True
) -> dict[str, int]:
    """Return what is counted of a process of two threads that does something, beside another process."""
    signals = "signal ready; spin"
    program = {
        "memory": {"heap": _heap(kind, shared)},
        "process": {
            "A": {"do": f"{first}; wait ready 2; measure {{ {do} }}", "thread": {"other": {"do": signals}}},
            "B": {"do": f"{other}; {signals}"},
        },
    }
    (row,) = shootdown.compare(program, arch=["x86"], kernels=[kernel], cpus=[4], settings=_ALONE)
    return dict(row.counts)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kernel", ["6.6", "7.0"])
def test_pages_that_fork_shares_are_freed_lazily_as_a_twin_says(seed: int, kernel: str) -> None:
    """madvise_free_pte_range() looks at entries of its own process, whoever else maps their pages."""
    twin, rng = _twin(kernel), Random(seed)
    twin.touch(range(_PAGES))
    before = _drawn(rng, twin, ("touch", "free"))
    twin.fork()
    twin.flushes = 0
    do = _drawn(rng, twin, ("touch", "free", "free", "dontneed", "protect"))
    counts = _run_beside(f"touch heap; {before}; fork B", do, "move 2", kernel=kernel)
    assert (counts["flush_requests"], counts["flush_ipis"]) == (twin.flushes, twin.flushes), (before, do)


@pytest.mark.parametrize(
    "gone", ["exit", "munmap heap; spin", "touch heap write; spin", "exec; spin", "spin"]
)
@pytest.mark.parametrize(("do", "flushes"), [("madvise heap PAGEOUT", 40), ("migrate heap", 1)])
def test_pages_that_fork_shared_are_unmapped_once_nobody_else_has_them(
    gone: str, do: str, flushes: int
) -> None:
    """folio_mapcount(): what the child has copied, unmapped or left is the parent's alone."""
    program = {
        "memory": {"heap": {"size": "160K"}},
        "process": {
            "A": {
                "do": f"touch heap; fork B; work 5ms; measure {{ {do} }}",
                "thread": {"other": {"do": "spin"}},
            },
            "B": {"do": gone},
        },
    }
    (row,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])
    assert row.counts["flush_requests"] == (0 if gone == "spin" else flushes)


def test_pieces_of_what_fork_shares_are_copied_one_by_one() -> None:
    """A piece stands for all: the process has the pages of none of them any more once, after the last."""
    before = "touch heap[0:160K]; fork B"
    counts = _run_beside(before, "each 4K of heap[0:160K] { touch it write }", "move 2")
    assert counts["flush_requests"] == 40
    do = "each 4K of heap[0:160K] { touch it write }; touch heap[0:160K] write"
    assert _run_beside(before, do, "move 2")["flush_requests"] == 40


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kernel", ["6.6", "7.0"])
def test_pages_of_a_file_that_another_process_maps_stay_as_a_twin_says(seed: int, kernel: str) -> None:
    """MADV_PAGEOUT and move_pages() skip what is mapped more than once (12e967fd8e4e; add_page_for_migration())."""
    rng = Random(seed)
    lo, hi = sorted(rng.sample(_EDGES, 2))
    twin = _twin(kernel, written="in file", elsewhere=range(lo, hi))
    twin.touch(range(_PAGES))
    do = _drawn(rng, twin, ("touch", "pageout", "pageout", "migrate"))
    counts = _run_beside("touch heap", do, f"touch heap[{lo * 4}K:{hi * 4}K]", "file", kernel=kernel)
    assert (counts["flush_requests"], counts["flush_ipis"]) == (twin.flushes, twin.flushes), do


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kernel", ["6.6", "7.0"])
def test_a_file_that_is_mapped_privately_loses_pages_as_a_twin_says(seed: int, kernel: str) -> None:
    """unmap_mapping_range() leaves copies alone but for truncation (`even_cows`); reclaim writes copies to swap."""
    rng = Random(seed)
    lo, hi = sorted(rng.sample(_EDGES, 2))
    twin = _twin(kernel, private=True, elsewhere=range(lo, hi))
    twin.read(range(_PAGES))
    own = [verb for verb in _PRIVATE if verb not in ("reclaim", "punch", "truncate")]
    do = _drawn(rng, twin, own)
    first, other = "touch heap read", f"touch heap[{lo * 4}K:{hi * 4}K] read"
    counts = _run_beside(first, do, other, "file", kernel=kernel, shared=False)
    assert (counts["flush_requests"], counts["flush_ipis"]) == (twin.flushes, twin.flushes), do
    twin = _twin(kernel, private=True)
    twin.read(range(_PAGES))
    do = _drawn(rng, twin, _PRIVATE)
    counts = run(do, kind="file", kernel=kernel, first=first, shared=False)
    assert (counts["flush_requests"], counts["flush_ipis"]) == (twin.flushes, _OTHERS * twin.flushes), do


@pytest.mark.parametrize("gone", ["exit", "munmap f; spin", "madvise f DONTNEED; spin", "exec; spin"])
def test_pages_of_a_file_are_paged_out_once_nobody_else_maps_them(gone: str) -> None:
    """MADV_PAGEOUT asks how often a page is mapped now: of 33 pages the list of one page table is flushed once."""
    program = {
        "memory": {"f": {"kind": "file", "size": "132K"}},
        "process": {
            "A": {
                "do": "touch f; work 1ms; measure { madvise f PAGEOUT }",
                "thread": {"other": {"do": "spin"}},
            },
            "B": {"do": f"touch f; {gone}"},
        },
    }
    (row,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])
    assert row.counts["flush_requests"] == 1


def test_each_dirty_anonymous_page_is_flushed_before_it_is_written_to_swap() -> None:
    """shrink_folio_list(): try_to_unmap_flush_dirty() comes before pageout() of each dirty folio."""
    assert run("reclaim heap", size="160K")["flush_ipis"] == 40 * _OTHERS


def test_pages_of_a_file_are_unmapped_in_lists_of_32() -> None:
    """SWAP_CLUSTER_MAX of shrink_inactive_list(): 70 pages are three lists."""
    assert run("reclaim heap", kind="file", size="280K")["flush_ipis"] == 3 * _OTHERS


def test_pages_freed_lazily_are_dropped_in_lists() -> None:
    """Entries became clean, so that nothing is written to swap: the flush of FREE, then one for a list of 32 pages."""
    counts = run("madvise heap FREE; reclaim heap", size="128K", kernel="6.8")
    assert counts["flush_ipis"] == 2 * _OTHERS


@pytest.mark.parametrize(("kernel", "flushes"), [("6.8", (3, 1)), ("6.9", (5, 3))])
def test_31_clean_pages_are_freed_at_a_time_since_bc2ff4cbc329(kernel: str, flushes: tuple[int, int]) -> None:
    """shrink_folio_list() flushes before it frees: of lists of 32, 32 and 6 pages, and of one of 70."""
    clean = {"kind": "file", "size": "280K", "first": "touch heap read", "kernel": kernel}
    ages = shootdown.kernel(kernel, "x86").pageout_clears_young
    counted = [run(do, **clean)["flush_requests"] for do in ("reclaim heap", "madvise heap PAGEOUT")]
    assert tuple(counted) == (flushes[0], flushes[1] + ages)


def test_who_looks_at_a_table_after_reclaim_flushes_once_more() -> None:
    """tlb_flush_batched stays set after try_to_unmap_flush(): the first mprotect() pays, the second doesn't."""
    twice = "mprotect heap read; mprotect heap write"
    counts = run(f"{twice}; {twice}", first="touch heap; reclaim heap", size="128K")
    assert counts["flush_ipis"] == _OTHERS


def test_exit_after_reclaim_flushes_once_more() -> None:
    """unmap_vmas() of exit_mmap() comes to zap_pte_range(), which calls flush_tlb_batched_pending()."""
    counted = [
        run("exit", others=0, first=f"touch heap{then}", size="128K", arch="arm64", kernel=kernel)[
            "flush_requests"
        ]
        for kernel in ("6.12.30", "7.0")
        for then in ("", "; reclaim heap")
    ]
    assert counted[1] - counted[0] == 0  # a DSB alone until 4b634918384c
    assert counted[3] - counted[2] == 1


def test_a_process_on_one_cpu_flushes_page_by_page_on_x86() -> None:
    """arch_tlbbatch_should_defer() asks for other CPUs in mm_cpumask: without one ptep_clear_flush() is local."""
    counts = run("reclaim heap", kind="file", size="128K", others=0)
    assert (counts["flush_requests"], counts["flush_ipis"], counts["page_invalidations"]) == (32, 0, 32)


@pytest.mark.parametrize(
    ("arch", "kernel", "waits"),
    [("arm64", "6.1", 40), ("arm64", "6.6", 2), ("powerpc", "7.0", 40)],
)
def test_the_first_release_that_batches_differs_by_architecture(arch: str, kernel: str, waits: int) -> None:
    """arm64 saves DSBs, not TLBIs: each page has its own, as before 43b3dfdd0455."""
    counts = run("reclaim heap", arch=arch, kernel=kernel, kind="file", size="160K")
    assert counts["completion_waits"] == waits
    assert counts["broadcast_invalidations"] >= 40


def test_kswapd_interrupts_the_thread_that_computes_too() -> None:
    """kswapd's CPU is in no mm_cpumask: the two other threads and the one that waits for it take each flush."""
    direct = run("reclaim heap", kind="file", size="128K")
    by_kswapd = run("reclaim heap by kswapd", kind="file", size="128K")
    assert (direct["flush_ipis"], by_kswapd["flush_ipis"]) == (_OTHERS, _OTHERS + 1)
    # with another CPU in mm_cpumask than kswapd's own, x86 defers even for a process with one thread
    alone = run(
        "reclaim heap by kswapd; touch heap; reclaim heap by kswapd", kind="file", size="128K", others=0
    )
    assert (alone["flush_requests"], alone["flush_ipis"]) == (2, 2)


def test_riscv_batches_since_6_8() -> None:
    flushes = [
        run("reclaim heap", arch="riscv", kernel=kernel, kind="file", size="160K")["flush_requests"]
        for kernel in ("6.7", "6.8")
    ]
    assert flushes == [40, 2]


@pytest.mark.parametrize(("kernel", "flushes"), [("6.1", 600), ("6.6", 2)])
def test_migration_flushes_once_for_512_pages_since_7e12beb8ca2a(kernel: str, flushes: int) -> None:
    """The commit counts 0.524 flushes a migrated page before and 0.091 after, with migrations of single pages too."""
    assert run("migrate heap", kernel=kernel, size="2400K")["flush_ipis"] == flushes * _OTHERS


def test_invlpgb_flushes_a_list_by_one_instruction() -> None:
    counts = run("reclaim heap", kind="file", size="128K", platform="amd-server")
    assert (counts["flush_ipis"], counts["broadcast_invalidations"]) == (0, 1)


@pytest.mark.parametrize(
    ("do", "kind", "told"),
    [
        ("madvise heap FREE", "file", "MADV_FREE of file memory is not known yet: only of anonymous"),
        ("migrate heap", "thp", "of thp memory is not known yet"),
        ("fork B; reclaim heap", "anonymous", "heap may be mapped by several processes"),
    ],
)
def test_what_is_not_counted_is_refused_in_a_line(do: str, kind: str, told: str) -> None:
    program = {
        "memory": {"heap": {"kind": kind, "size": "2M"}},
        "process": {"A": {"do": do}, **({"B": {"do": "sleep"}} if "fork" in do else {})},
    }
    with pytest.raises(shootdown.ShootdownError, match=told) as error:
        shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])
    assert "\n" not in str(error.value)
