"""Accesses that touch the same memory in several patterns: which pages are mapped, copied and freed."""

from __future__ import annotations

from random import Random

import pytest

import shootdown
from shootdown._programs.language import Reader
from shootdown._programs.program import Memory, Spot
from shootdown._programs.touches import touched

_AT = Spot("here", 0, "")
_HEAP = Memory("heap", "anonymous", 1200 << 12, True, 1, True, "process", _AT)
_PATTERNS = ("all", "every 8K", "every 64K", "random 40 seed 3", "rand 25 seed 9", "random 300 seed 5")
_PLACES = ("heap", "heap[0:2M]", "heap[1M:3M]", "heap[4M:]")


def _counts(do: list[str], *, kind: str = "anonymous", kernel: str = "7.0") -> dict[str, int]:
    """Return what is counted while the first of two threads does something; the other one computes."""
    program = {
        "memory": {"heap": {"kind": kind, "size": "4800K"}},
        "process": {
            "A": {
                "do": ["wait ready", f"measure {{ {'; '.join(do)} }}"],
                "thread": {"other": {"do": "signal ready; spin"}},
            }
        },
    }
    (row,) = shootdown.compare(program, arch=["x86"], kernels=[kernel], cpus=[4])
    return dict(row.counts)


@pytest.mark.parametrize("seed", range(12))
def test_pages_are_mapped_and_copied_as_a_twin_says_that_keeps_sets_of_them(seed: int) -> None:
    rng = Random(seed)
    do, zero, written, flushes = [], set[int](), set[int](), 0
    for _ in range(rng.randint(2, 8)):
        if rng.random() < 0.25:
            place = rng.choice(_PLACES)
            do.append(f"madvise {place} DONTNEED")
            (one,) = Reader({"heap": _HEAP}, 4096).read(f"touch {place}", _AT)
            gone = set(touched(one, 4096))
            flushes += bool(gone & (zero | written))
            zero, written = zero - gone, written - gone
            continue
        how = rng.choice(("read", "write"))
        do.append(f"touch {rng.choice(_PLACES)} {how} {rng.choice(_PATTERNS)}")
        (one,) = Reader({"heap": _HEAP}, 4096).read(do[-1], _AT)
        pages = set(touched(one, 4096))
        if how == "read":
            zero |= pages - written
        else:
            flushes += len(pages & zero)
            zero, written = zero - pages, written | pages
    assert _counts(do, kernel="6.12")["flush_requests"] == flushes, do


def test_dirty_pages_of_several_patterns_are_flushed_once_for_each_table() -> None:
    do = ["touch heap write every 8K", "touch heap write", "munmap heap"]
    assert _counts(do, kind="file")["flush_requests"] == 4
    assert _counts(do[1:], kind="file")["flush_requests"] == 4


def test_a_table_that_patterns_share_is_freed_once() -> None:
    do = ["touch heap[0:2M] write random 9 seed 2", "touch heap[0:2M]", "madvise heap[0:2M] DONTNEED"]
    counts, once = (_counts(some) for some in (do, do[1:]))
    assert counts == once


def test_a_statement_may_be_about_pages_that_no_pattern_touches() -> None:
    do = "touch heap every 64K; touch heap every 96K; measure { madvise heap[4K:8K] DONTNEED }"
    program = {"memory": {"heap": {"kind": "anonymous", "size": "1M"}}, "process": {"A": {"do": do}}}
    (row,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[2])
    assert row.counts["flush_requests"] == 0
