"""Run the points of a sweep: in processes of this machine, or on a Dask cluster; each is in the journal at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from shootdown._batches.journal import Journal
from shootdown._batches.points import Plan, Point, run_point
from shootdown._questions.workers import EndedError, divided, free_cores
from shootdown._values.errors import ShootdownError

if TYPE_CHECKING:
    from shootdown._batches.cluster import Cluster

#: How often in a row the processes may end before a point is done: then it is that point which ends them.
_MOST_ENDS = 3


class Rest(Sequence[Point]):
    """The points of a sweep that are still to be run, each made when it is asked for."""

    def __init__(self, plan: Plan, journal: Journal) -> None:
        self._plan = plan
        self._numbers = [number for number in range(len(plan.points)) if number not in journal]

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        return self._plan.point(self._numbers[at])


def run_rest(
    plan: Plan,
    journal: Journal,
    *,
    workers: int | None = None,
    cluster: Cluster | None = None,
    done: Callable[[int], None] = lambda _: None,
) -> None:
    """Run every point of a plan that is not in its journal.

    Args:
        plan: the sweep.
        journal: its finished points.
        workers: the most processes; one for each CPU that is free if None.
        cluster: where to run them instead.
        done: called with how many points have become done.

    Raises:
        ShootdownError: a patch or plugin is wrong, the journal can't be written, or processes end again and again.
    """
    ends = 0
    while rest := Rest(plan, journal):
        before = len(journal)
        try:
            with contextlib.closing(_found(rest, workers, cluster)) as found:
                for row in found:
                    journal.add(row)
                    done(1)
            return
        except EndedError:
            ends = 0 if len(journal) > before else ends + 1
            if ends == _MOST_ENDS:
                raise ShootdownError(
                    f"processes that run points end at once, as when memory is short: {len(journal):,} of "
                    f"{len(plan.points):,} points are done; --workers 1 runs them in this process"
                ) from None


def _found(rest: Rest, workers: int | None, cluster: Cluster | None) -> Generator[dict[str, Any], None, None]:
    """Yield the rows of points as they are done."""
    if cluster is not None:
        yield from cluster.run(rest)
        return
    processes = workers or max(free_cores(), 1)
    for _, row in divided(run_point, rest, processes=processes):
        yield row
