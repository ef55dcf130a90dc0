"""Call what somebody's file or plugin hands over: whatever goes wrong in it is one line, with file and line."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import CoroutineType
from typing import Any, TypeVar

from shootdown._plugins.patience import TooLongError, patience
from shootdown._plugins.registry import registry
from shootdown._values.errors import ShootdownError, one_line
from shootdown._values.sites import beginning, mistake, raised

T = TypeVar("T")
_ASKED_FOR_TRACEBACK = "SHOOTDOWN_TRACEBACK"


def called(what: str, function: Callable[..., T], *args: Any) -> T:
    """Call somebody's function.

    Args:
        what: whose it is and what it is called, for the message.
        function, args: the call. What the function raises is said of the line that raised it, or of its first.

    Raises:
        ShootdownError: it raised something, and is no plugin's, or takes too long; the message names the line.
    """
    try:
        with patience(what):
            made = function(*args)
    except KeyboardInterrupt:
        raise
    except TooLongError as error:
        origin = registry().origin_of(error.site.package)
        raise error if origin is None else TooLongError(f"plugin {origin}: {error}", error.site) from None
    except ShootdownError as error:
        if str(error).strip():
            raise
        raise mistake(f"{what}: a {type(error).__name__} that says nothing", raised(error)) from error
    except MemoryError as error:
        raise mistake(f"{what}: it does not fit into memory", raised(error) or beginning(function)) from error
    except BaseException as error:
        # The command line says which plugin it was, and shows tracebacks to those who ask for them.
        if os.environ.get(_ASKED_FOR_TRACEBACK) or registry().blame(error) is not None:
            raise
        raise mistake(f"{what}: {one_line(error)}", raised(error) or beginning(function)) from error
    if isinstance(made, CoroutineType):
        made.close()  # whoever called is told that it is one; Python would warn that it never ran
    return made
