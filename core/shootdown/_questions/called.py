"""Call what somebody's file or plugin hands over: whatever goes wrong in it is one line, with file and line."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from shootdown._machine.sites import mistake, raised
from shootdown._plugins.registry import registry
from shootdown._values.errors import ShootdownError

T = TypeVar("T")
_ASKED_FOR_TRACEBACK = "SHOOTDOWN_TRACEBACK"


def called(what: str, function: Callable[..., T], *args: Any) -> T:
    """Call somebody's function.

    Args:
        what: whose it is and what it is called, for the message.
        function, args: the call.

    Raises:
        ShootdownError: it raised something, and is no plugin's; the message names the line.
    """
    try:
        return function(*args)
    except (ShootdownError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        # The command line says which plugin it was, and shows tracebacks to those who ask for them.
        if os.environ.get(_ASKED_FOR_TRACEBACK) or registry().blame(error) is not None:
            raise
        raise mistake(f"{what}: {type(error).__name__}: {error}", raised(error)) from error
