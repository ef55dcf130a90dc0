"""The twins of the C functions of cdecode.h, in plain Python that numba compiles too."""

from __future__ import annotations

from typing import Any

import numpy as np

from shootdown.kernels import inlined, peek
from shootdown_cdecode import _table

U0, U8, U16, U33 = (np.uint64(n) for n in (0, 8, 16, 33))
MULTIPLIER = np.uint64(_table.MULTIPLIER)


@inlined
def hash_of(vpn: Any) -> Any:
    """Return the hash of a virtual page number."""
    mixed = (vpn ^ (vpn >> U33)) * MULTIPLIER
    return mixed ^ (mixed >> U33)


@inlined
def find_entry(group: Any, tag: Any) -> Any:
    """Return the address of the entry with this tag among the eight of a group; 0 if there is none."""
    for slot in range(8):
        entry = group + np.uint64(slot) * U16
        if peek(entry) == tag:
            return entry
    return U0
