"""Arguments of the assembler's methods as numbers of steps, where an argument is not a number of its own."""

from __future__ import annotations

from operator import index
from typing import Any

from shootdown._values.sites import mistake


def truth(value: Any, name: str) -> int:
    """Return 1 for True and 0 for False.

    Args:
        value: the argument.
        name: what it is called.

    Raises:
        MistakeError: it is neither.
    """
    if value is True:
        return 1
    if value is False or (isinstance(value, int) and value in (0, 1)):
        return int(value)
    raise mistake(f"{name} is {value!r:.40}: True or False")


def whole(value: Any, name: str) -> int:
    """Return a whole number.

    Raises:
        MistakeError: it is none.
    """
    if type(value) is int:
        return value
    try:
        return index(value)
    except TypeError:
        raise mistake(f"{name} is {value!r:.40}, which is no whole number") from None


def above(low: Any, high: Any, bits: int, names: tuple[str, str]) -> int:
    """Return two numbers as one: the second stands above so many bits."""
    return whole(low, names[0]) | whole(high, names[1]) << bits


def past(register: Any, name: str) -> int:
    """Return the number of a register plus one, 0 for None."""
    return 0 if register is None else whole(register, name) + 1
