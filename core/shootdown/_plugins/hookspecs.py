"""The hooks that a plugin may implement.

A plugin marks functions of the same names with `shootdown.hookimpl` and returns values. Hooks get no objects to change,
and nothing that runs in a loop goes through a hook.

The functions below are never called, pluggy only reads their names and arguments: hence no bodies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from shootdown._plugins.markers import hookspec

if TYPE_CHECKING:
    from shootdown._values.architecture import Architecture
    from shootdown._values.platform import Platform
    from shootdown._values.report import Report
    from shootdown._values.scenario import Scenario
    from shootdown._values.workload import Workload


@hookspec
def shootdown_architectures() -> Sequence[Architecture]:  # type: ignore[empty-body]
    """Return the plugin's architectures; runs once, when anything installed is first asked for.

    Returns:
        A list or tuple. Names are unique over all plugins; a name that is taken refuses the plugin.
    """


@hookspec
def shootdown_platforms() -> Mapping[str, Sequence[Platform]]:  # type: ignore[empty-body]
    """Return further platforms by architecture; runs once, right after the plugin's own architectures.

    Returns:
        For each architecture's name a list or tuple: CPU models, hypervisors, or the same machine with other
        costs. An architecture's own platforms need no hook, they are fields of it.
    """


@hookspec
def shootdown_workloads() -> Sequence[Workload]:  # type: ignore[empty-body]
    """Return the workloads that this plugin adds; runs once, right after the plugin's own platforms.

    Returns:
        A list or tuple. Names are unique over all plugins.
    """


@hookspec
def shootdown_scenarios() -> Sequence[Scenario]:  # type: ignore[empty-body]
    """Return the scenarios that this plugin adds; runs once, right after the plugin's own workloads.

    Returns:
        A list or tuple. Names are unique over all plugins.
    """


@hookspec
def shootdown_reports() -> Sequence[Report]:  # type: ignore[empty-body]
    """Return the reports that this plugin adds; runs once, right after the plugin's own scenarios.

    Returns:
        A list or tuple. Names are unique over all plugins.
    """
