"""The timed engine's own array: parts that do not overlap, names that are in step, and how it begins."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.core.timed.clocked import Clocked

from shootdown._timed import books as k
from shootdown._timed.books import COUNTERS, Books
from shootdown._timed.entries import count, log
from shootdown._timed.opening import blank, make_books

SIZES = {name: st.integers(1, 9) for name in ("cpus", "words", "tasks", "mms", "locks", "events", "slots")}
SIZES |= {name: st.integers(0, 4) for name in ("sections", "steps", "instructions", "windows")}


@st.composite
def layouts(draw: st.DrawFn) -> Books:
    """Draw the books of some machine."""
    sizes = {name: draw(size) for name, size in SIZES.items()}
    return make_books(**sizes, walk_entries=16, huge_entries=64, pending_events=1)


@given(layouts())
def test_parts_lie_one_behind_another(books: Books) -> None:
    starts = [value for name, value in zip(Books._fields, books, strict=True) if name.startswith("o_")]
    assert starts == sorted(starts)
    assert starts[0] == 0
    assert books.o_misc < books.size


@given(layouts(), st.integers(0, 1 << 40))
def test_books_open_with_clocks_at_zero_nothing_queued_and_no_window(books: Books, seed: int) -> None:
    array = blank(books, seed=seed)
    assert not array[books.o_clock : books.o_apart_at].any()
    assert (array[books.o_place : books.o_ready] == -1).all()
    assert (array[books.o_lock : books.o_spinning] == -1).all()
    assert (array[books.o_waiting : books.o_flushes_taken] == -1).all()
    assert (array[books.o_user_of : books.o_all_busy] == -1).all()
    assert not array[books.o_total : books.o_free].any()
    assert not array[books.o_events : books.o_misc].any()
    assert array[books.o_misc + k.WINDOW] == -1


def test_every_counter_has_a_constant_at_its_place() -> None:
    """Constants shorten some names, so it is those that do not that are compared."""
    named = {name: getattr(k, name.upper()) for name in COUNTERS if hasattr(k, name.upper())}
    assert len(named) > len(COUNTERS) // 2
    assert {name: COUNTERS.index(name) for name in named} == named


def test_the_random_number_of_a_seed_is_never_zero_and_that_of_another_is_another() -> None:
    books = Clocked().books
    drawn = {int(blank(books, seed=seed)[books.o_misc + k.RANDOM]) for seed in range(100)}
    assert len(drawn) == 100
    assert 0 not in drawn


# --- entries


def _window(found: Clocked, window: int, actor: int) -> None:
    found.array[found.books.o_misc + k.WINDOW] = window
    found.array[found.books.o_misc + k.ACTOR] = actor


def test_what_happens_is_counted_in_all_in_the_open_window_and_for_its_actor() -> None:
    found = Clocked(windows=2)
    found.book(count, k.FLUSH_IPIS, 1, 0)
    _window(found, 1, 2)
    found.book(count, k.FLUSH_IPIS, 3, 0)
    found.book(count, k.FLUSH_IPIS, 5, 2)
    counters = len(COUNTERS)
    assert found.counted() == {"flush_ipis": 9}
    assert found.cells("all", 2 * counters)[counters + k.FLUSH_IPIS] == 8
    assert found.cells("actor", 2 * counters)[counters + k.FLUSH_IPIS] == 5
    assert not found.cells("all", counters).any()


def test_the_timeline_keeps_events_while_there_is_room_and_counts_the_rest() -> None:
    found = Clocked(events=2)
    for number in range(3):
        found.book(log, found.timeline, k.LOG_STEP, number, number + 1, 3, 7, 0)
    assert found.timeline.reshape(-1, k.LOG_CELLS).tolist() == [[0, 0, 1, 3, 7, 0], [0, 1, 2, 3, 7, 0]]
    assert (found.misc(k.LOG_SIZE), found.misc(k.LOG_LOST)) == (2, 1)
    assert np.count_nonzero(found.array[found.books.o_total : found.books.o_free]) == 0
