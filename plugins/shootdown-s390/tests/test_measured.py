"""What a booted kernel executed, beside what the model predicts, row by row."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parent / "measured-programs.jsonl"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Predict each row, as `shootdown validate --json` does."""
    done = subprocess.run(
        [sys.executable, "-m", "shootdown", "validate", "--json", str(FILE)],
        capture_output=True,
        text=True,
        check=False,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return found


def test_each_row_is_predicted_but_for_the_copies_of_a_forked_process(rows: list[dict[str, Any]]) -> None:
    written = [json.loads(line)["name"] for line in FILE.read_text(encoding="utf-8").splitlines()]
    assert [row["name"] for row in rows] == written
    for row in rows:
        assert row["reason"] is None, row["name"]
        known = ["instructions.ipte_local"] if row["forks"] else []
        assert [name for name in row["differences"] if name not in known] == [], row["name"]


def test_without_a_fork_each_instruction_is_a_number(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if not row["forks"]:
            least = {name: counts[0] for name, counts in row["counts"]["instructions"].items()}
            exact = dict(row["predicted"]["instructions"])
            exact |= {name.partition(".")[2]: count for name, count in row["undisturbed"].items()}
            assert {name: count for name, count in exact.items() if count} == least, row["name"]
