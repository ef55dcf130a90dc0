"""Call what somebody's file or plugin hands over: whatever goes wrong in it is one line, with file and line."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from shootdown._machine.sites import beginning, mistake, raised
from shootdown._plugins.registry import registry
from shootdown._plugins.vetting import one_line
from shootdown._values.errors import ShootdownError

T = TypeVar("T")
_ASKED_FOR_TRACEBACK = "SHOOTDOWN_TRACEBACK"


def called(what: str, function: Callable[..., T], *args: Any) -> T:
    """Call somebody's function.

    Args:
        what: whose it is and what it is called, for the message.
        function, args: the call. What the function raises is said of the line that raised it, or of its first.

    Raises:
        ShootdownError: it raised something, and is no plugin's; the message names the line.
    """
    try:
        return function(*args)
    except (ShootdownError, KeyboardInterrupt):
        raise
    except MemoryError as error:
        raise mistake(f"{what}: it does not fit into memory", raised(error) or beginning(function)) from error
    except BaseException as error:
        # The command line says which plugin it was, and shows tracebacks to those who ask for them.
        if os.environ.get(_ASKED_FOR_TRACEBACK) or registry().blame(error) is not None:
            raise
        raise mistake(f"{what}: {one_line(error)}", raised(error) or beginning(function)) from error
