"""The hooks that a plugin may implement; see the docstring of each.

A plugin marks functions of the same names with `shootdown.hookimpl` and returns values.
"""

from __future__ import annotations

from shootdown._plugins.hookspecs import (
    shootdown_architectures,
    shootdown_platforms,
    shootdown_reports,
    shootdown_scenarios,
    shootdown_workloads,
)

__all__ = [
    "shootdown_architectures",
    "shootdown_platforms",
    "shootdown_reports",
    "shootdown_scenarios",
    "shootdown_workloads",
]
