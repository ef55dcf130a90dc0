"""Frames of physical memory that lie in a file, read when they are needed."""

from __future__ import annotations

import os
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs

from shootdown._pagetables.memory import FRAME_BYTES
from shootdown._values.dump import DumpNotes
from shootdown._values.errors import ShootdownError

#: The most ranges of an image: a damaged one may claim any number.
MOST_RANGES = 1 << 16
#: The size of a file that does not say it: as far as a file can be read.
ENDLESS = (1 << 63) - 1


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

    def within(self, size: int) -> Extent:
        """Return what of it is there in a file of so many bytes."""
        return attrs.evolve(self, size=min(self.size, max(size - self.at, 0)))


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
        extents: in the order of addresses; none share any.
    """

    def __init__(self, path: Path, extents: tuple[Extent, ...]) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self._extents = extents
        self._firsts = [extent.first for extent in extents]

    def read(self, address: int) -> bytes | None:
        """Return the frame at an address; None if not all of it is in the file.

        Raises:
            ShootdownError: the file can't be read.
        """
        content, end = b"", address + FRAME_BYTES
        at = bisect_right(self._firsts, address) - 1
        while address < end:  # a range may end, and the next begin, within a frame
            if (
                not 0 <= at < len(self._extents)
                or not self._extents[at].first <= address < self._extents[at].end
            ):
                return None
            extent = self._extents[at]
            size = min(end, extent.end) - address
            try:
                piece = os.pread(self._file, size, extent.at + address - extent.first)
            except OSError as problem:
                raise ShootdownError(f"memory image {self._path}: {problem.strerror or problem}") from None
            if len(piece) != size:
                return None
            content += piece
            address += size
            at += 1
        return content


def in_order(extents: Iterable[Extent]) -> tuple[Extent, ...]:
    """Sort ranges by address; of two that share addresses, the one that begins lower has them, else the first."""
    kept: list[Extent] = []
    for extent in sorted(extents, key=lambda each: each.first):
        over = max(kept[-1].end - extent.first, 0) if kept else 0
        if over < extent.size:
            kept.append(Extent(extent.first + over, extent.size - over, extent.at + over))
    return tuple(kept)
