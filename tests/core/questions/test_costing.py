"""Costs that a person sets, and a clock rate that scales those that depend on it."""

from __future__ import annotations

import pytest

from shootdown._plugins.registry import registry
from shootdown._questions.costing import with_costs
from shootdown._values.errors import ShootdownError
from shootdown._values.platform import Cost, Platform


def server() -> Platform:
    return registry().platform("x86", "intel-server")


def values(cost: Cost) -> tuple[float, float, float]:
    return cost.low, cost.likely, cost.high


@pytest.mark.parametrize("name", ["cost.fault", "cost.fault_ns"])
def test_a_cost_is_set_as_a_range_or_as_one_number(name: str) -> None:
    platform, remarks = with_costs(server(), {name: "1,2.5,9"})
    assert values(platform.costs.fault_ns) == (1, 2.5, 9)
    assert remarks == ("what-if: fault_ns=1,2.5,9 ns (intel-server has 600,1500,5000)",)
    platform, _ = with_costs(server(), {name: "7"})
    assert values(platform.costs.fault_ns) == (7, 7, 7)


def test_a_clock_rate_scales_what_depends_on_it_and_nothing_else() -> None:
    before = server()
    platform, remarks = with_costs(before, {"platform.ghz": "1.5"})
    assert values(platform.costs.ipi_handler_ns) == tuple(
        2 * value for value in values(before.costs.ipi_handler_ns)
    )
    assert values(platform.costs.zero_ns) == values(before.costs.zero_ns)
    assert "scaled to 1.5 GHz" in platform.costs.ipi_handler_ns.source
    assert len(remarks) == 1


def test_a_cost_that_is_given_is_not_scaled() -> None:
    platform, _ = with_costs(server(), {"platform.ghz": "1.5", "cost.zap": "5"})
    assert values(platform.costs.zap_ns) == (5, 5, 5)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("cost.fualt", "3", "there is no cost 'fualt'; nearest: "),
        ("cost.fault", "3,2,1", "must lie between 0 and its likely value"),
        ("cost.fault", "1,2", "one number, or low,likely,high in ascending order"),
        ("cost.fault", "-1", "one number, or low,likely,high in ascending order"),
        ("cost.fault", "1e13", "must not lie above"),
        ("platform.ghz", "fast", "a clock rate in GHz"),
        ("platform.ghz", "0", "a clock rate above 0 and below 100"),
        ("platform.ghz", "inf", "a clock rate in GHz above 0 and below 100"),
    ],
)
def test_what_is_no_cost_is_refused_in_a_line(name: str, text: str, says: str) -> None:
    with pytest.raises(ShootdownError, match=says) as refused:
        with_costs(server(), {name: text})
    assert "\n" not in str(refused.value)
