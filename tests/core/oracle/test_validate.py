"""The model beside what stock kernels did (tests/oracle)."""

from __future__ import annotations

import json
import random
from pathlib import Path

import attrs
import pytest

from shootdown import ShootdownError
from shootdown._compilation import announcing
from shootdown._oracle.rows import Row, read_rows
from shootdown._oracle.validate import validate
from shootdown._plugins.registry import registry

ORACLE = Path(__file__).parents[2] / "oracle"
MEASURED = "measured.jsonl"
ROWS = read_rows(ORACLE / MEASURED)
#: Those of two or more architectures; other files are an architecture's own.
FILES = (MEASURED, "measured-more.jsonl")
KNOWN = {name for a in registry().architectures().values() if a.measured for name in (a.name, *a.aliases)}
INSTALLED = sorted({row.arch for row in ROWS} & KNOWN)
#: tests/arch_powerpc/test_measured.py says more of each of its rows.
OWN = {"ppc64el"}
PARTS = [
    (file, arch)
    for file in FILES
    for arch in sorted({row.arch for row in read_rows(ORACLE / file)} & (KNOWN - OWN))
]
EXACT = (
    "sync_broadcasts",
    "sync_ipis",
    "unshared_tables",
    "shared_tables",
    "gathers",
    "gathers_vma",
    "flush_tlb_mm_range_all",
)


def rows_of(arch: str) -> list[Row]:
    return [row for row in ROWS if row.arch == arch]


def test_x86_was_measured() -> None:
    assert "amd64" in INSTALLED


@pytest.mark.parametrize(("file", "arch"), PARTS)
def test_each_measured_row_runs_and_its_counts_are_numbers_or_ranges_with_a_reason(
    file: str, arch: str
) -> None:
    """Differences are documented, a count of the mechanism is a number, and nine of ten counts are."""
    compared = list(validate(row for row in read_rows(ORACLE / file) if row.arch == arch))
    assert [c.reason for c in compared if c.predicted is None] == []
    told = [(comparison.row, verdict) for comparison in compared for verdict in comparison.verdicts]
    assert [(row.number, v) for row, v in told if not v.agrees and v.reason is None] == []
    ranges = [(row, v) for row, v in told if v.predicted is not None and v.predicted[0] != v.predicted[1]]
    one_by_one = [(row, v) for row, v in ranges if row.fields.get("conc", 1) == 1]
    assert [(row.number, v) for row, v in one_by_one if v.count in EXACT] == []
    assert [(row.number, v) for row, v in one_by_one if v.open is None] == []
    assert len(ranges) <= len(told) / 10
    assert all(v.predicted[1] <= 18 for _, v in ranges if v.count == "tlb_row" and v.predicted)


def test_a_wrong_count_is_seen(tmp_path: Path) -> None:
    """The comparison can fail: one broadcast more than the kernel sent is a disagreement."""
    value = json.loads((ORACLE / MEASURED).read_text().splitlines()[1])
    value["counts"]["sync_broadcasts"] = [7, 7]
    file = tmp_path / "wrong.jsonl"
    file.write_text(json.dumps(value))
    (comparison,) = validate(read_rows(file))
    assert [v.count for v in comparison.verdicts if not v.agrees] == ["sync_broadcasts"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no row"),
        ("{", "line 1: no JSON"),
        ("[1]", "a row is a JSON object"),
        ('{"arch": "amd64"}', "the row has no kernel"),
        ('{"arch": "a", "kernel": "k", "workload": "w", "counts": {"x": "y"}}', "it is \\[min, max\\]"),
        ('{"arch": "a", "kernel": "k", "workload": "w", "cpus": 0}', "a whole number from 1"),
        ('{"arch": "a", "kernel": "k", "workload": "w", "counts": {"x": [5, 2]}}', "it is \\[min, max\\]"),
        ('{"arch": "a", "kernel": "k", "workload": "w", "counts": {"x": [true, 2]}}', "it is \\[min, max\\]"),
        ('{"arch": "a", "kernel": "k", "workload": "w", "counts": {"x": -1}}', "it is \\[min, max\\]"),
        (
            '{"arch": "a", "kernel": "k", "workload": "w", "counts": {"instructions": 5}}',
            "is 5; it is an object",
        ),
        (
            '{"arch": "a", "kernel": "k", "workload": "w", "counts": {"instructions": {"tlbi": "x"}}}',
            "counts.instructions.tlbi is 'x'",
        ),
        ("[" * 100_000, "line 1: JSON that can't be read"),
    ],
)
def test_a_malformed_file_is_refused_by_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(text)
    with pytest.raises(ShootdownError, match=says):
        read_rows(file)


def test_a_byte_order_mark_and_separators_inside_of_strings_are_no_lines(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    row = '{"arch": "a", "kernel": "k", "workload": "w\u2028"}'
    file.write_bytes(b"\xef\xbb\xbf" + f"{row}\r\n\n{row}".encode())
    assert [read.number for read in read_rows(file)] == [1, 3]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kernel": "6.20.1"}, "6.20"),
        ({"workload": "nothing"}, "is none of"),
        ({"N": -1}, "not negative"),
        ({"k": 10**9}, "k is 1000000000; it is at most 100000"),
        ({"N": 10**20}, "it is at most 1000000"),
        ({"mode": "sideways"}, "one of"),
        ({"step": "dance"}, "is none of this program's"),
        ({"arch": "vax"}, "vax"),
    ],
)
def test_a_row_that_cannot_be_run_says_why_and_the_others_are_compared(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    good = json.loads((ORACLE / MEASURED).read_text().splitlines()[1])
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(good | change) + "\n" + json.dumps(good))
    bad, fine = validate(read_rows(file))
    assert bad.predicted is None
    assert says in (bad.reason or "")
    assert fine.predicted is not None
    assert all(v.agrees for v in fine.verdicts)


@pytest.mark.parametrize("cpus", [1, 2, 3, 16])
@pytest.mark.parametrize("kernel", ["5.15.100", "6.6.100", "6.15", "6.18.30", "7.1"])
def test_other_cpu_counts_and_releases_are_predicted_too(cpus: int, kernel: str) -> None:
    """The sync interrupts all other CPUs; one per table between 1013af4f585f and 8ce720d5bd91."""
    per_table = {"6.6.100": 4, "5.15.100": 0, "6.15": 0, "6.18.30": 1, "7.1": 1}[kernel]
    row = Row(
        1,
        "amd64",
        kernel,
        "hugetlb_shared",
        cpus,
        {"arch": "amd64", "workload": "hugetlb_shared", "kernel": kernel, "cpus": cpus, "N": 4, "k": 1,
         "mode": "exit", "step": "exit", "i": 1, "sharers_before": 2},
        {"sync_broadcasts": [0, 0], "sync_ipis": [0, 0], "tlb_row": [0, 0], "instructions": {}},
    )  # fmt: skip
    (comparison,) = validate([row])
    assert comparison.predicted is not None
    assert comparison.predicted["sync_broadcasts"] == per_table
    assert comparison.predicted["sync_ipis"] == per_table * (cpus - 1)


@pytest.mark.parametrize("threads", [1, 3, 4, 5, 8, 40])
@pytest.mark.parametrize("cpus", [1, 2, 4, 8])
def test_more_threads_than_cpus_share_them_and_interrupt_nobody_twice(threads: int, cpus: int) -> None:
    """Both flushes, that of the unsharing and that of freed tables, reach each other CPU that has a thread."""
    measured = next(r for r in rows_of("amd64") if (r.workload, r.kernel) == ("hugetlb_threads", "6.12.74"))
    (comparison,) = validate([changed(measured, T=threads, cpus=cpus)])
    assert comparison.predicted is not None
    assert comparison.predicted["tlb_row"] == 2 * (min(threads, cpus) - 1)
    assert comparison.predicted["sync_ipis"] == comparison.predicted["sync_broadcasts"] * (cpus - 1)


@pytest.mark.parametrize("arch", INSTALLED)
def test_rows_that_nobody_measured_are_predicted_too(arch: str) -> None:
    """Other numbers of CPUs, tables and threads: no run hangs, and every broadcast reaches everybody else."""
    choose = random.Random(arch)
    rows = []
    for row in choose.choices(rows_of(arch), k=50):
        other = {
            "cpus": choose.choice((1, 2, 3, 5, 16)),
            "N": choose.choice((1, 2, 3, 5)),
            "T": choose.choice((0, 1, 4, 7, 20)),
            "threads": choose.choice(("spin", "lazy", "switched")),
            "M": choose.choice((1, 3, 8)),
            "conc": choose.choice((1, 2, 9)),
        }
        rows.append(changed(row, **{name: value for name, value in other.items() if name in row.fields}))
    for comparison in validate(rows):
        assert comparison.predicted is not None, (comparison.row.fields, comparison.reason)
        if comparison.row.fields.get("conc", 1) > 1:
            continue
        sent = comparison.predicted["sync_broadcasts"]
        assert comparison.predicted["sync_ipis"] == sent * (comparison.row.cpus - 1)


def changed(row: Row, **fields: object) -> Row:
    """Return a row as it would be of another case."""
    return attrs.evolve(row, cpus=fields.get("cpus", row.cpus), fields={**row.fields, **fields})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"k": 100_000}, "more than 4,000,000 steps"),
        ({"k": 10_000, "N": 1_000_000}, "10,002 address spaces with 1,000,000 PMD tables"),
        ({"k": 2, "N": 1_000_000, "mode": "mv_munmap"}, "N is 1000000; with mode mv_munmap"),
        ({"workload": "fork_storm", "M": 100_000}, "more than 4,000,000 steps"),
        ({"cpus": 10**30}, "a machine has between 1 and 8192"),
    ],
)
def test_a_row_that_would_fill_the_memory_is_refused_before_it_does(
    fields: dict[str, object], says: str
) -> None:
    row = next(row for row in ROWS if row.workload == "hugetlb_shared" and row.fields["mode"] == "exit")
    changed = attrs.evolve(
        row, fields={**row.fields, **fields}, workload=str(fields.get("workload", row.workload))
    )
    if "cpus" in fields:
        changed = attrs.evolve(changed, cpus=fields["cpus"])
    (found,) = validate([changed])
    assert says in (found.reason or "")


@pytest.mark.parametrize("mode", ["exit", "exitpar", "madvise", "mprotect", "punch"])
def test_a_row_without_children_is_refused(mode: str) -> None:
    row = next(row for row in ROWS if row.workload == "hugetlb_shared" and row.fields["mode"] == "exit")
    (found,) = validate([attrs.evolve(row, fields={**row.fields, "mode": mode, "k": 0})])
    assert found.reason == f"k is 0; with mode {mode} it is at least 1"


def test_a_large_row_shows_a_sign_of_life_while_its_programs_are_written() -> None:
    row = next(row for row in ROWS if row.workload == "hugetlb_shared" and row.fields["mode"] == "exit")
    signs: list[None] = []

    def watch() -> None:
        signs.append(None)
        if len(signs) == 20:
            raise KeyboardInterrupt

    announcing.watch(watch)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(validate([attrs.evolve(row, fields={**row.fields, "k": 30_000})]))
    finally:
        announcing.watch(lambda: None)
