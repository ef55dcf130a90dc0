"""`shootdown reproduce`: what is printed of claims."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from shootdown._cli import run
from shootdown._plugins.registry import registry

ROOT = Path(__file__).parents[3]


def test_json_has_a_row_for_each_claim(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reproduce", "A03", "A14", "A18", "A44", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["id"] for row in rows] == ["A03", "A14", "A14-global", "A18", "A44"]
    for row in rows:
        assert {"id", "published", "predicted", "verdict", "in_sample", "reason"} <= set(row)
    assert (rows[0]["published"], rows[0]["predicted"], rows[0]["verdict"]) == (97, 97, "exact")
    assert rows[1]["in_sample"]
    assert len(rows[1]["predicted"]) == rows[1]["curve"]["points"] == 8
    assert rows[3]["predicted"] is None
    assert rows[3]["reason"].startswith("needs LUF")


def test_fitted_and_free_stand_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reproduce", "A03", "A15-invlpg", "A18"]) == 0
    printed = capsys.readouterr().out
    free, fitted = printed.index("Free: no cost"), printed.index("Fitted: a cost")
    assert (
        free < printed.index("A03") < fitted < printed.index("A15-invlpg") < printed.index("Not expressible")
    )


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_lines_fit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert run(["reproduce", "A14", "A16", "A18", "A44", "B15"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= columns


def test_a_file_of_ones_own_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reproduce", "--file", str(ROOT / "docs/examples/claims/mine.toml"), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["id"] == "mine"
    assert row["interval"][0] < row["predicted"] < row["interval"][1]


def test_an_architecture_that_is_not_installed_is_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.toml"
    text = (ROOT / "docs/examples/claims/mine.toml").read_text()
    path.write_text(text.replace('arch = "x86"', 'arch = "vax"'))
    assert run(["reproduce", "--file", os.fspath(path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["verdict"] == "not expressible"
    before, there = row["reason"].split("; there is: ")
    assert before == "needs the architecture vax: no plugin that is installed has it"
    assert there.removesuffix(", ...").split(", ") == sorted(registry().architectures())[:4]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["A99"], "there is no claim 'A99'; nearest:"),
        (["--file", "none.toml"], "claims none.toml: no such file"),
        (["--json", "--markdown"], "--json and --markdown cannot both hold"),
    ],
)
def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], told: str) -> None:
    assert run(["reproduce", *arguments]) == 2
    errors = capsys.readouterr().err
    assert told in errors
    assert "Traceback" not in errors
