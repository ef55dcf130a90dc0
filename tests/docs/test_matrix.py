"""docs/reference/matrix.md has the verdicts that exploration gives; `make matrix` writes it anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "matrix.md"


#: Scenarios whose search takes a moment, for `make test`; `make long` writes the whole page.
SOME = ("unshare-gup", "unshare-walk-cache", "lazy-freed-tables", "khugepaged-gup-table", "mremap-stale")


def written(*names: str) -> str:
    command = [sys.executable, "-m", "shootdown", "matrix", "--markdown", *names]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def sections(page: str) -> dict[str, str]:
    """Return the tables of a page by scenario."""
    parts = page.split("\n## ")[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in parts}


def test_tables_of_some_scenarios_are_what_exploration_gives() -> None:
    found, page = sections(written(*SOME)), sections(PAGE.read_text())
    for name in SOME:
        assert found[name] == page[name], "make matrix writes docs/reference/matrix.md anew"


@pytest.mark.long
def test_the_matrix_of_verdicts_is_what_exploration_gives() -> None:
    assert PAGE.read_text() == written(), "make matrix writes docs/reference/matrix.md anew"
