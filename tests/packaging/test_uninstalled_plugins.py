"""Plugins of the repository that are not installed where the tests run: their own tests, as if they were."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[2] / "plugins"
NAMES = ("loongarch", "s390")
_COMPLIANCE = "tests/test_compliance.py"


def _passes(name: str, folder: Path, *arguments: str) -> None:
    """Run tests of a plugin, with its entry point in a folder of the path."""
    plugin = PLUGINS / f"shootdown-{name}"
    told = folder / f"shootdown_{name}-0.1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: shootdown-{name}\nVersion: 0.1.0\n")
    (told / "entry_points.txt").write_text(f"[shootdown]\n{name} = shootdown_{name}\n")
    world = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(plugin / "src"), str(folder))),
        "PYTEST_ADDOPTS": "",
    }
    command = (sys.executable, "-m", "pytest", "-q", "-c", plugin / "pyproject.toml", *arguments)
    done = subprocess.run(command, cwd=plugin, env=world, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_were_counted_by_hand_or_measured_and_walks_hold(name: str, tmp_path: Path) -> None:
    _passes(name, tmp_path, "tests", f"--ignore={_COMPLIANCE}")


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_every_statement_of_the_compliance_suite_holds(name: str, tmp_path: Path) -> None:
    _passes(name, tmp_path, _COMPLIANCE)
