"""Draws of costs within their ranges, and the costs that make a range wide."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shootdown._machine.machine import Machine
from shootdown._plugins.registry import registry
from shootdown._questions.building import built
from shootdown._questions.case import Case, Question, prepare
from shootdown._questions.draws import at
from shootdown._questions.ranges import drawn, widths
from shootdown._timed.run import run_machine
from shootdown._values.platform import COST_NAMES, Cost
from shootdown._values.workload import Workload


def shootdown_of_three() -> Case[Workload]:
    """Three CPUs are interrupted by munmap() of a page."""
    known = registry()
    workload, platform = known.workload("anonymous"), known.platform("x86", "intel-server")
    return prepare(
        Question(workload, known.architecture("x86"), platform, "7.0", parameters={"threads": 3}, cpus=4)
    )


def test_what_80_percent_lie_within_is_narrower_than_all_costs_at_their_ends() -> None:
    case = shootdown_of_three()
    machine = built(case, case.setup(), Machine)
    low, high = (run_machine(machine, case.platform, which=which).window_ns[0] for which in ("low", "high"))
    found = drawn(case, 40)
    assert low < found.elapsed.low < found.elapsed.likely < found.elapsed.high < high
    assert found.elapsed.high / found.elapsed.low < 0.7 * high / low
    assert found == drawn(case, 40), "the same seed draws the same"


def test_the_costs_that_make_the_range_wide_come_first_and_those_that_nothing_costs_last() -> None:
    done: list[None] = []
    found = widths(shootdown_of_three(), lambda: done.append(None))
    assert len(found) == len(done) == len(COST_NAMES)
    spread = [one.high - one.low for one in found]
    assert spread == sorted(spread, reverse=True)
    assert "ipi_latency_ns" in [one.cost for one in found[:3]]
    assert found[-1].high == found[-1].low


@given(st.floats(-4, 4), st.floats(-4, 4))
def test_a_cost_rises_with_its_place_and_is_never_negative(x: float, y: float) -> None:
    for cost in (Cost(1, 10, 100, "a test"), Cost(0, 10, 10, "a test"), Cost(0, 0, 5, "a test")):
        low, high = sorted((x, y))
        assert 0 <= at(cost, low) <= at(cost, high) * (1 + 1e-12)


@pytest.mark.parametrize(("place", "value"), [(-1.645, 1), (0, 10), (1.645, 100), (0.8225, 10 * 10**0.5)])
def test_ends_of_a_range_are_so_many_standard_deviations_away(place: float, value: float) -> None:
    assert at(Cost(1, 10, 100, "a test"), place) == pytest.approx(value)
