"""Costs that are estimated, taken over or scaled say so, each of them."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shootdown import Cost, Costs, ShootdownError
from shootdown._porting.costs import CLOCK, TYPICAL
from shootdown.porting import COST_NAMES, costs_like, costs_times, estimated_costs

MEASURED = Cost(1, 2, 3, "lore 1@example.org")


def table(costs: Costs) -> dict[str, Cost]:
    return {name: getattr(costs, name) for name in COST_NAMES}


def test_the_typical_table_has_every_cost() -> None:
    assert tuple(TYPICAL) == COST_NAMES


@given(st.floats(0.01, 99))
def test_every_estimate_is_marked_and_its_range_is_in_order(ghz: float) -> None:
    for name, cost in table(estimated_costs(ghz)).items():
        assert cost.source.startswith("estimate: "), name
        assert cost.low <= cost.likely <= cost.high, name


def test_what_the_clock_decides_is_scaled_and_what_memory_decides_is_not() -> None:
    usual, slow = table(estimated_costs(CLOCK)), table(estimated_costs(CLOCK / 2))
    for name in COST_NAMES:
        assert slow[name].likely == usual[name].likely * (2 if TYPICAL[name].clocked else 1), name
        scaled = TYPICAL[name].clocked and not TYPICAL[name].why.startswith("part of ")
        assert ("scaled to 1.5 GHz" in slow[name].source) == scaled, name
        assert "scaled" not in usual[name].source
    assert not TYPICAL["zero_ns"].clocked
    assert TYPICAL["ipi_handler_ns"].clocked


def test_what_is_known_stands_as_it_is() -> None:
    costs = estimated_costs(1.0, page_flush_ns=MEASURED)
    assert costs.page_flush_ns is MEASURED
    with pytest.raises(ShootdownError, match="no_such_ns"):
        estimated_costs(1.0, no_such_ns=MEASURED)


@pytest.mark.parametrize("ghz", [0, -1, 100, float("nan")])
def test_a_clock_rate_that_no_cpu_has_is_refused(ghz: float) -> None:
    with pytest.raises(ShootdownError, match="a clock rate of"):
        estimated_costs(ghz)


def test_a_typical_cost_lies_where_those_of_the_four_servers_do() -> None:
    from shootdown._plugins.registry import registry

    servers = (
        ("x86", "intel-server"),
        ("arm64", "neoverse-n1"),
        ("powerpc", "power9"),
        ("riscv", "rva23-server"),
    )
    costs = [table(registry().platform(arch, name).costs) for arch, name in servers]
    for name, row in TYPICAL.items():
        if row.why.startswith("part of "):  # of another cost, except where an architecture tells them apart
            assert row.high == 0, name
            continue
        theirs = [each[name] for each in costs]
        assert row.low == min(cost.low for cost in theirs), name
        assert row.likely == pytest.approx(statistics.median(cost.likely for cost in theirs), rel=0.2), name
        highest = max(cost.high for cost in theirs)
        assert row.high == highest or (name in ("full_flush_ns", "page_flush_ns") and row.high < highest), (
            name
        )


def test_what_is_taken_over_says_from_whom() -> None:
    first = estimated_costs(2.0)
    other = costs_like("first", first, zap_ns=MEASURED)
    assert other.zap_ns is MEASURED
    assert other.lock_ns == Cost(
        first.lock_ns.low, first.lock_ns.likely, first.lock_ns.high, "estimate: taken over from first"
    )


def test_what_is_taken_over_by_a_factor_says_why_and_what_is_given_is_not_multiplied() -> None:
    first = estimated_costs(2.0)
    other = costs_times(1.5, "an older mesh", "first", first, zap_ns=MEASURED)
    assert other.zap_ns is MEASURED
    assert other.lock_ns.likely == 1.5 * first.lock_ns.likely
    assert other.lock_ns.source == "estimate: 1.5 times first's: an older mesh"
