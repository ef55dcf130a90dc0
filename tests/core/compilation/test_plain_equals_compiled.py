"""An instruction does plain what it does compiled, and so does a kernel, whatever it is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shootdown._compilation import instructions as i
from shootdown._compilation import vectors as v
from shootdown._compilation.instructions import (
    address_of,
    peek,
    poke,
    poke_half,
    prefetch,
    prefetch_address,
    raw,
)
from shootdown._compilation.kernels import kernel
from shootdown._compilation.running import compiled, compiles
from shootdown._compilation.vectors import (
    EIGHT,
    GROUP,
    bring_to_front,
    copy_pages,
    equal,
    front_of_group,
    keep_lanes,
    lanes_at,
    least,
    misses,
    pages_change,
    push_front,
    renewed,
    replaced,
)
from shootdown._explore.moves import label_of
from shootdown._explore.renaming import mixed
from shootdown._explore.walk import next_random
from shootdown._machine.bits import lowest, popcount
from shootdown._pagetables.memory_kernels import swap_word
from shootdown._tlb.words import page_key

pytestmark = pytest.mark.skipif(not compiles(), reason="this process compiles nothing")

U = np.uint64
WORDS = st.integers(0, 2**64 - 1)
NUMBERS = st.integers(0, 2**62 - 1)


def same(kernel: Any, *args: Any) -> Any:
    """Run a kernel plain and compiled, on copies of its arrays; they answer, and leave, the same."""
    ends = []
    for function in (kernel, compiled(kernel)):
        copies = [arg.copy() if isinstance(arg, np.ndarray) else arg for arg in args]
        with np.errstate(over="ignore"):
            answer = function(*copies)
        ends.append((answer, [c.tolist() for c in copies if isinstance(c, np.ndarray)]))
    assert ends[0] == ends[1]
    return ends[0][0]


# --- words


@kernel
def _popcount(word: Any) -> Any:
    return popcount(word)


@kernel
def _memory(words: Any, at: Any, value: Any) -> Any:
    w = raw(words)
    prefetch(w, at)
    place = address_of(words) + U(8) * U(at)
    prefetch_address(place)
    before = peek(place)
    poke(place, value)
    poke_half(address_of(w), value >> U(8))
    return before, w[at]


@given(NUMBERS)
def test_bits_are_counted_and_found(word: int) -> None:
    assert same(_popcount, word) == word.bit_count()
    assert same(lowest, word | 1 << 61) == ((word | 1 << 61) & -(word | 1 << 61)).bit_length() - 1


def test_a_negative_word_is_one_of_64_bits() -> None:
    assert same(_popcount, -1) == 64
    assert same(_popcount, -2) == 63


@given(st.lists(WORDS, min_size=4, max_size=9), st.data())
def test_words_are_read_and_written(words: list[int], data: st.DataObject) -> None:
    at, value = data.draw(st.integers(1, len(words) - 1)), data.draw(WORDS)
    assert same(_memory, np.array(words, U), at, U(value)) == (words[at], value)


@given(WORDS, st.integers(6, 40))
def test_helpers_of_all_wings(word: int, shift: int) -> None:
    assert same(swap_word, U(word)) == int.from_bytes(word.to_bytes(8), "little")
    same(page_key, U(word), shift)
    same(next_random, word >> 1)
    same(mixed, word & 0xFFFF, word >> 48)
    same(label_of, word & 15, word >> 4 & 0xFF, word >> 12 & 0xFF)


# --- sets of keys

KEYS = st.lists(st.integers(0, 5).map(lambda n: n | 1 << 63), max_size=3 * GROUP, unique=True)


@kernel
def _short_set(words: Any, key: Any, ways: Any, which: Any) -> Any:
    at = address_of(words)
    missed = misses(at, key, ways)
    if which == 0:
        return U(missed), bring_to_front(at, at, key, ways)
    if missed:
        push_front(at, at, key, ways)
    return U(missed), U(missed)


@kernel
def _long_set(words: Any, carried: Any, key: Any, ways: Any) -> Any:
    at = address_of(words)
    found, fell_out = front_of_group(at, at, carried, key, ways)
    return found, fell_out


@kernel
def _register(words: Any, key: Any, word: Any, now: Any, bits: Any) -> Any:
    at = address_of(words)
    keys: Any = lanes_at(at)
    times: Any = lanes_at(at + U(8 * GROUP))
    found = equal(keys, key)
    first = least(times)
    times = renewed(times, keys, key, now)
    keys = replaced(keys, bits, word)
    keep_lanes(keys, at)
    keep_lanes(times, at + U(8 * GROUP))
    return found, first


@kernel
def _pages(words: Any, shift: Any, to: Any) -> Any:
    changes = pages_change(address_of(words) + U(8), shift)
    copy_pages(address_of(words) + U(8), shift, address_of(to))
    return changes


def _masks(ways: int, groups: int) -> tuple[np.uint64, ...]:
    return tuple(U((1 << min(max(ways - GROUP * g, 0), GROUP)) - 1) for g in range(groups))


@pytest.mark.parametrize("groups", [1, 3])
@given(KEYS, st.data())
def test_a_key_comes_to_the_front_of_a_short_set(groups: int, keys: list[int], data: st.DataObject) -> None:
    ways = data.draw(st.integers(GROUP * (groups - 1) + 1, GROUP * groups))
    held = (keys + [0] * 3 * GROUP)[:ways] + [0] * (GROUP * groups - ways)
    key = data.draw(st.integers(0, 5)) | 1 << 63
    words = np.array(held, U)
    missed, _ = same(_short_set, words, U(key), _masks(ways, groups), 0)
    assert missed == (key not in held)
    same(_short_set, words, U(key), _masks(ways, groups), 1)


@given(KEYS, st.integers(0, 5), st.integers(1, GROUP))
def test_a_key_is_carried_into_a_group_of_a_long_set(keys: list[int], key: int, ways: int) -> None:
    words = np.array((keys + [0] * GROUP)[:ways] + [0] * (GROUP - ways), U)
    same(_long_set, words, U(9 | 1 << 63), U(key | 1 << 63), U((1 << ways) - 1))


@given(
    st.lists(st.integers(0, 5), min_size=2 * GROUP, max_size=2 * GROUP), st.integers(0, 5), WORDS, st.data()
)
def test_four_keys_in_a_register(words: list[int], key: int, word: int, data: st.DataObject) -> None:
    now, bits = data.draw(WORDS), data.draw(st.integers(0, (1 << GROUP) - 1))
    same(_register, np.array(words, U), U(key), U(word), U(now), U(bits))


@given(st.lists(WORDS, min_size=EIGHT + 1, max_size=EIGHT + 1), st.integers(6, 63))
def test_pages_of_eight_accesses(words: list[int], shift: int) -> None:
    changes = same(_pages, np.array(words, U), U(shift), np.zeros(EIGHT, U))
    pages = [word >> shift for word in words]
    assert changes == sum(1 << n for n in range(EIGHT) if pages[n] != pages[n + 1])


# --- what the two sides have to agree on


def test_both_sides_know_the_same_sizes() -> None:
    from shootdown._compilation.backend import instructions, vectors

    assert instructions.BLOCK == i.BLOCK
    assert (vectors.GROUP, vectors.EIGHT) == (v.GROUP, v.EIGHT)
