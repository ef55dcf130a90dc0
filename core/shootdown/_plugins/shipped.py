"""The workloads and scenarios that come with shootdown, offered by the same hooks as other plugins'."""

from __future__ import annotations

from collections.abc import Sequence

from shootdown import hookimpl
from shootdown._values.scenario import Scenario
from shootdown._values.workload import Workload


@hookimpl
def shootdown_workloads() -> Sequence[Workload]:
    """Offer the workloads of this package."""
    from shootdown._workloads import WORKLOADS

    return WORKLOADS


@hookimpl
def shootdown_scenarios() -> Sequence[Scenario]:
    """Offer the scenarios of this package; architectures offer those about features that only they have."""
    from shootdown._programs.explored import scenario_of
    from shootdown._programs.reading import read_file
    from shootdown._programs.shipped import scenario_files
    from shootdown._scenarios import SCENARIOS

    return (*SCENARIOS, *(scenario_of(read_file(path)) for path in scenario_files().values()))
