"""The amount of work in one call of a kernel, so that Ctrl-C, or a switch to its compiled copy, need not wait long."""

from __future__ import annotations

import time
from collections.abc import Iterator

from shootdown._compilation.announcing import tick
from shootdown._compilation.threads import check

#: The target duration of one call, in seconds.
AIM = 0.1
_FIRST = 1000
_FASTER = 8


class Slices:
    """The sizes of the calls of one loop: what a call does in a tenth of a second, plain or compiled.

    Args:
        first: the size of the first call.
        most: the largest size.
    """

    def __init__(self, first: int = _FIRST, most: int = 1 << 40) -> None:
        self.size = min(first, most)
        self._most = most
        self._began = time.monotonic()

    def begin(self) -> int:
        """Begin a call and return its size.

        Raises:
            AbandonedError: nobody waits for this thread's work any more.
        """
        check()
        self._began = time.monotonic()
        return self.size

    def end(self) -> None:
        """End a call: the next one is larger if it was quick, and smaller if it was slow."""
        took = max(time.monotonic() - self._began, 1e-6)
        wanted = int(self.size * min(max(AIM / took, 1 / _FASTER), _FASTER))
        self.size = min(max(wanted, 1), self._most)
        tick()

    def parts(self, count: int, unit: int = 1) -> Iterator[tuple[int, int]]:
        """Divide a count into calls.

        Args:
            count: of what.
            unit: each call but the last gets a multiple of it; sizes are in units.

        Yields:
            where each call's part begins and ends.
        """
        start = 0
        while start < count:
            end = min(start + self.begin() * unit, count)
            yield start, end
            self.end()
            start = end
