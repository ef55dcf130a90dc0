"""What the model says of a claim."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from shootdown._evidence.claim import Claim, Point, Run
from shootdown._evidence.quantities import TURNS, Quantity, Quotient, Range
from shootdown._plugins.registry import registry
from shootdown._programs.reading import Source
from shootdown._programs.subjects import workload_of
from shootdown._questions import draws as draws_of
from shootdown._questions import intervals, ranges
from shootdown._questions.called import called
from shootdown._questions.case import Case, Question, machines, prepare
from shootdown._questions.simulate import simulate
from shootdown._questions.subjects import workload_named
from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.parameter import SEED
from shootdown._values.platform import Platform
from shootdown._values.result import Result
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
    if gone:
        return (
            f"needs the architecture {gone[0]}: no plugin that is installed has it; {nearest(gone[0], there)}"
        )
    return ""


def check(claim: Claim) -> None:
    """Find mistakes in a claim that only the registry knows, without running it.

    Raises:
        ShootdownError: something is unknown or out of range; the message names file, line and claim.
    """
    if not lacks(claim):
        prepared(claim)


def predict(claim: Claim, draws: int = 0) -> Predicted:
    """Run a claim.

    Args:
        claim: what is asked.
        draws: runs with costs that are drawn, from which intervals come; 0 takes them from the ledger of one run.

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
    runs = _Runs(draws)
    try:
        return Predicted(tuple(_value(claim, point, asked, runs) for point in claim.points))
    except ZeroDivisionError:
        return Predicted(
            (), "in a run here it is divided by zero: `per`, or what `base` measures, does not happen"
        )


def platform_of(claim: Claim) -> Platform:
    """Return the platform that a fact is about.

    Raises:
        ShootdownError: it is unknown.
    """
    run = claim.points[0].run
    ((_, platform),) = machines(registry(), [run.arch], [run.platform])
    return platform


def _runs(point: Point) -> tuple[Run, ...]:
    sets = ((point.run, point.base, point.minus), *point.instead)
    return tuple(run for runs in sets for run in runs if run is not None)


def _prepared(claim: Claim, point: Point, run: Run) -> _Asked:
    within = ("base",) if run is point.base else ("minus",) if run is point.minus else ()
    key: tuple[str, ...] = ("platform",)  # what a mistake is in
    try:
        ((architecture, platform),) = machines(registry(), [run.arch], [run.platform])
        if point.quotient.of_costs or run.program is None:
            return _Asked(None, platform)
        key = ("program",)
        workload = (
            workload_of(run.program) if isinstance(run.program, Source) else workload_named(run.program)
        )
        key = ("set",)
        settings = parse_settings(run.settings)
        key = ()
        # What is written by hand, parse_settings() reads; what it read, a case takes.
        case = prepare(
            Question(workload, architecture, platform, run.kernel, run.parameters, settings, run.cpus)
        )
        if TURNS in point.quotient.names() and not case.refusal() and not _turns(case):
            key = ("of",)
            raise ShootdownError("the program counts no turns: `turn` counts one")
    except ShootdownError as error:
        raise claim.at.wrong(str(error), "claim", claim.name, *(within if key else ()), *key) from None
    return _Asked(case, case.platform)


def _turns(case: Case[Workload]) -> int:
    """Return how many turns a program counts."""
    return called(f"workload {case.program.name}: turns()", case.program.turns, case.setup())


class _Runs:
    """What was run for one claim: each run once."""

    def __init__(self, draws: int) -> None:
        self.given = draws > 0
        seed = int(SEED.default)
        self.places = draws_of.places(draws, seed) if draws else intervals.drawn_places()
        self.factors = draws_of.factors(draws, seed)
        self._results: dict[int, tuple[Result, int]] = {}
        self._drawn: dict[int, list[dict[str, float]]] = {}

    def result(self, asked: _Asked) -> tuple[Result | None, int]:
        """Return the result of a run, and its turns."""
        case, key = asked.case, id(asked)
        if case is None:
            return None, 0
        if key not in self._results:
            self._results[key] = (simulate(case), _turns(case))
        return self._results[key]

    def drawn(self, asked: _Asked) -> list[dict[str, float]]:
        """Return the counts and times of each draw."""
        case, key = asked.case, id(asked)
        if case is None:
            return [{}] * len(self.places)
        if key not in self._drawn:
            self._drawn[key] = (
                ranges.results(case, self.places, self.factors) if self.given else self._from_ledger(asked)
            )
        return self._drawn[key]

    def _from_ledger(self, asked: _Asked) -> list[dict[str, float]]:
        """Return the same from a run's ledger: counts are those of the likely costs."""
        result, _ = self.result(asked)
        assert result is not None
        times = zip(*result.drawn.values(), strict=True)
        return [{**result.counts, **dict(zip(result.drawn, drawn, strict=True))} for drawn in times]


def _value(claim: Claim, point: Point, asked: Mapping[int, _Asked], runs: _Runs) -> Range:
    """Return the value of a point: what is likely, and its interval."""

    def of_point(three: tuple[Run, Run | None, Run | None]) -> tuple[_Asked, _Asked | None, _Asked | None]:
        run, base, minus = (None if one is None else asked[id(one)] for one in three)
        assert run is not None
        return run, base, minus

    run, base, minus = of_point((point.run, point.base, point.minus))

    def ends(one: _Asked, quantity: Quantity) -> Range:
        result, turns = runs.result(one)
        return quantity.of(result, turns, one.platform.costs)

    of, per = point.quotient.of, point.quotient.per
    total = ends(run, of) if minus is None else ends(run, of).less(ends(minus, of))
    found = total.over(ends(run, per))
    if base is not None:
        found = found.over(ends(base, of).over(ends(base, per)))
    if found.low != found.high and (runs.given or not found.counted):
        low, high = _interval(
            runs, point.quotient, [(run, base, minus), *(of_point(three) for three in point.instead)]
        )
        found = attrs.evolve(found, low=min(low, found.likely), high=max(high, found.likely))
    found = found.times(1 / claim.scale)
    if not point.onto:
        return found
    return Range(found.low + point.onto, found.likely + point.onto, found.high + point.onto, found.counted)


def _interval(
    runs: _Runs, quotient: Quotient, sets: list[tuple[_Asked, _Asked | None, _Asked | None]]
) -> tuple[float, float]:
    """Return what 80 % of the draws lie within; each draw has the same luck in all runs of a point.

    Of several sets of runs, where the source doesn't say on how many CPUs, each draw takes the next one.
    """
    import numpy as np

    values = []
    for number, where in enumerate(runs.places):
        run, base, minus = sets[number % len(sets)]

        def one(asked: _Asked, quantity: Quantity, number: int = number, where: list[float] = where) -> float:
            values = runs.drawn(asked)[number]
            return quantity.drawn(values, runs.result(asked)[1], asked.platform.costs, where)

        value = one(run, quotient.of) - (0.0 if minus is None else one(minus, quotient.of))
        value /= one(run, quotient.per) or math.nan
        if base is not None:
            value /= (one(base, quotient.of) / one(base, quotient.per)) or math.nan
        values.append(value)
    low, high = np.nanpercentile(values, (draws_of.TENTH, draws_of.NINTH))
    return float(low), float(high)
