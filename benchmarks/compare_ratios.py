"""Compare two runs of the benchmarks of architectures, which `--benchmark-json` wrote; fail where one got slower.

    python benchmarks/compare_ratios.py OLD NEW.json

OLD is such a file, or a commit whose benchmarks/results/ratios.json is taken.

A quotient of two times in one run is the same on a busy machine and on another one, but for noise. It counts as
slower if the quartiles of both runs are apart and the median grew by more than a tenth.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
#: How much a median may grow, though quartiles are apart.
GROWTH = 1.1


def ratios(path: str) -> dict[str, dict[str, Any]]:
    """Read the quotients of a run, by the name of the benchmark.

    Raises:
        SystemExit: the file is none of a run; the message says why.
    """
    try:
        tables = json.loads(_text(path))
        found = {
            one["fullname"].rpartition("/")[2]: one["extra_info"]
            for one in tables["benchmarks"]
            if "ratio" in one["extra_info"]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{path}: no result of pytest-benchmark: {error}") from None
    if not found:
        raise SystemExit(
            f"{path}: it has no quotient: run the benchmarks of architectures with --benchmark-json"
        )
    return found


def _text(path: str) -> str:
    """Read a file, or the quotients of a commit."""
    if Path(path).is_file():
        return Path(path).read_text()
    command = ["git", "-C", str(RESULTS.parent), "show", f"{path}:./{RESULTS.name}/ratios.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(
            f"{path}: neither a file nor a commit with benchmarks/results/ratios.json, which make bench-ratios writes"
        )
    return done.stdout


def slower(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether a quotient grew beyond noise."""
    return bool(new["ratio_low"] > old["ratio_high"] and new["ratio"] > GROWTH * old["ratio"])


def main(old_path: str, new_path: str) -> int:
    """Print both runs side by side; return 1 if something got slower, or is gone."""
    old, new = ratios(old_path), ratios(new_path)
    worse = 0
    for name, before in old.items():
        after = new.get(name)
        if after is None:
            print(f"GONE    {name}: x{before['ratio']:.2f} before")
            worse += 1
            continue
        bad = slower(before, after)
        worse += bad
        print(
            f"{'SLOWER' if bad else 'ok':7} {name}: x{before['ratio']:.2f} ({before['ratio_low']:.2f}-"
            f"{before['ratio_high']:.2f}) before, x{after['ratio']:.2f} ({after['ratio_low']:.2f}-"
            f"{after['ratio_high']:.2f}) now"
        )
    for name in new.keys() - old.keys():
        print(f"new     {name}: x{new[name]['ratio']:.2f}")
    return int(worse > 0)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: python benchmarks/compare_ratios.py OLD NEW.json")
    raise SystemExit(main(sys.argv[1], sys.argv[2]))
