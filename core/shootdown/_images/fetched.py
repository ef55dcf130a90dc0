"""Physical memory whose frames are read from a file when a walk comes to them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from shootdown._images.frames import Dump
from shootdown._pagetables.memory import ADDRESS_BITS, FRAME_BYTES, Bytes, MemoryView, PhysicalMemory, Words
from shootdown._values.errors import ShootdownError


class FetchedMemory(PhysicalMemory):
    """The memory of a dump: a frame is copied when it is looked at, so a walk costs the tables that it reads.

    Args:
        dump: where the frames are.
    """

    def __init__(self, dump: Dump) -> None:
        super().__init__()
        self._dump = dump

    @property
    def view(self) -> MemoryView:
        """Not there: kernels can't read a file."""
        raise ShootdownError(
            f"compiled walks need all frames in memory, and {self._dump.kind} is read frame by frame"
        )

    @property
    def extent(self) -> str:
        """The ranges of physical memory, as text."""
        extents = self._dump.extents
        first, *others = (f"{each.first:#x} to {each.end:#x}" for each in extents[:3])
        rest = f" and {len(extents) - 3} ranges more" if len(extents) > 3 else ""
        return ", ".join((first, *others)) + rest

    def _fetch(self, address: int, size: int = 1) -> None:
        """Copy the frames of a range that were not looked at before."""
        for frame in range(address & -FRAME_BYTES, address + size, FRAME_BYTES):
            if not 0 <= frame < 1 << ADDRESS_BITS or super().holds(frame):
                continue
            content = self._dump.read(frame)
            if content is not None:
                super().write(frame, content)

    def holds(self, address: int) -> bool:
        """Whether the frame of a physical address is in the dump."""
        self._fetch(address)
        return super().holds(address)

    def reaches(self, address: int) -> bool:
        """Whether there is memory at a physical address; see `PhysicalMemory.reaches`."""
        self._fetch(address)
        return super().reaches(address)

    def held_frames(self, address: int, size: int) -> Iterator[int]:
        """Yield the addresses of the whole frames of a range that are in the dump, in order."""
        for extent in self._dump.extents:
            first = max(address, -(-extent.first // FRAME_BYTES) * FRAME_BYTES)
            for frame in range(first, min(address + size, extent.end) - FRAME_BYTES + 1, FRAME_BYTES):
                if self.holds(frame):
                    yield frame

    def read(self, address: int, size: int) -> bytes:
        """Read bytes; zeros where the dump has none."""
        self._fetch(address, size)
        return super().read(address, size)

    def gather(self, addresses: Words, size: int) -> tuple[Bytes, npt.NDArray[np.bool_]]:
        """Read many tables of one size at once; see `PhysicalMemory.gather`."""
        for first in np.unique(addresses).tolist():
            self._fetch(first, size)
        return super().gather(addresses, size)

    def write(self, address: int, content: bytes | Bytes) -> None:
        """Write bytes into the copy; the file stays as it is."""
        self._fetch(address, len(content))
        super().write(address, content)

    def allocate(self, size: int = FRAME_BYTES) -> int:
        """Not there: which frames are free is not known."""
        raise ShootdownError(f"{self._dump.kind} has no free frames")
