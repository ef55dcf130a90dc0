"""Count the kernels that are compiled, rather than loaded from disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import event

from shootdown._compilation.backend.disk import keeps


class Compiled(event.Listener):
    """Kernels that were compiled: the number of those kept on disk, and the seconds that all took."""

    def __init__(self) -> None:
        self.kernels = 0
        self.seconds = 0.0
        self._depth = 0
        self._since = 0.0

    def on_start(self, event: Any) -> None:
        """Count a kernel and start the clock; kernels that it calls are compiled within its time."""
        if self._depth == 0:
            self._since = time.perf_counter()
        self._depth += 1
        self.kernels += keeps(event.data["dispatcher"])

    def on_end(self, event: Any) -> None:
        """Stop the clock when the outermost kernel is done."""
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._since


@contextmanager
def watched() -> Iterator[Compiled]:
    """Count the kernels that are compiled, rather than loaded from disk."""
    found = Compiled()
    with event.install_listener("numba:compile", found):
        yield found
