"""Let a child process compile kernels while this one runs them as plain Python.

The child gets a kernel's name and arguments of the types that it was called with. It compiles the kernel, which puts it
on disk, and answers; then this process loads it from there. A process has one child, and only one child at a time
compiles for a cache: others wait for its lock, and then find their kernels on disk. The child is niced, and it ends
with this process in any case, as it reads from a pipe that this one holds.
"""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from shootdown._compilation.announcing import announce, what
from shootdown._compilation.folders import environment, folder_of
from shootdown._compilation.named import name_of

#: Seconds between two checks for the child's answers.
PATIENCE = 0.2


class Child:
    """A process that compiles kernels, started by the first request.

    `ask` is called repeatedly with the same request until it is done.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._numbers: dict[Any, int] = {}
        self._answers: dict[int, str] = {}
        self._lock = threading.Lock()
        self._ended = False

    def ask(self, function: Callable[..., Any], key: Any, args: tuple[Any, ...]) -> str | None:
        """Request a kernel for arguments of these types, or check on an earlier request.

        Args:
            function: the kernel.
            key: identifies the kernel and the types.
            args: the arguments of the call.

        Returns:
            None while it is compiled; an empty string when it is done; or the reason why it failed.
        """
        with self._lock:
            number = self._numbers.get(key)
            if number is None:
                number = self._numbers[key] = len(self._numbers)
                why = self._send(number, function, args)
                if why:
                    self._answers[number] = why
            if number not in self._answers and self._ended:
                self._answers[number] = "the child process that compiles has ended"
            return self._answers.get(number)

    def close(self) -> None:
        """End the child."""
        process, self._process = self._process, None
        if process is None or os.getpid() != self._owner:  # a forked process has no child of its own
            return
        with suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)

    def _send(self, number: int, function: Callable[..., Any], args: tuple[Any, ...]) -> str:
        name = name_of(function)
        if name.isdecimal():
            return f"{function.__qualname__} has no name that another process knows it by"
        try:
            request = pickle.dumps((number, name, tuple(typical(arg) for arg in args)))
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            return f"{type(error).__name__}: {error}"
        try:
            if self._process is None:
                self._start(function)
            assert self._process is not None
            assert self._process.stdin is not None
            self._process.stdin.write(len(request).to_bytes(4, "little") + request)
            self._process.stdin.flush()
        except OSError as error:
            return f"no child process compiles: {error.strerror}"
        announce(
            f"{what(function.__module__)}: not compiled yet, which another process does now; "
            "meanwhile this one goes on as plain Python, which is slower"
        )
        return ""

    def _start(self, function: Callable[..., Any]) -> None:
        if not sys.executable:
            raise OSError(0, "it is not known which Python this is")
        folder = folder_of(sys.modules[__name__].__file__ or "")
        begin = pickle.dumps((sys.path, None if folder is None else str(folder)))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "shootdown._compilation.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "SHOOTDOWN_COMPILE": "now", **environment()},
        )
        assert self._process.stdin is not None
        self._process.stdin.write(len(begin).to_bytes(4, "little") + begin)
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        atexit.register(self.close)

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            number, _, why = line.decode("utf-8", "replace").strip().partition(" ")
            if number.isdecimal():
                self._answers[int(number)] = why
        self._ended = True


def typical(value: Any) -> Any:
    """Return a value of the same numba type that is as short as possible; a class may define how (`typical`)."""
    import numpy as np

    if isinstance(value, np.ndarray):
        short: Any = np.zeros((0,) * value.ndim, value.dtype)
        if not value.flags.c_contiguous:
            raise TypeError("an array that is not contiguous")
        short.flags.writeable = value.flags.writeable
        return short
    if isinstance(value, tuple):
        parts = [typical(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value.typical() if hasattr(value, "typical") else value


child = Child()


class Asking:
    """A request for one kernel and types of arguments; its answer is checked only now and then, to save time."""

    def __init__(self, function: Callable[..., Any], key: Any) -> None:
        self._function = function
        self._key = key
        self._next = 0.0

    def answer(self, args: tuple[Any, ...], is_kept: Callable[[], bool]) -> str | None:
        """Return as `Child.ask` does; also an empty string if another process has compiled it meanwhile."""
        now = time.monotonic()
        if now < self._next:
            return None
        self._next = now + PATIENCE
        if is_kept():
            return ""
        return child.ask(self._function, (self._function, self._key), args)
