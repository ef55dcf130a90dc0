"""Reasons to refuse a plugin, in one line each."""

from __future__ import annotations

import re

from shootdown._plugins.installed import Kind
from shootdown._values.checked import FIELDS
from shootdown._values.errors import ShootdownError, nearest, one_line
from shootdown._values.sites import raised

_UNKNOWN_FIELD = re.compile(r"^(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'$")
#: Errors that say themselves where they are.
_PLACED = (ImportError, SyntaxError, SystemExit)


class RefusedError(Exception):
    """A reason to refuse a plugin; `registry` catches it and records it.

    Args:
        kind: broken, duplicate, outdated or disabled.
        reason: one line.
        about: the plugin's function that it is about, if one.
    """

    def __init__(self, kind: Kind, reason: str, about: object = None) -> None:
        super().__init__(reason)
        self.kind: Kind = kind
        self.reason = reason
        self.about = about


def failed(error: BaseException) -> str:
    """Say on one line what a plugin's code raised, and where; of an unknown field, which is nearest."""
    if isinstance(error, ShootdownError):
        return one_line(error).partition(": ")[2] or one_line(error)
    text = one_line(error)
    if isinstance(error, TypeError) and (found := _UNKNOWN_FIELD.match(str(error))):
        known = FIELDS.get(found[1])
        if known:
            text = f"{found[1]} has no field {found[2]!r}; {nearest(found[2], known)}"
    place = None if isinstance(error, _PLACED) else raised(error)
    return text if place is None else f"{text} ({place})"
