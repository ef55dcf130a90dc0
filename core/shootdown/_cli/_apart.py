"""A command that survives a plugin which ends the process: it runs in a child, and this one says what became of it."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import signal
import sys
from typing import Any

#: What the child says last if it ended by itself.
_WHOLE = "whole"
_FRAME = re.compile(r'^  File "(.+)", line (\d+) in (.+)$', re.MULTILINE)
_OURS = re.compile(r"/(shootdown/_|numba/|llvmlite/|site-packages/|lib/python3)")
_told: int | None = None


def note(**what: Any) -> None:
    """Tell the process that waits what this one is about to do; nothing where none waits."""
    if _told is not None:
        os.write(_told, (json.dumps(what) + "\n").encode())


def apart() -> None:
    """Go on in a child process. The first one waits, and exits as the child does; it never returns.

    Where the child was ended by a signal, or by os._exit(), that is an error in one line.
    """
    global _told
    if not hasattr(os, "fork"):
        return
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.close(writing)
        sys.stdout.flush()
        os._exit(_wait(child, reading))
    os.close(reading)
    _told = writing
    import faulthandler

    faulthandler.enable(os.fdopen(os.dup(writing), "w"))
    atexit.register(note, state=_WHOLE)


def _wait(child: int, reading: int) -> int:
    """Wait for the child; return the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child has it too
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda which, _: os.kill(child, which))
    text = b""
    while part := os.read(reading, 1 << 16):
        text += part
    _, state = os.waitpid(child, 0)
    status = os.waitstatus_to_exitcode(state)
    said = text.decode(errors="replace")
    notes: dict[str, Any] = {}
    for line in said.splitlines():
        with contextlib.suppress(ValueError):
            notes |= json.loads(line)
    if notes.get("state") == _WHOLE:
        return status
    if status in (-signal.SIGTERM, -signal.SIGHUP, -signal.SIGKILL):
        return 128 - status
    return _died(status, said, notes)


def _died(status: int, said: str, notes: dict[str, Any]) -> int:
    how = f"by {signal.Signals(-status).name}" if status < 0 else f"by os._exit({status})"
    where = next(
        (f", in {file}, line {line}" for file, line, _ in _FRAME.findall(said) if not _OURS.search(file)), ""
    )
    message = f"a plugin ended the process {how} while {notes.get('doing', 'plugins were loaded')}{where}"
    os.write(2, f"shootdown: error: {message}\n".encode())
    if "--json" in sys.argv:
        number, name = (
            notes.get("statement", "0.1"),
            next((text for text in sys.argv[2:] if text[0] != "-"), ""),
        )
        found = {"plugin": name, "findings": [{"statement": number, "message": message}]}
        os.write(1, (json.dumps({"schema": 1, **found, "shown": [], "unevidenced": []}) + "\n").encode())
    return 1
