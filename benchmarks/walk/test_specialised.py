"""What it is worth that a format's numbers are constants."""

import json
import os
import subprocess
import sys

from benchmarks import common


def test_specialised_walks_beside_a_table_and_beside_hand_inlining(benchmark, tmp_path):
    words = [sys.executable, "-m", "benchmarks.walk.specialised"]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}

    def run():
        return subprocess.run(
            words, env=environment, cwd=common.ROOT, check=True, capture_output=True, text=True
        ).stdout

    found = json.loads(benchmark.pedantic(run, rounds=1))
    measured = common.Measured(found["seconds"], found["units"])
    names = ("specialised", "table at run time", "inlined by hand")
    data = {
        "ns": {name: measured.ns(name) for name in names},
        "table_over_specialised": measured.ratio("table at run time", "specialised"),
        "by_hand_over_specialised": measured.ratio("inlined by hand", "specialised"),
        "machine": common.machine(),
    }
    faster = ("", str(data["table_over_specialised"]), str(data["by_hand_over_specialised"]))
    common.write(
        "specialised",
        "A format's numbers as constants",
        [
            "x86-64 4-level walks that stay in the cache; results were equal first. The table has the same numbers in",
            "arrays; by hand, the same walk is written out for x86-64 alone. All are numba.",
            "",
            f"Measured on: {data['machine']}.",
            "",
            *common.table(
                ["walk", "ns", "specialised is faster by"],
                [[name, f"{data['ns'][name]:.2f}", ratio] for name, ratio in zip(names, faster, strict=True)],
            ),
        ],
        data,
    )
