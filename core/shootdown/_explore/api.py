"""Explore from Python: values in, verdicts out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shootdown._errors import ShootdownError
from shootdown._explore.run import MOST_BYTES, MOST_STATES, Verdict, explorations
from shootdown._explore.run import explore as explore_case

if TYPE_CHECKING:
    from shootdown._explore.scenario import Scenario


def explore(
    scenario: str | Scenario,
    *,
    arch: Sequence[str] = (),
    platforms: Sequence[str] = (),
    kernels: Sequence[str] = (),
    parameters: Mapping[str, Any] | None = None,
    settings: Iterable[str] | Mapping[str, str] = (),
    states: int = MOST_STATES,
    memory: int = MOST_BYTES,
    soak: int | None = None,
    seed: int = 1,
) -> list[Verdict]:
    """Explore every interleaving of a scenario on every combination, and return a verdict for each.

    Args:
        scenario: its name, a file of Python that defines `SCENARIO`, or a `shootdown.scenarios.Scenario`.
        arch: names of architectures; this machine's if neither they nor platforms are given.
        platforms: names of platforms; each architecture's first if empty.
        kernels: releases and proposals; the newest release known if empty.
        parameters: of the scenario.
        settings: what-ifs such as `kernel.unshare_sync=none`, `scenario.fix=false` or `memory_model=sc`.
        states: a search that finds more than so many is `inconclusive`.
        memory: so is one whose states fill more bytes.
        soak: take so many random walks, and no search.
        seed: of the random walks.

    Raises:
        ShootdownError: something is unknown, out of range or contradictory.
    """
    for name, value in (("states", states), ("memory", memory), ("soak", 1 if soak is None else soak)):
        if value < 1:
            raise ShootdownError(f"{name}={value}: it is a number from 1 on")
    walks = None
    if soak is not None:
        from shootdown._explore.soak import Soak

        walks = Soak(soak, seed)
    cases = explorations(
        scenario, arch=arch, platforms=platforms, kernels=kernels, parameters=parameters, settings=settings
    )
    return [
        explore_case(case, most_states=states, most_bytes=memory, soak=walks, stories=True) for case in cases
    ]
