"""What a PMD range maps, in words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shootdown._values.reading import UnreadableError
from shootdown._workloads.populations import FORMS, populate, read_limit, read_orders, read_outcomes


@pytest.mark.parametrize(
    ("text", "present"),
    [
        ("full", lambda at: True),
        ("every 2nd page", lambda at: at % 2 == 0),
        ("every 3rd page", lambda at: at % 3 == 0),
        ("every-2nd-group-of-4", lambda at: at // 4 % 2 == 0),
        ("First 256 pages", lambda at: at < 256),
        ("15 of each 16 pages", lambda at: at % 16 != 15),
        ("all but page 511", lambda at: at != 511),
        ("every 2nd page, first 10 pages", lambda at: at % 2 == 0 and at < 10),
        ("first 5 pages swapped out", lambda at: at >= 5),
    ],
)
def test_pages_are_there_as_the_words_say(text: str, present: Callable[[int], bool]) -> None:
    assert populate(text, 512, 4).present == [present(at) for at in range(512)]


def test_pages_are_young_and_the_processs_own_unless_the_words_say_otherwise() -> None:
    plain = populate("full", 512, 4)
    assert all(plain.young)
    assert not any(plain.shared)
    assert set(plain.order) == {0}
    said = populate("only page 3 young, first half shared with a child, faulted in as large folios", 512, 4)
    assert [at for at in range(512) if said.young[at]] == [3]
    assert said.shared == [at < 256 for at in range(512)]
    assert set(said.order) == {4}
    assert set(populate("folios of order 6", 512, 4).order) == {6}
    assert not any(populate("none young", 512, 4).young)


@pytest.mark.parametrize(
    "text", ["", "half", "every 0th page", "0 of each 0 pages", "full,", "first -1 pages", "9" * 99]
)
def test_other_words_are_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(UnreadableError) as error:
        populate(text, 512, 4)
    assert all(form in error.value.allowed for form in FORMS)


def test_orders_are_lists_and_ranges() -> None:
    assert read_orders("2,4,pmd", 9) == {2, 4, 9}
    assert read_orders("2-8", 9) == set(range(2, 9))
    assert read_orders("7-PMD", 9) == {7, 8, 9}
    for wrong in ("", "1", "pmd-2", "2-", "17", "2;3"):
        with pytest.raises(UnreadableError):
            read_orders(wrong, 9)


def test_the_limit_is_a_number_or_the_default() -> None:
    assert (read_limit("default"), read_limit("0"), read_limit("511")) == (None, 0, 511)
    for wrong in ("", "-1", "8192", "all"):
        with pytest.raises(UnreadableError):
            read_limit(wrong)


def test_outcomes_are_given_for_all_orders_or_for_some() -> None:
    assert read_outcomes("by-pages", 9) == {}
    assert read_outcomes("pmd:succeeded,2-3:page_locked", 9) == {
        9: "succeeded",
        2: "page_locked",
        3: "page_locked",
    }
    assert set(read_outcomes("page_locked", 9).values()) == {"page_locked"}
    for wrong in ("", "well", "9:by-pages", ":succeeded"):
        with pytest.raises(UnreadableError):
            read_outcomes(wrong, 9)
