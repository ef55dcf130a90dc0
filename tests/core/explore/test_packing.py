"""A packed state loses nothing, whatever the widths of its cells."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shootdown._compilation.instructions import BLOCK, differing
from shootdown._compilation.kernels import kernel
from shootdown._compilation.running import runnable
from shootdown._explore.packing import Plan, pack, plan_for, unpack

WIDTHS = st.lists(st.integers(0, 16), min_size=1, max_size=120)


@kernel
def _unpack(rows: np.ndarray, at: int, state: np.ndarray, plan: Plan) -> None:
    unpack(rows, at, state, plan)


@kernel
def _differing(a: np.ndarray, b: np.ndarray, at: int) -> int:
    return differing(a, b, at)


@st.composite
def states(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw widths, a first state, and one whose cells fit their widths or never change."""
    widths = np.array(draw(WIDTHS), np.int64)
    first = np.array([draw(st.integers(0, 65535)) for _ in widths], np.uint32)
    state = np.array(
        [draw(st.integers(0, (1 << int(w)) - 1)) if w else f for w, f in zip(widths, first, strict=True)],
        np.uint32,
    )
    return widths, first, state


@given(WIDTHS)
def test_no_two_cells_share_a_bit_and_none_crosses_a_word(widths: list[int]) -> None:
    plan = plan_for(np.array(widths, np.int64))
    used = set()
    for cell in plan.varying:
        at, width = int(plan.shift[cell]), int(plan.width[cell])
        assert 0 <= int(plan.word[cell]) < plan.words
        assert at + width <= 64
        bits = {(int(plan.word[cell]), at + bit) for bit in range(width)}
        assert not bits & used
        used |= bits
    assert {int(cell) for cell in plan.varying} == {n for n, width in enumerate(widths) if width}


@given(WIDTHS)
def test_all_words_of_a_row_but_the_last_hold_49_bits_at_least(widths: list[int]) -> None:
    """A cell has 16 bits at most, and goes to the first word that has room for it."""
    plan = plan_for(np.array(widths, np.int64))
    assert plan.words <= sum(widths) // 49 + 1


@given(states())
def test_unpacking_what_was_packed_gives_the_state(drawn: tuple[np.ndarray, ...]) -> None:
    widths, first, state = drawn
    plan = plan_for(widths)
    rows = np.full(plan.words + 2, np.uint64(0xDEAD), np.uint64)
    runnable(pack)(state, rows, 1, plan)
    assert rows[0] == rows[-1] == 0xDEAD
    there = first.copy()
    runnable(_unpack)(rows, 1, there, plan)
    assert np.array_equal(there, state)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=3 * BLOCK, max_size=3 * BLOCK), st.data())
def test_a_block_compared_at_once_is_one_compared_word_by_word(words: list[int], data: st.DataObject) -> None:
    a = np.array(words, np.uint64)
    b = a.copy()
    for w in data.draw(st.sets(st.integers(0, 3 * BLOCK - 1))):
        b[w] ^= np.uint64(1) << np.uint64(data.draw(st.integers(0, 63)))
    for at in range(2 * BLOCK + 1):
        plain = sum(1 << i for i in range(BLOCK) if a[at + i] != b[at + i])
        assert runnable(_differing)(a, b, at) == differing(a, b, at) == plain
