"""What real riscv kernels did, beside what the model predicts: counts of all rows, and what stays a range."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shootdown.measured import Row, read_rows

FILE = Path(__file__).parents[3] / "tests" / "oracle" / "measured-riscv64.jsonl"
ROWS = read_rows(FILE)

#: What the mechanism does: one number each, but for children that exit at once.
MECHANISM = (
    "sync_broadcasts",
    "sync_ipis",
    "shared_tables",
    "gathers",
    "gathers_vma",
    "flush_whole_mm",
    "flush_tlb_range",
    "flush_tlb_mm_range",
    "full_fences",
)
#: What every window but those of forks gives as one number besides.
FENCES = ("flush_requests", "flush_tlb_page", "flush_ipis", "address_fences", "sbi_rfence_calls")
#: What context switches, wake-ups and timers add to, in any window.
SCHEDULING = ("csr_satp", "ecall", "ecall_ipi")


Answers = tuple[dict[str, Any], ...]


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Predict every row, as `shootdown validate --json` does: once for all processes that run these tests."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    kept = folder / "validated-riscv64.json"
    with (folder / "validated-riscv64.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            command = [sys.executable, "-m", "shootdown", "validate", "--json", str(FILE)]
            kept.write_text(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    return tuple(json.loads(kept.read_text())["rows"])


def forks(row: Row) -> bool:
    return row.workload == "fork_storm" or row.fields.get("step") == "fork"


def test_every_measured_row_can_be_run(validated: Answers) -> None:
    assert [row["reason"] for row in validated if row["predicted"] is None] == []
    assert len(validated) == len(ROWS) == 940


def test_every_measured_count_is_predicted(validated: Answers) -> None:
    differing = [
        (number, row["differences"]) for number, row in enumerate(validated, 1) if row["differences"]
    ]
    assert differing == []


def test_what_the_mechanism_does_is_one_number_unless_children_race(validated: Answers) -> None:
    for row, answer in zip(ROWS, validated, strict=True):
        racing = row.fields.get("conc", 1) > 1
        for name in MECHANISM if forks(row) else (*MECHANISM, *FENCES):
            if name in row.counts and not (racing and name.startswith("sync_")):
                assert isinstance(answer["predicted"][name], int), (row.number, name)


def test_outside_of_forks_only_what_scheduling_adds_to_is_a_range(validated: Answers) -> None:
    for row, answer in zip(ROWS, validated, strict=True):
        if not forks(row):
            ranges = {n for n, v in answer["predicted"]["instructions"].items() if not isinstance(v, int)}
            assert ranges <= set(SCHEDULING), row.number


def test_each_range_says_what_decides_it_but_those_of_children_that_race(validated: Answers) -> None:
    for row, answer in zip(ROWS, validated, strict=True):
        counts = {
            f"instructions.{name}": value for name, value in answer["predicted"]["instructions"].items()
        }
        counts |= {name: value for name, value in answer["predicted"].items() if name != "instructions"}
        ranges = {name for name, value in counts.items() if not isinstance(value, int)}
        assert {name for name in ranges if not name.startswith("sync_")} <= set(answer["open"]), row.number


@pytest.mark.parametrize("name", ["satp_mode", "svinval", "aia", "cpus", "hart_ids"])
def test_rows_were_measured_on_machines_that_differ(name: str) -> None:
    assert len({str(row.fields.get(name)) for row in ROWS}) > 1


# --- what the program decides


def predicted(validated: Answers, name: str, **fields: object) -> list[Any]:
    """Return a count's prediction in all rows that have these fields."""
    return [
        answer["predicted"]["instructions"].get(name, answer["predicted"].get(name))
        for row, answer in zip(ROWS, validated, strict=True)
        if all(
            row.fields.get(key, row.cpus if key == "cpus" else None) == value for key, value in fields.items()
        )
    ]


@pytest.mark.parametrize("mode", ["split", "mv_munmap", "mv_mprotect", "mixed", "madvise"])
def test_a_process_with_a_cpu_of_its_own_writes_no_satp(mode: str, validated: Answers) -> None:
    rows = [
        (row.cpus, answer["predicted"]["instructions"]["csr_satp"])
        for row, answer in zip(ROWS, validated, strict=True)
        if row.fields.get("mode") == mode and row.fields["step"] != "fork"
    ]
    assert {value for cpus, value in rows if cpus > 2} == {0}
    assert all(value == [2, 4] for cpus, value in rows if cpus == 2)


def test_the_process_of_anonymous_is_switched_to_and_back(validated: Answers) -> None:
    assert all(value == [2, 4] for value in predicted(validated, "csr_satp", workload="anonymous"))
    numbers = {
        answer["undisturbed"]["instructions.csr_satp"]
        for row, answer in zip(ROWS, validated, strict=True)
        if row.workload == "anonymous"
    }
    assert numbers == {2}


def test_each_page_that_the_row_says_was_copied_is_one_request_more_and_fences_both_cpus(
    validated: Answers,
) -> None:
    for row, answer in zip(ROWS, validated, strict=True):
        copied = row.counts["flush_tlb_page"]
        if row.fields.get("step") != "fork" or copied[0] != copied[1]:
            continue
        assert answer["predicted"]["flush_requests"] == row.fields["k"] + copied[0]
        fenced = answer["undisturbed"].get("instructions.m_sfence_vma_addr_asid")
        if fenced is not None:
            assert fenced == 2 * copied[0] * (row.cpus > 1)


def test_nineteen_of_twenty_counts_are_exact_or_differ_between_runs(validated: Answers) -> None:
    kinds = [kind for answer in validated for kind in answer["not_exact"].values()]
    assert set(kinds) == {"open", "varies"}
    assert kinds.count("open") <= 293
