"""Errors whose messages are for users."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_REASON_LENGTH = 300


class ShootdownError(Exception):
    """A request that can't be served; the message has the request, the alternatives, and what to do.

    The command line prints the message as it stands, without a traceback, and exits with status 2.
    """


class MistakeError(ShootdownError):
    """Somebody's file or plugin is wrong: that says nothing of the kernel on which it was tried."""


def with_line(error: ShootdownError, line: str) -> ShootdownError:
    """Return the error with a further line at the end of its message."""
    error.args = (f"{error}\n{line}", *error.args[1:])
    return error


def nearest(asked: str, there_is: Iterable[str], *, limit: int = 4, prefix: str = "") -> str:
    """Name the closest of the things that exist, for the end of an error message.

    Args:
        asked: what was typed.
        there_is: every name that would have been accepted.
        limit: how many names at most.
        prefix: written before each name in the message; it takes no part in the comparison.

    Returns:
        `"nearest: a, b"`, or `"there is: a, b"` where nothing is close, or `"there is none"`.
    """
    names = sorted(set(there_is))
    if not names:
        return "there is none"
    close = difflib.get_close_matches(asked, names, n=limit, cutoff=0.5)
    if not close:  # of names in other letters the small ones are meant
        small = {name.lower(): name for name in names}
        close = [small[name] for name in difflib.get_close_matches(asked.lower(), small, n=limit, cutoff=0.5)]
    if close:
        return "nearest: " + ", ".join(prefix + name for name in close)
    more = ", ..." if len(names) > limit else ""
    return "there is: " + ", ".join(prefix + name for name in names[:limit]) + more


def typed(value: object) -> str:
    """Name a type, or a value's type, with its article: `a Model`, `an int`."""
    name = (value if isinstance(value, type) else type(value)).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def shown(value: object, most: int = 40) -> str:
    """Write somebody's value for a message: as Python does, or only its type where Python would write an address.

    Args:
        value: anything.
        most: characters.
    """
    try:
        text = repr(value)
    except Exception:
        text = ""
    return text[:most] if text and " at 0x" not in text else typed(value)


def printable(text: str, *, but: str = "") -> str:
    """Escape what can't be printed, as Python does in what it shows of a text.

    Args:
        text: any text.
        but: the characters that stay although they can't.
    """
    return "".join(
        char if char.isprintable() or char in but else char.encode("unicode_escape").decode() for char in text
    )


def one_line(error: BaseException) -> str:
    """Write another package's error on one printable line."""
    try:
        text = " ".join(str(error).split())
    except Exception as unprintable:
        text = f"(its message raises {type(unprintable).__name__})"
    text = printable(text)
    if len(text) > _REASON_LENGTH:
        text = text[:_REASON_LENGTH] + "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
