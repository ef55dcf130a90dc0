"""The base classes of all readers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from shootdown._traces.columns import Columns
from shootdown._traces.source import Source, TraceError

_AT_ONCE = 1 << 20  # bytes in a block of a binary trace


class Trace(ABC):
    """A trace that is read once, from its beginning to its end."""

    format: ClassVar[str] = ""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.fetches_left_out = 0

    @property
    def is_plain(self) -> bool:
        """Whether it has only accesses of one process on one CPU to pages of one size."""
        return True

    @property
    def name(self) -> str:
        """Return the format's name."""
        return self.format

    def blocks(self) -> Iterator[Columns]:
        """Yield the trace in blocks; a block is valid until the next one is asked for.

        Raises:
            TraceError: it breaks off or can't be read from some place on. Blocks before that are valid.
        """
        try:
            yield from self._blocks()
        finally:
            self.source.close()

    @abstractmethod
    def _blocks(self) -> Iterator[Columns]:
        """Yield the blocks of the file."""


class FixedTrace(Trace):
    """Read records of a fixed size."""

    what: ClassVar[str] = "address"

    def _records(
        self, kind: np.dtype[Any], start: int, promised: int | None
    ) -> Iterator[np.ndarray[Any, Any]]:
        size = kind.itemsize
        room = np.empty(max(_AT_ONCE // size, 1), kind)
        view = memoryview(room.view(np.uint8))  # type: ignore[arg-type]
        done = 0
        while promised is None or done < promised:
            wanted = room.size if promised is None else min(room.size, promised - done)
            got = self.source.fill(view[: wanted * size])
            if got >= size:
                yield room[: got // size]
            done += got // size
            if got < wanted * size:
                self._ended(start + done * size, got % size, size, done, promised)
                return
        if self.source.fill(view[:1]):
            raise TraceError(
                f"byte {start + done * size:,}",
                f"bytes follow the {done:,} {self.what}es that the header promises",
            )
        if self.source.fault:
            raise TraceError(f"byte {start + done * size:,}", self.source.fault)

    def _ended(self, byte: int, rest: int, size: int, done: int, promised: int | None) -> None:
        place = f"byte {byte + rest:,}, {self.what} {done:,}"
        if self.source.fault:
            raise TraceError(place, self.source.fault)
        if rest:
            raise TraceError(place, f"the file ends after {rest} of the {size} bytes of {self.what} {done:,}")
        if promised is not None:
            raise TraceError(place, f"the file ends; its header promises {promised:,}")
