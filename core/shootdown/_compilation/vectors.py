"""Vector instructions for the passes of the TLB simulator: move, compare and replace a few keys of a set at a time.

A set is an array of words at an address. In plain Python these are functions on the same words; `backend.vectors` has
their replacements in compiled kernels.
"""

from __future__ import annotations

import ctypes
from typing import Any, TypeAlias

import numpy as np

from shootdown._compilation.kernels import instruction

GROUP = 4  # keys in a vector of 256 bits
EIGHT = 8

#: Four keys, or their times of last use; a vector register in compiled kernels.
Lanes: TypeAlias = tuple[int, ...]


def _words(address: Any, count: int) -> Any:
    return (ctypes.c_uint64 * count).from_address(int(address))


def _ways(ways: Any) -> int:
    """Count the ways of a set: the bits that are set in the masks of its vectors."""
    return sum(int(mask).bit_count() for mask in ways)


@instruction("shootdown._compilation.backend.vectors:bring_to_front")
def bring_to_front(address: Any, back: Any, key: Any, ways: Any) -> Any:
    """Use a key in a set: bring it to the front, whether it was in the set or not; return 1 if it was not.

    Args:
        address: the address of the set.
        back: the same address as a value that LLVM can't identify with it: otherwise it merges load, select and store
            into a masked store, for which the next load of the set has to wait (measured: 1.2 times the time).
        key: the key.
        ways: for each vector of the set, the mask of its lanes that are ways.
    """
    held = _words(address, GROUP * len(ways))
    keys = list(held)
    missed = int(key) not in keys
    last = _ways(ways) - 1 if missed else keys.index(int(key))
    held[: last + 1] = [int(key), *keys[:last]]
    return np.uint64(missed)


@instruction("shootdown._compilation.backend.vectors:misses")
def misses(address: Any, key: Any, ways: Any) -> bool:
    """Whether a set lacks a key; the set has a vector for each element of `ways`."""
    return int(key) not in list(_words(address, GROUP * len(ways)))


@instruction("shootdown._compilation.backend.vectors:push_front")
def push_front(address: Any, back: Any, key: Any, ways: Any) -> None:
    """Put a key that a set lacks at its front; the arguments are those of `bring_to_front`."""
    count = _ways(ways)
    held = _words(address, GROUP * len(ways))
    held[:count] = [int(key), *held[: count - 1]]


@instruction("shootdown._compilation.backend.vectors:front_of_group")
def front_of_group(address: Any, back: Any, carried: Any, key: Any, ways: Any) -> tuple[Any, Any]:
    """Remove a key from one group of a long set: shift the keys before it by one, and insert `carried` at the front.

    Args:
        address, back: the group's, as in `bring_to_front`.
        carried: the key to insert.
        key: the key to remove, if it is in the group.
        ways: the mask of the group's lanes that are ways.

    Returns:
        A pair: the bit of the lane in which the key was, 0 for none, and the key that was shifted out at the end.
    """
    held = _words(address, GROUP)
    keys = list(held)
    found = keys.index(int(key)) if int(key) in keys else None
    last = int(ways).bit_count() - 1 if found is None else found
    held[: last + 1] = [int(carried), *keys[:last]]
    return np.uint64(0 if found is None else 1 << found), np.uint64(keys[-1])


@instruction("shootdown._compilation.backend.vectors:pages_change")
def pages_change(address: Any, shift: Any) -> Any:
    """Return a mask of those of eight accesses that go to another page than the one before."""
    pages = [word >> int(shift) for word in _words(int(address) - 8, EIGHT + 1)]
    return np.uint64(sum(1 << i for i in range(EIGHT) if pages[i] != pages[i + 1]))


@instruction("shootdown._compilation.backend.vectors:copy_pages")
def copy_pages(address: Any, shift: Any, to: Any) -> None:
    """Write the page numbers of eight accesses."""
    _words(to, EIGHT)[:] = [word >> int(shift) for word in _words(address, EIGHT)]


@instruction("shootdown._compilation.backend.vectors:lanes_at")
def lanes_at(address: Any) -> Lanes:
    """Load four words."""
    return tuple(_words(address, GROUP))


@instruction("shootdown._compilation.backend.vectors:keep_lanes")
def keep_lanes(lanes: Lanes, address: Any) -> None:
    """Store four words."""
    _words(address, GROUP)[:] = lanes


@instruction("shootdown._compilation.backend.vectors:equal")
def equal(lanes: Lanes, word: Any) -> Any:
    """Return a mask of the lanes that hold a word."""
    return np.uint64(sum(1 << i for i, held in enumerate(lanes) if held == int(word)))


@instruction("shootdown._compilation.backend.vectors:replaced")
def replaced(lanes: Lanes, bits: Any, word: Any) -> Lanes:
    """Put a word into the lanes whose bits are set."""
    return tuple(int(word) if int(bits) >> i & 1 else held for i, held in enumerate(lanes))


@instruction("shootdown._compilation.backend.vectors:renewed")
def renewed(times: Lanes, keys: Lanes, key: Any, now: Any) -> Lanes:
    """Put a time into the lanes of `times` in which `keys` holds the key."""
    return tuple(int(now) if held == int(key) else time for time, held in zip(times, keys, strict=True))


@instruction("shootdown._compilation.backend.vectors:least")
def least(lanes: Lanes) -> Any:
    """Return the bit of the first lane with the least word."""
    return np.uint64(1 << lanes.index(min(lanes)))
