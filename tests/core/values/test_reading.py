"""Values are read in one way, whether they are typed after -p, after --set or given by a caller in Python."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shootdown._values.errors import ShootdownError
from shootdown._values.parameter import Parameter
from shootdown._values.reading import (
    UnreadableError,
    read_address,
    read_boolean,
    read_choice,
    read_integer,
    read_size,
    write_size,
)

READERS: list[Callable[[str], object]] = [
    read_boolean,
    read_integer,
    read_size,
    lambda text: read_integer(text, units=True),
    lambda text: read_choice(text, ("per-table", "none", 4096)),
]


@pytest.mark.parametrize("text", ["true", "on", "YES", " 1 "])
def test_words_for_true(text: str) -> None:
    assert read_boolean(text) is True


@pytest.mark.parametrize("text", ["false", "Off", "no", "0"])
def test_words_for_false(text: str) -> None:
    assert read_boolean(text) is False


@pytest.mark.parametrize("text", ["2", "", "t", "maybe", "none"])
def test_other_words_are_no_boolean(text: str) -> None:
    with pytest.raises(UnreadableError, match="is not true or false"):
        read_boolean(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("-3", -3), ("0x10", 16), ("007", 7), ("1_000", 1000), ("0b11", 3), ("0xfg", None), ("1.5", None),
     ("1e3", None), ("on", None), ("True", None), ("٣", None), ("", None), ("4k", None), ("9" * 5000, None)],
)  # fmt: skip
def test_whole_numbers(text: str, value: int | None) -> None:
    if value is None:
        with pytest.raises(UnreadableError, match="is not a whole number"):
            read_integer(text)
    else:
        assert read_integer(text) == value


def test_a_number_may_have_a_unit_where_it_makes_sense() -> None:
    assert [read_integer(text, units=True) for text in ("64k", "2M", "0x10k", "7")] == [
        65536,
        2 << 20,
        16384,
        7,
    ]


@pytest.mark.parametrize(
    ("minimum", "maximum", "allowed"),
    [
        (0, None, "a whole number from 0 on"),
        (None, 5, "a whole number up to 5"),
        (1, 5, "a whole number from 1 to 5"),
    ],
)
def test_a_number_outside_of_its_range_is_told_the_range(
    minimum: int | None, maximum: int | None, allowed: str
) -> None:
    outside = maximum + 1 if maximum is not None else -1
    for text in (str(outside), "many"):
        with pytest.raises(UnreadableError) as raised:
            read_integer(text, minimum=minimum, maximum=maximum)
        assert raised.value.allowed == allowed


@given(st.integers())
def test_an_integer_is_read_back_whether_it_is_text_or_not(value: int) -> None:
    assert read_integer(str(value)) == read_integer(value) == value


@given(st.integers(0, 1 << 60))
def test_a_size_is_read_back_as_it_was_written(size: int) -> None:
    assert read_size(write_size(size)) == size


@pytest.mark.parametrize(("text", "size"), [("2MiB", 2 << 20), ("4 k", 4096), ("64", 64), ("1gb", 1 << 30)])
def test_sizes_may_be_followed_by_bytes(text: str, size: int) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize("text", ["2q", "-1k", "0x10", "k", "1.5m"])
def test_what_is_no_size_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(UnreadableError, match="is not a size; write 4096, 4k, 2m or 1g"):
        read_size(text)


def test_a_word_is_one_of_several_in_either_case_with_either_dash() -> None:
    choices = ("per-table", "last-sharer", 4096)
    assert [read_choice(text, choices) for text in ("PER_TABLE", "last-sharer", "4k", "4096")] == [
        "per-table",
        "last-sharer",
        4096,
        4096,
    ]
    with pytest.raises(UnreadableError, match="'none' is not per-table, last-sharer, 4096"):
        read_choice("none", choices)


PARAMETERS = (Parameter("p", True, ""), Parameter("p", 1, ""), Parameter("p", "a", "", choices=("a", "b")))


@given(st.text())
def test_whatever_is_typed_is_a_value_or_one_kind_of_error(text: str) -> None:
    for read in READERS:
        with contextlib.suppress(UnreadableError):
            read(text)
    for parameter in PARAMETERS:
        with contextlib.suppress(ShootdownError):
            parameter.read(text)


def test_a_word_that_looks_like_a_boolean_is_shown_as_it_was_typed() -> None:
    state = Parameter("state", "spin", "what threads do", choices=("spin", "lazy"))
    with pytest.raises(ShootdownError, match=r"^-p state=on: it is one of spin, lazy$"):
        state.read("on")
    assert Parameter("state", "off", "", choices=("on", "off")).read("on") == "on"
    assert Parameter("name", "", "free text").read("on") == "on"


@pytest.mark.parametrize(("text", "number"), [("0x7fff_0000", 0x7FFF_0000), ("4096", 4096), ("0", 0)])
def test_addresses_are_decimal_or_begin_with_0x(text: str, number: int) -> None:
    assert read_address("VA", text) == number


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7fff0000", "VA '7fff0000' is no 64-bit address: 0x7fff0000\\?"),
        ("0x1" + "0" * 16, "is no 64-bit address$"),
        ("x", "VA 'x' is no 64-bit address$"),
        ("-1", "VA '-1' is no 64-bit address$"),
    ],
)
def test_what_is_no_address_is_refused_with_the_likely_one(text: str, message: str) -> None:
    with pytest.raises(ShootdownError, match=message):
        read_address("VA", text)


@pytest.mark.parametrize("digits", ["9" * 31, "9" * 5000, "1" + "0" * 5000 + "k"])
def test_a_size_of_more_digits_than_python_converts_is_no_size(digits: str) -> None:
    with pytest.raises(UnreadableError, match="is not a size"):
        read_size(digits)
