"""How long calls take on this machine: batches, of which only those count in which nobody else took a CPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import attrs

from shootdown._calibrate.machine import Area, Others

#: How long a batch is to take, how long all batches of one measurement may, and how many are enough.
_BATCH_NS, _MOST_NS, _ENOUGH = 150_000, 900_000_000, 300
#: The part of a batch that each thread has to have computed, so that it was on its CPU all the time.
_ALONE = 0.97
_FEWEST = 5


@attrs.frozen
class Measured:
    """What a turn took.

    Args:
        low, likely, high: a tenth of the batches were faster, half, nine tenths, in nanoseconds.
        batches: how many counted.
        tried: how many there were.
    """

    low: float
    likely: float
    high: float
    batches: int
    tried: int

    def less(self, time: float) -> Measured:
        """Return the same without a time that is known."""
        low, likely, high = (max(value - time, 1.0) for value in (self.low, self.likely, self.high))
        return attrs.evolve(self, low=low, likely=likely, high=high)


def measure(turn: Sequence[Callable[[], object]], others: Others | None) -> Measured | None:
    """Measure a turn; None if other programs left too few moments to measure in.

    Args:
        turn: what is called, one after another.
        others: threads that have to compute all the while.
    """
    times = _times(turn)
    found: list[float] = []
    tried, end = 0, time.monotonic_ns() + _MOST_NS
    while time.monotonic_ns() < end and len(found) < _ENOUGH:
        before = others.computed() if others else []
        own = time.thread_time_ns()
        begin = time.perf_counter_ns()
        for _ in range(times):
            for call in turn:
                call()
        wall = time.perf_counter_ns() - begin
        own = time.thread_time_ns() - own
        after = others.computed() if others else []
        tried += 1
        least = _ALONE * wall
        if own >= least and all(b - a >= least for a, b in zip(before, after, strict=True)):
            found.append(wall / times)
    if len(found) < _FEWEST:
        return None
    tenths = statistics.quantiles(found, n=10, method="inclusive")
    return Measured(tenths[0], statistics.median(found), tenths[-1], len(found), tried)


def _times(turn: Sequence[Callable[[], object]]) -> int:
    """Return how many turns make a batch, after some for warming up."""
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter_ns()
        for call in turn:
            call()
        best = min(best, time.perf_counter_ns() - begin)
    return max(int(_BATCH_NS / max(best, 1)), 1)


def overhead(area: Area, calls: int) -> float:
    """Return how long as many calls from Python take that do nothing, in nanoseconds."""
    nothing = area.statement("")
    found = measure([nothing] * max(calls, 1), None)
    return found.likely if found else 0.0
