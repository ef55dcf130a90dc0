"""Call what somebody's file or plugin hands over: whatever goes wrong in it is one line, with file and line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from shootdown._machine.sites import mistake, raised
from shootdown._values.errors import ShootdownError

T = TypeVar("T")


def called(what: str, function: Callable[..., T], *args: Any) -> T:
    """Call somebody's function.

    Args:
        what: whose it is and what it is called, for the message.
        function, args: the call.

    Raises:
        ShootdownError: it raised something; the message names the line.
    """
    try:
        return function(*args)
    except (ShootdownError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise mistake(f"{what}: {type(error).__name__}: {error}", raised(error)) from error
