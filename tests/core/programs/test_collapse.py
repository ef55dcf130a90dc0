"""MADV_COLLAPSE and khugepaged in programs: how often they flush and synchronise, and what calls find afterwards."""

from __future__ import annotations

import pytest

import shootdown


def run(
    do: str, *, first: str = "touch heap", size: str = "8M", arch: str = "x86", kernel: str = "7.0",
    kind: str = "anonymous", others: int = 2, cpus: int = 4,
) -> tuple[int, int]:  # fmt: skip
    """Return flushes and syncs of what the first thread does while others compute."""
    thread = {"other": {"count": others, "do": "signal ready; spin"}} if others else {}
    program = {
        "memory": {"heap": {"kind": kind, "size": size}},
        "process": {
            "A": {
                "do": [first, *([f"wait ready {others}"] if others else []), f"measure {{ {do} }}"],
                "thread": thread,
            }
        },
    }
    (row,) = shootdown.compare(program, arch=[arch], kernels=[kernel], cpus=[cpus])
    counts = row.counts
    assert counts["sync_ipis"] == (cpus - 1) * counts["sync_broadcasts"]
    if arch == "x86" and "khugepaged" not in do:
        assert counts["flush_ipis"] == others * counts["flush_requests"]
    return counts["flush_requests"], counts["sync_broadcasts"]


@pytest.mark.parametrize("kernel", ["7.2.13", "7.3.4"])
def test_khugepaged_flushes_and_synchronises_as_it_was_measured(kernel: str) -> None:
    """The oracle's rows of amd64 with PMD order enabled: four ranges are four of each in the first pass, none later."""
    assert run("khugepaged heap", kernel=kernel, others=0) == (4, 4)
    assert run("khugepaged heap; khugepaged heap; khugepaged heap", kernel=kernel, others=0) == (4, 4)


def test_the_process_that_waits_for_khugepaged_is_interrupted() -> None:
    """khugepaged's own CPU is not in mm_cpumask, that of the process is."""
    program = {
        "memory": {"heap": {"size": "4M"}},
        "process": {"A": {"do": "touch heap; measure { khugepaged heap }"}},
    }
    (row,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[3])
    assert (row.counts["flush_ipis"], row.counts["sync_ipis"]) == (2, 4)
    assert row.interrupts == (4, 2, 0)


def test_khugepaged_collapses_again_what_was_faulted_in_again() -> None:
    turns = "repeat 3 { touch heap; khugepaged heap; madvise heap DONTNEED }"
    assert run(turns, others=0) == (15, 12)


@pytest.mark.parametrize(
    ("do", "flushes", "syncs"),
    [
        ("madvise heap COLLAPSE", 4, 4),
        ("madvise heap COLLAPSE; madvise heap COLLAPSE", 4, 4),
        ("madvise heap COLLAPSE; madvise heap DONTNEED", 5, 4),
        ("madvise heap COLLAPSE; mprotect heap read", 5, 4),
        ("madvise heap COLLAPSE; munmap heap", 5, 4),
        # the split flushes the huge entry, the zap its page, and the third call collapses one range again
        ("madvise heap COLLAPSE; madvise heap[0:4K] DONTNEED; madvise heap COLLAPSE", 7, 5),
        ("madvise heap[1M:3M] COLLAPSE", 0, 0),  # no whole range
        ("madvise heap[1M:5M] COLLAPSE", 1, 1),
        # the first range has two VMAs, until both have the same rights again
        ("mprotect heap[0:1M] read; madvise heap COLLAPSE", 4, 3),
        ("mprotect heap[0:1M] read; mprotect heap[0:1M] write; madvise heap COLLAPSE", 6, 4),
        ("munmap heap[0:1M]; madvise heap COLLAPSE", 4, 3),
    ],
)
def test_each_collapse_is_a_flush_and_a_sync(do: str, flushes: int, syncs: int) -> None:
    """hugepage_vma_revalidate() wants one VMA; 7.0 flushes where mprotect() widens too."""
    assert run(do) == (flushes, syncs)


def test_one_page_in_a_range_is_enough() -> None:
    assert run("touch heap[2M:2052K]; madvise heap COLLAPSE", first="mmap heap") == (1, 1)


def test_a_transparent_huge_page_that_was_split_is_made_whole_again() -> None:
    assert run("madvise heap COLLAPSE", first="touch heap; madvise heap[0:4K] DONTNEED", kind="thp") == (1, 1)


def test_the_workload_counts_the_same() -> None:
    """thp-collapse has the same collapses, of khugepaged and by the process."""
    for caller, do in (("khugepaged", "khugepaged heap"), ("process", "madvise heap COLLAPSE")):
        (row,) = shootdown.compare(
            "thp-collapse",
            arch=["arm64"],
            kernels=["7.0"],
            cpus=[4],
            parameters={"ranges": 4, "caller": caller},
        )
        counts = row.counts["flush_requests"], row.counts["sync_broadcasts"]
        assert run(do, arch="arm64", others=0) == counts


@pytest.mark.parametrize(
    ("do", "told"),
    [
        ("khugepaged heap", "khugepaged needs a CPU that no thread has"),
        ("madvise heap COLLAPSE; reclaim heap", "collapse of what was reclaimed is not counted yet"),
        ("each 2M of heap { madvise it COLLAPSE }", "collapse of pieces is not counted yet"),
        ("fork B; madvise heap COLLAPSE", "heap may be mapped by several processes"),
        (
            "touch heap read; madvise heap COLLAPSE",
            "heap is collapsed by `madvise heap COLLAPSE`: reads of it",
        ),
    ],
)
def test_what_is_not_counted_is_refused_in_a_line(do: str, told: str) -> None:
    program = {
        "memory": {"heap": {"size": "4M"}},
        "process": {"A": {"do": do}, **({"B": {"do": "sleep"}} if "fork" in do else {})},
    }
    with pytest.raises(shootdown.ShootdownError, match=told) as error:
        shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[1])
    assert "\n" not in str(error.value)


def test_khugepaged_makes_no_huge_page_of_the_zero_page_alone() -> None:
    """hpage_collapse_scan_pmd(): 512 of the zero page are more than max_ptes_none; one page besides is enough."""
    syncs = []
    for first in ("touch heap read", "touch heap[0:4K]; touch heap[4K:] read", "touch heap; touch heap read"):
        program = {
            "memory": {"heap": {"size": "2M"}},
            "process": {"A": {"do": [first, "measure { khugepaged heap }"], "thread": {"t": {"do": "spin"}}}},
        }
        (row,) = shootdown.compare(program, arch=["x86"], kernels=["7.0"], cpus=[4])
        syncs.append(row.counts["sync_ipis"] > 0)
    assert syncs == [False, True, True]
