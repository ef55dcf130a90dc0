"""Run `shootdown` in this process or in one of its own, with distributions that exist for one test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Shell = Callable[..., "subprocess.CompletedProcess[str]"]

CODE = "import sys; from shootdown._cli import main; sys.argv = ['shootdown', *sys.argv[1:]]; main()"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder that is on sys.path in what `shell` runs."""
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def shell(site: Path) -> Shell:
    """Run the command line in a process of its own, as `shootdown ...` does."""

    def run(
        *arguments: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        kept = {
            name: value for name, value in os.environ.items() if name not in ("COLUMNS", "SHOOTDOWN_DISABLE")
        }
        return subprocess.run(
            [sys.executable, "-c", CODE, *arguments],
            env={**kept, "PYTHONPATH": str(site), **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture
def plug(site: Path) -> Callable[[str, str], None]:
    """Write a distribution with one plugin into `site`, as pip would leave it."""

    def write(name: str, code: str) -> None:
        (site / f"plugged_{name}.py").write_text(code)
        info = site / f"shootdown_{name}-9.9.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: shootdown-{name}\nVersion: 9.9\n")
        (info / "entry_points.txt").write_text(f"[shootdown]\n{name} = plugged_{name}\n")

    return write
