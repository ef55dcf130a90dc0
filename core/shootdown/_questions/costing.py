"""Costs of a platform that a person sets: `--set cost.NAME=low,likely,high`, and the clock rate `platform.ghz`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from shootdown._porting.costs import TYPICAL
from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.platform import COST_NAMES, Cost, Platform

#: The setting of the clock rate.
CLOCK_RATE = "platform.ghz"
_GROUP = "cost."


def with_costs(platform: Platform, settings: Mapping[str, str]) -> tuple[Platform, tuple[str, ...]]:
    """Return a platform with costs that are set, and a remark for each.

    Args:
        platform: the platform.
        settings: by full name; `cost.NAME` and `platform.ghz` are looked at.

    Raises:
        ShootdownError: there is no such cost, or a value is no time.
    """
    costs, remarks = platform.costs, []
    if CLOCK_RATE in settings:
        ghz = _number(
            CLOCK_RATE, settings[CLOCK_RATE], "a clock rate in GHz above 0 and below 100, such as 2.4"
        )
        if not 0 < ghz < 100:
            raise ShootdownError(
                f"{CLOCK_RATE}={settings[CLOCK_RATE]}: give a clock rate above 0 and below 100"
            )
        factor = platform.ghz / ghz
        scaled = {
            name: _times(getattr(costs, name), factor, ghz) for name in COST_NAMES if TYPICAL[name].clocked
        }
        costs = attrs.evolve(costs, **scaled)
        remarks.append(
            f"what-if: ghz={ghz:g} ({platform.name} has {platform.ghz:g}): costs that depend on the clock are scaled, "
            "those of memory and interconnect are not"
        )
    for full, text in settings.items():
        if not full.startswith(_GROUP):
            continue
        asked = full.removeprefix(_GROUP)
        name = asked if asked.endswith("_ns") else f"{asked}_ns"
        if name not in COST_NAMES:
            raise ShootdownError(f"there is no cost {asked!r}; {nearest(asked, COST_NAMES, prefix=_GROUP)}")
        was: Cost = getattr(costs, name)
        new = _cost(full, text)
        costs = attrs.evolve(costs, **{name: new})
        remarks.append(f"what-if: {name}={_range(new)} ns ({platform.name} has {_range(was)})")
    return attrs.evolve(platform, costs=costs), tuple(remarks)


def _cost(name: str, text: str) -> Cost:
    what = "nanoseconds: one number, or low,likely,high in ascending order"
    values = [_number(name, part, what) for part in text.split(",")]
    if len(values) not in (1, 3):
        raise ShootdownError(f"{name}={text}: give {what}")
    low, likely, high = values * 3 if len(values) == 1 else values
    try:
        return Cost(low, likely, high, f"given: {name}={text}")
    except ValueError as error:
        raise ShootdownError(f"{name}={text}: {error}") from None


def _number(name: str, text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < math.inf:
        raise ShootdownError(f"{name}={text:.40}: give {what}")
    return value


def _times(cost: Cost, factor: float, ghz: float) -> Cost:
    source = f"{cost.source}; scaled to {ghz:g} GHz"
    return Cost(cost.low * factor, cost.likely * factor, cost.high * factor, source)


def _range(cost: Cost) -> str:
    values = [f"{value:g}" for value in dict.fromkeys((cost.low, cost.likely, cost.high))]
    return ",".join(values)
