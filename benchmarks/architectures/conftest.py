"""What `--benchmark-json` writes of these benchmarks: what is compared, and nothing that names the machine."""

from __future__ import annotations

from typing import Any

#: Of a benchmark; its quotient is in `extra_info`.
KEPT = ("group", "name", "fullname", "params", "extra_info")


def pytest_benchmark_update_json(config: Any, benchmarks: Any, output_json: dict[str, Any]) -> None:
    """Leave out what is of no use beside another run: seconds of each round, and where it was."""
    del config, benchmarks
    machine = output_json["machine_info"]
    output_json["machine_info"] = {
        "cpu": machine.get("cpu", {}).get("brand_raw", ""),
        "python_version": machine["python_version"],
    }
    output_json["commit_info"] = {}  # the file's own commit says it
    output_json["benchmarks"] = [{key: one[key] for key in KEPT} for one in output_json["benchmarks"]]
