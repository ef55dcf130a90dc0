"""Tables that are withdrawn or freed, TLB entries that outlive their pages: verdicts, and why to trust them."""

from __future__ import annotations

import pytest

from shootdown._explore.run import Verdict, explorations, explore, scenarios
from shootdown._explore.scenario import Expect

FAMILY = (
    "khugepaged-gup-page",
    "khugepaged-gup-table",
    "free-pgtables-gup",
    "lazy-freed-tables",
    "mremap-stale",
    "nested-flush",
)


def verdict_of(
    scenario: str,
    arch: str = "x86",
    platform: str = "",
    kernel: str = "7.0",
    *settings: str,
    **parameters: object,
) -> Verdict:
    """Explore one cell."""
    (case,) = explorations(
        scenario,
        arch=[arch],
        platforms=[platform] if platform else [],
        kernels=[kernel],
        settings=settings,
        parameters=parameters,
    )
    return explore(case)


def named(value: object) -> str:
    """Name a cell in a test's id."""
    if isinstance(value, Expect):
        chosen = (*value.settings, *(f"{k}={v}" for k, v in value.parameters.items()))
        return "-".join(filter(None, (value.arch, value.platform, value.kernel, *chosen)))
    return str(value)


EXPECTED = [(name, cell) for name in FAMILY for cell in scenarios()[name].expected]


@pytest.mark.parametrize(("name", "cell"), EXPECTED, ids=named)
def test_each_cell_has_the_verdict_beside_its_scenario_and_a_safe_one_reached_the_race(
    name: str, cell: Expect
) -> None:
    """A SAFE without the racy window would be empty; a BUG is never a deadlock."""
    found = verdict_of(name, cell.arch, cell.platform, cell.kernel, *cell.settings, **cell.parameters)
    assert found.verdict == cell.verdict, (found.invariant, found.reason, cell.why)
    if found.verdict == "safe":
        assert set(scenarios()[name].window) <= found.reached
    if found.verdict == "bug":
        assert found.invariant in ("gup-fast", "walk-cache", "stale-tlb-entry")
