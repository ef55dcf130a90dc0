"""The cells whose verdicts scenarios expect, each explored once in a process."""

from __future__ import annotations

from functools import cache

from shootdown._plugins.registry import registry
from shootdown._questions.case import Case
from shootdown._questions.explore import Verdict, explorations, explore_case
from shootdown._values.scenario import Expect, Scenario


def case_of(name: str, expect: Expect) -> Case[Scenario]:
    """Return what a cell of a scenario is explored on; x86 where it names no architecture."""
    (case,) = explorations(
        name,
        arch=[expect.arch or "x86"],
        platforms=[expect.platform] if expect.platform else [],
        kernels=[expect.kernel],
        parameters=expect.parameters,
        settings=list(expect.settings),
    )
    return case


def explored(name: str, expect: Expect) -> Verdict:
    """Explore a cell, and tell its story if it is a bug."""
    return _explored(name, registry().scenarios()[name].expected.index(expect))


@cache
def _explored(name: str, number: int) -> Verdict:
    return explore_case(case_of(name, registry().scenarios()[name].expected[number]), stories=True)
