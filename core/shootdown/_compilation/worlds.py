"""Copies of functions over globals of their own: the same code, in which some names stand for something else."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from types import CellType, CodeType, FunctionType
from typing import Any

#: What a copy needs of its module whatever it names: where numba and tracebacks say that it comes from.
_ALWAYS = ("__name__", "__file__", "__package__")


def names_in(code: CodeType) -> set[str]:
    """Name all that a function's code looks up by name, that of functions within it included."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= names_in(constant)
    return found


def copied(function: FunctionType) -> FunctionType:
    """Copy a function over globals and a closure that are empty as yet; `settle` fills them."""
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
    """Give a copy what its code names.

    Args:
        copy: what `copied` made of `function`; apart from it, so that functions may name one another in a circle.
        function: the original.
        instead: gives what stands for a value, the value itself where nothing else does.
    """
    for name in names_in(function.__code__) & function.__globals__.keys():
        copy.__globals__[name] = instead(function.__globals__[name])
    for new, old in zip(copy.__closure__ or (), function.__closure__ or (), strict=True):
        try:
            new.cell_contents = instead(old.cell_contents)
        except ValueError:  # nothing was put into it yet
            continue
