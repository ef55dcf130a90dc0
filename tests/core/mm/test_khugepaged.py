"""What khugepaged attempts in one PMD range (mm/khugepaged.c since 7.2)."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twins.mthp_collapse import Twin

from shootdown._mm.khugepaged import Attempt, Pages, Rules, passes, scan
from shootdown._workloads.populations import populate

ALL = frozenset(range(2, 10))


def rules(*orders: int, **others: object) -> Rules:
    return Rules(9, frozenset(orders), **others)  # type: ignore[arg-type]


def flushes(text: str, given: Rules, count: int = 1) -> list[int]:
    return [each.flushes for each in passes(populate(text, 512, max(given.orders)), given, 1, count)]


@pytest.mark.parametrize("order", range(2, 9))
def test_one_order_below_pmd_order_costs_a_flush_for_each_region_on_every_pass(order: int) -> None:
    """2^(9-k) a range: the second pass finds folios that are large already, but only after the flush."""
    assert flushes("full", rules(order), 3) == [2 ** (9 - order)] * 3


def test_pmd_order_costs_one_flush_once() -> None:
    assert flushes("full", rules(9), 3) == [1, 0, 0]


def test_folios_that_a_page_fault_made_cost_as_much_as_base_pages() -> None:
    assert flushes("full, faulted in as large folios", rules(4)) == [32]


def test_several_orders_cost_what_the_largest_does_where_it_succeeds() -> None:
    assert flushes("full", rules(2, 3, 4, 5, 6, 7, 8)) == [2]
    assert flushes("full", rules(*ALL)) == [1]


def test_a_range_that_no_attempt_can_collapse_pays_for_every_order() -> None:
    """One half is shared, and of the other no page is young: 127 attempts each, and none succeeds."""
    text = "full, only page 0 young, first half shared"
    assert flushes(text, rules(2, 3, 4, 5, 6, 7, 8), 3) == [254, 254, 254]


def test_before_7_2_khugepaged_makes_only_huge_pages_of_pmd_order() -> None:
    assert flushes("full", rules(2, 4, below_pmd=False)) == [0]
    assert flushes("full", rules(2, 9, below_pmd=False)) == [1]


def test_max_ptes_none_between_its_ends_counts_as_zero_below_pmd_order() -> None:
    for none, expected in ((511, 32), (None, 32), (510, 0), (255, 0), (0, 0)):
        assert flushes("every 2nd page", rules(4, max_ptes_none=none)) == [expected]


def test_max_ptes_none_ends_the_scan_only_where_pmd_order_stands_alone() -> None:
    assert flushes("every 2nd group of 4", rules(9, max_ptes_none=0)) == [0]
    assert flushes("every 2nd group of 4", rules(2, 9, max_ptes_none=0)) == [64]


def test_a_process_collapses_to_pmd_order_alone_and_without_limits() -> None:
    for text in ("full", "first 1 page", "none young", "first 512 pages shared"):
        assert flushes(text, rules(2, max_ptes_none=0, by_process=True)) == [1]


def test_an_allocation_that_fails_costs_nothing_and_leads_to_smaller_orders() -> None:
    forced = {9: "alloc_huge_page_failed", 8: "alloc_huge_page_failed"}
    attempts = scan(Pages.full(512), rules(*ALL, forced=forced))
    assert Counter(each.order for each in attempts) == {9: 1, 8: 2, 7: 4}
    assert sum(each.flushes for each in attempts) == 4


def test_a_failed_charge_or_copy_ends_the_range() -> None:
    assert scan(Pages.full(512), rules(4, forced={4: "ccgroup_charge_failed"})) == [
        Attempt(4, "ccgroup_charge_failed")
    ]
    assert flushes("full", rules(4, forced={4: "copy_poisoned_page"})) == [1]


def test_swap_entries_come_in_at_pmd_order_and_end_smaller_attempts_before_the_flush() -> None:
    assert flushes("first 8 pages swapped out", rules(9)) == [1]
    attempts = scan(populate("first 8 pages swapped out", 512, 4), rules(3))
    assert Counter(each.outcome for each in attempts) == {"succeeded": 63}, "an empty region is not tried"
    attempts = scan(populate("first 8 pages swapped out", 512, 4), rules(4))
    assert Counter(each.outcome for each in attempts) == {"exceed_swap_pte": 1, "succeeded": 31}
    assert sum(each.flushes for each in attempts) == 31


def test_more_than_64_swap_entries_end_the_scan() -> None:
    assert flushes("first 64 pages swapped out", rules(9)) == [1]
    assert flushes("first 65 pages swapped out", rules(9)) == [0]


def test_a_table_of_64k_pages_has_13_orders() -> None:
    pages = populate("full", 8192, 0)
    assert len(scan(pages, Rules(13, frozenset({5})))) == 256


page = st.one_of(
    st.none(),
    st.tuples(st.booleans(), st.booleans(), st.sampled_from((0, 0, 0, 2, 3, 4, 6, 8))),
)


@st.composite
def ranges(draw: st.DrawFn) -> list[tuple[bool, bool, int] | None]:
    """Some stretches of alike pages, so that whole regions qualify."""
    pages: list[tuple[bool, bool, int] | None] = []
    while len(pages) < 512:
        pages += [draw(page)] * draw(st.sampled_from((1, 2, 3, 4, 8, 16, 60, 128, 300)))
    return pages[:512]


@given(
    ranges(),
    st.sets(st.sampled_from(sorted(ALL)), min_size=1),
    st.sampled_from((511, 511, 0, 0, 200)),
)
@settings(max_examples=150, deadline=None)
def test_every_attempt_is_that_of_a_recursion_over_halves(
    entries: list[tuple[bool, bool, int] | None], orders: set[int], none: int
) -> None:
    pages = Pages(
        present=[entry is not None for entry in entries],
        young=[bool(entry and entry[0]) for entry in entries],
        shared=[bool(entry and entry[1]) for entry in entries],
        swapped=[False] * 512,
        order=[entry[2] if entry else 0 for entry in entries],
    )
    twin = Twin(list(entries), orders, none)
    for each in passes(pages, rules(*orders, max_ptes_none=none), 1, 3):
        assert each.outcomes == dict(twin.scan())
