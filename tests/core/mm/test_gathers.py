"""`mmu_gather`: batches, strides, ceilings (docs/facts/mmu-gather.md)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shootdown import Result
from shootdown._mm.anonymous import zapped
from shootdown._mm.gather import PageQueue, pages_until_flush, table_batch

Row = Callable[..., Result]


@pytest.mark.parametrize(
    ("page_size", "tables", "pages"), [(4096, 509, 9678), (16384, 2045, 8187), (65536, 8189, 8196)]
)
def test_batches_hold_what_one_page_has_room_for(page_size: int, tables: int, pages: int) -> None:
    """The macros of asm-generic/tlb.h: docs/facts/mmu-gather.md#batches."""
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
    """The last owner frees its tables, 509 to a batch (MAX_TABLE_BATCH); the PUD pages come on top."""
    counts = row("hugetlb-exit", "7.0", tables=tables, sharers=1).counts
    assert counts["flush_requests"] == flushes


def discard(row: Row, kernel: str, pages: int, **given: object) -> dict[str, int]:
    """MADV_DONTNEED of pages that share their PTE table with others, by a process alone."""
    case = {"op": "madv_dontneed", "kind": "embedded", "pages": pages, "threads": 0, **given}
    return row("anonymous", kernel, **case, settings=["kernel.pt_reclaim=false"]).counts


@pytest.mark.parametrize(
    ("kernel", "pages", "flushes", "left"),
    [
        ("7.0", 9678, 1, 0),
        ("7.0", 9679, 2, 1),
        ("7.0", 2 * 9678 + 5, 3, 5),
        ("6.6.127", 9698, 1, 0),
        ("6.6.127", 9699, 2, 1),
    ],
)
def test_full_page_batches_force_a_flush(row: Row, kernel: str, pages: int, flushes: int, left: int) -> None:
    """9678 single pages of 4 KiB; d7f861b9c43a (6.9) keeps one slot of each batch free, before it none."""
    counts = discard(row, kernel, pages)
    assert (counts["flush_requests"], counts["page_invalidations"]) == (flushes, left)


def test_the_page_that_fills_the_batches_flushes_even_if_it_is_the_last(row: Row) -> None:
    """A further flush then serves the page tables alone."""
    case = {"op": "munmap", "kind": "isolated", "threads": 0}
    for pages, flushes in ((9677, 1), (9678, 2), (9679, 2)):
        assert row("anonymous", "7.0", **case, pages=pages).counts["flush_requests"] == flushes
    # On bare metal, before 6.15, the first table can be what fills them.
    assert row("anonymous", "6.12.74", **case, pages=9677).counts["flush_requests"] == 2
    assert row("anonymous", "6.12.74", **case, pages=9677 - 19).counts["flush_requests"] == 1


@pytest.mark.parametrize(
    ("reserved", "most", "delayed"), [(True, 7 + 19 * 509, 7 + 509), (False, 8 + 19 * 510, 8 + 510)]
)
def test_with_a_delayed_rmap_no_batch_follows_the_first(reserved: bool, most: int, delayed: int) -> None:
    """5df397dec7c4: with a delayed rmap only the bundle and one batch are used, 7 + 509 pages."""
    queue = PageQueue(4096, int(reserved))
    assert queue.room == most
    queue.delayed = True
    assert queue.room == delayed
    queue.queued = delayed  # the second batch is begun already, and may still fill
    assert queue.room == delayed - (7 if reserved else 8)
    assert queue.add(queue.room)
    assert (queue.queued, queue.delayed) == (0, False)


@given(
    st.integers(1, 4000), st.integers(0, 4000), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 1)
)
def test_parts_of_a_zap_are_what_a_page_at_a_time_makes_of_them(
    pages: int, clean: int, delays: bool, frees: bool, fails: bool, spare: int
) -> None:
    """Against the loop of zap_pte_range() in its plain form: after which pages is a flush forced?"""
    parts = list(zapped(pages, 512, PageQueue(4096, spare, fails), clean=clean, delays=delays, frees=frees))
    edges = [8 - spare + n * (510 - spare) for n in range(1 if fails else 20)]
    forced, queued, delayed = [], 0, False
    for page in range(pages):
        queued += 1
        dirty = page >= clean
        delayed = delayed or (dirty and delays)
        ends_table = page % 512 == 511 or page == pages - 1
        full = queued in edges and (queued == edges[-1] or (delayed and queued > edges[0]))
        if full or (ends_table and dirty):
            forced.append(page + 1)
            queued, delayed = 0, False
    assert [part.hi for part in parts if part.forced] == forced
    assert sum(part.hi - part.lo for part in parts) == pages
    assert [a.hi for a in parts[:-1]] == [b.lo for b in parts[1:]]
    whole = list(range(512, pages + 1, 512))
    assert [part.hi for part in parts if part.frees_table] == (whole if frees else [])


@pytest.mark.parametrize("kernel", ["6.1.176", "6.12.74"])
def test_dirty_pages_of_a_file_force_a_flush_for_each_of_their_tables(row: Row, kernel: str) -> None:
    """zap_pte_range(): the file's pages may be cleaned once the table is unlocked: nobody may write to them then."""
    case = {"op": "madv_dontneed", "kind": "file", "threads": 0}
    for pages, clean, flushes in ((512, 0, 1), (1024, 0, 2), (1025, 0, 3), (1024, 1024, 1), (1536, 1000, 2)):
        counts = row("anonymous", kernel, **case, pages=pages, clean=clean).counts
        assert counts["flush_requests"] == flushes, (pages, clean)


def test_a_delayed_rmap_flushes_within_a_table_from_6_2_on(row: Row) -> None:
    """511 clean pages and a table of dirty ones: the first batch is full in its middle."""
    case = {"op": "madv_dontneed", "kind": "file", "threads": 0, "pages": 1024, "clean": 512}
    assert row("anonymous", "6.1.176", **case).counts["flush_requests"] == 1
    assert row("anonymous", "6.6.127", **case).counts["flush_requests"] == 2


@pytest.mark.parametrize(
    ("pages", "tables", "flushes"), [(512, 18, 1), (512, 19, 2), (512, 40, 3), (510, 19, 2)]
)
def test_huge_pages_of_the_last_owner_fill_batches_too(
    row: Row, pages: int, tables: int, flushes: int
) -> None:
    """tlb_remove_page_size() in __unmap_hugepage_range(); the last flush is of pages that remain, and of tables."""
    counts = row("hugetlb-munmap", "7.0", tables=tables, pages=pages, sharers=1).counts
    assert counts["flush_requests"] == flushes
    assert row("hugetlb-munmap", "7.0", tables=tables, pages=pages, sharers=3).counts["flush_requests"] == 2


def test_what_remains_after_a_forced_flush_is_flushed_as_a_range(row: Row) -> None:
    """19 * 510 pages, 510 of 512 in each table: 12 remain."""
    counts = row("hugetlb-madvise", "7.0", tables=19, pages=510, sharers=1).counts
    assert (counts["full_flushes"], counts["page_invalidations"]) == (1, 12)


def test_a_failed_batch_allocation_synchronises_for_each_table_until_7_1(row: Row) -> None:
    """1fb3d8c20bfa; with PT_RECLAIM each table waits for a grace period of its own instead."""
    case = {"op": "munmap", "kind": "isolated", "pages": 1, "threads": 0, "allocation_fails": True}
    assert row("anonymous", "6.12.74", **case, platform="kvm-guest").counts["sync_broadcasts"] == 1
    assert row("anonymous", "7.0", **case).counts["sync_broadcasts"] == 0
    without = ["kernel.pt_reclaim=false"]
    assert row("anonymous", "7.0", **case, settings=without).counts["sync_broadcasts"] == 1
    assert row("anonymous", "7.1", **case, settings=without).counts["sync_broadcasts"] == 0


def test_on_bare_metal_tables_waited_among_the_pages_until_6_15(row: Row) -> None:
    """pv_ops.mmu.tlb_remove_table was tlb_remove_page() there (f2c5c2105827), unless PT_RECLAIM (6.14)."""
    tables = {"tables": 600, "sharers": 1}
    assert row("hugetlb-munmap", "6.12.74", **tables).counts["flush_requests"] == 1
    assert row("hugetlb-munmap", "6.12.74", **tables, platform="kvm-guest").counts["flush_requests"] == 2
    assert row("hugetlb-munmap", "6.14", **tables).counts["flush_requests"] == 2
    assert row("hugetlb-munmap", "6.15", **tables).counts["flush_requests"] == 2
    failed = {"op": "munmap", "kind": "isolated", "pages": 1, "threads": 0, "allocation_fails": True}
    assert row("anonymous", "6.12.74", **failed).counts["sync_broadcasts"] == 0


def test_gathers_that_overlap_flush_the_whole_mm(row: Row) -> None:
    """tlb_finish_mmu(): all but the last to finish see another one pending, and reach lazy CPUs."""
    case = {"op": "madv_dontneed", "kind": "embedded", "pages": 4, "threads": 2, "state": "lazy"}
    alone = row("anonymous", "7.0", **case).counts
    assert (alone["full_flushes"], alone["flush_ipis"]) == (0, 0)
    together = row("anonymous", "7.0", **case, callers=3).counts
    assert together["gathers"] == 3
    assert together["full_flushes"] > 0
    assert together["flush_ipis"] > 2


def test_processes_that_broadcast_at_once_each_wait_for_all_others(row: Row) -> None:
    """Three tables each that find no batch: a broadcast for each of them, to everybody."""
    case = {"op": "munmap", "kind": "isolated", "pages": 3 * 512, "threads": 0, "allocation_fails": True}
    without = ["kernel.pt_reclaim=false"]
    counts = row("anonymous", "6.15", **case, processes=8, settings=without).counts
    assert (counts["sync_broadcasts"], counts["sync_ipis"]) == (24, 24 * 7)


def test_a_single_threaded_process_flushes_locally(row: Row) -> None:
    """flush_tlb_mm_range() flushes this CPU alone, and the sync still interrupts everybody else."""
    counts = row("hugetlb-madvise", "7.0", tables=1, sharers=2).counts
    assert (counts["flush_ipis"], counts["full_flushes"], counts["sync_ipis"]) == (0, 1, 7)


def test_exit_on_the_only_cpu_switches_to_init_mm_once(row: Row) -> None:
    """The second flush finds the mm no longer loaded (docs/facts/flushes.md#x86-exit)."""
    counts = row("hugetlb-exit", "7.0", tables=2, vmas=2, sharers=3).counts
    assert counts["flush_requests"] == 3
    assert (counts["lazy_switches"], counts["full_flushes"], counts["page_invalidations"]) == (1, 0, 0)


def test_pt_reclaim_frees_the_table_that_a_whole_madvise_emptied(row: Row) -> None:
    case = {"op": "madv_dontneed", "kind": "embedded", "pages": 512, "threads": 3, "state": "lazy"}
    assert row("anonymous", "7.0", **case).counts["flush_ipis"] == 3
    assert row("anonymous", "6.12.74", **case).counts["flush_ipis"] == 0
