"""Run the tests that are marked `long`; write down in docs/reference/long-runs.md of which commit and how it went."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "docs" / "reference" / "long-runs.md"
COUNTS = ("passed", "failed", "skipped")


def counts(report: Path) -> dict[str, int]:
    """Count outcomes in a report of pytest's as JUnit has it."""
    suite = ET.parse(report).getroot().find("testsuite")
    if suite is None:
        return dict.fromkeys(COUNTS, 0)
    every, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    return {"passed": every - failed - skipped, "failed": failed, "skipped": skipped}


def row(day: str, commit: str, seconds: float, found: Mapping[str, int]) -> str:
    """Write one row of the record."""
    minutes = f"{int(seconds) // 60}:{int(seconds) % 60:02}"
    return f"| {day} | {commit} | {minutes} | {' | '.join(str(found[name]) for name in COUNTS)} |"


def commit() -> str:
    """Name the commit that is checked out, and say if there are changes beyond it."""

    def git(*words: str) -> str:
        done = subprocess.run(("git", *words), cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    name = git("rev-parse", "--short=12", "HEAD") or "unknown"
    return f"{name} with changes" if git("status", "--porcelain", "--untracked-files=no") else name


def main() -> int:
    """Run, append a row, and end as pytest did."""
    tested, began = commit(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = (sys.executable, "-m", "pytest", "-q", "-n", "auto", "-m", "long", "--durations=25",
                   f"--junit-xml={report}", *sys.argv[1:])  # fmt: skip
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        found = counts(report)
    text = row(datetime.now(UTC).date().isoformat(), tested, time.monotonic() - began, found)
    with RECORD.open("a") as record:
        record.write(f"{text}\n")
    print(f"{RECORD.relative_to(ROOT)}: {text}")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
