"""What one process' call costs when its hugetlb PMD tables are shared, by generation.

The numbers are those of docs/facts/pmd-sharing.md#what-one-call-costs.

G0 is before 1013af4f585f, G1 has it, G2 has 8ce720d5bd91.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import shootdown
from shootdown import Result
from shootdown._questions.compare import cases
from shootdown._report.explanation import explain

Row = Callable[..., Result]

G0, G1, G2 = "6.4", "6.18.2", "7.0"
ZAPS = ("hugetlb-munmap", "hugetlb-exit", "hugetlb-madvise")
CALLS = (*ZAPS, "hugetlb-mprotect", "hugetlb-mremap", "hugetlb-uffd")

quick = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)


def syncs(kernel: str, tables: int, sharers: int, vmas: int) -> int:
    """Say how often a process that unshares all its tables synchronises."""
    if sharers == 1 or kernel == G0:
        return 0
    if kernel == G1:
        return tables
    return vmas if sharers == 2 else 0


def taken(workload: str, kernel: str, **parameters: object) -> list[tuple[str, ...]]:
    """Name the kernel functions around each step that was taken in what is measured."""
    (case,) = cases(
        workload, arch=["x86"], platforms=["intel-server"], kernels=[kernel], cpus=[8], parameters=parameters
    )
    found = explain(case)
    assert found.machine is not None
    assert found.run is not None
    notes, counts = found.machine.code.notes, found.run.step_counts
    return [note.path for note, count in zip(notes, counts, strict=True) if count]


@quick
@given(
    st.sampled_from(CALLS),
    st.sampled_from((G0, G1, G2)),
    st.integers(1, 9),
    st.integers(1, 8),
    st.integers(1, 4),
    st.sampled_from((1, 2, 3, 8, 64, 65, 196)),
)
def test_a_call_synchronises_per_table_then_per_vma_whose_tables_became_exclusive(
    row: Row, call: str, kernel: str, tables: int, sharers: int, vmas: int, cpus: int
) -> None:
    vmas = min(vmas, tables)
    result = row(call, kernel, tables=tables, sharers=sharers, vmas=vmas, cpus=cpus)
    assert result.supported
    counts = result.counts
    assert counts["unshared_tables"] == (tables if sharers > 1 else 0)
    assert counts["fully_unshared_tables"] == (tables if sharers == 2 else 0)
    assert counts["sync_broadcasts"] == syncs(kernel, tables, sharers, vmas)
    assert counts["sync_ipis"] == counts["sync_broadcasts"] * (cpus - 1)
    assert counts["redundant_sync_ipis"] <= counts["sync_ipis"]
    assert counts["kernel_warnings"] == 0


@quick
@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from(("hugetlb-punch", "hugetlb-truncate")))
def test_truncation_unshares_in_every_process_but_the_last(
    row: Row, tables: int, sharers: int, call: str
) -> None:
    unshared = (sharers - 1) * tables
    expected = {G0: 0, G1: unshared, G2: 1 if sharers > 1 else 0}
    for kernel, broadcasts in expected.items():
        counts = row(call, kernel, tables=tables, sharers=sharers).counts
        assert counts["unshared_tables"] == unshared
        assert counts["sync_broadcasts"] == broadcasts
        assert counts["flush_requests"] == sharers


@pytest.mark.parametrize(("kernel", "broadcasts", "flushes"), [(G0, 0, 4), (G1, 3, 4), (G2, 1, 4)])
def test_migration_of_one_page_unshares_in_all_sharers_but_one(
    row: Row, kernel: str, broadcasts: int, flushes: int
) -> None:
    """Each VMA but the last unshares: try_to_migrate_one(), docs/facts/pmd-sharing.md#what-one-call-costs."""
    counts = row("hugetlb-migrate", kernel, sharers=4).counts
    assert (counts["sync_broadcasts"], counts["flush_requests"]) == (broadcasts, flushes)
    assert counts["unshared_tables"] == 3


def test_all_sharers_in_turn_synchronise_per_unshared_table_then_once(row: Row) -> None:
    """Three processes unmap 4 tables one after another: (k - 1) N syncs in G1, one in G2."""
    in_turn = {"tables": 4, "sharers": 3, "actors": 3}
    assert row("hugetlb-munmap", G1, **in_turn).counts["sync_broadcasts"] == 8
    assert row("hugetlb-munmap", G2, **in_turn).counts["sync_broadcasts"] == 1
    assert row("hugetlb-munmap", G0, **in_turn).counts["sync_broadcasts"] == 0


def test_the_unshare_flush_is_one_whole_flush_because_512_strides_exceed_33(row: Row) -> None:
    counts = row("hugetlb-madvise", G2, tables=1, sharers=2).counts
    assert counts["flush_requests"] == 1
    assert (counts["full_flushes"], counts["page_invalidations"]) == (1, 0)


def test_one_flush_per_vma_serves_all_its_tables(row: Row) -> None:
    for vmas in (1, 2, 4):
        counts = row("hugetlb-exit", G2, tables=4, sharers=2, vmas=vmas).counts
        assert counts["flush_requests"] == vmas + 1  # and one for the page tables that exit frees
        assert counts["sync_broadcasts"] == vmas


def test_mprotect_over_an_untouched_range_flushes_before_the_rework_and_not_after_it(row: Row) -> None:
    """Before 8ce720d5bd91 each caller flushed always; what remains in 7.0 is the escalation of a nested gather."""
    assert row("hugetlb-mprotect", G1, sharers=1, pages=0).counts["flush_requests"] == 1
    after = row("hugetlb-uffd", G2, sharers=1, pages=0).counts
    assert (after["flush_requests"], after["sync_broadcasts"]) == (0, 0)


def test_mremap_steps_over_an_empty_shared_table_and_unmapping_the_old_place_unshares_it(row: Row) -> None:
    """move_hugetlb_page_tables() skips entries that are none (mm/hugetlb.c).

    It still flushes before the rework. The munmap() of the old place that ends mremap() then unshares the table, and
    frees the one above.
    """
    before = row("hugetlb-mremap", G1, sharers=2, pages=0).counts
    assert (before["unshared_tables"], before["sync_broadcasts"], before["flush_requests"]) == (1, 1, 3)
    after = row("hugetlb-mremap", G2, sharers=2, pages=0).counts
    assert (after["unshared_tables"], after["sync_broadcasts"], after["flush_requests"]) == (1, 1, 2)
    syncs = [path for path in taken("hugetlb-mremap", G1, pages=0) if "tlb_remove_table_sync_one" in path]
    assert syncs
    assert not [path for path in syncs if "move_hugetlb_page_tables" in path]


@pytest.mark.parametrize(
    ("tables", "vmas", "fails"), [(3, 1, False), (4, 1, True), (6, 1, False), (8, 2, True)]
)
def test_mremap_of_4_gib_fails_after_the_move(row: Row, tables: int, vmas: int, fails: bool) -> None:
    """tests/oracle/README.md: ENOMEM; move_hugetlb_page_tables() returns an int."""
    result = row("hugetlb-mremap", G2, tables=tables, vmas=vmas)
    assert any("ENOMEM" in remark for remark in result.remarks) == fails


@pytest.mark.parametrize(("covers", "shared"), [("whole", 4), ("short", 2), ("private", 0)])
def test_only_tables_whose_pud_entry_the_vma_covers_whole_are_shared(
    row: Row, covers: str, shared: int
) -> None:
    """want_pmd_share() asks for a VMA that covers the whole PUD entry."""
    for kernel, broadcasts in ((G0, 0), (G1, shared), (G2, min(shared, 2))):
        counts = row("hugetlb-munmap", kernel, tables=4, vmas=2, sharers=2, covers=covers).counts
        assert counts["unshared_tables"] == shared
        assert counts["sync_broadcasts"] == broadcasts


@pytest.mark.parametrize(("kernel", "shares"), [("5.10.257", True), ("5.15.209", True), ("6.1.176", False)])
def test_fork_shares_tables_before_6_0_and_flushes_the_parent_on_lazy_cpus_too(
    row: Row, kernel: str, shares: bool
) -> None:
    """bcd51a3c679d; flush_tlb_mm() of dup_mmap() passes freed_tables."""
    counts = row("hugetlb-fork", kernel, tables=3, sharers=1, threads=2, state="lazy").counts
    assert (counts["flush_requests"], counts["flush_ipis"], counts["unshared_tables"]) == (1, 2, 0)
    copied = [path for path in taken("hugetlb-fork", kernel, tables=3) if "copy_hugetlb_page_range" in path]
    assert bool(copied) == shares


def test_the_nested_gather_of_mprotect_escalates_to_the_whole_mm(row: Row) -> None:
    """tlb_finish_mmu() sees the outer gather of mprotect() pending."""
    counts = row("hugetlb-mprotect", G2, tables=2, sharers=2).counts
    assert (counts["gathers"], counts["flush_requests"]) == (2, 2)
    lazy = row("hugetlb-mprotect", G2, tables=2, sharers=3, threads=3, state="lazy").counts
    assert lazy["flush_ipis"] == 3, "freed_tables of the escalated flush reaches lazy CPUs"


@pytest.mark.parametrize("kernel", ["5.10.223", "5.15.209"])
def test_what_a_release_lacks_is_not_supported_with_the_reason(row: Row, kernel: str) -> None:
    result = row("hugetlb-madvise", kernel)
    assert not result.supported
    assert result.counts == {}
    assert "v5.18" in (result.reason or "")


def test_mremap_of_hugetlb_mappings_came_with_5_16(row: Row) -> None:
    assert not row("hugetlb-mremap", "5.15.209").supported
    assert row("hugetlb-mremap", "5.16").supported


def test_32_bit_kernels_share_no_tables_and_say_why(row: Row) -> None:
    """PAE preallocates PMD tables (arch/x86/mm/pgtable.c: pgd_alloc()); from 6.16 on 76303ee8d54b."""
    narrow = ["kernel.va_bits=32"]
    for kernel, why in (("6.15", "preallocates all PMD tables"), ("6.16", "shares no hugetlb PMD tables")):
        result = row("hugetlb-munmap", kernel, tables=1, settings=narrow)
        assert why in (result.reason or "")
        shared = row("hugetlb-munmap", kernel, tables=1, settings=[*narrow, "kernel.pmd_sharing=true"])
        assert shared.counts["unshared_tables"] == 1


def test_xen_pv_guests_have_no_huge_pages(row: Row) -> None:
    result = row("hugetlb-munmap", G2, platform="xen-pv-guest")
    assert not result.supported
    assert "PSE" in (result.reason or "")


def test_results_are_plain_values_and_deterministic() -> None:
    asked = {"arch": ["x86"], "kernels": ["7.0"], "cpus": [4], "parameters": {"children": 20}}
    one, other = (shootdown.compare("fork-storm", **asked) for _ in range(2))
    assert [r.to_dict() for r in one] == [r.to_dict() for r in other]
