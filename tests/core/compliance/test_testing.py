"""`shootdown.testing` in an author's repository: a subclass is all that it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shootdown.testing import ArchitectureCompliance

MODULE = """
from shootdown.testing import ArchitectureCompliance

class TestMine(ArchitectureCompliance):
    architecture = "mine"
    statements = ("1.4", "1.11", "2.6")
    {more}
"""
PLUGIN = """
import attrs
from shootdown import hookimpl
import shootdown_vax

@hookimpl
def shootdown_architectures():
    (good,) = shootdown_vax.shootdown_architectures()
    form = attrs.evolve(shootdown_vax.VAX, name="mine", {format})
    return [attrs.evolve(good, name="mine", formats=(form,))]
"""
SOURCE = Path(__file__).parents[3] / "docs" / "examples" / "vax" / "src"


def run(folder: Path, *, form: str = "", more: str = "") -> tuple[int, str]:
    """Run pytest where a plugin and its tests lie; return the exit status and the report."""
    (folder / "mine_plugin.py").write_text(PLUGIN.replace("{format}", form))
    info = folder / "shootdown_mine-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shootdown-mine\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[shootdown]\nmine = mine_plugin\n")
    (folder / "test_mine.py").write_text(MODULE.replace("{more}", more))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(SOURCE)))},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_each_statement_is_a_test_of_its_own(tmp_path: Path) -> None:
    status, text = run(tmp_path)
    assert status == 0, text
    assert " passed" in text
    assert "UNEVIDENCED: mine (shootdown-mine 0.1): format mine names no manual" in text
    assert "format mine has no examples" in text
    assert "NOT APPLICABLE: it lists no changes" in text


def test_a_finding_fails_its_test_and_says_what_to_do(tmp_path: Path) -> None:
    status, text = run(tmp_path, form="leaf_bits=1")
    assert status == 1
    assert "test_statement[1.4]" in text
    assert "is written as" in text
    assert "to do: Add the bits" in text


def test_evidence_can_be_required(tmp_path: Path) -> None:
    status, text = run(tmp_path, more="evidence_required = True")
    assert status == 1
    assert "no evidence: Examples from a manual" in text


def test_the_base_class_is_no_test_itself() -> None:
    assert not ArchitectureCompliance.__name__.startswith("Test")
    with pytest.raises(pytest.fail.Exception, match="there is no architecture"):
        ArchitectureCompliance().test_statement(None)  # type: ignore[arg-type]


def test_a_refused_plugin_fails_each_test_with_the_reason(tmp_path: Path) -> None:
    status, text = run(tmp_path, form="va_bits=40")
    assert status == 1
    assert "not loaded: mine (shootdown-mine 0.1)" in text
    assert "va_bits says 40" in text
    assert "Traceback" not in text
