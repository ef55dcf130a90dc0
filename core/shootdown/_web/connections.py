"""Connections that ask for nothing are closed: half a request would hold a place forever."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

#: The seconds in which a request has to be whole, from the connection's begin or the answer to the one before.
MOST_SECONDS = 10.0


class Connection(H11Protocol):
    """A connection that is closed unless a request comes in time.

    uvicorn has a limit between requests only: the first byte of one lifts it.
    """

    _ends: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request."""
        super().connection_made(transport)
        self._wait()

    def on_response_complete(self) -> None:
        """Wait for another request."""
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        if self._ends is not None:
            self._ends.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._ends is not None:
            self._ends.cancel()
        self._ends = self.loop.call_later(MOST_SECONDS, self._end)

    def _end(self) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        if not answering:
            self.transport.close()
