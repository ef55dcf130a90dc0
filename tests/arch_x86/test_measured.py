"""The x86 rows beside the model: what a measured window holds besides the mechanism, and what decides it."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path

import pytest

from shootdown._oracle.rows import Row, read_rows
from shootdown._oracle.validate import Comparison, validate

MECHANISM = ("sync_broadcasts", "sync_ipis", "unshared_tables", "shared_tables", "gathers", "gathers_vma")


def window(kernel: str, *, arch: str = "amd64", cpus: int = 4, **fields: object) -> Comparison:
    """Predict a row that was not measured."""
    counts = {
        name: [0, 0] for name in (*MECHANISM, "tlb_row", "flush_tlb_mm_range", "flush_tlb_mm_range_all")
    }
    instructions = {"invlpg": [0, 0], "mov_cr3": [0, 0]}
    row = Row(
        1, arch, kernel, str(fields["workload"]), cpus, fields, {**counts, "instructions": instructions}
    )
    (comparison,) = validate([row])
    assert comparison.reason is None
    return comparison


def predicted(kernel: str, count: str, *, arch: str = "amd64", **fields: object) -> object:
    prediction = window(kernel, arch=arch, **fields).predicted
    assert prediction is not None
    return prediction["instructions"][count] if count in ("invlpg", "mov_cr3") else prediction[count]


@functools.cache
def compared_32_bit() -> tuple[Comparison, ...]:
    return tuple(validate(read_rows(Path(__file__).parents[1] / "oracle" / "measured-i386.jsonl")))


SHARED = {"workload": "hugetlb_shared", "N": 1, "k": 1}


# --- 32 bits


def test_every_count_of_the_32_bit_kernel_agrees() -> None:
    comparisons = compared_32_bit()
    assert len(comparisons) == 146
    assert [c.reason for c in comparisons if c.predicted is None] == []
    wrong = [(c.row.number, v) for c in comparisons for v in c.verdicts if not v.agrees]
    assert wrong == []
    assert sum(len(c.verdicts) for c in comparisons) == 1752


def test_of_the_32_bit_kernel_only_forks_and_context_switches_are_ranges() -> None:
    ranges = Counter(v.count for c in compared_32_bit() for v in c.verdicts if v.open)
    assert set(ranges) == {
        "tlb_row",
        "flush_tlb_mm_range",
        "flush_tlb_one_kernel",
        "instructions.invlpg",
        "instructions.mov_cr3",
    }
    assert ranges["tlb_row"] == 2


def test_with_pae_an_unmapping_that_frees_a_pmd_table_flushes_the_whole_mm_and_other_calls_do_not() -> None:
    whole = functools.partial(predicted, "6.5.10", "flush_tlb_mm_range_all", arch="i386", **SHARED)
    assert whole(mode="control_unshared", step="munmap") == 1
    assert whole(mode="mprotect", step="mprotect_ro") == 0
    assert whole(mode="madvise", step="madvise") == 0
    assert whole(mode="punch", step="punch_whole") == 0


def test_with_pae_each_fork_flushes_the_new_mm_three_times_and_the_parent_once() -> None:
    assert predicted("6.5.10", "flush_tlb_mm_range_all", arch="i386", mode="exit", step="fork", **SHARED) == 4
    assert predicted("6.5.10", "flush_tlb_mm_range_all", mode="exit", step="fork", **SHARED) == 1


def test_a_huge_page_of_a_32_bit_kernel_leaves_its_pmd_table_to_the_neighbours() -> None:
    thp = {"workload": "anonymous", "T": 3, "threads": "lazy", "kind": "thp", "pages": 512, "op": "munmap"}
    assert predicted("6.5.10", "tlb_row", arch="i386", **thp) == 0
    assert predicted("6.5.10", "tlb_row", **thp) == 3


# --- names of steps, and nothing mapped


@pytest.mark.parametrize(
    ("mode", "names"), [("madvise", ("madvise", "madv_dontneed")), ("mremap", ("mremap", "mremap_whole"))]
)
def test_a_step_goes_by_the_names_of_all_files(mode: str, names: tuple[str, str]) -> None:
    one, other = (window("6.12.74", mode=mode, step=step, **SHARED).predicted for step in names)
    assert one == other


def test_a_fork_storm_with_map_0_maps_nothing_and_so_never_synchronises() -> None:
    storm = {"workload": "fork_storm", "N": 8, "M": 4, "conc": 1}
    assert predicted("6.12.73", "sync_broadcasts", map=0, **storm) == 0
    assert predicted("6.12.73", "sync_broadcasts", map=1, **storm) == 32


def test_madv_dontneed_of_hugetlb_takes_two_gathers_from_6_16_on() -> None:
    found = [
        predicted(kernel, "gathers", mode="madvise", step="madvise", **SHARED)
        for kernel in ("6.15", "6.16", "7.3")
    ]
    assert found == [1, 2, 2]


# --- what decides the TLB row


def test_of_more_children_than_cpus_none_is_still_lazily_loaded_elsewhere() -> None:
    few, many = (
        predicted(
            "6.12.74", "tlb_row", workload="hugetlb_shared", N=1, k=k, mode="munmap", step="munmap", i=1
        )
        for k in (3, 8)
    )
    assert (few, many) == ([0, 1], 0)


def test_a_flush_of_freed_tables_takes_a_lazy_cpu_out_of_mm_cpumask_to_6_13_so_later_calls_find_none() -> (
    None
):
    steps = ("mprotect_ro", "mprotect_rw_untouched", "mprotect_ro_again")
    of = {
        kernel: [predicted(kernel, "tlb_row", mode="mprotect", step=step, **SHARED) for step in steps]
        for kernel in ("6.1.176", "7.2.13")
    }
    assert of == {"6.1.176": [[0, 1], 0, 0], "7.2.13": [1, [0, 1], 0]}


def test_only_the_first_case_can_find_cpus_that_threads_have_left() -> None:
    case = {"workload": "anonymous", "T": 3, "threads": "switched", "kind": "isolated", "op": "munmap"}
    assert predicted("7.2.13", "tlb_row", pages=1, **case) == [0, 3]
    assert predicted("7.2.13", "tlb_row", pages=32, **case) == 0


def test_each_range_says_what_decides_it() -> None:
    for comparison in compared_32_bit():
        for verdict in comparison.verdicts:
            assert verdict.predicted is not None
            is_range = verdict.predicted[0] != verdict.predicted[1]
            assert (verdict.open is not None) == is_range, (comparison.row, verdict)


def test_a_cpu_that_only_leaves_the_mm_cpumask_writes_no_cr3() -> None:
    """The parent's old CPU runs another process: its handler clears its bit, and that is all."""
    row = {"workload": "hugetlb_shared", "N": 1, "k": 0, "mode": "control_unshared", "step": "munmap"}
    assert (predicted("7.2.13", "tlb_row", **row), predicted("7.2.13", "mov_cr3", **row)) == (1, 1)


# --- which schedule happened


def told(tlb_row: list[int]) -> tuple[object, object]:
    """Predict mov_cr3 of a child's munmap where so many handlers ran: its range, and its number if there is one."""
    fields = {**SHARED, "mode": "munmap", "step": "munmap", "i": 1}
    row = Row(
        1,
        "amd64",
        "6.1.176",
        "hugetlb_shared",
        4,
        fields,
        {"tlb_row": tlb_row, "instructions": {"mov_cr3": [2, 2]}},
    )
    (comparison,) = validate([row])
    (verdict,) = (v for v in comparison.verdicts if v.count == "instructions.mov_cr3")
    return verdict.predicted, verdict.number


def test_the_tlb_row_tells_whether_a_lazy_cpu_was_hit_and_so_wrote_its_cr3() -> None:
    assert (told([0, 0]), told([1, 1]), told([0, 1])) == (((1, 2), 1), ((1, 2), 2), ((1, 2), 2))


def undisturbed(count: str, **fields: object) -> object:
    """Predict a count of a kernel on whose CPUs nothing else is scheduled."""
    return window("6.1.176", workload="hugetlb_shared", N=1, **fields).to_dict()["undisturbed"].get(count)


def test_the_cpu_on_which_children_are_forked_keeps_the_mm_of_the_last_one_only() -> None:
    munmap = [undisturbed("tlb_row", k=k, mode="munmap", step="munmap", i=1) for k in (1, 3)]
    assert munmap == [1, 0]
    assert undisturbed("instructions.mov_cr3", k=1, mode="punch", step="punch_whole") == 2


def test_after_each_fork_the_parent_copies_one_page_before_its_child_runs_which_copies_four() -> None:
    for k in (1, 3):
        fork = {"k": k, "mode": "exit", "step": "fork"}
        assert undisturbed("flush_tlb_mm_range", **fork) == 2 * k
        assert undisturbed("instructions.invlpg", **fork) == 5 * k


def test_threads_on_all_cpus_leave_two_context_switches_unless_another_process_wakes() -> None:
    case = {"workload": "anonymous", "T": 3, "kind": "isolated", "op": "munmap", "pages": 64}
    assert predicted("6.1.176", "mov_cr3", threads="spin", **case) == [6, 8]
    assert predicted("6.1.176", "mov_cr3", threads="lazy", **case) == 6
    assert window("6.1.176", threads="spin", **case).to_dict()["undisturbed"] == {"instructions.mov_cr3": 6}


def test_where_processes_share_a_cpu_context_switches_are_a_range_on_other_numbers_of_cpus_too() -> None:
    case = functools.partial(predicted, "6.1.176", "mov_cr3", workload="hugetlb_shared", N=1)
    assert case(k=1, mode="mprotect", step="mprotect_rw_untouched") == 1
    row = window(
        "6.1.176", cpus=2, workload="hugetlb_shared", N=1, k=1, mode="mprotect", step="mprotect_rw_untouched"
    )
    assert row.predicted is not None
    assert row.predicted["instructions"]["mov_cr3"] == [2, 6]
