"""Values as people write them: a boolean, a whole number, a size, one word out of several.

Options, what-ifs, parameters and settings all read their values here, so that `on` and `64k` mean the same wherever
they are typed. Callers in Python may give the value itself. Callers catch `UnreadableError` and name the option that
was read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from shootdown._values.errors import ShootdownError

T = TypeVar("T")

_BOOLEANS = {
    "true": True,
    "on": True,
    "yes": True,
    "1": True,
    "false": False,
    "off": False,
    "no": False,
    "0": False,
}
#: log2 of what a unit multiplies with.
_UNITS = {"k": 10, "m": 20, "g": 30, "t": 40}
_SIZE = re.compile(r"([0-9]{1,30})\s*([kmgt]?)(i?b)?", re.IGNORECASE)


class UnreadableError(ShootdownError):
    """A text that can't be read as the kind of value that was asked for.

    Args:
        text: as it was given.
        allowed: what is allowed instead.
    """

    def __init__(self, text: str, allowed: str) -> None:
        super().__init__(f"{text!r} is not {allowed}")
        self.allowed = allowed


def read_boolean(given: Any) -> bool:
    """Read `true`, `on`, `yes`, `1` or their opposites, in either case.

    Raises:
        UnreadableError: it is something else.
    """
    text = str(given)
    value = _BOOLEANS.get(text.strip().lower())
    if value is None:
        raise UnreadableError(text, "true or false")
    return value


def read_integer(
    given: Any, *, minimum: int | None = None, maximum: int | None = None, units: bool = False
) -> int:
    """Read a whole number: decimal, or with the prefix 0x, 0o or 0b.

    Args:
        given: the text, or the number.
        minimum, maximum: between which it has to lie.
        units: it may end in k, m, g or t, which multiply by powers of 1024.

    Raises:
        UnreadableError: it is something else, such as a boolean, or lies outside of the range.
    """
    text = str(given)
    number = _number(text, units=units)
    if (
        number is None
        or (minimum is not None and number < minimum)
        or (maximum is not None and number > maximum)
    ):
        raise UnreadableError(text, _range(minimum, maximum))
    return number


def _number(text: str, *, units: bool) -> int | None:
    digits, shift = text.strip().lower(), 0
    if units and digits[-1:] in _UNITS:
        digits, shift = digits[:-1], _UNITS[digits[-1]]
    if digits.isascii():
        for base in (0, 10):  # base 0 takes prefixes, and no decimal number that begins with zero
            try:
                return int(digits, base) << shift
            except ValueError:
                continue
    return None


def _range(minimum: int | None, maximum: int | None) -> str:
    if minimum is None and maximum is None:
        return "a whole number"
    if maximum is None:
        return f"a whole number from {minimum} on"
    return (
        f"a whole number up to {maximum}"
        if minimum is None
        else f"a whole number from {minimum} to {maximum}"
    )


def read_address(what: str, text: str) -> int:
    """Read an address as a person writes it: `0x7fff0000`, `0x7fff_0000`, or decimal.

    Args:
        what: what it is, for the message.
        text: the number.

    Raises:
        ShootdownError: it is none, or has more than 64 bits.
    """
    try:
        number = int(text, 0) if text.isascii() else -1
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 64:
        try:
            int(text, 16)
            hint = f": 0x{text.removeprefix('0x')}?" if number < 0 and text[:1] not in "-+" else ""
        except ValueError:
            hint = ""
        raise ShootdownError(f"{what} {text!r} is no 64-bit address{hint}")
    return number


def read_size(given: Any) -> int:
    """Read a number of bytes: `4096`, `4k`, `2M`, `1GiB`.

    Raises:
        UnreadableError: it is something else.
    """
    text = str(given)
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UnreadableError(text, "a size; write 4096, 4k, 2m or 1g")
    return int(found[1]) << _UNITS.get(found[2].lower(), 0)


def write_size(size: int) -> str:
    """Write a number of bytes exactly, in the largest unit that does, as `read_size` reads it."""
    for unit, shift in reversed(_UNITS.items()):
        if size and size % (1 << shift) == 0:
            return f"{size >> shift}{unit}"
    return str(size)


def read_choice(given: Any, choices: Sequence[T]) -> T:
    """Read one of several values: words in either case, with hyphens or underscores, or whole numbers.

    Args:
        given: the text, or the value.
        choices: texts and integers.

    Raises:
        UnreadableError: it is none of them.
    """
    text = str(given)
    word = _plain(text.strip())
    for choice in choices:
        if word == _plain(str(choice)) or (isinstance(choice, int) and _number(word, units=True) == choice):
            return choice
    raise UnreadableError(text, ", ".join(map(str, choices)))


def _plain(word: str) -> str:
    return word.lower().replace("_", "-")
