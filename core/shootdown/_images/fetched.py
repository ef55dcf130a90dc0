"""Physical memory whose frames are read from a file when a walk comes to them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from shootdown._images.frames import Dump
from shootdown._pagetables.memory import FRAME_BYTES, Bytes, MemoryView, PhysicalMemory, Words
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

    def _fetch(self, address: int) -> None:
        frame = address & -FRAME_BYTES
        if super().holds(frame):
            return
        content = self._dump.read(frame)
        if content is not None:
            super().write(frame, content)

    def _place(self, address: int, size: int, *, create: bool) -> Bytes | None:
        if not create:
            self._fetch(address)
        return super()._place(address, size, create=create)

    def holds(self, address: int) -> bool:
        """Whether the frame of a physical address is in the dump."""
        self._fetch(address)
        return super().holds(address)

    def held_frames(self, address: int, size: int) -> Iterator[int]:
        """Yield the addresses of the whole frames of a range that are in the dump, in order."""
        for extent in self._dump.extents:
            first = max(address, -(-extent.first // FRAME_BYTES) * FRAME_BYTES)
            for frame in range(first, min(address + size, extent.end) - FRAME_BYTES + 1, FRAME_BYTES):
                if self.holds(frame):
                    yield frame

    def gather(self, addresses: Words, size: int) -> tuple[Bytes, npt.NDArray[np.bool_]]:
        """Read many tables of one size at once; see `PhysicalMemory.gather`."""
        for first in np.unique(addresses & np.uint64(-FRAME_BYTES & (1 << 64) - 1)).tolist():
            for frame in range(first, first + max(size, FRAME_BYTES), FRAME_BYTES):
                if 0 <= frame < 1 << 56:
                    self._fetch(frame)
        return super().gather(addresses, size)
