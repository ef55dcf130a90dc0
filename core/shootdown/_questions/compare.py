"""Compare: one workload on each combination of architectures, platforms, kernels and numbers of CPUs."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from shootdown._compilation.running import will_run_compiled
from shootdown._compilation.threads import cores, in_threads
from shootdown._plugins.registry import registry
from shootdown._questions.case import Case, machines, prepare, questions
from shootdown._questions.patching import read_patch, refuse_unreached
from shootdown._questions.simulate import begun, simulate
from shootdown._questions.subjects import Subject, workload_named
from shootdown._values.errors import ShootdownError
from shootdown._values.given import Names, Numbers, Settings, names, numbers
from shootdown._values.parameter import alternatives
from shootdown._values.result import Result, Results
from shootdown._values.series import newest_known
from shootdown._values.workload import Workload

#: The default kernels: before the sync, with it, in mainline before and after the rework, today, and a proposal.
HEADLINE_WORKLOAD = "fork-storm"
HEADLINE_KERNELS = ("5.15.209", "6.15", "6.16", "7.0")
#: The most combinations of parameters.
MOST_ROWS = 10_000
HEADLINE_PROPOSAL = "proposal:skip-redundant-sync"


def headline_kernels() -> tuple[str, ...]:
    """Return the names of the kernels in a comparison without `--kernel`."""
    return (*HEADLINE_KERNELS, newest_known(), HEADLINE_PROPOSAL)


def compare(
    workload: Subject = HEADLINE_WORKLOAD,
    *,
    arch: Names = (),
    platforms: Names = (),
    kernels: Names = (),
    cpus: Numbers = (),
    parameters: Mapping[str, Any] | None = None,
    settings: Settings = (),
    patch: str | os.PathLike[str] | None = None,
) -> Results:
    """Run a workload on every combination and return a row for each, in the order of the arguments.

    What is returned is a list that `to_pandas()` and `to_arrow()` make a table of (`shootdown[tables]`).

    Args:
        workload: its name, the file of a program, or a program as values.
        arch: names of architectures, `all` for every installed one; this machine's if empty.
        platforms: names of platforms; each architecture's first if empty.
        kernels: releases and proposals; the headline ones if empty.
        cpus: numbers of online CPUs; the platform's own if empty.
        parameters: of the workload; a list, or a text such as `1,2,4`, has a row for each of its values.
        settings: what-ifs such as `kernel.rcu_table_free=false`.
        patch: a file that replaces kernel functions.

    Raises:
        ShootdownError: something is unknown, out of range or contradictory.
    """
    chosen = cases(
        workload,
        arch=arch,
        platforms=platforms,
        kernels=kernels,
        cpus=cpus,
        parameters=parameters,
        settings=settings,
        patch=patch,
    )
    return Results(run_cases(chosen))


def cases(
    workload: Subject,
    *,
    arch: Names = (),
    platforms: Names = (),
    kernels: Names = (),
    cpus: Numbers = (),
    parameters: Mapping[str, Any] | None = None,
    settings: Settings = (),
    patch: str | os.PathLike[str] | None = None,
) -> list[Case[Workload]]:
    """Prepare all combinations, so that errors are raised before anything runs; see `compare`."""
    installed = registry()
    program = workload_named(workload)
    applied = None if patch is None else read_patch(patch)
    pairs = machines(installed, arch, platforms)
    ways = alternatives(program.parameters, parameters or {})
    if len(ways) > MOST_ROWS:
        raise ShootdownError(f"{len(ways):,} combinations of parameters: compare takes at most {MOST_ROWS:,}")
    asked = [
        question
        for pair in pairs
        for kernel in names("kernels", kernels) or headline_kernels()
        for values in ways
        for question in questions(
            program,
            [pair],
            [kernel],
            parameters=values,
            settings=settings,
            cpus=numbers("cpus", cpus) or (None,),
            patch=applied,
        )
    ]
    chosen = [prepare(question) for question in asked]
    if patch is not None:
        refuse_unreached(chosen)
    return chosen


def run_cases(
    chosen: Sequence[Case[Workload]],
    after_run: Callable[[], None] = lambda: None,
    besides: Sequence[Callable[[], object]] = (),
) -> Iterator[Result]:
    """Run prepared cases and yield the result of each, in their order.

    When the engine is compiled, several run at once: compiled runs leave Python to the threads that build the programs
    of the next cases. One thread more than there are CPUs, as one of them often waits for Python.

    Args:
        chosen: the cases.
        after_run: called after each run, perhaps by another thread.
        besides: what else is to be done that takes Python's time, while compiled runs leave it; not done if they don't.
    """
    for done, case in enumerate(chosen):
        go_on = begun(case)
        if cores() > 1 and len(chosen) - done > 1 and _is_compiled():
            rest = [functools.partial(simulate, other, after_run) for other in chosen[done + 1 :]]
            work: list[Callable[[], Any]] = [functools.partial(go_on, after_run), *besides, *rest]
            for number, found in enumerate(in_threads(_do, work, cores() + 1)):
                if not 0 < number <= len(besides):
                    yield found
            return
        yield go_on(after_run)


def _do(work: Callable[[], Any]) -> Any:
    return work()


def _is_compiled() -> bool:
    """Whether the next run is compiled."""
    from shootdown._timed.scheduler import run

    return will_run_compiled(run)
