"""The range of a release in `history` has the counts that were measured on that release."""

from __future__ import annotations

import functools
from collections import defaultdict
from pathlib import Path

import pytest

from shootdown._oracle.rows import Row, read_rows
from shootdown._plugins.registry import registry
from shootdown._questions.history import History, Span, history
from shootdown._values.series import parse_release

FOLDER = Path(__file__).parents[2] / "oracle"
COUNTS = ("sync_broadcasts", "sync_ipis", "unshared_tables", "gathers")
#: The workload that makes the call of a measured step: `mode` and `step`.
WORKLOADS = {
    ("exit", "exit"): "hugetlb-exit",
    ("munmap", "munmap"): "hugetlb-munmap",
    ("mprotect", "mprotect_ro"): "hugetlb-mprotect",
    ("madvise", "madvise"): "hugetlb-madvise",
    ("punch", "punch_whole"): "hugetlb-punch",
    ("trunc", "truncate0"): "hugetlb-truncate",
    ("split", "munmap_first_512M"): "hugetlb-split",
    ("softoff", "soft_offline_migrate"): "hugetlb-migrate",
}
Case = tuple[str, str, int, int, int]


def cases() -> dict[Case, list[Row]]:
    """Return the rows of first calls: by architecture, workload, tables, sharers and CPUs."""
    found: dict[Case, list[Row]] = defaultdict(list)
    for file in ("measured.jsonl", "measured-more.jsonl"):
        for row in read_rows(FOLDER / file):
            workload = WORKLOADS.get((row.fields.get("mode", ""), row.fields.get("step", "")))
            first = row.fields.get("i", 1) == 1 and "page_size" not in row.fields
            if (
                workload is not None
                and first
                and row.workload == "hugetlb_shared"
                and row.arch in ("amd64", "arm64")
            ):
                key = (row.arch, workload, row.integer("N"), row.integer("k") + 1, row.cpus)
                found[key].append(row)
    return found


CASES = cases()


def kernels(case: Case) -> set[str]:
    return {row.kernel for row in CASES[case]}


def telling() -> list[Case]:
    """Return for each architecture and workload the case that was measured on most kernels, of these the largest."""
    best: dict[tuple[str, str], Case] = {}
    for case in sorted(CASES, key=lambda case: (len(kernels(case)), case[2], case)):
        best[case[:2]] = case
    return list(best.values())


@functools.cache
def asked(case: Case) -> History:
    arch, workload, tables, sharers, cpus = case
    return history(
        workload,
        arch=[arch],
        platforms=["qemu-tcg"],
        series=sorted({parse_release(kernel)[0].series for kernel in kernels(case)}),
        parameters={"tables": tables, "sharers": sharers},
        cpus=cpus,
    )


def range_of(found: History, kernel: str) -> Span:
    """Return the one range that a release lies in."""
    release, _ = parse_release(kernel)
    (row,) = (
        row
        for row in found.rows
        if row.series == release.series
        and parse_release(row.first)[0].point <= release.point <= parse_release(row.last)[0].point
    )
    return row


def wrong(case: Case) -> list[str]:
    found = asked(case)
    return [
        f"{row.kernel}, line {row.number}: {name} measured {measured}, history has {counts.get(name)}"
        for row in CASES[case]
        for counts in [range_of(found, row.kernel).outcome.counts]
        for name, measured in row.counts.items()
        if name in COUNTS and not measured[0] <= counts.get(name, -1) <= measured[1]
    ]


@pytest.mark.parametrize("case", telling(), ids=lambda case: "-".join(map(str, case)))
def test_the_range_of_a_measured_release_has_its_counts(case: Case) -> None:
    if case[0] not in {
        name for one in registry().architectures().values() for name in (one.name, *one.aliases)
    }:
        pytest.skip("not installed")
    assert wrong(case) == []


@pytest.mark.long
@pytest.mark.parametrize("case", sorted(CASES), ids=lambda case: "-".join(map(str, case)))
def test_the_range_of_every_measured_release_has_its_counts(case: Case) -> None:
    assert wrong(case) == []


def test_neighbours_that_were_measured_lie_in_two_ranges_with_the_commit_between_them() -> None:
    """6.12.73 and 6.12.74 were booted as the pair on both sides of the rework."""
    found = asked(("amd64", "hugetlb-munmap", 4, 2, 4))
    before, after = range_of(found, "6.12.73"), range_of(found, "6.12.74")
    assert (before.last, after.first) == ("6.12.73", "6.12.74")
    assert after.blame.commits == ("8ce720d5bd91",)


def test_measured_counts_of_one_case_differ_between_kernels() -> None:
    """Otherwise nothing above could fail."""
    different = [
        case for case in telling() if len({tuple(row.counts["sync_ipis"]) for row in CASES[case]}) > 1
    ]
    assert len(different) > len(telling()) // 2
