"""Run kernels: compiled, which is what happens by itself, or as plain Python.

Kernels run compiled. With SHOOTDOWN_COMPILE=never, or with numba's own NUMBA_DISABLE_JIT=1, they run as plain Python,
and numba is not imported. `compiles` decides it for the whole process.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

from shootdown._compilation.registry import MANNERS, Manner
from shootdown._compilation.worlds import copied, settle

F = TypeVar("F", bound=Callable[..., Any])

_compiled: dict[Callable[..., Any], Any] = {}
_runnable: dict[Callable[..., Any], Any] = {}
_plain_copies: dict[Callable[..., Any], FunctionType] = {}
_lock = threading.RLock()


@functools.cache
def compiles() -> bool:
    """Say whether this process compiles kernels; otherwise they run as plain Python.

    Raises:
        ShootdownError: SHOOTDOWN_COMPILE is neither `now` nor `never`.
    """
    wanted = os.environ.get("SHOOTDOWN_COMPILE", "now")
    if wanted not in ("now", "never"):
        from shootdown._values.errors import ShootdownError

        raise ShootdownError(f"SHOOTDOWN_COMPILE is {wanted!r}; it is 'now' or 'never'")
    return wanted == "now" and not _numba_is_off()


def _numba_is_off() -> bool:
    """Say whether numba would compile nothing, as it reads its own switch."""
    try:
        return int(os.environ.get("NUMBA_DISABLE_JIT", "0")) != 0
    except ValueError:
        return False


def compiled(function: F) -> F:
    """Give the compiled copy of a kernel: numba's dispatcher, made when it is first asked for.

    With NUMBA_DISABLE_JIT=1 there is none, and the plain function is called instead.

    Raises:
        TypeError: it is no kernel, or it names another one through a module.
    """
    made = _compiled.get(function)
    if made is None:
        if function not in MANNERS:
            raise TypeError(f"{function!r} is no kernel: mark it with @kernel or @inlined")
        made = _compiled[function] = _plain(function) if _numba_is_off() else _dispatcher(function)
    dispatcher: F = made
    return dispatcher


def _dispatcher(function: F) -> Any:
    from shootdown._compilation.backend import dispatchers

    with _lock:
        return dispatchers.dispatcher(function)


def runnable(function: F) -> F:
    """Give what Python code calls to run a kernel: its compiled copy, or the plain function where nothing compiles.

    Either way numbers come back as Python's own, and unsigned words wrap around.

    Raises:
        TypeError: it is no kernel, or one that is `internal`.
    """
    made = _runnable.get(function)
    if made is None:
        if MANNERS.get(function, Manner.INTERNAL) is Manner.INTERNAL:
            raise TypeError(f"{function!r} is no kernel that Python calls: mark it with @kernel or @inlined")
        made = _runnable[function] = compiled(function) if compiles() else _plain(function)
    ready: F = made
    return ready


def unkept(function: F) -> F:
    """Give what `runnable` does, but compiled anew by each process: for arguments whose type no other process has."""
    if not compiles():
        return runnable(function)
    from shootdown._compilation.backend import dispatchers

    with _lock:
        made: F = dispatchers.unkept(function)
    return made


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the plain Python of a function that a plugin handed over, which may have been compiled by the plugin."""
    if function in MANNERS:
        return function
    made = _plain_copies.get(function)
    if made is None:
        original: Any = getattr(function, "py_func", function)
        made = _plain_copies[function] = copied(original)
        settle(made, original, lambda value: plain(value) if hasattr(value, "py_func") else value)
    return made


def is_ready(function: Callable[..., Any]) -> bool:
    """Say whether a kernel runs without being compiled first: it is kept on disk, or nothing compiles here."""
    if not compiles():
        return True
    from shootdown._compilation.backend.disk import is_kept

    return is_kept(compiled(function))


def _plain(function: F) -> F:
    """Let a plain function be called as a compiled one is: words wrap around, no number of numpy's comes out."""
    import numpy as np

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        with np.errstate(over="ignore"):
            return _as_python(function(*args), np.generic)

    ready: Any = call
    return ready  # type: ignore[no-any-return]


def _as_python(value: Any, numbers: type) -> Any:
    if isinstance(value, numbers):
        return value.item()  # type: ignore[attr-defined]
    if isinstance(value, tuple):
        parts = [_as_python(part, numbers) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value
