"""Scenarios of the museum have the verdicts that they expect on every platform, and safe ones saw their window."""

from __future__ import annotations

import pytest
from tests.core.explore.expected import explored

from shootdown._questions.explore import scenario_named
from shootdown._values.scenario import Expect
from shootdown._values.verdict import SAFE

NAMES = ("lazy-freed-tables", "migrate-device", "pfn-unmap", "switch-mm", "asid-rollover", "sme-dvmsync")
CELLS = [(name, cell) for name in NAMES for cell in scenario_named(name).expected]


@pytest.mark.long
@pytest.mark.parametrize(("name", "cell"), CELLS)
def test_the_verdict_is_the_expected_one_and_a_safe_one_has_seen_the_window(name: str, cell: Expect) -> None:
    verdict = explored(name, cell)
    assert verdict.verdict == cell.verdict, verdict
    if cell.verdict == SAFE:
        assert set(scenario_named(name).window) <= verdict.reached
