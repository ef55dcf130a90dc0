"""Which cases have equal machines: what is found for one of them holds for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shootdown._questions.building import built
from shootdown._questions.case import Case
from shootdown._questions.explore import ways
from shootdown._values.scenario import Scenario

if TYPE_CHECKING:
    from shootdown._machine.machine import Machine


def key_of(case: Case[Any]) -> bytes:
    """Return a key that is equal for two cases of a program only if runs, or searches, of them find the same.

    Raises:
        ShootdownError: the program can't be built.
    """
    if isinstance(case.program, Scenario):
        return _key_of_searches(case)
    from shootdown._machine.machine import Machine

    return key_of_runs(case, built(case, case.setup(), Machine))


def key_of_runs(case: Case[Any], machine: Machine) -> bytes:
    """Return the key of a workload's case whose machine is built."""
    from shootdown._timed.run import fingerprint

    return fingerprint(machine, case.platform, int(case.parameters["seed"]))


def _key_of_searches(case: Case[Scenario]) -> bytes:
    from shootdown._explore.problem import Problem

    found = b""
    for way, setup in ways(case):
        problem = built(case, setup, Problem)
        agents = (problem.entries, problem.hypervisor, problem.scheduler, problem.preemption)
        like = (problem.groups, problem.tables, problem.mm_locks)
        found += problem.machine.digest(way, agents, problem.invariants, problem.places, like)
    return found
