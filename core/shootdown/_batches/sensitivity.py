"""Sensitivity: which cost or parameter decides a count or a time of a program."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._batches.axes import Between, cost_at
from shootdown._batches.gate_file import TIMES
from shootdown._questions.building import built
from shootdown._questions.case import Case, Question, prepare
from shootdown._questions.ranges import times_of
from shootdown._questions.simulate import counts_of
from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.frames import needed
from shootdown._values.platform import COST_NAMES
from shootdown._values.result import COUNTS
from shootdown._values.workload import Workload

if TYPE_CHECKING:
    from shootdown._machine.machine import Machine

MORRIS, SOBOL = "morris", "sobol"
METHODS = (MORRIS, SOBOL)
#: What can be asked of.
MEASURES = (*COUNTS, *TIMES)
#: Samples unless asked for: trajectories of Morris, base points of Sobol'.
SAMPLES = {MORRIS: 10, SOBOL: 64}
_RANGE = re.compile(r"\s*(-?[\d.]+)\s*\.\.\s*(-?[\d.]+)\s*")
_LEVELS = 4
#: Machines that are kept: of each choice of parameters one.
_KEPT = 32


@attrs.frozen
class Factor:
    """Something that varies.

    Args:
        name: `cost.NAME`, or a parameter's.
        between: its range; None for a cost that varies over its platform's.
    """

    name: str
    between: Between | None = None


@attrs.frozen
class Effect:
    """What one factor does to the answer.

    Args:
        name: the factor's.
        effect: by Morris the mean change of the answer when it moves across its range; by Sobol' its part of the
            variance, with what it does together with others.
        spread: by Morris how much that change depends on the others, as a standard deviation; by Sobol' its part of
            the variance alone.
        share: the effect as a part of all effects.
    """

    name: str
    effect: float
    spread: float
    share: float


@attrs.frozen
class Sensitivity:
    """What decides an answer.

    Args:
        case: the question.
        of: the count or time.
        method: `morris` or `sobol`.
        seed: of the sample.
        runs: how many there were.
        likely: the answer with likely costs.
        least, most: of the answer in the runs.
        effects: of each factor, the largest first.
    """

    case: Case[Workload]
    of: str
    method: str
    seed: int
    runs: int
    likely: float
    least: float
    most: float
    effects: tuple[Effect, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        case = self.case
        return {
            "program": case.program.name,
            "arch": case.architecture.name,
            "platform": case.platform.name,
            "kernel": case.kernel.name,
            "cpus": case.cpus,
            "parameters": dict(case.parameters),
            "set": dict(case.settings),
            "of": self.of,
            "method": self.method,
            "seed": self.seed,
            "runs": self.runs,
            "likely": self.likely,
            "least": self.least,
            "most": self.most,
            "rows": [attrs.asdict(one) for one in self.effects],
            "remarks": list(case.remarks),
        }


def read_factors(texts: Sequence[str], question: Question[Workload]) -> tuple[Factor, ...]:
    """Read what is to vary: `cost.NAME`, `cost.NAME=LOW..HIGH`, `PARAMETER=LOW..HIGH`; every cost if there is none.

    Raises:
        ShootdownError: there is no such cost or parameter, or a range is none.
    """
    if not texts:
        return tuple(Factor(f"cost.{name}") for name in COST_NAMES)
    known = {one.name: one for one in question.program.parameters}
    found: list[Factor] = []
    for text in texts:
        name, equals, ends = text.partition("=")
        between = _between(text, ends) if equals else None
        if name.startswith("cost."):
            own = name.removeprefix("cost.")
            name = f"cost.{own if own.endswith('_ns') else f'{own}_ns'}"
            if name.removeprefix("cost.") not in COST_NAMES:
                raise ShootdownError(
                    f"--vary {text}: there is no cost {own!r}; {nearest(own, COST_NAMES, prefix='cost.')}"
                )
        else:
            names = [one for one, about in known.items() if isinstance(about.default, int)]
            if name not in names or isinstance(known[name].default, bool):
                raise ShootdownError(
                    f"--vary {text}: there is no number {name!r} to vary; {nearest(name, names)}"
                )
            if between is None or not isinstance(between.low, int) or not isinstance(between.high, int):
                raise ShootdownError(f"--vary {text}: a parameter has a range of whole numbers: {name}=1..8")
            for end in (between.low, between.high):
                question.program.read({**question.parameters, name: end})
        if name in [one.name for one in found]:
            raise ShootdownError(f"--vary {text}: {name} is given twice")
        found.append(Factor(name, between))
    return tuple(found)


def _between(text: str, ends: str) -> Between:
    matched = _RANGE.fullmatch(ends)
    try:
        low, high = (
            (float(one) if "." in one else int(one) for one in matched.groups()) if matched else (1, 0)
        )
    except ValueError:
        low, high = 1, 0
    if not 0 <= low < high:
        raise ShootdownError(f"--vary {text}: a range is two numbers with two points between them: 1..8")
    return Between(low, high)


def sensitivity(
    question: Question[Workload],
    of: str,
    factors: Sequence[Factor],
    *,
    method: str = MORRIS,
    samples: int = 0,
    seed: int = 1,
    begun: Callable[[int], None] = lambda _: None,
    after_run: Callable[[], None] = lambda: None,
) -> Sensitivity:
    """Say which factors decide a count or a time, by SALib's analysis of runs.

    Args:
        question: what runs.
        of: the count or time: `sync_ipis`, `elapsed_ns`.
        factors: what varies.
        method: `morris` or `sobol`.
        samples: trajectories, or base points; those of `SAMPLES` if 0. The points of Sobol' are a power of two.
        seed: of the sample.
        begun: called with how many runs there will be.
        after_run: called after each.

    Raises:
        ShootdownError: SALib is missing, something is contradictory, or kernel and platform can't run it.
    """
    sample = needed(f"SALib.sample.{method}", "sensitivity")
    analyze = needed(f"SALib.analyze.{method}", "sensitivity")
    runner = _Runner(question, of)
    problem = {
        "num_vars": len(factors),
        "names": [one.name for one in factors],
        "bounds": [[0.0, 1.0]] * len(factors),
    }
    many = samples or SAMPLES[method]
    if method == MORRIS:
        points = sample.sample(problem, many, num_levels=_LEVELS, seed=seed)
    else:
        if many & (many - 1):
            raise ShootdownError(f"--samples {many}: the points of Sobol' are a power of two, such as 64")
        points = sample.sample(problem, many, calc_second_order=False, seed=seed)
    begun(len(points))
    answers = []
    for point in points.tolist():
        answers.append(runner.at(factors, point))
        after_run()
    import numpy as np

    found = np.array(answers, float)
    if found.min() == found.max():
        effects: list[Effect] = [Effect(one.name, 0.0, 0.0, 0.0) for one in factors]
    elif method == MORRIS:
        told = analyze.analyze(problem, points, found, num_levels=_LEVELS, seed=seed)
        effects = _effects(factors, told["mu_star"], told["sigma"])
    else:
        told = analyze.analyze(problem, found, calc_second_order=False, seed=seed)
        effects = _effects(factors, told["ST"], told["S1"])
    effects.sort(key=lambda one: -one.effect)
    least, most = float(found.min()), float(found.max())
    return Sensitivity(
        runner.case, of, method, seed, len(points), runner.likely(), least, most, tuple(effects)
    )


def _effects(factors: Sequence[Factor], sizes: Any, spreads: Any) -> list[Effect]:
    total = float(sum(max(one, 0.0) for one in sizes)) or 1.0
    return [
        Effect(
            factor.name,
            round(float(size), 6),
            round(float(spread), 6),
            round(max(float(size), 0.0) / total, 4),
        )
        for factor, size, spread in zip(factors, sizes, spreads, strict=True)
    ]


class _Runner:
    """Run a question at points; a machine is built once for each choice of parameters."""

    def __init__(self, question: Question[Workload], of: str) -> None:
        self._question = question
        self._of = of
        self.case = prepare(question)
        reason = self.case.refusal()
        if reason is not None:
            raise ShootdownError(f"{self.case.kernel.name} can't run {self.case.program.name}: {reason}")
        self._machines: dict[tuple[tuple[str, Any], ...], tuple[Case[Workload], Machine]] = {}

    def likely(self) -> float:
        """Return the answer with likely costs and the parameters as they are."""
        return self._answer((), {})

    def at(self, factors: Sequence[Factor], shares: Sequence[float]) -> float:
        """Return the answer where each factor is a share of the way through its range."""
        costs: dict[str, float] = {}
        parameters = []
        for factor, share in zip(factors, shares, strict=True):
            name = factor.name.removeprefix("cost.")
            if name == factor.name:
                assert factor.between is not None
                parameters.append((name, factor.between.at(min(share, 1 - 1e-9))))
            elif factor.between is not None:
                costs[name] = float(factor.between.low + share * (factor.between.high - factor.between.low))
            else:
                costs[name] = cost_at(getattr(self.case.platform.costs, name), share)
        return self._answer(tuple(parameters), costs)

    def _answer(self, parameters: tuple[tuple[str, Any], ...], costs: Mapping[str, float]) -> float:
        import numpy as np

        from shootdown._timed.run import run_machine

        case, machine = self._machine(parameters)
        platform = case.platform
        values = [round(costs.get(name, getattr(platform.costs, name).likely) * 1000) for name in COST_NAMES]
        run = run_machine(
            machine, platform, seed=int(case.parameters["seed"]), costs=np.array([*values, 1000], np.int64)
        )
        if self._of in COUNTS:
            return float(counts_of(machine, run)[self._of])
        return round(times_of(run)[self._of], 1)

    def _machine(self, parameters: tuple[tuple[str, Any], ...]) -> tuple[Case[Workload], Machine]:
        from shootdown._machine.machine import Machine

        if parameters not in self._machines:
            if len(self._machines) >= _KEPT:
                self._machines.clear()
            question = attrs.evolve(
                self._question, parameters={**self._question.parameters, **dict(parameters)}
            )
            case = prepare(question)
            reason = case.refusal()
            if reason is not None:
                raise ShootdownError(f"{case.kernel.name} can't run {case.program.name}: {reason}")
            self._machines[parameters] = (case, built(case, case.setup(), Machine))
        return self._machines[parameters]
