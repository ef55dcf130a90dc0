"""Makes `twins` importable, and one run of one workload on arm64 a call with keywords."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.counting import Counted, counted, prepared

sys.path.insert(0, str(Path(__file__).parents[1]))


@pytest.fixture(scope="session")
def run() -> Callable[..., Counted]:
    """Run a workload once, with the likely costs."""

    def once(workload: str, kernel: str, *settings: str, **given: Any) -> Counted:
        return counted(prepared("arm64", workload, kernel, *settings, **given))

    return once
