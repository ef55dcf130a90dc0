"""What the model says of a claim."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from shootdown._evidence.claim import Claim, Point, Run
from shootdown._evidence.quantities import Quotient, Range
from shootdown._plugins.registry import registry
from shootdown._programs.reading import Source
from shootdown._programs.subjects import workload_of
from shootdown._questions.called import called
from shootdown._questions.case import Case, Question, machines, prepare
from shootdown._questions.simulate import simulate
from shootdown._questions.subjects import workload_named
from shootdown._values.errors import ShootdownError
from shootdown._values.platform import Platform
from shootdown._values.whatif import parse_settings
from shootdown._values.workload import Workload


@attrs.frozen
class Predicted:
    """What the model says.

    Args:
        ranges: a value for each point, in the claim's unit; empty if there is none.
        missing: why there is none: what the model lacks; empty otherwise.
    """

    ranges: tuple[Range, ...]
    missing: str = ""


@attrs.frozen
class _Asked:
    """A run that was prepared: a case, or only the platform whose costs are asked for."""

    case: Case[Workload] | None
    platform: Platform


def prepared(claim: Claim) -> Mapping[int, _Asked]:
    """Prepare all runs of a claim, so that mistakes are told before anything runs.

    Raises:
        ShootdownError: something is unknown or out of range; the message names file, line and claim.
    """
    return {id(run): _prepared(claim, point, run) for point in claim.points for run in _runs(point)}


def lacks(claim: Claim) -> str:
    """Return why a claim can't be run at all: what the model lacks, or a plugin that is not installed."""
    if claim.needs:
        return f"needs {claim.needs}"
    there = registry().architectures()
    gone = [run.arch for point in claim.points for run in _runs(point) if run.arch not in there]
    return f"needs the architecture {gone[0]}: no plugin that is installed has it" if gone else ""


def check(claim: Claim) -> None:
    """Find mistakes in a claim that only the registry knows, without running it.

    Raises:
        ShootdownError: something is unknown or out of range; the message names file, line and claim.
    """
    if not lacks(claim):
        prepared(claim)


def predict(claim: Claim) -> Predicted:
    """Run a claim.

    Raises:
        ShootdownError: something in it is unknown or out of range, or a run fails.
    """
    missing = lacks(claim)
    if missing:
        return Predicted((), missing)
    asked = prepared(claim)
    for one in asked.values():
        refusal = one.case.refusal() if one.case else None
        if refusal:
            return Predicted((), refusal)
    known: dict[Any, Any] = {}
    return Predicted(tuple(_value(claim, point, asked, known) for point in claim.points))


def platform_of(claim: Claim) -> Platform:
    """Return the platform that a fact is about.

    Raises:
        ShootdownError: it is unknown.
    """
    run = claim.points[0].run
    ((_, platform),) = machines(registry(), [run.arch], [run.platform])
    return platform


def _runs(point: Point) -> tuple[Run, ...]:
    return tuple(run for run in (point.run, point.base, point.minus) if run is not None)


def _prepared(claim: Claim, point: Point, run: Run) -> _Asked:
    try:
        ((architecture, platform),) = machines(registry(), [run.arch], [run.platform])
        if point.quotient.of_costs or run.program is None:
            return _Asked(None, platform)
        workload = (
            workload_of(run.program) if isinstance(run.program, Source) else workload_named(run.program)
        )
        # What is written by hand, parse_settings() reads; what it read, a case takes.
        case = prepare(
            Question(
                workload,
                architecture,
                platform,
                run.kernel,
                run.parameters,
                parse_settings(run.settings),
                run.cpus,
            )
        )
    except ShootdownError as error:
        raise claim.at.wrong(str(error), "claim", claim.name) from None
    return _Asked(case, case.platform)


def _value(claim: Claim, point: Point, asked: Mapping[int, _Asked], known: dict[Any, Any]) -> Range:
    quotient = point.quotient
    of, per = (_measured(asked[id(point.run)], quotient, known, part) for part in ("of", "per"))
    if point.minus is not None:
        of = of.less(_measured(asked[id(point.minus)], quotient, known, "of"))
    found = of.over(per)
    if point.base is not None:
        base = asked[id(point.base)]
        found = found.over(
            _measured(base, quotient, known, "of").over(_measured(base, quotient, known, "per"))
        )
    return found.times(1 / claim.scale)


def _measured(asked: _Asked, quotient: Quotient, known: dict[Any, Any], part: str) -> Range:
    quantity = quotient.of if part == "of" else quotient.per
    case = asked.case
    if case is None:
        return quantity.of(None, 0, asked.platform.costs)
    key = id(asked)
    if key not in known:
        turns = called(f"workload {case.program.name}: turns()", case.program.turns, case.setup())
        known[key] = (simulate(case), turns)
    result, turns = known[key]
    return quantity.of(result, turns, case.platform.costs)
