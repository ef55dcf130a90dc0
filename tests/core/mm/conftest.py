"""One row of one workload on x86, by keyword."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import shootdown
from shootdown import Result

Row = Callable[..., Result]


@pytest.fixture
def row() -> Row:
    def run(
        workload: str, kernel: str, *, cpus: int = 8, platform: str = "intel-server", **given: Any
    ) -> Result:
        settings = given.pop("settings", ())
        rows = shootdown.compare(
            workload,
            arch=["x86"],
            platforms=[platform],
            kernels=[kernel],
            cpus=[cpus],
            parameters=given,
            settings=settings,
        )
        (result,) = rows
        return result

    return run
