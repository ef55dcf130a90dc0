"""Run the tests that are marked `long`; write down in docs/reference/long-runs.md of which commit and how it went.

Arguments go to pytest: `tests/long_runs.py tests/arch_x86` runs a part. A test that compares a large sample says with
pytest's `record_property("sample", ...)` what, against what, with which seed, how many, with which result and how many
seconds of CPU time: each of them becomes a row. The whole run then tries damaged inputs (tests/fuzz/long.py).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "docs" / "reference" / "long-runs.md"
COUNTS = ("passed", "failed", "skipped")
RUNS, SAMPLES = "## Runs", "## Samples"


def counts(report: Path) -> dict[str, int]:
    """Count outcomes in a report of pytest's as JUnit has it."""
    suite = ET.parse(report).getroot().find("testsuite")
    if suite is None:
        return dict.fromkeys(COUNTS, 0)
    every, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    return {"passed": every - failed - skipped, "failed": failed, "skipped": skipped}


def samples(report: Path) -> list[dict[str, Any]]:
    """Return what tests recorded of their samples; a test that failed did not compare all of its own."""
    found = []
    for case in ET.parse(report).getroot().iter("testcase"):
        failed = any(case.find(tag) is not None for tag in ("failure", "error"))
        for told in case.iter("property"):
            if told.get("name") == "sample":
                said = json.loads(told.get("value", "{}"))
                found.append(said | {"result": "failed"} if failed else said)
    return found


def row(day: str, commit: str, seconds: float, what: Sequence[str], found: Mapping[str, int]) -> str:
    """Write one row of the runs."""
    minutes = f"{int(seconds) // 60}:{int(seconds) % 60:02}"
    chosen = " ".join(what)
    return f"| {day} | {commit} | {chosen} | {minutes} | {' | '.join(str(found[name]) for name in COUNTS)} |"


def sample_row(day: str, commit: str, said: Mapping[str, Any]) -> str:
    """Write one row of the samples."""
    count = f"{said['count']:,}"
    cells = (
        day,
        commit,
        said["what"],
        said["against"],
        said["seed"],
        count,
        said["result"],
        said["cpu_seconds"],
    )
    return f"| {' | '.join(map(str, cells))} |"


def added(page: str, heading: str, rows: Sequence[str]) -> str:
    """Return the page with rows at the end of the table below a heading."""
    before, found, after = page.partition(f"{heading}\n")
    assert found, heading
    section, following, rest = after.partition("\n## ")
    table = "\n".join([section.rstrip("\n"), *rows])
    return f"{before}{heading}\n{table}\n{following}{rest}"


def commit() -> str:
    """Name the commit that is checked out, and say if there are changes beyond it, but for the record."""

    def git(*words: str) -> str:
        done = subprocess.run(("git", *words), cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    name = git("rev-parse", "--short=12", "HEAD") or "unknown"
    return (
        f"{name} with changes"
        if git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{RECORD.relative_to(ROOT)}")
        else name
    )


def main() -> int:
    """Run, append a row, and end as pytest did."""
    tested, began = commit(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = (
            *(sys.executable, "-m", "pytest", "-q", "-n", "auto", "-m", "long", "--durations=25"),
            *("-c", "pyproject.toml", "--override-ini=junit_family=xunit1", f"--junit-xml={report}"),
            *sys.argv[1:],
        )
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        found, compared = counts(report), samples(report)
    day = datetime.now(UTC).date().isoformat()
    chosen = [word for word in sys.argv[1:] if word.startswith("-k") or not word.startswith("-")]
    stopped = ["(stopped)"] if status == pytest.ExitCode.INTERRUPTED else []
    text = row(day, tested, time.monotonic() - began, [*(chosen or ["all"]), *stopped], found)
    page = added(RECORD.read_text(encoding="utf-8"), RUNS, [text])
    RECORD.write_text(
        added(page, SAMPLES, [sample_row(day, tested, said) for said in compared]), encoding="utf-8"
    )
    print(f"{RECORD.relative_to(ROOT)}: {text}, {len(compared)} samples")
    if not chosen:  # the whole run
        inputs = (sys.executable, str(ROOT / "tests" / "fuzz" / "long.py"), "--record")
        status = subprocess.run(inputs, cwd=ROOT, check=False).returncode or status
    return status


if __name__ == "__main__":
    raise SystemExit(main())
