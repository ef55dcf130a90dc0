"""Files that a command reads: those that its arguments name, and those that these name in turn."""

from __future__ import annotations

import os
from contextvars import ContextVar

#: What ships with shootdown is no input: its version says what it is.
_OWN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
_FILES: ContextVar[dict[str, None] | None] = ContextVar("files", default=None)


def begin() -> None:
    """Forget what was read, and note from now on what is."""
    _FILES.set({})


def note(path: str | os.PathLike[str]) -> None:
    """Note that an answer depends on a file."""
    files = _FILES.get()
    if files is not None and not os.path.abspath(path).startswith(_OWN):
        files[os.fspath(path)] = None


def noted() -> tuple[str, ...]:
    """Return the files that were noted, each once."""
    return tuple(_FILES.get() or ())
