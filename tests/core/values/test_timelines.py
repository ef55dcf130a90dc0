"""Releases follow one another in mainline and in each series, and only series that exist can be asked for."""

from __future__ import annotations

import pytest

from shootdown._values.errors import ShootdownError
from shootdown._values.series import SERIES
from shootdown._values.timelines import MAINLINE, timeline, timelines


def test_mainline_has_the_first_release_of_every_series() -> None:
    assert [str(release) for release in timeline(MAINLINE)] == [series.name for series in SERIES]


def test_a_series_has_every_point_release_up_to_the_newest_known_one() -> None:
    releases = [str(release) for release in timeline("6.19")]
    assert releases == ["6.19", *(f"6.19.{point}" for point in range(1, 15))]


def test_without_names_all_timelines_are_meant_mainline_first() -> None:
    assert timelines() == (MAINLINE, *(series.name for series in SERIES))


def test_names_keep_their_order_and_a_range_has_what_lies_between() -> None:
    assert timelines(["6.12", "v5.10", MAINLINE]) == ("6.12", "5.10", MAINLINE)
    assert timelines(["6.9..6.12"]) == ("6.9", "6.10", "6.11", "6.12")
    assert timelines(["7.2.."]) == ("7.2", "7.3")
    assert timelines(["..5.11"]) == ("5.10", "5.11")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("4.19", "there is no series 4.19; nearest: 5.10, the first that the tables have"),
        ("6.x", "there is no series '6.x'; nearest: 6.9"),
        ("mainlin", "nearest: mainline"),
        ("6.12.74", "6.12.74 is one release; its series is 6.12"),
        ("6.12.9999", "there is no such point release; nearest: 6.12.118"),
        ("7.0..6.1", "no series lies between 7.0 and 6.1; did you mean 6.1..7.0?"),
        ("mainline..6.1", "a range goes from one series to another"),
        ("6.1..6.99", "there is no series 6.99"),
    ],
)
def test_a_series_that_does_not_exist_and_a_range_without_any_are_refused(asked: str, message: str) -> None:
    with pytest.raises(ShootdownError) as refused:
        timelines([asked])
    assert str(refused.value).startswith(f"--series {asked!r}: ")
    assert message in str(refused.value)


@pytest.mark.parametrize("asked", [["6.1", "6.1"], ["6.1..6.6", "6.2"], ["6.1", "v6.1"]])
def test_a_series_is_named_once(asked: list[str]) -> None:
    with pytest.raises(ShootdownError, match="is named twice"):
        timelines(asked)
