"""Truncating a file, and punching a hole into it, unmaps its pages in every process that maps them."""

from __future__ import annotations

from random import Random

import pytest
from tests.core.programs.comparing import FEW, compare, explored, ground, others
from twins.brute_force.program import Call, Small
from twins.brute_force.search import verdict

import shootdown
from shootdown._mm.gather import Gathers


def run(
    do: str, *, processes: int = 1, arch: str = "x86", size: str = "64K", touch: str = "write"
) -> tuple[dict[str, int], tuple[int, ...]]:
    """Return what is counted, and who was interrupted: two threads of the process, or two further processes."""
    others = {"do": [f"touch f {touch}", "signal ready; spin"], "count": 2}
    first = {"do": [f"touch f {touch}", "wait ready 2", f"measure {{ {do} }}"]}
    program = {
        "memory": {"f": {"kind": "file", "size": size}},
        "process": {"A": first, "B": others}
        if processes > 1
        else {"A": first | {"thread": {"other": others}}},
    }
    (row,) = shootdown.compare(program, arch=[arch], kernels=["7.0"], cpus=[4])
    return dict(row.counts), tuple(row.interrupts)


@pytest.mark.parametrize("touch", ["read", "write"])
def test_truncation_looks_twice_and_flushes_once(touch: str) -> None:
    """truncate_pagecache(): unmap_mapping_range(), the pages are freed, and unmap_mapping_range() once more."""
    counts, interrupts = run("truncate f", touch=touch)
    assert (counts["gathers"], counts["flush_requests"], counts["flush_ipis"]) == (2, 1, 2)
    assert interrupts == (0, 1, 1, 0)


def test_a_hole_is_punched_by_one_look() -> None:
    """truncate_pagecache_range() does not look again."""
    counts, _ = run("punch f")
    assert (counts["gathers"], counts["flush_requests"]) == (1, 1)


@pytest.mark.parametrize(("touch", "flushes"), [("read", 1), ("write", 2)])
def test_each_table_of_dirty_pages_is_flushed_before_it_is_unlocked(touch: str, flushes: int) -> None:
    """zap_pte_range(): the rmap of dirty pages goes after a flush of their own, 512 pages at a time."""
    counts, _ = run("punch f", size="4M", touch=touch)
    assert counts["flush_requests"] == flushes


def test_each_process_that_maps_the_file_is_flushed_on_its_own_cpus() -> None:
    counts, interrupts = run("truncate f", processes=3)
    assert (counts["gathers"], counts["flush_requests"], counts["flush_ipis"]) == (6, 3, 2)
    assert interrupts == (0, 1, 1, 0)
    assert run("truncate f", processes=3, arch="arm64")[0]["broadcast_invalidations"] == 3


def test_pages_that_a_hole_freed_are_faulted_in_again() -> None:
    counts, _ = run("repeat 3 { punch f; touch f write }")
    assert (counts["gathers"], counts["flush_requests"]) == (3, 3)


def test_a_file_that_is_punched_piece_by_piece_loses_a_piece_at_a_time() -> None:
    program = {
        "memory": {"f": {"kind": "file", "size": "64K"}},
        "process": {"A": {"do": ["touch f", "measure { each 16K of f { punch it } }"]}},
    }
    (row,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])
    assert (row.counts["flush_requests"], row.counts["page_invalidations"]) == (4, 16)


def test_a_file_of_each_thread_is_refused() -> None:
    program = {
        "memory": {"f": {"kind": "file", "size": "64K", "each": "thread"}},
        "process": {"A": {"do": "touch f; truncate f"}},
    }
    with pytest.raises(shootdown.ShootdownError, match="that each thread has one of is not counted yet"):
        shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])


_TABLE = 512
#: Ends of places, in base pages: within a table, at its end, and in one that is not whole.
_EDGES = (0, 7, 511, 512, 1030)


def _place(lo: int, hi: int) -> str:
    return f"f[{lo * 4}K:{hi * 4}K]"


class Twin:
    """Two processes that map a file, page by page, and how often taking its pages away flushes."""

    def __init__(self) -> None:
        self.maps: tuple[dict[int, bool], ...] = ({}, dict.fromkeys(range(_EDGES[-1]), True))
        self.flushes = self.gathers = 0

    def touch(self, place: range, *, dirty: bool) -> None:
        mine = self.maps[0]
        mine |= {page: dirty or mine.get(page, False) for page in place}

    def unmap(self, place: range, *, looks: int) -> None:
        for mapped in self.maps * looks:
            self.gathers += 1
            waits = forced = False
            for page in place:
                waits = waits or page in mapped
                forced = mapped.pop(page, False) or forced
                ends = page == place[-1] or page % _TABLE == _TABLE - 1
                if ends and forced:  # dirty pages leave the reverse map before their table is unlocked
                    self.flushes += 1
                    waits = forced = False
            self.flushes += waits


@pytest.mark.parametrize("seed", range(8))
def test_parts_of_a_file_are_unmapped_as_a_twin_does_that_goes_by_page(seed: int) -> None:
    rng, twin, done = Random(seed), Twin(), []
    for _ in range(rng.randint(3, 8)):
        lo, hi = sorted(rng.sample(_EDGES, 2))
        verb = rng.choice(("touch", "read", "punch", "remove", "truncate"))
        if verb in ("touch", "read"):
            twin.touch(range(lo, hi), dirty=verb == "touch")
            done.append(f"touch {_place(lo, hi)} {'write' if verb == 'touch' else 'read'}")
            continue
        hi = _EDGES[-1] if verb == "truncate" else hi
        twin.unmap(range(lo, hi), looks=2 if verb == "truncate" else 1)
        done.append(
            {"punch": "punch {}", "remove": "madvise {} REMOVE", "truncate": "truncate {}"}[verb].format(
                _place(lo, hi)
            )
        )
    program = {
        "memory": {"f": {"kind": "file", "size": f"{_EDGES[-1] * 4}K"}},
        "process": {
            "A": {"do": ["wait ready", f"measure {{ {'; '.join(done)} }}"]},
            "B": {"do": ["touch f write", "signal ready; spin"]},
        },
    }
    (row,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])
    assert (row.counts["gathers"], row.counts["flush_requests"]) == (twin.gathers, twin.flushes), done


def test_a_part_of_hugetlb_memory_is_punched_in_each_process() -> None:
    program = {
        "memory": {"pool": {"kind": "hugetlb", "size": "4G"}},
        "process": {
            "A": {"do": ["touch pool", "wait ready", "measure { punch pool[1G:2G]; truncate pool[3G:] }"]},
            "B": {"do": ["touch pool", "signal ready; spin"]},
        },
    }
    (row,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])
    assert row.counts["unshared_tables"] == 2
    program["memory"]["pool"]["size"] = "2G"
    program["process"]["A"]["do"] = ["touch pool", "punch pool[0:1G]"]
    assert [row.verdict for row in shootdown.explore(program, arch=["x86"], kernels=["7.0"])] == ["safe"]


#: What a thread does with a file of two pages, and what brute force knows of it: the second page is another frame.
_CALLS = {
    "punch f[0:4K]": Call("truncate", (0,)),
    "madvise f[4K:8K] DONTNEED": Call("madvise", (1,)),
    "madvise f DONTNEED": Call("madvise", (0, 1)),
    "gup f[0:4K]": Call("gup", (0,)),
    "mprotect f read": Call("mprotect", (0, 1)),
}


@pytest.mark.compiled
@pytest.mark.parametrize("flaw", ["", "forgotten"])
@pytest.mark.parametrize("arch", ["x86", "arm64"])
def test_a_hole_beside_other_calls_has_the_verdict_of_brute_force(
    arch: str, flaw: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if flaw:
        monkeypatch.setattr(Gathers, "remove_entry", lambda *_: None)
    on = ground(arch)

    def slow(call: str) -> tuple[str, int]:
        flaws = frozenset({flaw} if flaw else ())
        threads = tuple(
            (Call(one.name, one.atoms, (), flaws),) for one in (_CALLS["punch f[0:4K]"], _CALLS[call])
        )
        return verdict(
            Small((0, 1), (0, 1), (True, True), 0, threads, way=arch, ranges=True, forces=True), FEW
        )

    def ours(call: str) -> str:
        do = ["touch f write", "punch f[0:4K]"]
        process = {"A": {"do": do, "thread": others((("punch f[0:4K]",), (call,)))}}
        return explored(on, {"memory": {"f": {"kind": "file", "size": "8K"}}, "process": process})

    compared = compare(_CALLS, slow, ours)
    assert compared["bug"] if flaw else compared == {"safe": len(_CALLS)}
