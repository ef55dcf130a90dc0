"""`asked` in every JSON: the command, what it was given, and what the answer depends on, for `shootdown rerun`."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator, Sequence
from typing import Any

from shootdown._cli import _console
from shootdown._values import inputs

#: Options that write files: they are no part of the question.
WRITES = frozenset(
    (
        "--html",
        "--perfetto",
        "--plot",
        "--keep",
        "--junit",
        "--sarif",
        "--badge",
        "--write",
        "--out",
        "--pictures",
    )
)
#: Options that change how long an answer takes, and not the answer.
PACES = frozenset(("--jobs", "--workers", "--scheduler"))
#: Bytes of a file that are read for its digest; of a larger one its size is kept.
_MOST = 64 << 20
_DIGITS = 16


def asked() -> dict[str, Any] | None:
    """Return what the running command was asked, or None where none runs.

    The keys: `command` and `arguments` as typed, without options that write files or divide work; `version`, `code`,
    `plugins` and `tables`, what the answer depends on; `machine`, whose architecture is meant where none is named;
    `files`, digests of those that the arguments name, and of those that these name in turn.
    """
    words = _console.arguments.get()
    if not words:
        return None
    from shootdown._questions.tables import code_digest, own_version, plugin_versions, table_digests

    arguments = without_writing(words[1:])
    files = dict.fromkeys((*named_files(arguments), *inputs.noted()))
    return {
        "command": words[0],
        "arguments": arguments,
        "version": own_version(),
        "code": code_digest(),
        "plugins": plugin_versions(),
        "tables": table_digests(),
        "machine": platform.machine(),
        "files": {path: digest for path in files if (digest := file_digest(path))},
    }


def without_writing(arguments: Sequence[str]) -> list[str]:
    """Leave out options that write files or divide work, with their values."""
    kept = []
    rest = iter(arguments)
    for word in rest:
        name, equals, _ = word.partition("=")
        if name not in WRITES | PACES:
            kept.append(word)
        elif not equals:
            next(rest, None)
    return kept


def named_files(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the files that arguments name, each once."""
    seen = set()
    for word in arguments:
        for path in (word, word.partition("=")[2]):
            if path and path not in seen and is_file(path):
                seen.add(path)
                yield path


def is_file(path: str) -> bool:
    """Whether there is a file of this name."""
    try:
        return os.path.isfile(path)
    except ValueError:
        return False


def file_digest(path: str) -> str:
    """Return a digest of a file, or its size where it is large; empty where it can't be read."""
    try:
        if (size := os.path.getsize(path)) > _MOST:
            return f"{size} bytes"
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()[:_DIGITS]
    except OSError:
        return ""
