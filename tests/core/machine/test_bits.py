"""Counting and finding bits in one word of a CPU set."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shootdown._machine.bits import lowest, popcount

WORDS = st.integers(-(1 << 63), (1 << 63) - 1)


@given(WORDS)
def test_bits_of_a_word_are_counted_the_sign_too(word: int) -> None:
    assert popcount(np.int64(word)) == (word & (1 << 64) - 1).bit_count()


@given(WORDS.filter(bool))
def test_the_lowest_bit_is_that_below_which_there_is_none(word: int) -> None:
    with np.errstate(over="ignore"):  # as where a plain kernel runs: words wrap around
        found = int(lowest(np.int64(word)))
    assert word >> found & 1
    assert word & (1 << found) - 1 == 0
