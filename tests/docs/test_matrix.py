"""docs/reference/matrix.md has the verdicts that exploration gives; `make matrix` writes it anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "matrix.md"


def test_the_matrix_of_verdicts_is_what_exploration_gives() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shootdown", "matrix", "--markdown"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert PAGE.read_text() == done.stdout, "make matrix writes docs/reference/matrix.md anew"
