"""Run kernels: plain first and then compiled, or always one of the two.

SHOOTDOWN_COMPILE chooses:

* `auto`, the default: plain Python until that has taken as long as it would to load numba and the kept kernels. From
  then on a kernel that is kept on disk runs compiled. One that is not keeps running as plain Python while a child
  process compiles it, and runs compiled from the first call after that: it takes the same arrays.
* `now`: compiled by this process at the first call.
* `never`: plain Python, as with numba's own NUMBA_DISABLE_JIT=1.

Long work is divided into several calls of a kernel (`slices`), so that it can switch in between.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any, TypeVar

from shootdown._compilation.announcing import announce, what
from shootdown._compilation.registry import MANNERS, Manner
from shootdown._compilation.worlds import copied, settle

F = TypeVar("F", bound=Callable[..., Any])

#: CPU seconds of plain kernels after which numba is loaded: about the time that loading takes.
WORTH_IT = 0.3
WAYS = ("auto", "now", "never")

#: What runs in place of a kernel's plain Python, by the kernel.
_twins: dict[Callable[..., Any], Callable[..., Any]] = {}
_compiled: dict[Callable[..., Any], Any] = {}
_runnable: dict[Callable[..., Any], Any] = {}
_plain_copies: dict[Callable[..., Any], FunctionType] = {}
_lock = threading.RLock()


_at_once = False


def compile_at_once() -> None:
    """Compile kernels at their first call from now on, unless this process compiles none."""
    global _at_once
    _at_once = True
    _runnable.clear()


def way() -> str:
    """Return when this process compiles kernels: `auto`, `now` or `never`.

    Raises:
        ShootdownError: SHOOTDOWN_COMPILE has another value.
    """
    chosen = _chosen()
    return "now" if _at_once and chosen == "auto" else chosen


@functools.cache
def _chosen() -> str:
    wanted = os.environ.get("SHOOTDOWN_COMPILE", "auto")
    if wanted not in WAYS:
        from shootdown._values.errors import ShootdownError

        raise ShootdownError(f"SHOOTDOWN_COMPILE is {wanted!r}; it is 'auto', 'now' or 'never'")
    return "never" if _numba_is_off() else wanted


def compiles() -> bool:
    """Whether this process compiles kernels, at once or later; otherwise they run as plain Python."""
    return way() != "never"


def _numba_is_off() -> bool:
    """Whether numba's own switch, as numba reads it, turns compilation off."""
    try:
        return int(os.environ.get("NUMBA_DISABLE_JIT", "0")) != 0
    except ValueError:
        return False


def compiled(function: F) -> F:
    """Return the compiled copy of a kernel, numba's dispatcher, which is made by the first call.

    With NUMBA_DISABLE_JIT=1 there is none, and the plain function is returned.

    Raises:
        TypeError: it is not a kernel, or it names another one through a module.
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
    """Return what Python code calls to run a kernel; see above for when that is its compiled copy.

    Either one returns Python's own numbers, and unsigned words wrap around.

    Raises:
        TypeError: it is not a kernel, or it is `internal`.
    """
    made = _runnable.get(function)
    if made is None:
        if MANNERS.get(function, Manner.INTERNAL) is Manner.INTERNAL:
            raise TypeError(f"{function!r} is no kernel that Python calls: mark it with @kernel or @inlined")
        make: dict[str, Callable[[Any], Any]] = {"auto": _Plainly, "now": _saying, "never": _plain}
        made = _runnable[function] = make[way()](function)
    ready: F = made
    return ready


def will_run_compiled(function: Callable[..., Any]) -> bool:
    """Whether calls of a kernel run compiled by now, or will as it is on disk and plain Python had its time."""
    made = _compiled.get(function)
    if made is not None and getattr(made, "overloads", None):
        return True
    if not compiles() or (budget.lasts and way() == "auto"):
        return False
    from shootdown._compilation.backend.disk import is_kept

    return is_kept(compiled(function))


def unkept(function: F) -> F:
    """Return the same as `runnable`, but not kept on disk: for arguments whose type no other process has."""
    if not compiles():
        return runnable(function)
    made: Any = _Plainly(function, kept=False) if way() == "auto" else _unkept(function)
    ready: F = made
    return ready


def _unkept(function: Callable[..., Any]) -> Any:
    from shootdown._compilation.backend import dispatchers

    announce(
        f"{what(function.__module__)}: compiled by each command that needs them, as they have no name to be kept by"
    )
    with _lock:
        return dispatchers.unkept(function)


def _saying(function: Callable[..., Any]) -> Any:
    """Return the compiled copy of a kernel, which announces a compilation that takes some time."""
    made = compiled(function)
    if _numba_is_off():
        return made
    from shootdown._compilation.backend import patience

    return patience.saying(function, made)


class _Budget(threading.local):
    """CPU seconds that plain kernels have taken in this process, and whether this thread has small work."""

    spent_by_all = 0.0
    small = False

    @property
    def spent(self) -> float:
        return _Budget.spent_by_all

    @spent.setter
    def spent(self, seconds: float) -> None:
        _Budget.spent_by_all = seconds

    @property
    def lasts(self) -> bool:
        return self.small or self.spent < WORTH_IT

    def foresee(self, seconds: float) -> None:
        """Say how long plain kernels are going to take at least: if that is too long, numba is loaded at once."""
        if self.spent + seconds >= WORTH_IT:
            self.spent = max(self.spent, WORTH_IT)


budget = _Budget()


@contextmanager
def small_work() -> Iterator[None]:
    """Run within what takes plain Python less time than to load or compile kernels, whatever was spent before.

    Kernels that run compiled already go on so.
    """
    before, budget.small = budget.small, True
    try:
        yield
    finally:
        budget.small = before


class _Plainly:
    """A kernel that runs as plain Python at first, and compiled later.

    Args:
        function: the kernel.
        kept: whether it is kept on disk, so that a child process can compile it.
    """

    def __init__(self, function: Callable[..., Any], *, kept: bool = True) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._plain = _plain(function)
        self._kept = kept
        self._compiled: Any = None

    def __call__(self, *args: Any) -> Any:
        if self._compiled is not None:
            return self._compiled(*args)
        if budget.lasts and not _at_once:
            began = time.thread_time()
            try:
                return self._plain(*args)
            finally:
                budget.spent += time.thread_time() - began
        self._compiled = self._settled()
        return self._compiled(*args)

    def _settled(self) -> Any:
        if not self._kept:
            return _unkept(self._function)
        if _at_once:
            return _saying(self._function)
        made = compiled(self._function)
        from shootdown._compilation.backend import patience

        return patience.patient(self._function, made, self._plain)


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the plain Python function of a plugin's function, which the plugin may have compiled."""
    if function in MANNERS:
        return function
    made = _plain_copies.get(function)
    if made is None:
        original: Any = getattr(function, "py_func", function)
        made = _plain_copies[function] = copied(original)
        settle(made, original, lambda value: plain(value) if hasattr(value, "py_func") else value)
    return made


def plainly_by(function: Callable[..., Any]) -> Callable[[F], F]:
    """Let another function run in place of a kernel while that is not compiled: it does the same, and faster."""

    def note(twin: F) -> F:
        _twins[function] = twin
        return twin

    return note


def _plain(function: F) -> F:
    """Wrap a plain function to behave as a compiled one: words wrap around, and results are Python's own numbers."""
    import numpy as np

    function = _twins.get(function, function)  # type: ignore[assignment]

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
