"""The compiled walk of the hashed page table, with the decode in C.

It is `_walk_twin.py` but for one import: a kernel names the kernels that it calls as globals of its module, so that a
walk that calls others is a function of another module.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shootdown.formats import Reason
from shootdown.kernels import Walk, find, kernel, peek
from shootdown_cdecode import _table
from shootdown_cdecode._native import find_entry, hash_of


def _word(value: int) -> Any:
    """Return a constant of kernels; `Any`, as the fields of `Walk` are numbers to Python and words to kernels."""
    return np.uint64(value)


U0, U1, U8 = (_word(n) for n in (0, 1, 8))
PAGE_SHIFT, GROUP_SHIFT, VA_BITS = (_word(n) for n in (_table.PAGE_SHIFT, _table.GROUP_SHIFT, _table.VA_BITS))
SIZE_MASK, ADDRESS, RIGHTS = (_word(n) for n in (_table.SIZE_MASK, _table.ADDRESS, _table.RIGHTS))
IN_PAGE = _word(4095)
OK, NOT_PRESENT, PERMISSION = (_word(one) for one in (Reason.OK, Reason.NOT_PRESENT, Reason.PERMISSION))
NONCANONICAL, NO_MEMORY = (_word(one) for one in (Reason.NONCANONICAL, Reason.NO_MEMORY))


@kernel
def first_read(memory: Any, check: Any, root: Any, va: Any) -> Any:
    """Return the physical address of the group, which `walk` reads first."""
    mask = (U1 << (root & SIZE_MASK)) - U1
    return (root & ADDRESS) + ((hash_of(va >> PAGE_SHIFT) & mask) << GROUP_SHIFT)


@kernel
def walk(memory: Any, check: Any, root: Any, va: Any) -> Any:
    """Walk one address; `CustomFormat.walk` documents arguments and result."""
    if va >> VA_BITS != U0:
        return Walk(U0, U0, NONCANONICAL, U0, U0, U0)
    vpn = va >> PAGE_SHIFT
    mask = (U1 << (root & SIZE_MASK)) - U1
    group = find(memory, (root & ADDRESS) + ((hash_of(vpn) & mask) << GROUP_SHIFT))
    if group == U0:
        return Walk(U0, U0, NO_MEMORY, U0, U0, U0)
    place = find_entry(group, (vpn << U1) | U1)
    if place == U0:
        return Walk(U0, U0, NOT_PRESENT, U0, U0, U0)
    entry = peek(place + U8)
    rights = entry & RIGHTS
    if (check.allowed >> rights) & U1 == U0:
        return Walk(U0, entry, PERMISSION, U0, PAGE_SHIFT, rights)
    return Walk((entry & ADDRESS) | (va & IN_PAGE), entry, OK, U0, PAGE_SHIFT, rights)
