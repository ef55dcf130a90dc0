"""Classes whose values kernels take, and how each is registered with numba when a kernel is compiled."""

from __future__ import annotations

import functools
import struct
import sys
from collections.abc import Callable
from typing import TypeVar

from shootdown._compilation.registry import MADE_WITH, TYPES

C = TypeVar("C", bound=type)

_DISPATCHERS = "shootdown._compilation.backend.dispatchers"


def compiled_type(teach: str) -> Callable[[C], C]:
    """Declare how numba learns of a class whose values kernels take.

    Args:
        teach: `module:name` of a function that is called with the class before a kernel is compiled.
    """

    def note(kind: C) -> C:
        MADE_WITH.setdefault(kind.__module__, set()).add(teach.partition(":")[0])
        TYPES[kind] = teach
        if _DISPATCHERS in sys.modules:
            sys.modules[_DISPATCHERS].teach()
        return kind

    return note


@functools.lru_cache(maxsize=256)
def words_of(numbers: tuple[int, ...]) -> bytes:
    """Return the 64-bit words of a named tuple of integers, which kernels read its fields from."""
    return struct.pack(f"{len(numbers)}q", *numbers)
