"""Counting and finding bits in one word of a CPU set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from shootdown._compilation.kernels import inlined, instruction

#: A flat array of integers: the state, a program, or the books of a timed run.
Cells: TypeAlias = npt.NDArray[Any]

if TYPE_CHECKING:

    def int64(value: Any) -> int:
        """Widen a cell to int64, so that arithmetic on narrow cells does not overflow, as in a compiled kernel."""
        raise NotImplementedError

else:
    int64 = np.int64


@instruction("shootdown._compilation.backend.instructions:popcount")
def popcount(word: int) -> int:
    """Count the bits that are set in a 64-bit word."""
    return (int(word) & 0xFFFFFFFFFFFFFFFF).bit_count()


@inlined
def lowest(word: int) -> int:
    """Find the position of the lowest set bit; the word must not be zero."""
    return popcount((word & -word) - 1)
