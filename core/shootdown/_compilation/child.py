"""The child process that compiles kernels for the one that started it; `elsewhere` is the other end.

It reads requests from standard input and ends with it. Each kernel is compiled, which puts it on disk, and answered by
a line: the number of the request and, if it failed, the reason.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

# A third of a CPU beside a busy program, for what it compiles is waited for. At 10 a compile that takes a minute by
# itself took nine on a machine whose two CPUs were busy.
_NICE = 3


def main() -> None:
    """Compile kernels until standard input ends."""
    with suppress(ValueError, OSError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    with suppress(OSError, AttributeError):
        os.nice(_NICE)
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a plugin prints must not get into the answers
    sys.path[:], folder = pickle.loads(_message(requests))
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, waiting), daemon=True).start()
    while True:
        request = waiting.get()
        with _alone(folder):
            while True:
                number, why = compile_one(request)
                print(number, why, file=answers, flush=True)
                if waiting.empty():
                    break
                request = waiting.get()


def compile_one(request: bytes) -> tuple[int, str]:
    """Compile the kernel of one request; return its number and, if it failed, the reason."""
    number = -1
    try:
        number, name, args = pickle.loads(request)
        from shootdown._compilation.named import function_named
        from shootdown._compilation.running import compiled

        made: Any = compiled(function_named(name))
        made.compile(tuple(made.typeof_pyval(arg) for arg in args))
    except Exception as error:  # the parent reports it, and compiles the kernel itself
        return number, f"{type(error).__name__}: {error}".replace("\n", " ")[:1000]
    return number, ""


def _listen(requests: BinaryIO, waiting: queue.SimpleQueue[bytes]) -> None:
    """Read requests while others are compiled; at the end of the input, the parent has ended."""
    try:
        while message := _message(requests):
            waiting.put(message)
    finally:
        os._exit(0)


def _message(requests: BinaryIO) -> bytes:
    return requests.read(int.from_bytes(requests.read(4), "little"))


@contextmanager
def _alone(folder: str | None) -> Iterator[None]:
    """Wait until no other process compiles for the same cache."""
    held = None
    with suppress(OSError, ImportError):  # a file system without locks: then two may compile the same
        import fcntl

        if folder is not None:
            os.makedirs(folder, exist_ok=True)
            held = os.open(
                os.path.join(folder, "compiling.lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600
            )
            fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if held is not None:
            os.close(held)


if __name__ == "__main__":
    main()
