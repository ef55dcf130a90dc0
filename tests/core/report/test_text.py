"""Numbers say what they are, and tables fit the width that they are given."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shootdown._report.text import (
    Column,
    about,
    cpu_list,
    estimate,
    exact,
    lay_out,
    paragraph,
    ratio,
    share,
    widths,
)
from shootdown._values.result import Span

NAMES = st.text("abc-:, <[]12", max_size=30).map(str.strip)


def test_a_count_shows_every_digit() -> None:
    assert exact(18641610) == "18,641,610"


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (Span(2895369947.6, 8222323488.0, 17607710265.2), "~8.22 s (2.9-18)"),
        (Span(305609210.5, 662886003.9, 3143958586.2), "~663 ms (306-3,144)"),
        (Span(712.0, 2160.0, 8600.0), "~2.16 us (0.71-8.6)"),
        (Span(3e6, 1.2e9, 9e9), "~1.20 s (0.0030-9.0)"),
        (Span(0.0, 150.0, 150.0), "~150 ns (0-150)"),
        (Span(1.5, 1.5, 1.5), "~1.50 ns"),
        (Span(0.0, 0.0, 0.0), "~0 ns"),
    ],
)
def test_a_time_is_marked_as_an_estimate_and_has_one_unit(span: Span, text: str) -> None:
    assert estimate(span) == text


@given(st.floats(1e-3, 1e14))
def test_three_digits_are_within_half_a_percent_of_the_time(nanoseconds: float) -> None:
    number, unit = about(nanoseconds)[1:].replace(",", "").split()
    shown = float(number) * {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[unit]
    assert math.isclose(shown, nanoseconds, rel_tol=0.0051, abs_tol=1e-6)


def test_a_ratio_comes_with_its_range() -> None:
    assert ratio(39.5, 117.0, 92.0) == "x117 (x40-x92)"


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "0 %"),
        (0, 5, "0 %"),
        (5, 5, "100 %"),
        (1, 3, "33 %"),
        (18640115, 18641610, "99.99 %"),
        (10**9 - 1, 10**9, "> 99.999 %"),
        (1, 10**9, "< 0.001 %"),
    ],
)
def test_a_share_says_all_and_none_only_of_all_and_none(part: int, whole: int, text: str) -> None:
    assert share(part, whole) == text


@given(st.sets(st.integers(0, 300)))
def test_a_cpu_list_names_each_cpu_once(cpus: set[int]) -> None:
    named = []
    for part in filter(None, cpu_list(cpus).split(",")):
        first, _, last = part.partition("-")
        named += range(int(first), int(last or first) + 1)
    assert named == sorted(cpus)


def test_cpus_are_listed_as_linux_lists_them() -> None:
    assert cpu_list([7, 0, 1, 3, 2]) == "0-3,7"


def test_a_paragraph_hangs_from_its_first_words() -> None:
    assert paragraph("aa bb cc", 8, first="[1] ") == ["[1] aa", "    bb", "    cc"]


@given(
    st.lists(st.tuples(NAMES, NAMES, st.integers(0, 10**9).map(exact)), min_size=1, max_size=5),
    st.integers(10, 120),
    st.booleans(),
)
def test_a_table_that_fits_has_no_line_beyond_its_width_and_loses_nothing(
    rows: list[tuple[str, str, str]], width: int, hyphenate: bool
) -> None:
    columns = [
        Column("a name", wraps=True),
        Column("some\u00adthing else", wraps=True),
        Column("n", right=True),
    ]
    chosen = widths(columns, rows, width, hyphenate=hyphenate)
    if chosen is None:
        natural = [max(len(row[i]) for row in rows) for i in range(3)]
        assert sum(natural) + 4 > width - 20
        return
    lines = lay_out(columns, rows, chosen, hyphenate=hyphenate)
    assert max(map(len, lines)) <= width
    body = "".join("".join(lines[lines.index(next(x for x in lines if set(x) == {"-"})) + 1 :]).split())
    assert sorted(body) == sorted("".join("".join("".join(row).split()) for row in rows))


def test_numbers_stand_on_the_right_and_a_text_across_the_columns() -> None:
    columns = [Column("kernel"), Column("sync IPIs", right=True)]
    rows = [["7.0", "1"], ["6.16", "18,641,610"]]
    chosen = widths(columns, rows, 80)
    assert chosen == [6, 10]
    assert lay_out(columns, [*rows, "5.10  not supported"], chosen) == [
        "kernel   sync IPIs",
        "------------------",
        "7.0              1",
        "6.16    18,641,610",
        "5.10  not supported",
    ]


def test_a_heading_is_hyphenated_only_where_it_must_be() -> None:
    columns = [Column("inter\u00adrupted", right=True)]
    rows = [["196"]]
    assert widths(columns, rows, 8) is None
    assert widths(columns, rows, 8, hyphenate=True) == [6]
    assert lay_out(columns, rows, [6], hyphenate=True)[:2] == ["inter-", "rupted"]
    assert lay_out(columns, rows, [11], hyphenate=True)[0] == "interrupted"
