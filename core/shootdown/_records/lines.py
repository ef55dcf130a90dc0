"""The lines of a recording, packed or not, in bounded memory."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator

from shootdown._traces.source import Source

#: Characters of a line: a row of /proc/interrupts has as many with 16,384 CPUs. What follows is left out, and the
#: line counts as damaged.
LONGEST = 1 << 18
_PIECE = 1 << 20
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_QUOTES = re.compile(r"(?:> ?)+")
#: What diff writes before a line: `<` and `>`, or `-` and `+`; of these a rule or a file's name has several.
_DIFFERS = re.compile(r"^(?:<(?= )|[-+](?![-+]))")


class Lines:
    """Read a file's lines once, from the first to the last.

    Args:
        path: a file, packed with gzip or xz or not, or `-` for standard input.

    Raises:
        ShootdownError: there is no such file, or it can't be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.source = Source(path, what="recording")
        self.number = 0
        self.cut = 0  # lines that were too long

    @property
    def start(self) -> bytes:
        """Return the first bytes of the file, unpacked."""
        return self.source.start

    @property
    def fault(self) -> str | None:
        """Return why reading ended before the end of the file, or None."""
        return self.source.fault

    def __iter__(self) -> Iterator[str]:
        room = bytearray(_PIECE)
        view = memoryview(room)
        rest, skipping = b"", False
        utf16 = self.start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        wide = codecs.getincrementaldecoder("utf-16")("replace") if utf16 else None
        while True:
            # Standard input hands on what there is: a person may be watching.
            got = self.source.fill(view)
            piece = bytes(view[:got])
            if wide is not None:
                piece = wide.decode(piece, got < len(room)).encode("utf-8", "replace")
            parts = (rest + piece).split(b"\n")
            rest = parts.pop()
            for part in parts:
                if skipping:
                    skipping = False
                    continue
                yield self._line(part)
            if len(rest) > LONGEST:
                if not skipping:
                    yield self._line(rest)
                rest, skipping = b"", True
            if got < len(room):
                break
        if rest and not skipping:
            yield self._line(rest)

    def _line(self, data: bytes) -> str:
        self.number += 1
        if len(data) > LONGEST:
            self.cut += 1
            data = data[:LONGEST]
        text = data.decode("utf-8", "replace").rstrip("\r\0")
        if self.number == 1:
            text = text.removeprefix("\ufeff")
        if "\x1b" in text:
            text = _COLOURS.sub("", text)
        if text.startswith(">"):  # quoted in a mail
            text = _QUOTES.sub("", text, count=1)
        elif text.startswith(("<", "-", "+")):
            text = _DIFFERS.sub("", text)
        return text

    def close(self) -> None:
        """Close the file."""
        self.source.close()
