"""The workload of docs/how-to/add-a-workload.md counts what the page says."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from shootdown._plugins.registry import registry
from shootdown._questions.case import Question, prepare
from shootdown._questions.simulate import simulate

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def workload() -> Any:
    """Return the one workload that the example's hook offers."""
    example = runpy.run_path(str(ROOT / "docs" / "examples" / "hugetlb_churn.py"))
    (found,) = example["shootdown_workloads"]()
    return found


@pytest.mark.parametrize(("kernel", "broadcasts"), [("6.15", 0), ("6.16", 5), ("7.0", 5)])
def test_each_round_unshares_and_shares_the_table(workload: Any, kernel: str, broadcasts: int) -> None:
    installed = registry()
    x86 = installed.architecture("x86")
    asked = Question(workload, x86, x86.platforms[0], kernel, parameters={"times": 5}, cpus=4)
    counts = simulate(prepare(asked)).counts
    assert counts["unshared_tables"] == counts["shared_tables"] == 5
    assert counts["sync_broadcasts"] == broadcasts


def test_a_kernel_without_the_call_refuses(workload: Any) -> None:
    x86 = registry().architecture("x86")
    row = simulate(prepare(Question(workload, x86, x86.platforms[0], "5.10", cpus=4)))
    assert not row.supported
    assert "90e7e7f5ef3f" in str(row.reason)
