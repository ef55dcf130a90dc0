"""What `make long` writes into its record."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SAID = {
    "what": "walks of x",
    "against": "twin",
    "seed": 7,
    "count": 1000000,
    "result": "equal",
    "cpu_seconds": 9.5,
}


@pytest.fixture(scope="module")
def long_runs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("long_runs", ROOT / "tests" / "long_runs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(folder: Path, inside: str) -> Path:
    told = json.dumps(SAID).replace('"', "&quot;")
    path = folder / "report.xml"
    path.write_text(
        '<testsuites><testsuite tests="2" failures="1" errors="0" skipped="0">'
        f'<testcase><properties><property name="sample" value="{told}"/></properties>{inside}</testcase>'
        "<testcase/></testsuite></testsuites>"
    )
    return path


def test_a_sample_that_a_test_recorded_becomes_a_row(long_runs: ModuleType, tmp_path: Path) -> None:
    (said,) = long_runs.samples(report(tmp_path, ""))
    row = "| 2026-11-30 | abc | walks of x | twin | 7 | 1,000,000 | equal | 9.5 |"
    assert long_runs.sample_row("2026-11-30", "abc", said) == row


def test_the_sample_of_a_test_that_failed_is_not_called_equal(long_runs: ModuleType, tmp_path: Path) -> None:
    (said,) = long_runs.samples(report(tmp_path, "<failure/>"))
    assert said["result"] == "failed"
    assert long_runs.counts(tmp_path / "report.xml") == {"passed": 1, "failed": 1, "skipped": 0}


def test_rows_go_to_the_end_of_their_tables(long_runs: ModuleType) -> None:
    page = long_runs.RECORD.read_text(encoding="utf-8")
    runs, samples = ["| a run |"], ["| a sample |", "| another |"]
    now = long_runs.added(long_runs.added(page, long_runs.RUNS, runs), long_runs.SAMPLES, samples)
    added = [line for line in now.splitlines() if line not in page.splitlines()]
    assert added == runs + samples
    assert now.index("| a run |") < now.index(long_runs.SAMPLES) < now.index("| another |")
    assert now.endswith("| another |\n")
