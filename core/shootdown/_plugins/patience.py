"""Wait for a plugin's code, but not for ever: code that loops is named, by Ctrl-C and by a time-out.

A thread looks at those that run somebody's code. One that has written no step of a program for too long, and is in
somebody's function, is stopped at its next line of Python. So is one that nobody waits for any more. Core's own work is
never stopped.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

import attrs

from shootdown._compilation.announcing import also_watch
from shootdown._compilation.threads import abandonment
from shootdown._values.errors import MistakeError
from shootdown._values.sites import Site, raised

SECONDS = "SHOOTDOWN_PLUGIN_SECONDS"
"""The environment variable with the seconds that a plugin's function may take; 0: any time."""

_DEFAULT = 60.0
_AGAIN = 1.0
#: What stands between a plugin's function and core without being either.
_LIBRARIES = (
    frozenset({"numpy", "attr", "attrs", "pluggy", "click", "numba", "rich"}) | sys.stdlib_module_names
)


class TooLongError(MistakeError):
    """Somebody's function took too long.

    Args:
        text: the message.
        site: where it was.
    """

    def __init__(self, text: str, site: Site) -> None:
        super().__init__(text)
        self.site = site


class _EnoughError(BaseException):
    """Raised in a thread whose patience is at an end; no `except Exception` of a plugin keeps it."""


@attrs.define(eq=False)
class _Watched:
    """A thread that runs somebody's code.

    Args:
        what: whose code it is.
        thread: its number.
        limit: seconds; 0: any time.
        deadline: when the code is stopped.
        abandoned: set when nobody waits for the thread any more.
        outer: who waits for the code: what it was called from is not looked at.
        stopped: where it was then.
        woken: it was in a call of the system, which a signal has ended.
    """

    what: str
    thread: int
    limit: float
    deadline: float
    abandoned: threading.Event | None
    outer: FrameType
    stopped: Site | None = None
    woken: bool = False


_watched: list[_Watched] = []
_change = threading.Condition()
_watcher: threading.Thread | None = None
_interrupted: list[tuple[str, Site]] = []


def begin() -> None:
    """Forget whose code was interrupted before."""
    _interrupted.clear()


def interrupted() -> tuple[str, Site] | None:
    """Return whose code ran when somebody pressed Ctrl-C since `begin`, and where it was; None if it was core's."""
    return _interrupted[-1] if _interrupted else None


def limit() -> float:
    """Return how many seconds somebody's function may take; 0 for any time."""
    try:
        return max(float(os.environ.get(SECONDS, _DEFAULT)), 0.0)
    except ValueError:
        return _DEFAULT


def remember(frame: FrameType | None) -> None:
    """Remember whose code was running when somebody pressed Ctrl-C.

    Args:
        frame: of the main thread.
    """
    site = _somebodys(frame)
    if site is not None:
        here = threading.get_ident()
        whose = [one.what for one in tuple(_watched) if one.thread == here]
        _interrupted.append((whose[-1] if whose else "code of a file", site))


@contextlib.contextmanager
def patience(what: str) -> Iterator[None]:
    """Run somebody's code within; stop it if it takes too long.

    Args:
        what: whose it is, for the message.

    Raises:
        TooLongError: it took too long; the message names file and line where it was.
        KeyboardInterrupt: somebody pressed Ctrl-C meanwhile; `interrupted` says where the code was.
    """
    seconds = limit()
    deadline = time.monotonic() + seconds if seconds else math.inf
    outer = sys._getframe(2)  # beyond this generator and contextlib
    one = _Watched(what, threading.get_ident(), seconds, deadline, abandonment(), outer)
    try:
        _begin(one)
        yield
    except _EnoughError:
        if one.stopped is None:
            raise  # an outer call was stopped
        raise _too_long(what, seconds, one.stopped) from None
    except KeyboardInterrupt as interrupt:
        if one.woken and one.stopped is not None:  # nobody pressed Ctrl-C
            raise _too_long(what, seconds, one.stopped) from None
        site = raised(interrupt)
        if site is not None and not _interrupted:
            _interrupted.append((what, site))
        raise
    finally:
        while one in _watched:
            with contextlib.suppress(_EnoughError), _change:  # it was stopped as it ended: too late to matter
                _watched.remove(one)
                if one.stopped is not None:
                    _stop_no_more(one.thread)


def _too_long(what: str, seconds: float, site: Site) -> TooLongError:
    return TooLongError(
        f"{what} runs for {seconds:g} s without writing a step: it was in {site} "
        f"({SECONDS}={seconds * 10:g} waits longer)",
        site,
    )


def _begin(one: _Watched) -> None:
    global _watcher
    with _change:
        _watched.append(one)
        if _watcher is None:
            also_watch(_alive)
            _watcher = threading.Thread(target=_watch, name="patience", daemon=True)
            _watcher.start()
        _change.notify()


def _alive() -> None:
    """Give the code of this thread its time again: it has written steps."""
    here = threading.get_ident()
    for one in tuple(_watched):
        if one.thread == here and one.limit:
            one.deadline = time.monotonic() + one.limit


def _watch() -> None:
    while True:
        with _change:
            now = time.monotonic()
            for one in tuple(_watched):
                alone = one.abandoned is not None and one.abandoned.is_set()
                if (alone or one.deadline <= now) and _is_over(one):
                    _watched.remove(one)
                elif one.deadline <= now and _wakes(one):
                    one.deadline = now + _AGAIN
                elif (alone or one.deadline <= now) and _stop(one):
                    if alone and one.stopped is not None:
                        _interrupted.append((one.what, one.stopped))
                    one.deadline = now + _AGAIN  # a plugin may catch everything: it is stopped again
            _change.wait(_AGAIN if _watched else None)


def _is_over(one: _Watched) -> bool:
    """Say whether the code has ended unnoticed: what a signal's handler raises may end `patience` at any line."""
    frame = sys._current_frames().get(one.thread)
    while frame is not None and frame is not one.outer:
        frame = frame.f_back
    return frame is None


def _stop(one: _Watched) -> bool:
    """Stop a thread if it is in somebody's function; return whether it was."""
    site = _somebodys(sys._current_frames().get(one.thread), one.outer)
    if site is None:
        return False
    one.stopped = site
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(one.thread), ctypes.py_object(_EnoughError))
    return True


def _wakes(one: _Watched) -> bool:
    """End a call of the system, such as sleep(), in which the main thread has not noticed that it is stopped.

    A signal raises KeyboardInterrupt there; nothing else may be raised besides.
    """
    main = threading.main_thread().ident
    if one.stopped is None or one.woken or one.thread != main:
        return False
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None):
        return False
    one.woken = True
    _stop_no_more(one.thread)
    signal.pthread_kill(main, signal.SIGINT)
    return True


def _stop_no_more(thread: int) -> None:
    """Take back what `_stop` did, if the thread has not noticed yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None)


def _somebodys(frame: FrameType | None, outer: FrameType | None = None) -> Site | None:
    """Find the innermost line that belongs neither to shootdown nor to a library; `outer` and what called it aside."""
    while frame is not None and frame is not outer:
        name = str(frame.f_globals.get("__name__", ""))
        package = name.partition(".")[0]
        if package not in _LIBRARIES | {"shootdown", "__main__"}:
            return Site(frame.f_code, frame.f_lasti, name)
        frame = frame.f_back
    return None
