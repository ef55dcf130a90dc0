"""Rows that were counted by hand, from kernel/smp.c and mm/tlb.c of Linux 5.19.

A process runs on three of four CPUs: the thread that calls madvise(MADV_DONTNEED) and two more.
"""

from __future__ import annotations

import pytest

import shootdown

CEILING = 264  # pairs: an eighth of 2,048 STLB entries and 64 of the MTLB


def row(pages: int, threads: int = 2, kernel: str = "7.0", **asked: object) -> shootdown.Result:
    """Run one madvise() over so many pages."""
    parameters = {"op": "madv_dontneed", "pages": pages, "threads": threads, **asked}
    (found,) = shootdown.compare(
        "anonymous", arch=["loongarch"], kernels=[kernel], cpus=[4], parameters=parameters
    )
    return found


@pytest.mark.parametrize(("pages", "pairs"), [(1, 1), (2, 1), (3, 2), (4, 2), (528, CEILING)])
def test_each_cpu_of_the_process_invalidates_each_pair(pages: int, pairs: int) -> None:
    found = row(pages)
    assert found.counts["flush_ipis"] == 2
    assert found.counts["page_invalidations"] == pairs * 3
    assert found.instructions == {"invtlb_5": pairs * 3, "csrwr_asid": 0}


def test_more_pairs_than_an_eighth_of_the_tlb_become_a_new_asid() -> None:
    found = row(529)
    assert found.counts["page_invalidations"] == 0
    assert found.counts["full_flushes"] == 3
    assert found.instructions == {"invtlb_5": 0, "csrwr_asid": 3}


def test_the_only_task_of_an_mm_interrupts_nobody() -> None:
    found = row(3, threads=0)
    assert found.counts["flush_ipis"] == 0
    assert found.instructions == {"invtlb_5": 2, "csrwr_asid": 0}


def test_there_is_no_loongarch_before_5_19() -> None:
    assert "5.19" in str(row(1, kernel="5.15"))
    assert row(1, kernel="5.19").counts["flush_ipis"] == 2


def test_a_huge_page_of_4_kib_kernels_is_256_pairs_and_one_of_16_kib_kernels_a_new_asid() -> None:
    found = {}
    for size in (4096, 16384):
        (each,) = shootdown.compare(
            "anonymous",
            arch=["loongarch"],
            kernels=["7.0"],
            cpus=[4],
            parameters={"op": "munmap", "kind": "thp", "threads": 0},
            settings={"kernel.page_size": size},
        )
        found[size] = each.instructions
    assert found == {
        4096: {"invtlb_1": 0, "invtlb_5": 256, "csrwr_asid": 0},
        16384: {"invtlb_1": 0, "invtlb_5": 0, "csrwr_asid": 1},
    }


def test_a_huge_page_whose_rights_change_is_set_by_set_pmd_at_which_flushes_on_every_cpu() -> None:
    found = row(1, op="mprotect_ro", kind="thp", threads=2)
    assert found.counts["flush_ipis"] == 3 + 2  # all other CPUs, then those of the process
    assert found.instructions["invtlb_1"] == 4
    assert row(1, op="mprotect_ro", threads=2).counts["flush_ipis"] == 2


def test_pmd_tables_are_freed_at_once_before_7_0() -> None:
    (verdict,) = shootdown.explore(
        "lazy-freed-tables", arch=["loongarch"], platforms=["loongson-3a6000"], kernels=["6.19"]
    )
    assert verdict.verdict == "bug"


def test_tables_are_freed_by_rcu_from_7_0_on() -> None:
    before, after = (shootdown.kernel(release, "loongarch") for release in ("6.19", "7.0"))
    assert (before.rcu_table_free, after.rcu_table_free) == (False, True)


def test_the_walker_is_turned_on_from_6_5_on() -> None:
    before, after = (shootdown.kernel(release, "loongarch") for release in ("6.4", "6.5"))
    assert (before.arch.enables_walker, after.arch.enables_walker) == (False, True)
