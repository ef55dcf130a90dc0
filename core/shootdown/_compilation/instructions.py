"""What kernels do that plain Python has no words for: memory asked for before it is needed, words at bare addresses.

Each is a plain function that does the same, or nothing where it only saves time; `backend.instructions` has what
stands for it where kernels are compiled.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from shootdown._compilation.kernels import instruction

#: Words that `differing` compares at once: those of a cache line.
BLOCK = 8


@instruction("shootdown._compilation.backend.instructions:raw")
def raw(array: Any) -> Any:
    """Give a one-dimensional array without its reference count, while the caller holds the array.

    A call then passes it in one register, and no index is checked for its sign.
    """
    return array


@instruction("shootdown._compilation.backend.instructions:prefetch")
def prefetch(array: npt.NDArray[Any], index: int) -> None:
    """Let the memory of one element come nearer."""


@instruction("shootdown._compilation.backend.instructions:differing")
def differing(a: npt.NDArray[Any], b: npt.NDArray[Any], index: int) -> int:
    """Say which words of a block of two arrays of 64-bit words differ, as a mask.

    Args:
        a, b: with at least `BLOCK` words from `index` on.
        index: where the block begins.
    """
    return sum(1 << i for i in range(BLOCK) if a[index + i] != b[index + i])


@instruction("shootdown._compilation.backend.instructions:address_of")
def address_of(array: npt.NDArray[Any]) -> Any:
    """Give the address of an array's first element in this process."""
    return np.uint64(array.ctypes.data)


@instruction("shootdown._compilation.backend.instructions:peek")
def peek(address: Any) -> Any:
    """Read a word of this process."""
    return np.uint64(ctypes.c_uint64.from_address(int(address)).value)


@instruction("shootdown._compilation.backend.instructions:poke")
def poke(address: Any, value: Any) -> None:
    """Write a word of this process."""
    ctypes.c_uint64.from_address(int(address)).value = int(value)


@instruction("shootdown._compilation.backend.instructions:poke_half")
def poke_half(address: Any, value: Any) -> None:
    """Write the low half of a word."""
    ctypes.c_uint32.from_address(int(address)).value = int(value)


@instruction("shootdown._compilation.backend.instructions:prefetch_address")
def prefetch_address(address: Any) -> None:
    """Ask for the cache line of an address of this process."""
