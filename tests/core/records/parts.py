"""What tests of recordings share: the type of the fixture that reads texts, and the part of one kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from shootdown._records.recording import Recording
from shootdown._records.values import Part

Read = Callable[..., Recording]
P = TypeVar("P", bound=Part)


def only(kind: type[P], found: Recording) -> P:
    """Return the part of a kind, of which there is one."""
    (part,) = (part for part in found.parts if isinstance(part, kind))
    return part
