"""Try as many inputs as the record in docs/reference/long-runs.md promises, and write the rows of that record.

python tests/fuzz/long.py                       # all of it: about 40 minutes of CPU time
python tests/fuzz/long.py --share 0.01          # a hundredth of each
python tests/fuzz/long.py --state run.json      # go on where an earlier run with this file was stopped
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "docs" / "reference" / "long-runs.md"
HEADING = "| date (UTC) | commit | tried | seed | inputs | what came of them | CPU s | findings |"

#: How many inputs of each; of others a million.
COUNTS = {
    "command lines": 100_000,
    "measured rows that run": 10_000,
    "replays": 10_000,
    "recordings": 100_000,
    "recordings, gz": 100_000,
    "images, npz": 100_000,
    "images, raw": 100_000,
    "images, ELF": 20_000,
    "images, LiME": 20_000,
    "scenario files": 100_000,
    "scenarios explored": 20_000,
}
_MANY = 1_000_000
#: Packed traces are tried where the format inside is the simplest one; `make test` tries all of them.
_LEFT_OUT = {
    f"traces, {name}.{packer}"
    for name in ("npy", "champsim", "lackey", "drmemtrace")
    for packer in ("gz", "xz")
}
#: Inputs that are tried of one before the next: a run that is stopped has some of each.
_ROUNDS = 25


def row(day: str, commit: str, name: str, kept: dict[str, Any]) -> str:
    """Write a row of the record."""
    began = f" from {kept['first']:,} on" if kept.get("first") else ""
    outcomes = ", ".join(f"{count:,} {what}" for what, count in sorted(kept["outcomes"].items()))
    cells = (
        day,
        commit,
        name,
        kept["seed"],
        f"{kept['count']:,}{began}",
        outcomes,
        f"{kept['cpu']:.0f}",
        len(kept["findings"]),
    )
    return f"| {' | '.join(map(str, cells))} |"


def since(before: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
    """Return what a run did that went on where an earlier one, maybe of another commit, was stopped."""
    return {
        "seed": kept["seed"],
        "first": before["count"],
        "count": kept["count"] - before["count"],
        "outcomes": dict(Counter(kept["outcomes"]) - Counter(before["outcomes"])),
        "cpu": kept["cpu"] - before["cpu"],
        "findings": {
            name: kept["findings"][name] for name in kept["findings"] if name not in before["findings"]
        },
    }


def record(rows: list[str]) -> None:
    """Add rows to the record's table of inputs."""
    lines = RECORD.read_text().splitlines()
    at = lines.index(HEADING) + 2
    while at < len(lines) and lines[at].startswith("|"):
        at += 1
    RECORD.write_text("\n".join([*lines[:at], *rows, *lines[at:]]) + "\n")


def commit() -> str:
    """Name the commit that is checked out."""
    done = subprocess.run(
        ("git", "rev-parse", "--short=12", "HEAD"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def main() -> int:
    """Try, print what was found, and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of what is tried; all unless given")
    parser.add_argument("--share", type=float, default=1.0, help="of the inputs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--state", type=Path, help="where to keep what is done")
    parser.add_argument("--record", action="store_true", help="add rows to the record")
    asked = parser.parse_args()
    os.environ["SHOOTDOWN_COMPILE"] = "never"
    sys.path.insert(0, str(ROOT / "tests"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    earlier = asked.state is not None and asked.state.exists()
    before = json.loads(asked.state.read_text()) if earlier else {}
    with tempfile.TemporaryDirectory() as folder:
        done = _all(asked, Path(folder))
    done = {what: since(before[what], kept) if what in before else kept for what, kept in done.items()}
    day, name = datetime.now(UTC).date().isoformat(), commit()
    rows = [row(day, name, what, kept) for what, kept in done.items() if kept["count"]]
    print("\n".join(rows))
    if asked.record:
        record(rows)
    for what, kept in done.items():
        for finding, story in kept["findings"].items():
            print(f"\n{what}: {finding}\n{story}", file=sys.stderr)
    return 1 if any(kept["findings"] for kept in done.values()) else 0


def _all(asked: argparse.Namespace, folder: Path) -> dict[str, dict[str, Any]]:
    """Take turns until each has had all of its inputs, or Ctrl-C."""
    from fuzz.command_lines import command_line, use_in
    from fuzz.readers import READERS
    from fuzz.trying import try_inputs

    kinds: dict[str, tuple[Callable[..., Any], Callable[[Path], Callable[[Any], str]]]] = {
        name: (reader.make, reader.use) for name, reader in READERS.items() if name not in _LEFT_OUT
    }
    kinds["command lines"] = (command_line, use_in)
    names = asked.names or list(kinds)
    nothing: dict[str, Any] = {"seed": asked.seed, "count": 0, "outcomes": {}, "cpu": 0.0, "findings": {}}
    done = {name: dict(nothing) for name in names}
    if asked.state is not None and asked.state.exists():
        done |= json.loads(asked.state.read_text())
    ready: dict[str, Callable[[Any], str]] = {}
    try:
        for turn in range(1, _ROUNDS + 1):
            for name in names:
                kept, make = done[name], kinds[name][0]
                if name not in ready:
                    (folder / name).mkdir()
                    ready[name] = kinds[name][1](folder / name)
                goal = max(int(COUNTS.get(name, _MANY) * asked.share), 1) * turn // _ROUNDS
                if kept["count"] >= goal:
                    continue
                part = try_inputs(name, make, ready[name], goal - kept["count"], first=kept["count"], seed=kept["seed"],
                                  seconds=15.0)  # fmt: skip
                done[name] = {
                    "seed": kept["seed"],
                    "count": kept["count"] + part.count,
                    "outcomes": dict(Counter(kept["outcomes"]) + part.outcomes),
                    "cpu": kept["cpu"] + part.cpu,
                    "findings": part.findings | kept["findings"],
                }
                if asked.state is not None:
                    asked.state.write_text(json.dumps(done))
    except KeyboardInterrupt:
        print("stopped before the end", file=sys.stderr)
    return done


if __name__ == "__main__":
    raise SystemExit(main())
