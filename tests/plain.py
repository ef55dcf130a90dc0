"""Kernels as the Python functions that they are, whether or not this process compiles them."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_MADE: dict[Any, Any] = {}


def plain(function: F) -> F:
    """Return the Python function of a kernel, which calls other kernels as Python functions too."""
    source = getattr(function, "py_func", function)
    if source in _MADE:
        return _MADE[source]
    world: dict[str, Any] = {}
    copy = types.FunctionType(
        source.__code__, world, source.__name__, source.__defaults__, source.__closure__
    )
    _MADE[source] = copy
    world |= {
        name: plain(value) if hasattr(value, "py_func") else value
        for name, value in source.__globals__.items()
    }
    return copy
