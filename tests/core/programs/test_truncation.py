"""Truncating a file, and punching a hole into it, unmaps its pages in every process that maps them."""

from __future__ import annotations

import pytest

import shootdown


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


def test_a_file_of_each_thread_is_refused() -> None:
    program = {
        "memory": {"f": {"kind": "file", "size": "64K", "each": "thread"}},
        "process": {"A": {"do": "touch f; truncate f"}},
    }
    with pytest.raises(shootdown.ShootdownError, match="that each thread has one of is not counted yet"):
        shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])
