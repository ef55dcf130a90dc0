"""Damage to valid inputs: bytes that are changed, cut, doubled; JSON values that are another kind, or missing."""

from __future__ import annotations

import random
from typing import Any

#: Numbers at which something usually ends: of a byte, of words, of floats, of Python's own conversion to text.
NUMBERS: tuple[Any, ...] = (
    0, 1, 2, 3, 7, -1, 63, 64, 65, 255, 256, 4095, 4096, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63,
    2**64 - 1, 2**64, 10**18, 10**30, -(2**63), 0.5, -0.0, 1e308, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip

#: Texts that are no names of anything, or nearly so.
TEXTS = (
    "", " ", "\t", "\n", "\0", "-", "--", "-1", "0", "1", "00", "0x", "0x10", "1e9", "1_000", "١٢", "nan", "inf",
    "true", "false", "none", "null", "None", "NaN", "=", "a=b", ",", ",,", "a,b", ".", "..", "/", "*", "%s", "{}",
    "{0}", "\\", "'", '"', "é", "\u2028",
    "\U0001f600", "\ud800", "\x1b[31m", "x" * 50, "9" * 30, "9" * 5000, "x" * 5000,
    "[bold]", "~", "$HOME", "7.0", "v7.0", "7.0.0.0", "6.16-rc1", "proposal:", "proposal:none", "4k", "1t", "k",
)  # fmt: skip

_LARGEST = 1 << 14


def damaged(rng: random.Random, data: bytes, words: tuple[bytes, ...] = ()) -> bytes:
    """Return bytes with one to four changes.

    Args:
        rng: where chance comes from.
        data: a valid input, or what is left of one.
        words: pieces that mean something in its format.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        data = _changed(rng, data, words)
    return data[:_LARGEST]


def _changed(rng: random.Random, data: bytes, words: tuple[bytes, ...]) -> bytes:
    size = len(data)
    at = rng.randrange(size + 1)
    end = min(at + rng.choice((1, 1, 2, 4, 8, rng.randrange(size + 1))), size)
    kind = rng.randrange(9)
    if kind == 0 and at < size:  # a bit
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if kind == 1 and at < size:  # a byte
        return (
            data[:at]
            + bytes([rng.choice((0, 10, 13, 32, 44, 127, 128, 255, rng.randrange(256)))])
            + data[at + 1 :]
        )
    if kind == 2:  # a piece less
        return data[:at] + data[end:]
    if kind == 3:  # a piece twice
        return data[:end] + data[at:end] * rng.choice((1, 1, 2, 30)) + data[end:]
    if kind == 4:  # the end is missing
        return data[:at]
    if kind == 5:  # a piece from elsewhere
        other = rng.randrange(size + 1)
        return data[:at] + data[other : other + 8] + data[end:]
    if kind == 6:  # a number of the machine
        width = rng.choice((1, 2, 4, 8))
        number = rng.choice(
            (0, 1, -1, 1 << 8 * width - 1, (1 << 8 * width - 1) - 1, rng.getrandbits(8 * width))
        )
        return (
            data[:at]
            + (number % (1 << 8 * width)).to_bytes(width, rng.choice(("little", "big")))
            + data[at + width :]
        )
    if kind == 7 and words:
        return data[:at] + rng.choice(words) + data[rng.choice((at, end)) :]
    return data[:at] + rng.randbytes(rng.choice((1, 1, 2, 16))) + data[at:]


def odd_value(rng: random.Random) -> Any:
    """Return a value of JSON that hardly any field expects."""
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice(NUMBERS)
    if kind < 5:
        return rng.choice(TEXTS)
    if kind == 5:
        return rng.choice((None, True, False, [], {}, [[]], [None], {"": ""}))
    if kind == 6:
        return [rng.choice(NUMBERS) for _ in range(rng.randrange(4))]
    return {rng.choice(TEXTS): rng.choice(NUMBERS)}


def damaged_value(rng: random.Random, value: Any) -> Any:
    """Return a value of JSON in which one place, at any depth, is missing, another kind, or there twice.

    Parts that stay are shared with the original, which is not changed.
    """
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(list(value))
        kind = rng.randrange(8)
        if kind == 0:
            return {other: part for other, part in value.items() if other != name}
        if kind == 1:
            return {**value, rng.choice(TEXTS): odd_value(rng)}
        if kind == 2:
            return {**value, name: value[rng.choice(list(value))]}
        return {**value, name: damaged_value(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        kind = rng.randrange(8)
        if kind == 0:
            return value[:at] + value[at + 1 :]
        if kind == 1:
            return [*value[:at], odd_value(rng), *value[at:]]
        if kind == 2:
            return value[: at + 1] + value[at:]
        return [*value[:at], damaged_value(rng, value[at]), *value[at + 1 :]]
    if isinstance(value, int) and rng.random() < 0.5:
        return rng.choice(
            (value + 1, value - 1, -value, value * 2, str(value), float(value), [value], bool(value))
        )
    if isinstance(value, str) and value and rng.random() < 0.5:
        return damaged(rng, value.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
    return odd_value(rng)
