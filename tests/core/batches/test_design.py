"""A grid has every combination once; a sample has one point in each part of every axis."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shootdown._batches.axes import Axis, Between, cost_at
from shootdown._batches.design import GRID, LATIN, Design, Points
from shootdown._values.platform import Cost

PROGRAMS = Axis("program", "", ("one", "two"))


def axes(*sizes: int) -> list[Axis]:
    return [
        Axis("parameters", f"p{number}", tuple(range(size)), of="two" if number == 1 else "")
        for number, size in enumerate(sizes)
    ]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_grid_has_each_combination_once_and_the_last_axis_varies_fastest(sizes: list[int]) -> None:
    found = list(Points([PROGRAMS, *axes(*sizes)], Design(GRID)))
    expected = [
        (name, *values)
        for name in PROGRAMS.values
        for values in itertools.product(
            *([None] if number == 1 and name == "one" else range(size) for number, size in enumerate(sizes))
        )
    ]
    assert found == expected


def test_a_latin_hypercube_has_one_point_in_each_part_of_every_axis() -> None:
    many = 40
    drawn = [
        Axis("parameters", "whole", (), Between(0, many - 1)),
        Axis("set", "cost.x", (), Between(10.0, 50.0)),
        Axis("kernel", "", ("6.16", "7.0")),
    ]
    points = Points([Axis("program", "", ("one",)), *drawn], Design(LATIN, many, 3))
    assert sorted(point[1] for point in points) == list(range(many))
    assert sorted(int(point[2] - 10.0) for point in points) == list(range(many))
    assert Counter(point[3] for point in points) == {"6.16": many // 2, "7.0": many // 2}


def test_the_same_seed_draws_the_same_points_and_another_one_others() -> None:
    def drawn(seed: int) -> list[tuple[object, ...]]:
        axis = Axis("set", "cost.x", (), Between(1.0, 1000.0, log=True))
        return list(Points([PROGRAMS, axis], Design(LATIN, 16, seed)))

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


@given(st.floats(0, 1, exclude_max=True), st.booleans())
def test_whole_numbers_of_a_range_include_both_ends(share: float, log: bool) -> None:
    between = Between(3, 9, log)
    assert 3 <= between.at(share) <= 9
    assert isinstance(between.at(share), int)
    assert between.at(0.0) == 3
    assert between.at(0.9999999) == 9


@given(st.floats(0, 1))
def test_a_cost_stays_within_its_platforms_range(share: float) -> None:
    for cost in (Cost(100, 200, 900, "x"), Cost(0, 200, 900, "x"), Cost(5, 5, 5, "x")):
        assert cost.low <= cost_at(cost, share) <= cost.high
    assert cost_at(Cost(100, 200, 900, "x"), 0.5) == pytest.approx(300)
    assert cost_at(Cost(100, 200, 900, "x"), "likely") == 200
