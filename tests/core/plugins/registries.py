"""What tests of the registry share: the first lines of a plugin, and what was refused."""

from __future__ import annotations

from collections.abc import Callable

from shootdown._plugins.installed import Refusal, Registry

HEADER = """
from types import SimpleNamespace
import attrs
from shootdown._values.architecture import Architecture
from shootdown._values.platform import COST_NAMES, Cost, Costs, Platform
from shootdown._plugins.markers import hookimpl
from shootdown._values.flushes import FlushWay
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.workload import Workload
from shootdown._values.changes import Change

def arch(name, **more):
    return Architecture(**{"api": 1, "name": name, "summary": "made up", **more})

def platform(name):
    return Platform(name, "made up", Costs(**{cost: Cost(1, 1, 1, "made up") for cost in COST_NAMES}))

def workload(name, *parameters, **more):
    return Workload(name, "made up", parameters, **{"build": lambda setting: None, **more})

def scenario(name, **more):
    return Scenario(**{"name": name, "summary": "made up", "source": "", "build": lambda scene: None, **more})

def change(**more):
    return Change(**{"commit": "123456789abc", "subject": "made up", "mainline": "6.9-rc1", **more})
"""

Install = Callable[..., None]


def refusal_of(registry: Registry, distribution: str) -> Refusal:
    return next(refusal for refusal in registry.refusals if refusal.origin.distribution == distribution)


def names(registry: Registry) -> set[str]:
    return {plugin.origin.distribution for plugin in registry.plugins}


GOOD = """
    @hookimpl
    def shootdown_architectures():
        return [arch("good")]
"""
