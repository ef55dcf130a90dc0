"""Emulate how Linux tears down and unshares page tables, on each architecture.

    import shootdown
    rows = shootdown.compare("hugetlb-munmap", kernels=["6.12.73", "7.0"], parameters={"tables": 4})
    rows[0].counts["sync_ipis"]

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shootdown._errors import ShootdownError

if TYPE_CHECKING:
    from shootdown._architecture import Architecture, Geometry, Lowering, MmRules
    from shootdown._changes import Change
    from shootdown._compare import compare
    from shootdown._explore.api import explore
    from shootdown._explore.run import Verdict
    from shootdown._explore.story import Story
    from shootdown._image import Translation, mapped, walk
    from shootdown._kernel import Kernel, switch
    from shootdown._platform import Cost, Costs, Platform
    from shootdown._registry import hookimpl
    from shootdown._result import Result
    from shootdown._simulate import kernel, simulate
    from shootdown._targets import Target, targets
    from shootdown._tlb.geometry import CacheGeometry, TlbGeometry
    from shootdown._traces.simulation import TraceResult, simulate_trace
    from shootdown._walk_many import ManyWalks, walk_many
    from shootdown._workload import Parameter, Setting, Workload

_HOMES = {
    "Architecture": "_architecture",
    "CacheGeometry": "_tlb.geometry",
    "Change": "_changes",
    "Cost": "_platform",
    "Costs": "_platform",
    "Geometry": "_architecture",
    "Kernel": "_kernel",
    "Lowering": "_architecture",
    "ManyWalks": "_walk_many",
    "MmRules": "_architecture",
    "Parameter": "_workload",
    "Platform": "_platform",
    "Result": "_result",
    "Setting": "_workload",
    "Story": "_explore.story",
    "Target": "_targets",
    "TlbGeometry": "_tlb.geometry",
    "TraceResult": "_traces.simulation",
    "Translation": "_image",
    "Verdict": "_explore.run",
    "Workload": "_workload",
    "compare": "_compare",
    "explore": "_explore.api",
    "hookimpl": "_registry",
    "kernel": "_simulate",
    "mapped": "_image",
    "simulate": "_simulate",
    "simulate_trace": "_traces.simulation",
    "switch": "_kernel",
    "targets": "_targets",
    "walk": "_image",
    "walk_many": "_walk_many",
}

__all__ = [
    "Architecture",
    "CacheGeometry",
    "Change",
    "Cost",
    "Costs",
    "Geometry",
    "Kernel",
    "Lowering",
    "ManyWalks",
    "MmRules",
    "Parameter",
    "Platform",
    "Result",
    "Setting",
    "ShootdownError",
    "Story",
    "Target",
    "TlbGeometry",
    "TraceResult",
    "Translation",
    "Verdict",
    "Workload",
    "compare",
    "explore",
    "hookimpl",
    "kernel",
    "mapped",
    "simulate",
    "simulate_trace",
    "switch",
    "targets",
    "walk",
    "walk_many",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'shootdown' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"shootdown.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
