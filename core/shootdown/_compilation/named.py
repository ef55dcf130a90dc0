"""Functions as plain data: by the name under which they can be imported, or by a number."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Callable
from typing import Any

_numbered: list[Callable[..., Any]] = []  # functions that can't be imported


def name_of(function: Callable[..., Any] | str) -> str:
    """Return the name under which a function can be imported, `module:name`, or else a number in digits.

    Args:
        function: the function, or its name.
    """
    if isinstance(function, str):
        return function
    module, name = function.__module__, function.__qualname__
    if (
        module != "__main__"
        and name.isidentifier()
        and getattr(sys.modules.get(module), name, None) is function
    ):
        return f"{module}:{name}"
    _numbered.append(function)
    return str(len(_numbered) - 1)


def function_named(name: str) -> Callable[..., Any]:
    """Return the function that `name_of` named."""
    found: Callable[..., Any] = _numbered[int(name)] if name.isdecimal() else pkgutil.resolve_name(name)
    return found
