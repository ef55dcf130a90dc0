"""Files that a command reads: those that its arguments name, and those that these name in turn."""

from __future__ import annotations

import errno
import os
import stat
import sys
import tomllib
from contextvars import ContextVar
from typing import Any

from shootdown._values.errors import ShootdownError

#: The most bytes of a file that a person writes, and of one that a command wrote: no device or pipe without an end is
#: read until memory is full.
WRITTEN_BY_HAND, WRITTEN_BY_US = 1 << 20, 256 << 20

#: Said of a path that is `circular()`.
CIRCULAR = "it is a symbolic link that leads back to itself"

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


def circular(path: str | os.PathLike[str]) -> bool:
    """Say whether a path is a symbolic link that leads back to itself."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno == errno.ELOOP
    except ValueError:
        pass
    return False


def refusal(path: str | os.PathLike[str]) -> str | None:
    """Say why a path can't be read as a file: a device may have no end, and a named pipe nobody who writes.

    A pipe without a name, as a shell's `<(...)` makes one, is read.

    Args:
        path: of what is there, or is not: then None.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return CIRCULAR if circular(path) else None  # opening it says what else there may be
    if stat.S_ISFIFO(mode):
        # /dev/fd/63 leads to the name of no file
        named = os.path.lexists(os.path.realpath(path))
        return "it is a named pipe: `cat` it into standard input" if named else None
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return "it is a device, and no file"
    return "it is a socket, and no file" if stat.S_ISSOCK(mode) else None


def no_file(path: str | os.PathLike[str]) -> str | None:
    """Say why a path is no regular file that may be read: None if it is one.

    Args:
        path: of what is there, or is not.
    """
    if os.path.isfile(path):
        return None if os.access(path, os.R_OK) else "permission denied"
    if os.path.isdir(path):
        return "it is a folder"
    return refusal(path) or "there is no such file"


def read_text(path: str | os.PathLike[str], what: str, most: int = WRITTEN_BY_US) -> str:
    """Read a text.

    Args:
        path: the file; `-` is standard input.
        what: what it is, for errors: `program`. Empty: the file's name alone.
        most: the most bytes.

    Raises:
        ShootdownError: it can't be read, is larger, or is no UTF-8.
    """
    file = os.fspath(path)
    where = " ".join(word for word in (what, "standard input" if file == "-" else file) if word)
    try:
        if file == "-":
            content = sys.stdin.buffer.read(most + 1)
        else:
            if (problem := refusal(file)) is not None:
                raise ShootdownError(f"{where}: {problem}")
            note(file)
            with open(file, "rb") as opened:
                content = opened.read(most + 1)
    except (OSError, ValueError) as error:
        raise ShootdownError(f"{where}: {(getattr(error, 'strerror', None) or str(error)).lower()}") from None
    if len(content) > most:
        raise ShootdownError(f"{where}: it is larger than {most >> 20} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ShootdownError(f"{where}: it is no UTF-8 text: {error.reason}") from None


def read_toml(path: str | os.PathLike[str], what: str) -> tuple[dict[str, Any], str]:
    """Read a file of TOML that a person wrote: its tables, and its text.

    Args:
        path: the file.
        what: what it is, for errors.

    Raises:
        ShootdownError: it can't be read, is larger than 1 MiB, or is no TOML.
    """
    text = read_text(path, what, WRITTEN_BY_HAND)
    try:
        return tomllib.loads(text), text
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ShootdownError(f"{what} {os.fspath(path)}: it is no TOML: {str(error) or 'too deep'}") from None
