"""Operations of kernels that plain Python lacks: prefetching memory, reading and writing words at raw addresses.

Each is a plain function with the same effect, or with none if it only saves time; `backend.instructions` has its
replacement in compiled kernels.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from shootdown._compilation.kernels import instruction

#: The number of words that `differing` compares at once: a cache line.
BLOCK = 8


@instruction("shootdown._compilation.backend.instructions:raw")
def raw(array: Any) -> Any:
    """Return a one-dimensional array without its reference count, while the caller holds the array.

    A call then passes it in one register, and indices are not checked for negative values.
    """
    return array


@instruction("shootdown._compilation.backend.instructions:prefetch")
def prefetch(array: npt.NDArray[Any], index: int) -> None:
    """Prefetch the cache line of one element."""


@instruction("shootdown._compilation.backend.instructions:differing")
def differing(a: npt.NDArray[Any], b: npt.NDArray[Any], index: int) -> int:
    """Return a mask of the words that differ in a block of two arrays of 64-bit words.

    Args:
        a, b: arrays with at least `BLOCK` words from `index` on.
        index: the first word of the block.
    """
    return sum(1 << i for i in range(BLOCK) if a[index + i] != b[index + i])


@instruction("shootdown._compilation.backend.instructions:address_of")
def address_of(array: npt.NDArray[Any]) -> Any:
    """Return the address of an array's first element in this process."""
    return np.uint64(array.ctypes.data)


@instruction("shootdown._compilation.backend.instructions:peek")
def peek(address: Any) -> Any:
    """Read the word at an address of this process."""
    return np.uint64(ctypes.c_uint64.from_address(int(address)).value)


@instruction("shootdown._compilation.backend.instructions:poke")
def poke(address: Any, value: Any) -> None:
    """Write the word at an address of this process."""
    ctypes.c_uint64.from_address(int(address)).value = int(value)


@instruction("shootdown._compilation.backend.instructions:poke_half")
def poke_half(address: Any, value: Any) -> None:
    """Write the low half of the word at an address."""
    ctypes.c_uint32.from_address(int(address)).value = int(value)


@instruction("shootdown._compilation.backend.instructions:prefetch_address")
def prefetch_address(address: Any) -> None:
    """Prefetch the cache line of an address of this process."""
