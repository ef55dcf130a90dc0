"""Vector instructions for the passes of the TLB simulator: a set's keys moved, compared and replaced a few at a time.

A set is words at an address. Where kernels run as plain Python these are functions over the same words;
`backend.vectors` has the instructions that stand for them in compiled kernels.
"""

from __future__ import annotations

import ctypes
from typing import Any, TypeAlias

import numpy as np

from shootdown._compilation.kernels import instruction

GROUP = 4  # keys to a vector: 256 bits
EIGHT = 8

#: Four keys, or their times of last use: in compiled kernels a register.
Lanes: TypeAlias = tuple[int, ...]


def _words(address: Any, count: int) -> Any:
    return (ctypes.c_uint64 * count).from_address(int(address))


def _ways(ways: Any) -> int:
    """Count the ways of a set: bits that are set in the masks of its vectors."""
    return sum(int(mask).bit_count() for mask in ways)


@instruction("shootdown._compilation.backend.vectors:bring_to_front")
def bring_to_front(address: Any, back: Any, key: Any, ways: Any) -> Any:
    """Use a key in a set: bring it to the front, whether it was there or not; answer 1 if it was not.

    Args:
        address: of the set.
        back: the same again, but LLVM must not know: it would merge load, select and store into one masked store,
            which the next load of the set has to wait for (measured: 1.2 times the time).
        key: the key.
        ways: one element for each vector of the set: which of its lanes are ways.
    """
    held = _words(address, GROUP * len(ways))
    keys = list(held)
    missed = int(key) not in keys
    last = _ways(ways) - 1 if missed else keys.index(int(key))
    held[: last + 1] = [int(key), *keys[:last]]
    return np.uint64(missed)


@instruction("shootdown._compilation.backend.vectors:misses")
def misses(address: Any, key: Any, ways: Any) -> bool:
    """Say whether a set of one vector for each element of `ways` lacks a key."""
    return int(key) not in list(_words(address, GROUP * len(ways)))


@instruction("shootdown._compilation.backend.vectors:push_front")
def push_front(address: Any, back: Any, key: Any, ways: Any) -> None:
    """Put a key that a set lacks at its front; arguments as of `bring_to_front`."""
    count = _ways(ways)
    held = _words(address, GROUP * len(ways))
    held[:count] = [int(key), *held[: count - 1]]


@instruction("shootdown._compilation.backend.vectors:front_of_group")
def front_of_group(address: Any, back: Any, carried: Any, key: Any, ways: Any) -> tuple[Any, Any]:
    """Take a key's place in one group of a long set: move what is before it, and let `carried` in at the front.

    Args:
        address, back: of the group, as in `bring_to_front`.
        carried: the key that comes in.
        key: whose place is taken, if it is in the group.
        ways: which lanes of the group are ways, as bits.

    Returns:
        A pair: the bit of the lane in which the key was, 0 for none, and the key that fell out at the end.
    """
    held = _words(address, GROUP)
    keys = list(held)
    found = keys.index(int(key)) if int(key) in keys else None
    last = int(ways).bit_count() - 1 if found is None else found
    held[: last + 1] = [int(carried), *keys[:last]]
    return np.uint64(0 if found is None else 1 << found), np.uint64(keys[-1])


@instruction("shootdown._compilation.backend.vectors:pages_change")
def pages_change(address: Any, shift: Any) -> Any:
    """Say which of eight accesses go to another page than the one before: bit i for the access i."""
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
    """Say which lanes hold a word, as bits."""
    return np.uint64(sum(1 << i for i, held in enumerate(lanes) if held == int(word)))


@instruction("shootdown._compilation.backend.vectors:replaced")
def replaced(lanes: Lanes, bits: Any, word: Any) -> Lanes:
    """Put a word into the lanes whose bits are set."""
    return tuple(int(word) if int(bits) >> i & 1 else held for i, held in enumerate(lanes))


@instruction("shootdown._compilation.backend.vectors:renewed")
def renewed(times: Lanes, keys: Lanes, key: Any, now: Any) -> Lanes:
    """Put a time into the lanes in which `keys` holds a key."""
    return tuple(int(now) if held == int(key) else time for time, held in zip(times, keys, strict=True))


@instruction("shootdown._compilation.backend.vectors:least")
def least(lanes: Lanes) -> Any:
    """Give the bit of the lane with the least word, the first of them."""
    return np.uint64(1 << lanes.index(min(lanes)))
