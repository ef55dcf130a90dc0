"""Calls on memory that a change of rights has split into several VMAs, and on parts that lie in one."""

from __future__ import annotations

import pytest

import shootdown


def _counts(
    first: str,
    do: str,
    *,
    kind: str = "anonymous",
    kernel: str = "7.0",
    arch: str = "x86",
    size: str = "64K",
) -> tuple[int, int]:
    """Return the gathers and flushes of what the first of two threads does; the other one computes."""
    program = {
        "memory": {"heap": {"kind": kind, "size": size}},
        "process": {
            "A": {
                "do": [first, "wait ready", f"measure {{ {do} }}"],
                "thread": {"other": {"do": "signal ready; spin"}},
            }
        },
    }
    (row,) = shootdown.compare(program, arch=[arch], kernels=[kernel], cpus=[4])
    return row.counts["gathers"], row.counts["flush_requests"]


_SPLIT = "touch heap write; mprotect heap[0:4K] read"


@pytest.mark.parametrize("advice", ["DONTNEED", "FREE"])
def test_advice_has_a_gather_for_each_vma_until_6_16(advice: str) -> None:
    """43c4cfde7e37."""
    call = f"madvise heap {advice}"
    assert _counts(_SPLIT, call, kernel="6.15") == (2, 2)
    assert _counts(_SPLIT, call, kernel="6.16") == (1, 1)
    merged = f"{_SPLIT}; mprotect heap[0:4K] write"
    assert _counts(merged, call, kernel="6.15") == (1, 1)


def test_pages_of_two_vmas_are_two_lists_of_pageout() -> None:
    """madvise_pageout() of each VMA; each dirty page is flushed before it is written to swap."""
    assert _counts(_SPLIT, "madvise heap PAGEOUT") == (2, 16)


def test_munmap_of_two_vmas_flushes_once_where_one_flush_may_serve_both() -> None:
    assert _counts(_SPLIT, "munmap heap") == (1, 1)


@pytest.mark.parametrize(
    ("first", "munmap", "truncate"),
    [
        ("touch heap write", (1, 2), (2, 1)),
        ("touch heap write; touch heap[0:4K] read; madvise heap[60K:] DONTNEED", (1, 2), (2, 1)),
        (_SPLIT, (1, 3), (4, 2)),
    ],
)
def test_dirty_pages_of_a_file_are_flushed_once_for_each_table_and_vma(
    first: str, munmap: tuple[int, int], truncate: tuple[int, int]
) -> None:
    """zap_pte_range() forces a flush where it ends, whatever parts other calls are about."""
    assert _counts(first, "munmap heap", kind="file") == munmap
    assert _counts(first, "truncate heap", kind="file") == truncate


@pytest.mark.parametrize("before", ["munmap heap[0:1052K]", "mprotect heap[0:1052K] read"])
def test_no_huge_page_is_mapped_where_a_vma_ends_within_its_range(before: str) -> None:
    """Measured on Debian's amd64 6.12.117 and 7.2.13: nothing is there to flush but the pages that are dropped."""
    first = f"{before}; touch heap[1052K:1580K] write"
    do = "munmap heap[1580K:2M]; madvise heap[1052K:1580K] DONTNEED"
    assert _counts(first, do, kind="thp", size="4M") == (2, 1)
