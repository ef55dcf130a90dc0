"""Section 11: the workloads that a plugin offers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shootdown._compliance.additions import (
    Additions,
    Findings,
    architectures,
    is_refusal,
    noting,
    others,
    workloads,
)
from shootdown._compliance.statement import Finding, Said, Statement, Tried, Unevidenced
from shootdown._questions.building import built
from shootdown._questions.called import called
from shootdown._questions.case import Case, Question, prepare
from shootdown._questions.compare import run_cases
from shootdown._questions.equal import key_of
from shootdown._values.architecture import Architecture
from shootdown._values.result import Result
from shootdown._values.series import SERIES, newest_known
from shootdown._values.workload import Workload

#: Online CPUs of a trial.
_CPUS = 4


def _case(
    workload: Workload,
    architecture: Architecture,
    parameters: Mapping[str, Any],
    *,
    kernel: str = "",
    cpus: int = _CPUS,
) -> Case[Workload]:
    asked = {**workload.small, **parameters}
    platform = architecture.platforms[0]
    return prepare(Question(workload, architecture, platform, kernel or newest_known(), asked, cpus=cpus))


def _run(case: Case[Workload]) -> Result:
    (row,) = run_cases([case])
    return row


def _each_is_run(additions: Additions) -> Iterator[Said]:
    oldest, newest = SERIES[0].name, newest_known()
    trials = ((newest, _CPUS), (newest, 1), (oldest, _CPUS))
    for workload in additions.tried_workloads():
        wrong, runs, reasons = Findings(), 0, dict[str, None]()
        for architecture in architectures():
            if wrong.too_long:
                break
            for kernel, cpus in trials:
                count = "one CPU" if cpus == 1 else f"{cpus} CPUs"
                where = f"{additions.plugin}: workload {workload.name} on {architecture.name}, kernel {kernel}, {count}"
                try:
                    with additions.trying(workload):
                        row = _run(_case(workload, architecture, {}, kernel=kernel, cpus=cpus))
                except Exception as error:
                    wrong.add(where, error)
                    continue
                if not row.supported:
                    reasons[str(row.reason)] = None
                    continue
                runs += 1
                if not any(row.counts.values()) and not row.times["elapsed_ns"].high:
                    wrong.add(where, "nothing happens in what is counted: no program reaches its window")
        yield from wrong.said()
        yield Tried(runs, "runs")
        yield Tried(len(reasons), "reasons of refusals")
        if not runs and reasons:
            yield Unevidenced(
                f"{additions.plugin}: workload {workload.name} is refused everywhere here: {next(iter(reasons))}"
            )


def _each_parameter_counts(additions: Additions) -> Iterator[Said]:
    for workload in additions.tried_workloads():
        place = _where_it_runs(workload)
        if place is None:
            continue  # 11.1 is about that
        wrong, asked, count = Findings(), set[str](), 0
        trials: list[dict[str, Any]] = [{}]
        trials += [{one.name: value} for one in workload.parameters for value in others(one)]
        for given in trials:
            text = ", ".join(f"{name}={value}" for name, value in given.items()) or "defaults"
            where = f"{additions.plugin}: workload {workload.name} with {text}"
            count += 1
            try:
                with additions.trying(workload):
                    case = _case(workload, place, given)
                    _ask(case, asked)
            except Exception as error:
                if not is_refusal(error):
                    wrong.add(where, error)
                if wrong.too_long:
                    break
                continue
            try:
                _run(case)
            except Exception as error:
                wrong.add(where, error)
        yield from wrong.said()
        for one in workload.parameters:
            if one.name not in asked:
                yield Finding(
                    f"{additions.plugin}: workload {workload.name}: nothing looks at the parameter {one.name}: a user "
                    "who chooses another value gets the same row"
                )
        yield Tried(count, "values of parameters")


def _where_it_runs(workload: Workload) -> Architecture | None:
    for architecture in architectures():
        try:
            if _case(workload, architecture, {}).refusal() is None:
                return architecture
        except Exception:
            continue
    return None


def _ask(case: Case[Workload], asked: set[str]) -> None:
    """Call each function of a workload, and note which parameters they look at."""
    from shootdown._machine.machine import Machine

    workload, setup = case.program, noting(case.setup(), asked)
    for name in ("refuse", "remarks", "applied", "turns"):
        called(f"workload {workload.name}: {name}()", getattr(workload, name), setup)
    if case.refusal() is None:
        built(case, setup, Machine)


def _programs_are_the_same(additions: Additions) -> Iterator[Said]:
    for workload in additions.tried_workloads():
        place = _where_it_runs(workload)
        if place is None:
            continue
        case = _case(workload, place, {"seed": additions.seed})
        if key_of(case) != key_of(case):
            yield Finding(
                f"{additions.plugin}: workload {workload.name}: build() writes another program a second time: "
                "something remembers the first one, or asks for a time or a random number"
            )
        yield Tried(1, "programs written twice")


STATEMENTS = (
    Statement(
        "11.1",
        "Each workload runs to its end, or is refused with a reason, on each architecture, kernel and number of CPUs",
        "A program that waits for what never comes, or names a CPU that there is not, is found by whoever asks first.",
        "The message has the line of the plugin. What can't be run is for `refuse` to say: it gets the same setting.",
        _each_is_run,
        (workloads,),
        about="additions",
    ),
    Statement(
        "11.2",
        "Each parameter can have its smallest value and each of its words, and something looks at it",
        "A number below 1 in a loop, or a name that nobody reads, gives a row that answers another question.",
        "Give the parameter a `minimum` that the program can have; leave out what nothing depends on.",
        _each_parameter_counts,
        (workloads,),
        about="additions",
    ),
    Statement(
        "11.3",
        "A workload's programs are the same each time",
        "A count that can't be had again can't be checked.",
        "Take what is random from `setting['seed']` alone.",
        _programs_are_the_same,
        (workloads,),
        about="additions",
    ),
)
