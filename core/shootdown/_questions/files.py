"""Which command takes a file: for whoever gave it to another one."""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib

from shootdown._records.recording import looks_like
from shootdown._traces.formats import kind_of
from shootdown._traces.source import Source
from shootdown._values.errors import ShootdownError

_MOST = 1 << 20
#: Keys of what compare, explain, history and hunt print with --json.
_RESULTS = (b'"workload"', b'"ledger"', b'"advice"', b'"findings"')
_FUNCTION = re.compile(rb"^(?:def|class|from|import|@)\s*\w", re.MULTILINE)
#: What images of memory begin with that say what they are.
_IMAGES = (
    (b"\x7fELF", "an ELF file"),
    (b"EMiL", "a LiME image"),
    (b"KDUMP   ", "a kdump"),
    (b"DISKDUMP", "a diskdump"),
)


def taken_by(path: str | os.PathLike[str]) -> tuple[str, str] | None:
    """Say what a file looks like, and which command takes it.

    Args:
        path: any file.

    Returns:
        A few words, and the command line; None where nothing tells, or there is no such file.
    """
    name = os.fspath(path)
    try:
        mode = os.stat(name).st_mode
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(mode):
        return None
    try:
        source = Source(name, what="file")
    except ShootdownError:
        return None
    start = source.start
    source.close()
    if (words := looks_like(start)) is not None:
        if words.startswith(("trace-cmd's", "perf's")):
            tool = "trace-cmd report -i" if words.startswith("trace") else "perf script -i"
            return words, f"{tool} {name} > TEXT, and shootdown read TEXT"
        return words, f"shootdown read {name}"
    for magic, words in _IMAGES:
        if start.startswith(magic):
            return words, f"shootdown walk --memory {name} --roots"
    return _own(name, start)


def _own(name: str, start: bytes) -> tuple[str, str] | None:
    """Say what a file is that shootdown writes, or that people write for it."""
    if name.endswith(".toml") or (b"\n[process" in start and b"=" in start):
        return _program(name)
    if name.endswith(".py") and _FUNCTION.search(start):
        if b"hookimpl" in start:
            return "a plugin", f"--plugin {name}"
        patch = b"shootdown.patches" in start
        return ("a patch", f"--patch {name}") if patch else ("a scenario", f"shootdown explore {name}")
    if start[:1] == b"{" and name.endswith((".json", ".jsonl")):
        return _json(name, start)
    kind = kind_of(name, start)
    return (f"a trace of addresses ({kind})", f"shootdown tlb {name}") if kind is not None else None


def _program(name: str) -> tuple[str, str] | None:
    try:
        with open(name, "rb") as file:
            tables = tomllib.loads(file.read(_MOST).decode())
    except (OSError, ValueError, RecursionError):
        return None
    return ("a program", f"shootdown compare {name}") if "process" in tables else None


def _json(name: str, start: bytes) -> tuple[str, str] | None:
    if b'"scenario"' in start and b'"rows"' in start:
        return "a saved story", f"shootdown explore --replay {name}"
    if b'"schema"' in start and any(key in start for key in _RESULTS):
        return "a saved result", f"shootdown report {name}"
    try:
        row = json.loads(start.split(b"\n", 1)[0])
    except (ValueError, RecursionError):
        return None
    measured = isinstance(row, dict) and "counts" in row
    return ("measured rows", f"shootdown validate {name}") if measured else None
