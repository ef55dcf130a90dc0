"""Costs that explain what was measured, and stay near those of a platform that the machine is like.

A time is a sum of costs, each as often as the model has it. What is sought are costs of which such sums are near the
measured times, in logarithms, and which are near the platform's, each within its range: the least squares of both.
What a measurement does not decide keeps its range; what several decide together, they share by their ranges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs
import numpy as np

from shootdown._questions.draws import END
from shootdown._timed.spent import Numbers
from shootdown._values.platform import COST_NAMES, Cost, Costs

#: How far off a sum is expected to be however exact the measurement is, and the least range of a cost, as standard
#: deviations of logarithms.
_MODEL, _LEAST = 0.1, 0.05
_ROUNDS = 30
#: A cost is measured if its range became so much narrower.
_NARROWER = 0.75
#: A cost whose logarithm moved by less is left as it was.
_MOVED = 0.02
#: Names of measurements that a source has.
_NAMED = 2


@attrs.frozen
class Datum:
    """A measured time and what it consists of.

    Args:
        name: what was measured.
        ns: the time.
        spread: its standard deviation, of the logarithm.
        numbers: how often each cost is in it, in the order of `COST_NAMES`, and nanoseconds.
    """

    name: str
    ns: float
    spread: float
    numbers: Numbers


@attrs.frozen
class Fit:
    """Costs that were found.

    Args:
        costs: all of them.
        measured: those that measurements decide.
        off: by which factor each time is predicted with them, in the order of the data.
    """

    costs: Costs
    measured: tuple[str, ...]
    off: tuple[float, ...]


def fit(base: Costs, name: str, data: Sequence[Datum]) -> Fit:
    """Find the costs.

    Args:
        base: the costs of the platform that the machine is like.
        name: its name.
        data: what was measured.
    """
    known = [getattr(base, cost) for cost in COST_NAMES]
    before = np.array([_width(cost) for cost in known])
    movable = np.array([cost.likely > 0 for cost in known]) & (before > 0)
    start = np.log([max(cost.likely, 1e-3) for cost in known])
    numbers = np.array([datum.numbers for datum in data]).reshape(len(data), -1)
    fixed = numbers[:, -1] + numbers[:, :-1] @ np.where(movable, 0, [cost.likely for cost in known])
    numbers = numbers[:, :-1] * movable
    goal = np.log([datum.ns for datum in data])
    weight = np.array([1 / math.hypot(datum.spread, _MODEL) ** 2 for datum in data])
    held = np.where(movable, 1 / np.where(before > 0, before, 1) ** 2, 1.0)
    at, inverse = start.copy(), np.diag(1 / held)
    for _ in range(_ROUNDS):
        parts = numbers * np.exp(at)
        totals = parts.sum(axis=1) + fixed
        slopes = parts / totals[:, None]
        normal = slopes.T @ (slopes * weight[:, None]) + np.diag(held)
        inverse = np.linalg.inv(normal)
        step = inverse @ (slopes.T @ (weight * (goal - np.log(totals))) - held * (at - start))
        at = at + np.clip(step, -1, 1)
    parts = numbers * np.exp(at)
    totals = parts.sum(axis=1) + fixed
    after = np.sqrt(np.diag(inverse))
    measured = [
        cost
        for cost, b, a, moves in zip(COST_NAMES, before, after, movable, strict=True)
        if moves and a < _NARROWER * b
    ]
    found = {}
    for index, cost in enumerate(COST_NAMES):
        if cost in measured:
            names = [
                data[i].name for i in np.argsort(-parts[:, index] / totals)[:_NAMED] if parts[i, index] > 0
            ]
            found[cost] = _made(
                math.exp(at[index]), max(float(after[index]), _LEAST), f"measured here: {'; '.join(names)}"
            )
        elif abs(at[index] - start[index]) > _MOVED:
            found[cost] = _made(
                math.exp(at[index]),
                float(after[index]),
                f"estimate: as {name}, moved by measurements that contain it with others",
            )
        else:
            found[cost] = attrs.evolve(known[index], source=f"estimate: as {name}: no measurement decides it")
    return Fit(Costs(**found), tuple(measured), tuple((totals / np.exp(goal)).tolist()))


def _width(cost: Cost) -> float:
    """Return the standard deviation of a cost's logarithm that its range stands for."""
    if cost.likely <= 0 or cost.high <= 0:
        return 0.0
    low = math.log(cost.likely / cost.low) if cost.low > 0 else math.log(max(cost.high / cost.likely, 2))
    return max((low + math.log(cost.high / cost.likely)) / 2 / END, 1e-6)


def _made(likely: float, spread: float, source: str) -> Cost:
    factor = math.exp(END * spread)
    low, middle, high = (float(f"{value:.4g}") for value in (likely / factor, likely, likely * factor))
    return Cost(low, middle, high, source)
