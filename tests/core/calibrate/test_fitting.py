"""Costs from measured times: what they decide is found, and what they don't stays as it was."""

from __future__ import annotations

import math

import attrs
import numpy as np
import pytest

from shootdown._calibrate.fitting import Datum, fit
from shootdown._plugins.registry import registry
from shootdown._values.platform import COST_NAMES, Costs


def base() -> Costs:
    return registry().platform("x86", "kvm-guest").costs


def datum(ns: float, spread: float = 0.02, exact: float = 0.0, **numbers: float) -> Datum:
    found = np.zeros(len(COST_NAMES) + 1)
    for name, number in numbers.items():
        found[COST_NAMES.index(name)] = number
    found[-1] = exact
    return Datum(" and ".join(numbers), ns, spread, found)


def test_a_cost_that_is_measured_alone_is_what_was_measured() -> None:
    found = fit(
        base(), "kvm-guest", [datum(500.0, syscall_ns=1), datum(6000.0, syscall_ns=2, small_fault_ns=5)]
    )
    assert found.costs.syscall_ns.likely == pytest.approx(500, rel=0.1)
    assert found.costs.small_fault_ns.likely == pytest.approx(1000, rel=0.1)
    assert set(found.measured) == {"syscall_ns", "small_fault_ns"}
    assert found.off == pytest.approx([1, 1], rel=0.06)
    assert found.costs.syscall_ns.source.startswith("measured here: syscall_ns")


def test_what_no_time_contains_keeps_its_range_and_says_so() -> None:
    found = fit(base(), "kvm-guest", [datum(500.0, syscall_ns=1)])
    for name in ("fork_ns", "ipi_latency_ns"):
        was, now = getattr(base(), name), getattr(found.costs, name)
        assert (now.low, now.likely, now.high) == (was.low, was.likely, was.high)
        assert "no measurement decides it" in now.source


def test_costs_that_only_occur_together_share_what_was_measured_by_their_ranges() -> None:
    numbers = {"ipi_send_ns": 1.0, "ipi_latency_ns": 1.0, "ipi_handler_ns": 1.0}
    was = sum(getattr(base(), name).likely for name in numbers)
    found = fit(base(), "kvm-guest", [datum(10 * was, **numbers)])
    assert sum(getattr(found.costs, name).likely for name in numbers) == pytest.approx(10 * was, rel=0.1)
    grown = {name: getattr(found.costs, name).likely / getattr(base(), name).likely for name in numbers}
    assert grown["ipi_latency_ns"] > grown["ipi_handler_ns"] > 1, "the range of the latency is the wider one"


def test_the_surer_a_time_is_the_nearer_costs_come_to_it() -> None:
    sure, unsure = (
        fit(base(), "kvm-guest", [datum(5000.0, spread, syscall_ns=1)]).costs.syscall_ns
        for spread in (0.02, 2.0)
    )
    assert abs(math.log(sure.likely / 5000)) < abs(math.log(unsure.likely / 5000))
    assert sure.high / sure.low < unsure.high / unsure.low


def test_nanoseconds_that_no_cost_decides_are_taken_off() -> None:
    found = fit(base(), "kvm-guest", [datum(2000.0, exact=1500.0, syscall_ns=1)])
    assert found.costs.syscall_ns.likely == pytest.approx(500, rel=0.25)


def test_a_cost_that_is_nothing_stays_nothing() -> None:
    costs = attrs.evolve(base(), ipi_scan_ns=attrs.evolve(base().ipi_scan_ns, low=0, likely=0, high=0))
    found = fit(costs, "kvm-guest", [datum(900.0, syscall_ns=1, ipi_scan_ns=7)])
    assert found.costs.ipi_scan_ns.high == 0
