"""Frames of physical memory that lie in a file, read when they are needed."""

from __future__ import annotations

import os
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from shootdown._pagetables.memory import FRAME_BYTES
from shootdown._values.dump import DumpNotes

#: The most ranges of an image: a damaged one may claim any number.
MOST_RANGES = 1 << 16


@attrs.frozen
class Extent:
    """A range of physical memory.

    Args:
        first: its first address.
        size: bytes.
        at: where it begins in the file, in bytes.
    """

    first: int
    size: int
    at: int = 0

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.first + self.size


@attrs.frozen(eq=False)
class Dump:
    """An image of memory that was opened.

    Args:
        kind: what it is, in a few words.
        extents: the ranges of physical memory in it, in the order of addresses.
        read: returns the frame at an address, a multiple of 4096, or None if it is not in the image.
        notes: what the image says of the machine.
        lacks: what is missing in it, in words; empty if it is whole.
    """

    kind: str
    extents: tuple[Extent, ...]
    read: Callable[[int], bytes | None]
    notes: DumpNotes = DumpNotes()
    lacks: str = ""


class FileFrames:
    """Reads frames of ranges that lie in one piece in a file each.

    Args:
        path: the file.
        extents: in the order of addresses.
    """

    def __init__(self, path: Path, extents: tuple[Extent, ...]) -> None:
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self._extents = extents
        self._firsts = [extent.first for extent in extents]

    def read(self, address: int) -> bytes | None:
        """Return the frame at an address; None if not all of it is in the file."""
        at = bisect_right(self._firsts, address) - 1
        if at < 0 or address + FRAME_BYTES > self._extents[at].end:
            return None
        extent = self._extents[at]
        content = os.pread(self._file, FRAME_BYTES, extent.at + address - extent.first)
        return content if len(content) == FRAME_BYTES else None


def in_order(extents: Iterator[Extent]) -> tuple[Extent, ...]:
    """Sort ranges by address; of two that share addresses, the one that comes first in the file is kept whole."""
    kept: list[Extent] = []
    for extent in sorted(extents, key=lambda each: each.first):
        over = kept[-1].end - extent.first if kept else 0
        if over >= extent.size:
            continue
        kept.append(Extent(extent.first + over, extent.size - over, extent.at + over) if over > 0 else extent)
    return tuple(kept)
