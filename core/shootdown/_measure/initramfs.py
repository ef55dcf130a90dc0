"""Write an initial file system for a kernel, in the form "newc" of cpio (Documentation/driver-api/early-userspace)."""

from __future__ import annotations

import gzip
from collections.abc import Mapping

_EXECUTABLE, _PLAIN = 0o100755, 0o100644


def initramfs(files: Mapping[str, bytes]) -> bytes:
    """Return a compressed archive of files.

    Args:
        files: by path, without the slash that it begins with; `init` is executable.
    """
    parts = [_entry(number, name, content) for number, (name, content) in enumerate(files.items(), start=1)]
    return gzip.compress(b"".join([*parts, _entry(0, "TRAILER!!!", b"")]), 1, mtime=0)


def _entry(number: int, name: str, content: bytes) -> bytes:
    mode = _EXECUTABLE if name == "init" else _PLAIN
    fields = (number, mode if number else 0, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(content)


def _padded(part: bytes) -> bytes:
    return part + bytes(-len(part) % 4)
