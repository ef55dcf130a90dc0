"""Every timed run is a path of the explorer: what the one does, in its order, the other can do too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
RUNS = 40


def test_timed_runs_with_random_costs_replay_in_the_explorer_and_end_in_the_same_state() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.core.explore.timed_paths", str(RUNS)],
        cwd=ROOT,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 6 * RUNS
    for row in rows:
        assert row["refused"] == [], row
        assert row["differ"] == [], row
    orders = {(tuple(map(str, row["cell"])), row["moves"]) for row in rows}
    assert len(orders) > len({cell for cell, _ in orders}), "no cost changed the order of anything"
