"""Rows that nobody measured: what the rule says of other CPU counts, modes and releases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shootdown._oracle.validate import validate
from shootdown.measured import Row, read_rows

ORACLE = Path(__file__).parents[1] / "oracle" / "measured.jsonl"


def predicted(workload: str, kernel: str = "6.12.95", cpus: int = 4, **fields: Any) -> dict[str, Any]:
    """Predict the instructions of a made-up row; the prefix and suffix that all names have are dropped."""
    row = Row(
        1,
        "ppc64el",
        kernel,
        workload,
        cpus,
        {"arch": "ppc64el", "workload": workload, "kernel": kernel, "cpus": cpus, **fields},
        {"sync_broadcasts": [0, 0], "sync_ipis": [0, 0], "instructions": {}},
    )
    (comparison,) = validate([row])
    assert comparison.reason is None
    assert comparison.predicted is not None
    assert comparison.predicted["sync_broadcasts"] == comparison.predicted["sync_ipis"] == 0
    counts = comparison.predicted["instructions"]
    return {name.removesuffix("_prs1_r1"): n for name, n in counts.items() if n not in (0, [0, 0])}


def test_every_measured_count_is_predicted_as_one_number_but_for_pages_copied_after_a_fork() -> None:
    rows = [row for row in read_rows(ORACLE) if row.arch == "ppc64el"]
    assert len(rows) == 128
    for comparison in validate(rows):
        row = comparison.row
        forks = row.workload == "fork_storm" or row.fields.get("step") == "fork"
        for verdict in comparison.verdicts:
            assert verdict.agrees, (row.number, verdict)
            assert verdict.predicted is not None
            exact = verdict.predicted[0] == verdict.predicted[1]
            assert exact or (forks and verdict.count == "instructions.tlbiel_ric0_prs1_r1"), (
                row.number,
                verdict,
            )


@pytest.mark.parametrize("cpus", [1, 2, 3, 4, 16, 64])
def test_a_child_that_exits_interrupts_the_cpu_where_it_was_forked(cpus: int) -> None:
    """Two flushes of its own (a dirty page, the end), and one on CPU 1, unless that is where it runs."""
    (there,) = {1 % cpus} - {2 % cpus} or {None}
    times = 2 if there is None else 3
    counts = predicted("hugetlb_shared", cpus=cpus, N=2, k=1, mode="exit", step="exit", i=1)
    assert counts == {"tlbiel_ric2": times, "tlbiel_ric0": 127 * times}


@pytest.mark.parametrize("cpus", [2, 4, 8])
@pytest.mark.parametrize("forks", [5, 12])
def test_in_a_storm_one_child_in_so_many_stays_where_it_was_forked(cpus: int, forks: int) -> None:
    elsewhere = sum((1 + j + 1) % cpus != 1 for j in range(forks))
    counts = predicted("fork_storm", cpus=cpus, N=4, M=forks, conc=1, map=1)
    assert counts["tlbiel_ric2"] == forks + elsewhere


@pytest.mark.parametrize("kernel", ["6.1.176", "6.5"])
def test_before_6_6_a_child_that_ran_on_two_cpus_exits_by_tlbie(kernel: str) -> None:
    """Two flushes with RIC 2, each followed by POWER9's two fix-ups."""
    counts = predicted("hugetlb_shared", kernel, N=1, k=1, mode="exit", step="exit", i=1)
    assert counts == {"tlbie_ric2": 2, "tlbie_ric0": 4, "tlbsync": 2}


@pytest.mark.parametrize(("pages", "expected"), [(256, {"tlbiel_ric0": 256}), (257, {"tlbiel_ric0": 128})])
def test_the_local_ceiling_is_256_pages(pages: int, expected: dict[str, int]) -> None:
    given = {"T": 0, "threads": "spin", "kind": "embedded", "op": "madv_dontneed", "pages": pages}
    assert predicted("anonymous", **given) == expected


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_a_split_flushes_the_huge_page_and_then_the_page(threads: int) -> None:
    given = {"threads": "spin", "kind": "thp", "op": "thp_split_mprotect", "pages": 512}
    assert predicted("anonymous", cpus=8, T=threads, **given) == {"tlbie_ric0": 6, "tlbsync": 2}
    assert predicted("anonymous", cpus=8, T=0, **given) == {"tlbiel_ric0": 2}


def test_with_64k_pages_a_table_maps_32_of_them() -> None:
    given = {"T": 0, "threads": "spin", "op": "munmap", "page_size": "64k"}
    assert predicted("anonymous", kind="embedded", pages=31, **given) == {"tlbiel_ric0": 31}
    assert predicted("anonymous", kind="embedded", pages=32, **given) == {"tlbiel_ric0": 32, "tlbiel_ric1": 1}


@pytest.mark.parametrize("tables", [1, 3])
def test_discarding_hugetlb_pages_keeps_their_table(tables: int) -> None:
    """No RIC 1 or 2 but that of the IPI that trims mm_cpumask first."""
    counts = predicted("hugetlb_shared", N=tables, k=1, mode="madvise", step="madvise")
    assert counts == {"tlbiel_ric2": 1, "tlbiel_ric0": 127 + 128}


def test_a_mapping_of_many_vmas_is_one_flush_because_vmas_are_merged() -> None:
    given = {"N": 4, "k": 1, "mode": "mv_munmap", "step": "munmap_multi_vma"}
    assert predicted("hugetlb_shared", **given) == {"tlbiel_ric2": 2, "tlbiel_ric0": 127 + 128 + 127}


def test_unmapping_half_a_table_flushes_the_page_in_that_half() -> None:
    """The other page that was touched lies in the second half; the IPI trims mm_cpumask first."""
    counts = predicted("hugetlb_shared", N=1, k=1, mode="split", step="munmap_first_512M")
    assert counts == {"tlbiel_ric2": 1, "tlbiel_ric0": 127 + 1}
