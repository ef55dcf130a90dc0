"""`mmu_gather`: batches, strides, ceilings (reference kernel.md 1 and 8)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shootdown import Result
from shootdown._mm.anonymous import pages_until_flush
from shootdown._mm.gather import table_batch

Row = Callable[..., Result]


@pytest.mark.parametrize(
    ("page_size", "tables", "pages"), [(4096, 509, 9678), (16384, 2045, 8187), (65536, 8189, 8196)]
)
def test_batches_hold_what_one_page_has_room_for(page_size: int, tables: int, pages: int) -> None:
    """kernel.md 1.2."""
    assert table_batch(page_size) == tables
    assert pages_until_flush(page_size) == pages


@pytest.mark.parametrize(("pages", "ranged"), [(1, True), (33, True), (34, False), (512, False)])
def test_a_flush_is_ranged_up_to_33_strides(row: Row, pages: int, ranged: bool) -> None:
    counts = row("anonymous", "7.0", op="mprotect_ro", kind="embedded", pages=pages, threads=2).counts
    assert counts["flush_ipis"] == 2
    assert counts["page_invalidations"] == (3 * pages if ranged else 0)
    assert counts["full_flushes"] == (0 if ranged else 3)


@pytest.mark.parametrize(("tables", "flushes"), [(508, 1), (509, 2), (510, 2), (1018, 3)])
def test_each_full_batch_of_tables_is_flushed_before_it_is_freed(row: Row, tables: int, flushes: int) -> None:
    """kernel.md 8, assertion 40: the last owner frees its tables, 509 to a batch; the PUD pages come on top."""
    counts = row("hugetlb-exit", "7.0", tables=tables, sharers=1).counts
    assert counts["flush_requests"] == flushes


@pytest.mark.parametrize(("pages", "flushes"), [(9678, 1), (9679, 2)])
def test_full_page_batches_force_a_flush(row: Row, pages: int, flushes: int) -> None:
    """kernel.md 8, assertion 41."""
    counts = row("anonymous", "7.0", op="mprotect_ro", pages=1, threads=0).counts
    assert counts["flush_requests"] == 1
    assert (
        row(
            "anonymous",
            "7.0",
            op="madv_dontneed",
            kind="embedded",
            pages=pages,
            threads=0,
            settings=["kernel.pt_reclaim=false"],
        ).counts["flush_requests"]
        == flushes
    )


def test_a_failed_batch_allocation_synchronises_for_each_table_until_7_1(row: Row) -> None:
    """1fb3d8c20bfa; with PT_RECLAIM each table waits for a grace period of its own instead."""
    case = {"op": "munmap", "kind": "isolated", "pages": 1, "threads": 0, "allocation_fails": True}
    assert row("anonymous", "6.12.74", **case).counts["sync_broadcasts"] == 1
    assert row("anonymous", "7.0", **case).counts["sync_broadcasts"] == 0
    without = ["kernel.pt_reclaim=false"]
    assert row("anonymous", "7.0", **case, settings=without).counts["sync_broadcasts"] == 1
    assert row("anonymous", "7.1", **case, settings=without).counts["sync_broadcasts"] == 0


def test_a_single_threaded_process_flushes_locally(row: Row) -> None:
    """kernel.md 8, assertion 42: no flush IPI, and the sync still interrupts everybody else."""
    counts = row("hugetlb-madvise", "7.0", tables=1, sharers=2).counts
    assert (counts["flush_ipis"], counts["full_flushes"], counts["sync_ipis"]) == (0, 1, 7)


def test_exit_on_the_only_cpu_switches_to_init_mm_once(row: Row) -> None:
    """kernel.md 8, assertion 43: the second flush finds the mm no longer loaded."""
    counts = row("hugetlb-exit", "7.0", tables=2, vmas=2, sharers=3).counts
    assert counts["flush_requests"] == 3
    assert (counts["lazy_switches"], counts["full_flushes"], counts["page_invalidations"]) == (1, 0, 0)


def test_pt_reclaim_frees_the_table_that_a_whole_madvise_emptied(row: Row) -> None:
    case = {"op": "madv_dontneed", "kind": "embedded", "pages": 512, "threads": 3, "state": "lazy"}
    assert row("anonymous", "7.0", **case).counts["flush_ipis"] == 3
    assert row("anonymous", "6.12.74", **case).counts["flush_ipis"] == 0
