"""`--report NAME` prints what a plugin writes of the rows; whatever it does wrong is said in a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shootdown._cli import run

PLUGIN = """
import json
from shootdown import Report, hookimpl

def write(rows):
    return "\\n".join(json.dumps(row) for row in rows)

@hookimpl
def shootdown_reports():
    return [
        Report("rows", "each row whole", write, ".jsonl", ("compare", "history")),
        Report("number", "no text", lambda rows: len(rows)),
        Report("broken", "raises", lambda rows: rows[0]["no such column"]),
    ]
"""
COMPARE = ["compare", "anonymous", "--arch", "x86", "--kernel", "6.12,7.0", "--cpus", "2", "-p", "threads=2"]
HISTORY = ["history", "anonymous", "--arch", "x86", "--series", "6.12"]


@pytest.fixture
def plugin(tmp_path: Path) -> list[str]:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    return ["--plugin", str(path)]


@pytest.mark.parametrize("command", [COMPARE, HISTORY])
def test_a_report_gets_the_rows_that_jsonl_has(
    command: list[str], plugin: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--jsonl"]) == 0
    expected = capsys.readouterr().out
    assert run([*command, *plugin, "--report", "rows"]) == 0
    printed = capsys.readouterr().out
    assert printed == expected
    assert json.loads(printed.splitlines()[0])["arch"] == "x86"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([*COMPARE, "--report", "number"], "report number: write() returned an int, not a str"),
        ([*COMPARE, "--report", "broken"], "failed: KeyError: 'no such column'"),
        ([*COMPARE, "--report", "row"], "there is no report 'row'; nearest: rows"),
        ([*HISTORY, "--report", "number"], "report number is of compare, not of history"),
        ([*COMPARE, "--report", "rows", "--csv"], "--csv and --report cannot both hold"),
        ([*HISTORY, "--report", "rows", "--advise"], "--report and --advise cannot both hold"),
    ],
)
def test_what_is_wrong_is_told(
    words: list[str], told: str, plugin: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, *plugin]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"each row whole", write', '"each row whole", 5', "report 'rows': write is an int, not a function"),
        ('"history")', '"explore")', "report 'rows': commands has 'explore'; "),
        ('Report("number"', 'Report("rows"', "provides report 'rows', which it provides twice itself"),
        ('".jsonl"', "5", "report 'rows': extension is an int, not a str"),
        ("def shootdown_reports", "def shootdown_report", "shootdown_report is no hook"),
    ],
)
def test_a_report_that_cannot_be_used_is_refused(
    old: str, new: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.py"
    assert old in PLUGIN
    path.write_text(PLUGIN.replace(old, new))
    assert run(["plugins", "--plugin", str(path)]) == 2
    assert told in capsys.readouterr().err


def test_reports_are_listed(plugin: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", "reports", "--json", *plugin]) == 0
    rows = json.loads(capsys.readouterr().out)["reports"]
    assert [row["report"] for row in rows] == ["rows", "number", "broken"]
    assert rows[0]["commands"] == ["compare", "history"]
