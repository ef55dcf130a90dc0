"""What a function does outside of itself: files that it opens for writing, programs that it starts, connections."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

_WRITING = frozenset("wax+")
_EVENTS = {
    "os.remove": "removes",
    "os.rename": "renames",
    "os.mkdir": "makes the folder",
    "os.rmdir": "removes the folder",
    "subprocess.Popen": "starts",
    "os.system": "starts",
    "os.exec": "starts",
    "os.posix_spawn": "starts",
    "socket.connect": "connects to",
}
_lists: list[tuple[int, list[str]]] = []
_hooked = False


@contextlib.contextmanager
def noticing() -> Iterator[list[str]]:
    """Note within what this thread does outside of itself.

    Yields:
        A list that gets it, in words: `opens /tmp/x for writing`.
    """
    global _hooked
    if not _hooked:
        sys.addaudithook(_hear)  # for ever: there is no way to take one away
        _hooked = True
    found: list[str] = []
    entry = (threading.get_ident(), found)
    _lists.append(entry)
    try:
        yield found
    finally:
        _lists.remove(entry)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if not _lists:
        return
    text = _said(event, arguments)
    for thread, found in _lists if text else ():
        if thread == threading.get_ident():
            found.append(text)


def _said(event: str, arguments: tuple[Any, ...]) -> str:
    if event == "open":
        path, mode, *_ = arguments
        writes = isinstance(mode, str) and bool(_WRITING & set(mode))
        return f"opens {path} for writing" if writes else ""
    return f"{_EVENTS[event]} {arguments[-1 if event == 'socket.connect' else 0]}" if event in _EVENTS else ""
