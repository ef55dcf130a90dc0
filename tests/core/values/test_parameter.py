"""Lists of values are rows of their own, and a share is a number of another parameter."""

from __future__ import annotations

import pytest

from shootdown._values.errors import ShootdownError
from shootdown._values.parameter import Parameter, alternatives, read_values
from shootdown._values.reading import read_choice

THREADS = Parameter("threads", 4, "threads", maximum=100)
PREEMPTED = Parameter("preempted", 0, "of them", maximum=100, share_of="threads")
OP = Parameter("op", "munmap", "the call", choices=("munmap", "mprotect"))
PLACE = Parameter("place", "", "free text", check=lambda text: read_choice(text, (text,)))
KNOWN = (THREADS, PREEMPTED, OP, PLACE)


def read(**given: object) -> dict[str, object]:
    return dict(read_values(KNOWN, given, lambda name: f"no {name}"))


def test_each_combination_of_listed_values_is_one_mapping_in_the_order_of_typing() -> None:
    assert alternatives(KNOWN, {"threads": "1, 2", "op": ["munmap", "mprotect"], "place": "a,b"}) == [
        {"threads": "1", "op": "munmap", "place": "a,b"},
        {"threads": "1", "op": "mprotect", "place": "a,b"},
        {"threads": "2", "op": "munmap", "place": "a,b"},
        {"threads": "2", "op": "mprotect", "place": "a,b"},
    ]
    assert alternatives(KNOWN, {}) == [{}]
    assert alternatives(KNOWN, {"unknown": "1,2"}) == [{"unknown": "1,2"}]


@pytest.mark.parametrize("value", ["1,,2", "1,", ",", []])
def test_an_empty_place_in_a_list_is_refused(value: object) -> None:
    with pytest.raises(ShootdownError, match="has an empty place in its list"):
        alternatives(KNOWN, {"threads": value})


@pytest.mark.parametrize(
    ("share", "threads", "number"),
    [("50%", 4, 2), ("50%", "5", 2), ("0%", 7, 0), ("100%", 7, 7), ("33 %", 9, 2)],
)
def test_a_share_is_rounded_down(share: str, threads: object, number: int) -> None:
    assert read(threads=threads, preempted=share)["preempted"] == number


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"threads": "50%"}, "it is no share of another parameter"),
        ({"preempted": "150%"}, "a share is a whole number from 0% to 100%, here of threads"),
        ({"preempted": "-1%"}, "a share is a whole number"),
        ({"preempted": "%"}, "a share is a whole number"),
        ({"preempted": "half%"}, "a share is a whole number"),
        ({"preempted": "50%", "threads": "many"}, "-p threads=many: it is a whole number"),
    ],
)
def test_what_is_no_share_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ShootdownError, match=message):
        read(**given)
