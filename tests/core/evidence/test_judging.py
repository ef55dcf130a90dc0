"""Verdicts: what is published beside what is predicted."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shootdown._evidence.judging import EXACT, INSIDE, OUTSIDE, WEAK, WITHIN, _curve, deviation, verdict
from shootdown._evidence.quantities import Quotient, Range, read_quantity

POSITIVE = st.floats(1e-6, 1e6)


@pytest.mark.parametrize(
    ("published", "decimals", "found", "expected"),
    [
        (97, 0, Range(97, 97, 97, True), EXACT),
        (97, 0, Range(97, 97, 97), WITHIN),  # a time is an estimate, never exact
        (13.603, 3, Range(13, 13, 13, True), WITHIN),
        (13.0, 0, Range(13, 13, 13, True), EXACT),
        (13.79, 2, Range(13.786, 13.786, 13.786, True), EXACT),
        (97, 0, Range(96, 97, 98, True), WITHIN),  # timing decides: the number is luck
        (100, 0, Range(10, 124, 500), WITHIN),
        (100, 0, Range(50, 130, 200), INSIDE),
        (100, 0, Range(20, 130, 200), WEAK),
        (100, 0, Range(0, 130, 200), WEAK),
        (100, 0, Range(126, 130, 200), OUTSIDE),
    ],
)
def test_verdicts(published: float, decimals: int, found: Range, expected: str) -> None:
    assert verdict(published, decimals, found) == expected


@given(POSITIVE, POSITIVE)
def test_a_deviation_is_the_same_in_both_directions(a: float, b: float) -> None:
    assert deviation(a, b) == pytest.approx(deviation(b, a))
    assert deviation(a, b) >= 1


def test_a_value_of_another_sign_is_infinitely_off() -> None:
    assert deviation(1, -1) == math.inf
    assert deviation(1, 0) == math.inf
    assert deviation(0, 0) == 1


@given(st.lists(POSITIVE, min_size=2, max_size=9), st.floats(0.1, 10))
def test_a_curve_that_is_off_by_one_factor_is_right_after_it(values: list[float], factor: float) -> None:
    curve = _curve([(value, value * factor) for value in values])
    assert curve.factor == pytest.approx(1 / factor)
    assert curve.within_after == curve.points == len(values)
    assert curve.largest_after == pytest.approx(1)
    assert curve.largest == pytest.approx(max(factor, 1 / factor))


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=2, max_size=9))
def test_a_common_factor_leaves_no_average_error(pairs: list[tuple[float, float]]) -> None:
    curve = _curve(pairs)
    assert sum(math.log(b * curve.factor / a) for a, b in pairs) == pytest.approx(0, abs=1e-6)


def test_a_quotient_has_the_kind_of_what_is_divided() -> None:
    def kind(of: object, per: object) -> str:
        return Quotient(read_quantity(of), read_quantity(per)).kind

    assert kind("elapsed", 1) == "time"
    assert kind("turns", "72 elapsed") == "rate"
    assert kind("flush_ipis", "flush_requests") == "number"
    assert kind("system", "elapsed") == "number"
    assert kind("ipi_send_ns + 79 ipi_send_each_ns", 1) == "time"
