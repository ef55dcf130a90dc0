"""Run points on a Dask cluster that is there: its scheduler hands them to workers, and again if one of these ends."""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

from shootdown._batches.journal import Header
from shootdown._batches.points import Point, run_point
from shootdown._compilation.announcing import tick
from shootdown._questions.tables import code_digest, own_version
from shootdown._values.errors import ShootdownError, one_line
from shootdown._values.frames import needed

#: Points that wait for a thread of a worker, for each thread, and how many at least.
_WAITING, _LEAST = 4, 32
#: Seconds to reach the scheduler; and after which it is told that there is no worker.
_PATIENCE = 10
#: Dask itself gives a point up after the workers that ran it have ended, so often. Then it is handed out anew.
_MOST_ENDS = 3


class Cluster:
    """A Dask cluster.

    Args:
        address: of its scheduler.
        header: what the points depend on: workers have the same code.
        say: called with what there is to say of it.

    Raises:
        ShootdownError: distributed is not installed, or no scheduler answers.
    """

    def __init__(self, address: str, header: Header, say: Callable[[str], None]) -> None:
        self._dask = needed("distributed", "cluster")
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        self._address = address
        self._header = header
        self._say = say
        self._without = False
        try:
            self._client: Any = self._dask.Client(address, timeout=_PATIENCE)
        except (OSError, ValueError, TypeError) as error:
            raise ShootdownError(f"no Dask scheduler answers at {address}: {one_line(error)}") from None

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._client.close(timeout=_PATIENCE)

    def run(self, points: Sequence[Point]) -> Iterator[dict[str, Any]]:
        """Run points and yield the row of each as it is done.

        Raises:
            ShootdownError: a worker has other code or can't run points, or the scheduler has ended.
        """
        rest = iter(points)
        futures: dict[Any, tuple[Point, int]] = {}
        try:
            while True:
                for point in itertools.islice(rest, max(self._threads() * _WAITING, _LEAST) - len(futures)):
                    futures[self._submit(point)] = (point, 0)
                if not futures:
                    return
                try:
                    done = self._dask.wait(list(futures), timeout=1.0, return_when="FIRST_COMPLETED").done
                except TimeoutError:
                    done = set()
                for future in done:
                    point, ends = futures.pop(future)
                    row = self._row(future, point, ends)
                    if row is None:
                        futures[self._submit(point)] = (point, ends + 1)
                    else:
                        yield row
                tick()
        finally:
            if futures and self._client.status == "running":
                self._client.cancel(list(futures))

    def _submit(self, point: Point) -> Any:
        return self._client.submit(run_there, point, self._header.code, self._header.version, pure=False)

    def _row(self, future: Any, point: Point, ends: int) -> dict[str, Any] | None:
        """Return the row of a point, or None where it is to be handed out again."""
        error = future.exception() if future.status == "error" else None
        if future.status == "finished":
            try:
                row: dict[str, Any] = future.result()
                return row
            except Exception as lost:
                error = lost
        if isinstance(error, self._dask.KilledWorker) or (error is None and self._client.status == "running"):
            if ends + 1 < _MOST_ENDS:
                return None
            raise ShootdownError(
                f"point {point.number} ends the workers that run it, as when memory is short"
            ) from None
        if isinstance(error, ShootdownError):
            raise error
        if error is None:
            raise ShootdownError(f"the Dask scheduler at {self._address} has ended") from None
        raise ShootdownError(
            f"a worker of {self._address} can't run points: {one_line(error)}; workers need shootdown, and the plugins "
            "that it has here"
        ) from None

    def _threads(self) -> int:
        """Return how many threads the workers have, and say once that there is none."""
        if self._client.status not in ("running", "connecting"):
            raise ShootdownError(f"the Dask scheduler at {self._address} has ended")
        threads: int = sum(self._client.nthreads().values())
        if not threads and not self._without:
            self._say(f"{self._address} has no worker: points wait for one")
        self._without = not threads
        return threads


def run_there(point: Point, code: str, version: str) -> dict[str, Any]:
    """Run a point in a worker.

    Args:
        point: it.
        code, version: of whoever asks.

    Raises:
        ShootdownError: the code here is another one.
    """
    own = _code_here()
    if own != (code, version):
        raise ShootdownError(
            f"a worker has other code: shootdown {own[1]} ({own[0]}) there, {version} ({code}) here; "
            "install the same version, and the same plugins"
        )
    return run_point(point)


@functools.cache
def _code_here() -> tuple[str, str]:
    return code_digest(), own_version()
