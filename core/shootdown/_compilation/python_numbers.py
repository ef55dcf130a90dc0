"""Copies of kernels that compute with Python's own numbers on lists: several times as fast as numpy's cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any, TypeVar

import numpy as np

from shootdown._compilation.registry import INSTRUCTIONS, MANNERS
from shootdown._compilation.worlds import copied, settle

F = TypeVar("F", bound=Callable[..., Any])

_NUMBERS = SimpleNamespace(int64=int, uint64=int, uint32=int)
_copies: dict[Any, Any] = {}


def with_python_numbers(function: F) -> F:
    """Return a copy of a kernel, and of all that it calls, whose integers are Python's.

    Its arrays are lists. Nothing wraps around: it is for kernels whose words never do.
    """
    original: Any = function
    made: Any = _copies.get(function)
    if made is None:
        made = _copies[function] = copied(original)
        settle(made, original, _instead)
    ready: F = made
    return ready


def _instead(value: Any) -> Any:
    if isinstance(value, ModuleType):
        return _NUMBERS if value is np else value
    if value is np.int64 or value is np.uint64:
        return int
    if isinstance(value, FunctionType) and value in MANNERS and value not in INSTRUCTIONS:
        return with_python_numbers(value)
    return value
