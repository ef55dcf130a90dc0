"""Programs that were measured on booted kernels, which the rows themselves have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shootdown._oracle import validate as validation
from shootdown._oracle.rows import parse_rows, read_rows
from shootdown._oracle.validate import Comparison, validate
from shootdown._timed.run import Run, run_machine

ORACLE = Path(__file__).parents[2] / "oracle"


@pytest.fixture(scope="module")
def compared() -> list[Comparison]:
    return list(validate(read_rows(ORACLE / "measured-programs.jsonl")))


def test_every_count_of_every_program_is_predicted(compared: list[Comparison]) -> None:
    assert {(c.row.arch, c.row.kernel) for c in compared} == {
        ("amd64", "6.1.192"),
        ("amd64", "6.12.117"),
        ("amd64", "7.2.13"),
        ("arm64", "6.1.192"),
        ("arm64", "7.2.13"),
        ("ppc64el", "6.1.176"),  # pages of 64K
        ("ppc64el", "6.12.107"),
        ("riscv64", "6.12.117"),
        ("riscv64", "7.2.13"),
    }
    for comparison in compared:
        name = comparison.row.fields["name"]
        assert comparison.reason is None, name
        assert [v.count for v in comparison.verdicts if not v.agrees and v.reason is None] == [], name


def test_the_one_count_that_differs_is_of_a_file_in_tmpfs(compared: list[Comparison]) -> None:
    (wrong,) = [(c, v) for c in compared for v in c.verdicts if not v.agrees]
    assert (wrong[0].row.fields["name"], wrong[1].count) == ("rw", "instructions.tlbi_vale1")
    assert "tmpfs" in str(wrong[1].reason)


def test_syncs_and_invalidations_are_numbers_not_ranges(compared: list[Comparison]) -> None:
    for comparison in compared:
        for verdict in comparison.verdicts:
            if verdict.count in ("sync_broadcasts", "sync_ipis", "gathers", "gathers_vma"):
                assert verdict.kind == "exact", (comparison.row.fields["name"], verdict)


def changed(**fields: object) -> Comparison:
    line = (ORACLE / "measured-programs.jsonl").read_text().splitlines()[0]
    (found,) = validate(parse_rows(json.dumps(json.loads(line) | fields)))
    return found


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"program": 7}, "no program and parameters"),
        ({"program": {"process": {"A": {"do": "dance"}}}}, "there is no statement 'dance'"),
        ({"parameters": {"size": 3}}, "the row's program has no parameter 'size'"),
    ],
)
def test_a_row_whose_program_is_wrong_says_so(fields: dict[str, object], why: str) -> None:
    assert why in str(changed(**fields).reason)


def test_a_program_whose_schedules_are_alike_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[object] = []

    def counted(*args: Any) -> Run:
        runs.append(args)
        return run_machine(*args)

    monkeypatch.setattr(validation, "run_machine", counted)
    assert changed().reason is None
    assert len(runs) == 1
