"""Copies of functions with their own globals: the same code object, in which some names have other values."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from types import CellType, CodeType, FunctionType
from typing import Any

#: Globals that a copy needs in any case: numba and tracebacks read its origin from them.
_ALWAYS = ("__name__", "__file__", "__package__")


def names_in(code: CodeType) -> set[str]:
    """Return all names that a function's code looks up, including the code of functions within it."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= names_in(constant)
    return found


def copied(function: FunctionType) -> FunctionType:
    """Copy a function with empty globals and an empty closure; `settle` fills them."""
    world: dict[str, Any] = {name: function.__globals__.get(name) for name in _ALWAYS}
    world["__builtins__"] = builtins
    cells = None if function.__closure__ is None else tuple(CellType() for _ in function.__closure__)
    copy = FunctionType(function.__code__, world, function.__name__, function.__defaults__, cells)
    copy.__qualname__ = function.__qualname__
    copy.__module__ = function.__module__
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__annotations__ = function.__annotations__
    copy.__doc__ = function.__doc__
    return copy


def settle(copy: FunctionType, function: FunctionType, instead: Callable[[Any], Any]) -> None:
    """Fill the globals and the closure of a copy.

    Args:
        copy: the result of `copied(function)`, a step of its own so that functions may name one another in a circle.
        function: the original.
        instead: returns the replacement of a value, or the value itself.
    """
    for name in names_in(function.__code__) & function.__globals__.keys():
        copy.__globals__[name] = instead(function.__globals__[name])
    for new, old in zip(copy.__closure__ or (), function.__closure__ or (), strict=True):
        try:
            new.cell_contents = instead(old.cell_contents)
        except ValueError:  # the cell is still empty
            continue
