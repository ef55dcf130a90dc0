"""Sweep: many points of one design, on any number of processes or machines, and one table of all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from shootdown._batches.journal import SUFFIX, Header, Journal, header_of
from shootdown._batches.points import Plan
from shootdown._batches.running import run_rest
from shootdown._batches.sweep_file import read_sweep
from shootdown._batches.writing import check_out, write
from shootdown._values.frames import Framed
from shootdown._values.result import Result, Results


@attrs.frozen(eq=False)
class Sweep(Framed):
    """A sweep that is done: its rows are on disk.

    Args:
        plan: the sweep.
        out: the file of its rows.
        before: how many of its points were done before this run.
        dropped: how many lines of the journal were cut off or damaged, and run anew.
    """

    plan: Plan
    out: str
    before: int
    dropped: int
    _journal: str = attrs.field(repr=False)
    _header: Header = attrs.field(repr=False)

    def __len__(self) -> int:
        """Return how many points there are."""
        return len(self.plan.points)

    @property
    def rows(self) -> Results:
        """The row of each point, in their order."""
        return Results(Result.from_dict(row) for row in self._framed())

    def _framed(self) -> Iterator[dict[str, Any]]:
        with Journal(self._journal, self._header) as journal:
            yield from journal.rows()


def sweep(
    file: str | os.PathLike[str] | Mapping[str, Any],
    out: str | os.PathLike[str],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    patch: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    again: bool = False,
) -> Sweep:
    """Run all points of a sweep and write a table of them; what is done already is not run again.

    Each finished point is on disk at once, in a journal beside the table. A call with the same arguments goes on where
    one was killed.

    Args:
        file: a sweep in TOML, or its tables as a dict.
        out: where the table goes; `.parquet`, `.csv` or `.jsonl` says its form.
        workers: the most processes; one for each CPU that is free if None.
        scheduler: the address of a Dask scheduler, `tcp://host:8786`, whose workers run the points instead.
        patch: the files of Python that may run, one or several; the sweep names them too.
        again: throw away what is done.

    Raises:
        ShootdownError: something is wrong in the file, or the journal has points of another sweep.
    """
    patches = [patch] if isinstance(patch, str | os.PathLike) else patch
    return swept(read_sweep(file, patches), os.fspath(out), workers=workers, scheduler=scheduler, again=again)


def swept(
    plan: Plan,
    out: str,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    again: bool = False,
    begun: Callable[[int], None] = lambda _: None,
    done: Callable[[int], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Sweep:
    """Run a plan that was read; see `sweep`.

    Args:
        plan, out, workers, scheduler, again: as there.
        begun: called with how many points were done before.
        done: called with how many more are done.
        say: called with what a cluster has to say.
    """
    check_out(out)
    header = header_of(plan)
    with Journal(out + SUFFIX, header, again=again) as journal:
        before, dropped = len(journal), journal.dropped
        begun(before)
        if scheduler is None:
            run_rest(plan, journal, workers=workers, done=done)
        else:
            from shootdown._batches.cluster import Cluster

            with Cluster(scheduler, header, say) as cluster:
                run_rest(plan, journal, cluster=cluster, done=done)
        write(Path(out), journal.rows)
    return Sweep(plan, out, before, dropped, out + SUFFIX, header)
