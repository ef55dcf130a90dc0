"""Read one file of a recording: each line is offered to the readers, and counted as understood, damaged or neither."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from shootdown._records.lines import Lines
from shootdown._records.values import CUT, DAMAGED, OTHER, READ, Reader
from shootdown._values.errors import ShootdownError

INTERRUPTED = "interrupted"
"""The fault of a file whose reading somebody interrupted."""

_OFTEN = 4096  # lines between two reports of progress
#: What a binary file that a tool converts begins with, and the command that does.
BINARY = (
    (b"\x17\x08\x44tracing", "trace-cmd's trace.dat: `trace-cmd report -i FILE > FILE.txt`, and read that"),
    (b"PERFILE2", "perf's perf.data: `perf script -i FILE > FILE.txt`, and read that"),
    (b"\x7fELF", "an ELF file"),
)


@attrs.frozen
class FileRead:
    """How a file was read.

    Args:
        path: as given.
        lines: in all.
        understood: lines that a reader took.
        damaged: lines of a known form that are damaged.
        others: lines of no form that is known.
        first: the first that was not understood: its number, and its beginning; None if there is none.
        fault: why reading ended before the end of the file; None if it didn't.
    """

    path: str
    lines: int
    understood: int
    damaged: int
    others: int
    first: tuple[int, str] | None
    fault: str | None


def _refuse_binary(lines: Lines) -> None:
    for magic, words in BINARY:
        if lines.start.startswith(magic):
            raise ShootdownError(f"recording {lines.source.path}: it is {words}")
    wide = lines.start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0\0\0" in lines.start and not wide and not lines.start.startswith(b"#"):
        raise ShootdownError(f"recording {lines.source.path}: it is binary, and recordings are text")


@attrs.define
class _Tally:
    """How far a file was read."""

    understood: int = 0
    damaged: int = 0
    others: int = 0
    first: tuple[int, str] | None = None
    interrupted: bool = False

    def damage(self, number: int, line: str) -> None:
        """Count a damaged line, of which the first is shown."""
        self.damaged += 1
        if self.damaged == 1:
            self.first = (number, line.strip()[:60])

    def cut(self, number: int, line: str) -> None:
        """Take back that a line was understood."""
        self.understood -= 1
        self.damage(number, line)

    def other(self, number: int, line: str) -> None:
        """Count a line of no form that is known; the first is shown if none is damaged."""
        self.others += 1
        self.first = self.first or (number, line.strip()[:60])


def read_file(
    path: str | os.PathLike[str],
    readers: Sequence[Reader],
    marks: Mapping[str, Any],
    marked: dict[str, int],
    progress: Callable[[int], None],
) -> FileRead:
    """Offer each line of a file to readers.

    Args:
        path: of the file, packed or not; `-` is standard input.
        readers: those of traces are the first two.
        marks: patterns of what is only in recordings of some architecture, by its name.
        marked: how many lines have such a mark, by architecture; counted on.
        progress: called now and then with the bytes that were read since the last time.

    Raises:
        ShootdownError: it can't be opened, or is binary.
    """
    lines = Lines(path)
    tally = _Tally()
    try:
        _refuse_binary(lines)
        _read_lines(lines, readers, marks, marked, progress, tally)
    except KeyboardInterrupt:  # what was read before it is kept
        tally.interrupted = True
    finally:
        lines.close()
    for reader in readers:
        reader.end()
    return FileRead(
        lines.source.path,
        lines.number,
        tally.understood,
        tally.damaged + lines.cut,
        tally.others,
        tally.first,
        INTERRUPTED if tally.interrupted else lines.fault,
    )


def _read_lines(
    lines: Lines,
    readers: Sequence[Reader],
    marks: Mapping[str, Any],
    marked: dict[str, int],
    progress: Callable[[int], None],
    tally: _Tally,
) -> None:
    sticky: Reader | None = None
    position = 0
    traces = readers[:2]
    last = (0, "")
    for line in lines:
        if not lines.number % _OFTEN:
            progress(lines.source.position - position)
            position = lines.source.position
        blank = not line or line.isspace()
        if blank:
            status = READ if sticky is None else READ | (sticky.take("") & CUT)
        else:
            sticky, status = offer(line, readers, sticky)
        if status & CUT:
            tally.cut(*last)
        status &= ~CUT
        if status == READ or (status == OTHER and line.lstrip().startswith("#")):
            tally.understood += 1
        elif status == DAMAGED:
            tally.damage(lines.number, line)
        else:
            tally.other(lines.number, line)
        if blank:
            continue
        last = (lines.number, line)
        if sticky not in traces or lines.number < _OFTEN:
            for name, pattern in marks.items():
                if pattern.search(line):
                    marked[name] = marked.get(name, 0) + 1
    if sticky is not None and sticky.take("") & CUT:
        tally.cut(*last)
    progress(lines.source.position - position)


def offer(line: str, readers: Sequence[Reader], sticky: Reader | None) -> tuple[Reader | None, int]:
    """Offer a line to the reader that took the one before, then to the others."""
    worst, cut = OTHER, 0
    if sticky is not None:
        worst = sticky.take(line)
        cut = worst & CUT
        if worst & ~CUT == READ:
            return sticky, worst
    for reader in readers:
        if reader is sticky:
            continue
        status = reader.take(line)
        if status == READ:
            return reader, READ | cut
        if status == DAMAGED:
            return (reader if sticky is None else sticky), DAMAGED | cut
    return sticky, worst
