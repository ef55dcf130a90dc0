"""Benchmarks that the field knows, as programs: their flushes are those that a count by hand gives."""

from __future__ import annotations

import shootdown


def _counts(name: str, arch: str, turns: int) -> dict[str, int]:
    (row,) = shootdown.compare(
        name, arch=[arch], kernels=["7.0"], cpus=[8], parameters={"threads": 1, "turns": turns}
    )
    return dict(row.counts)


def test_what_nobody_accessed_is_unmapped_without_a_flush() -> None:
    assert _counts("mmap1", "x86", 5)["flush_requests"] == 0


def test_each_free_of_a_large_malloc_flushes_the_page_of_its_header() -> None:
    """The thread that waits for the worker sleeps, and its CPU is lazy: x86 interrupts nobody, arm64 sends one TLBI."""
    found = _counts("malloc1", "x86", 5)
    assert (found["flush_requests"], found["page_invalidations"], found["flush_ipis"]) == (5, 5, 0)
    assert _counts("malloc1", "arm64", 5)["broadcast_invalidations"] == 5


def test_writes_to_a_private_file_are_anonymous_pages() -> None:
    assert _counts("page_fault2", "x86", 1) == _counts("page_fault1", "x86", 1)


def test_dirty_pages_of_a_shared_file_are_flushed_by_each_page_table() -> None:
    """zap_pte_range() flushes before it unlocks a table (tlb_delay_rmap()): 64 times in 128 MiB; then the tables go."""
    assert _counts("page_fault3", "x86", 1)["flush_requests"] == 64 + 1
    assert _counts("page_fault3", "x86", 2)["flush_requests"] == 2 * (64 + 1)
