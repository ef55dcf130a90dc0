"""How predicted and measured counts compare: exact, varying, open, documented or wrong."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from shootdown import _cli
from shootdown._oracle.rows import Row, read_rows
from shootdown._oracle.validate import KINDS, Verdict, summarise, validate
from shootdown.measured import Undisturbed, actor_cpu, parent_wakes

ORACLE = Path(__file__).parents[2] / "oracle"


def verdict(measured: tuple[int, int], predicted: tuple[int, int], number: int | None) -> Verdict:
    return Verdict("mov_cr3", measured, predicted, number)


@pytest.mark.parametrize(
    ("measured", "predicted", "number", "kind"),
    [
        ((2, 2), (2, 2), 2, "exact"),
        ((1, 2), (2, 2), 2, "varies"),
        ((1, 2), (1, 3), None, "varies"),
        ((2, 2), (1, 3), None, "open"),
        ((2, 2), (2, 4), 2, "exact"),
        ((2, 4), (2, 4), 2, "varies"),
        ((4, 4), (2, 4), 2, "open"),
        ((3, 3), (2, 2), 2, "differ"),
        ((2, 5), (2, 4), 2, "differ"),
    ],
)
def test_a_count_is_exact_only_if_one_number_was_predicted_and_every_run_gave_it(
    measured: tuple[int, int], predicted: tuple[int, int], number: int | None, kind: str
) -> None:
    assert verdict(measured, predicted, number).kind == kind


def test_a_difference_with_a_known_reason_is_documented() -> None:
    assert attrs.evolve(verdict((3, 3), (2, 2), 2), reason="lost events").kind == "documented"


def test_scheduling_only_adds_to_a_number_unless_a_lowest_value_is_given() -> None:
    assert Undisturbed(2, 4).ends == (2, 4)
    assert Undisturbed(2, 4, 1).ends == (1, 4)


def row(cpus: int = 4, **fields: object) -> Row:
    return Row(1, "riscv64", "6.12.117", "hugetlb_shared", cpus, fields, {})


def test_the_actor_runs_where_the_program_pins_it() -> None:
    assert [actor_cpu(row(mode="exit", step="exit", i=i)) for i in (1, 2, 3)] == [2, 3, 0]
    assert actor_cpu(row(mode="mprotect", step="mprotect_ro")) == 2
    assert actor_cpu(row(mode="trunc", step="truncate0")) == 1
    assert actor_cpu(row(mode="control_unshared", step="munmap")) == 1
    assert actor_cpu(row(mode="mprotect", step="mprotect_ro", cpus=2)) == 0
    assert actor_cpu(Row(1, "riscv64", "7.2", "anonymous", 4, {}, {})) == 0


def test_the_parent_wakes_when_it_acts_or_its_first_child_exits() -> None:
    assert [parent_wakes(row(step="exit", i=i)) for i in (1, 2)] == [True, False]
    assert [parent_wakes(row(step=step)) for step in ("truncate0", "munmap")] == [True, False]
    assert not parent_wakes(row(step="exit_after_parent", i=1))


def test_validate_says_how_many_counts_are_exact_and_what_left_the_others_open(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    file = ORACLE / "measured-i386.jsonl"
    summary = summarise(validate(read_rows(file)))
    assert summary["compared"] == summary["agree"] == sum(summary[kind] for kind in KINDS) == 1752
    assert _cli.run(["validate", str(file)]) == 0
    out = capsys.readouterr().out
    assert f"{summary['exact']} (96.7 %) are exact: one number was predicted, and every run gave it" in out
    assert (
        f"{summary['varies']} (1.9 %) agree where the runs themselves differ; {summary['open']} (1.3 %)"
        in out
    )
    assert "Of the counts whose runs agree 98.6 % are exact." in out
    assert "12 of instructions.invlpg, 3 of flush_tlb_mm_range (8 open): which pages the parent copies" in out


def test_the_json_of_validate_has_the_summary_and_by_row_what_is_not_exact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (ORACLE / "measured-i386.jsonl").read_text().splitlines()
    spinning = next(
        line for line in lines if (value := json.loads(line)).get("T") == 3 and value["threads"] == "spin"
    )
    file = tmp_path / "row.jsonl"
    file.write_text(spinning)
    assert _cli.run(["validate", "--json", str(file)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["summary"]["compared"] == 12
    assert answer["summary"]["exact"] + answer["summary"]["varies"] + answer["summary"]["open"] == 12
    (only,) = answer["rows"]
    low, high = only["predicted"]["instructions"]["mov_cr3"]
    assert (only["undisturbed"], high) == ({"instructions.mov_cr3": low}, low + 2)
    assert set(only["not_exact"]) <= {"instructions.mov_cr3"}
