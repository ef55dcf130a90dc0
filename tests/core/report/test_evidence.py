"""What is said of all claims together."""

from __future__ import annotations

from shootdown._evidence.judging import OUTSIDE, Row
from shootdown._evidence.quantities import Range
from shootdown._evidence.shipped import shipped
from shootdown._report.evidence import summary

CLAIMS = {claim.name: claim for claim in shipped()}


def row(name: str, holds: bool) -> Row:
    """A claim whose intervals all hold what was published, or none of them."""
    claim = CLAIMS[name]
    factor = 1.0 if holds else 4.0
    ranges = tuple(
        Range(point.published * factor / 1.5, point.published * factor, point.published * factor * 1.5)
        for point in claim.points
    )
    return Row(claim, ranges, OUTSIDE, (OUTSIDE,) * len(ranges), "")


def test_a_curve_of_many_points_counts_once_among_sources() -> None:
    found = summary([row("B01", holds=False), row("A06-after", holds=True), row("A17", holds=True)])
    assert (found["free_intervals_that_hold"], found["free_intervals"]) == (2, 7)
    assert found["free_intervals_that_hold_by_source"] == 0.67


def test_what_was_derived_from_a_source_is_of_that_source() -> None:
    found = summary([row("A01", holds=False), row("A04", holds=True), row("A17", holds=True)])
    assert found["free_intervals_that_hold_by_source"] == 0.75


def test_each_source_is_left_out_in_turn() -> None:
    rows = [row("A10", holds=True), row("C04", holds=False), row("C05", holds=True)]
    assert summary(rows)["fitted_times_that_hold_without_a_source"] == [0.8, 1.0]
