"""How sure a time is: draws of all costs within their ranges, and the costs that make a range wide."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import attrs

from shootdown._questions.building import built
from shootdown._questions.case import Case
from shootdown._questions.draws import END, NINTH, TENTH, at, factors, places
from shootdown._values.platform import COST_NAMES, Costs, Platform
from shootdown._values.result import TIMES, Span

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from shootdown._machine.machine import Machine
    from shootdown._timed.run import Run
    from shootdown._values.workload import Workload


@attrs.frozen
class Drawn:
    """Times over draws of all costs.

    Args:
        draws: how many there were.
        elapsed, system: the middle, and what 80 % of the draws lie within, in nanoseconds.
    """

    draws: int
    elapsed: Span
    system: Span


@attrs.frozen
class Width:
    """What one cost alone does to the elapsed time.

    Args:
        cost: its name.
        low, high: the elapsed time with this cost at its low and its high end and all others likely, in nanoseconds.
    """

    cost: str
    low: float
    high: float


def drawn(case: Case[Workload], draws: int, after_run: Callable[[], None] = lambda: None) -> Drawn:
    """Run a case with costs that are drawn: each has a factor that the machine's costs share, and a rest of its own.

    Args:
        case: a prepared case that kernel and platform can run.
        draws: how many times, at least two.
        after_run: called after each run.
    """
    machine = _machine(case)
    times = []
    seed = int(case.parameters["seed"])
    for where, factor in zip(places(draws, seed), factors(draws, seed), strict=True):
        run = _run(case, machine, _costs_at(case.platform.costs, where))
        with_rest = _with_rest(machine, case.platform, run, factor)
        times.append((with_rest["elapsed_ns"], with_rest["system_ns"]))
        after_run()
    elapsed, system = zip(*times, strict=True)
    return Drawn(draws, _middle(elapsed), _middle(system))


def results(
    case: Case[Workload], drawn_places: Iterable[list[float]], drawn_factors: Iterable[float]
) -> list[dict[str, float]]:
    """Return the counts and times of runs with costs that are drawn, by their names in results.

    Args:
        case: a prepared case that kernel and platform can run.
        drawn_places, drawn_factors: what `places` and `factors` returned.
    """
    from shootdown._questions.simulate import counts_of

    machine = _machine(case)
    found = []
    for where, factor in zip(drawn_places, drawn_factors, strict=True):
        run = _run(case, machine, _costs_at(case.platform.costs, where))
        found.append({**counts_of(machine, run), **_with_rest(machine, case.platform, run, factor)})
    return found


def widths(case: Case[Workload], after_run: Callable[[], None] = lambda: None) -> list[Width]:
    """Run a case with each cost in turn at its ends; return what each does to the elapsed time, the widest first.

    Args:
        case: a prepared case that kernel and platform can run.
        after_run: called for each cost.
    """
    machine = _machine(case)
    found = []
    for index, name in enumerate(COST_NAMES):
        ends = []
        for end in (-END, END):
            places = [end if other == index else 0.0 for other in range(len(COST_NAMES))]
            ends.append(_run(case, machine, _costs_at(case.platform.costs, places)).times["elapsed_ns"])
        after_run()
        found.append(Width(name, *ends))
    return sorted(found, key=lambda one: one.low - one.high)


def _costs_at(costs: Costs, places: list[float]) -> npt.NDArray[np.int64]:
    import numpy as np

    values = [
        round(at(getattr(costs, name), place) * 1000) for name, place in zip(COST_NAMES, places, strict=True)
    ]
    return np.array([*values, 1000], np.int64)


def _machine(case: Case[Workload]) -> Machine:
    from shootdown._machine.machine import Machine

    return built(case, case.setup(), Machine)


def _run(case: Case[Workload], machine: Machine, costs: npt.NDArray[np.int64]) -> Run:
    from shootdown._timed.run import run_machine

    return run_machine(machine, case.platform, seed=int(case.parameters["seed"]), costs=costs)


def times_of(run: Run) -> dict[str, float]:
    """Return a run's times; those that a row has only if there are some are left out where there are none."""
    return {name: time for name, time in run.times.items() if time or name in TIMES}


def _with_rest(machine: Machine, platform: Platform, run: Run, factor: float) -> dict[str, float]:
    """Return a run's times, multiplied for what the model leaves out, but not those that the program says."""
    from shootdown._timed.spent import spent

    times, numbers = times_of(run), spent(machine, platform, run)
    said = {name: min(float(numbers[name][-1]), time) for name, time in times.items()}
    return {name: said[name] + (time - said[name]) * factor for name, time in times.items()}


def _middle(values: tuple[float, ...]) -> Span:
    import numpy as np

    low, middle, high = np.percentile(values, (TENTH, 50, NINTH))
    return Span(round(float(low), 1), round(float(middle), 1), round(float(high), 1))
