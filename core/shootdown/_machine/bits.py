"""Counting and finding bits in one word of a CPU set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from shootdown._compilation.jit import inlined

#: A flat array of integers: the state, a program, the books.
Cells: TypeAlias = npt.NDArray[Any]

if TYPE_CHECKING:

    def int64(value: Any) -> int:
        """Widen a cell: narrow ones must not overflow. In a kernel an integer is an int64."""
        raise NotImplementedError

else:
    int64 = np.int64

_M1 = np.uint64(0x5555555555555555)
_M2 = np.uint64(0x3333333333333333)
_M4 = np.uint64(0x0F0F0F0F0F0F0F0F)
_H01 = np.uint64(0x0101010101010101)
_S1 = np.uint64(1)
_S2 = np.uint64(2)
_S4 = np.uint64(4)
_S56 = np.uint64(56)


@inlined
def popcount(word: int) -> int:
    """Count the bits that are set in a 64-bit word."""
    x = np.uint64(word)
    x = x - ((x >> _S1) & _M1)
    x = (x & _M2) + ((x >> _S2) & _M2)
    x = (x + (x >> _S4)) & _M4
    return int64((x * _H01) >> _S56)


@inlined
def lowest(word: int) -> int:
    """Find the position of the lowest set bit; the word must not be zero."""
    return popcount((word & -word) - 1)
