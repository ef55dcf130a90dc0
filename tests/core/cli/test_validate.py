"""`shootdown validate`: its exit status, and what it prints where the reader goes away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shootdown import _cli

MEASURED = Path(__file__).parents[2] / "oracle" / "measured.jsonl"
ROW = json.loads(MEASURED.read_text().splitlines()[1])
MAIN = [sys.executable, "-c", "from shootdown._cli import main; main()"]


@pytest.mark.parametrize(
    "rows",
    [
        [ROW | {"workload": "nothing"}, ROW | {"arch": "vax"}],
        [ROW | {"counts": {}}],
        [ROW | {"k": 10**9}],
    ],
)
def test_a_file_of_which_nothing_can_be_compared_ends_with_2(
    rows: list[dict[str, object]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    assert _cli.run(["validate", str(file)]) == 2
    out, err = capsys.readouterr()
    assert "0 of 0 counts agree" in out
    assert f"{file}: nothing was compared" in err


def test_one_row_that_can_be_compared_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, [ROW | {"workload": "nothing"}, ROW])))
    assert _cli.run(["validate", str(file)]) == 0
    assert "counts agree" in capsys.readouterr().out


def test_a_reader_of_several_tables_that_went_away_ends_it_with_141(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(ROW))
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*MAIN, "validate", str(file)], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_sentences_are_wrapped_for_a_terminal_and_whole_for_a_pipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rows.jsonl"
    wrong = ROW | {"counts": ROW["counts"] | {"sync_broadcasts": [7, 7]}}
    file.write_text("\n".join(map(json.dumps, [wrong, ROW | {"workload": "nothing"}])))
    monkeypatch.delenv("COLUMNS", raising=False)
    assert _cli.run(["validate", str(file)]) == 1
    whole = capsys.readouterr().out
    assert max(map(len, whole.splitlines())) > 80
    monkeypatch.setenv("COLUMNS", "80")
    assert _cli.run(["validate", str(file)]) == 1
    wrapped = capsys.readouterr().out
    assert max(map(len, wrapped.splitlines())) <= 80
    assert [line for line in wrapped.split() if "─" not in line] == [
        line for line in whole.split() if "─" not in line
    ]
