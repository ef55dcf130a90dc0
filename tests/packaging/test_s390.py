"""The s390 plugin, which is not installed where the tests run: its own tests, as if it were."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[2] / "plugins" / "shootdown-s390"


def _passes(folder: Path, *arguments: str) -> None:
    """Run tests of the plugin, with its entry point in a folder of the path."""
    told = folder / "shootdown_s390-0.1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: shootdown-s390\nVersion: 0.1.0\n")
    (told / "entry_points.txt").write_text("[shootdown]\ns390 = shootdown_s390\n")
    world = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(PLUGIN / "src"), str(folder))),
        "PYTEST_ADDOPTS": "",
    }
    command = (sys.executable, "-m", "pytest", "-q", "-c", PLUGIN / "pyproject.toml", *arguments)
    done = subprocess.run(command, cwd=PLUGIN, env=world, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_rows_that_were_counted_by_hand_or_measured_and_walks_hold(tmp_path: Path) -> None:
    _passes(tmp_path, "tests/test_counts.py", "tests/test_walks.py", "tests/test_measured.py")


@pytest.mark.long
def test_every_statement_of_the_compliance_suite_holds(tmp_path: Path) -> None:
    _passes(tmp_path, "tests/test_compliance.py")
