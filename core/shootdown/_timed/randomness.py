"""The generator of a timed run, which its seed starts."""

from __future__ import annotations

from shootdown._compilation.kernels import inlined
from shootdown._machine.bits import int64

_POSITIVE = 0x7FFFFFFFFFFFFFFF


@inlined
def after(x: int) -> int:
    """Return the number that follows another one: xorshift."""
    x = int64(x)
    x ^= (x << 13) & _POSITIVE
    x ^= x >> 7
    x ^= (x << 17) & _POSITIVE
    return x
