"""The bug report's workload."""

from __future__ import annotations

import shootdown
from shootdown._workloads.fork_storm import glibc_rand, tables_read


def test_rand_is_glibcs() -> None:
    """The first values of rand() after srand(1), as every glibc prints them."""
    assert glibc_rand(1, 5) == [1804289383, 846930886, 1681692777, 1714636915, 1957747793]


def test_the_reproducer_reads_through_97_tables() -> None:
    """published.csv A03."""
    assert len(tables_read(1200, 100)) == 97


def test_the_headline_case_synchronises_per_table_with_the_fix_and_at_most_per_child_after_the_rework() -> (
    None
):
    rows = shootdown.compare("fork-storm", arch=["x86"], kernels=["6.15", "6.16", "7.0"])
    before, sync, rework = (row.counts for row in rows)
    assert before["sync_broadcasts"] == 0
    assert 0.9 * 97_000 < sync["sync_broadcasts"] <= 97_000, "most of them: the children overlap"
    assert sync["sync_ipis"] == 195 * sync["sync_broadcasts"]
    assert 0 < rework["sync_broadcasts"] <= 1000
    assert rework["unshared_tables"] > 0.9 * 97_000
    assert rows[1].times["elapsed_ns"].likely > 3 * rows[0].times["elapsed_ns"].likely


def test_invlpgb_is_never_used_because_single_threaded_children_get_no_global_asid() -> None:
    (row,) = shootdown.compare("fork-storm", platforms=["amd-server"], kernels=["7.0"])
    assert row.counts["broadcast_invalidations"] == 0
    assert row.counts["flush_ipis"] == 0, "nor does anybody else run a child's mm"
