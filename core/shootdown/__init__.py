"""Emulate how Linux tears down and unshares page tables, on each architecture.

    import shootdown
    rows = shootdown.compare("hugetlb-munmap", kernels=["6.12.73", "7.0"], parameters={"tables": 4})
    rows[0].counts["sync_ipis"]

Heavy modules are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shootdown._values.errors import ShootdownError

if TYPE_CHECKING:
    from shootdown._batches.sweep import Sweep, sweep
    from shootdown._explore.story import Story
    from shootdown._pagetables.walk_many import ManyWalks
    from shootdown._plugins.markers import hookimpl
    from shootdown._questions.compare import compare
    from shootdown._questions.difference import Difference, diff
    from shootdown._questions.explore import Verdict, explore
    from shootdown._questions.history import History, history
    from shootdown._questions.image import Translation, mapped, walk
    from shootdown._questions.simulate import kernel, simulate
    from shootdown._questions.targets import Target, targets
    from shootdown._questions.walk_many import walk_many
    from shootdown._tlb.geometry import CacheGeometry, TlbGeometry
    from shootdown._traces.simulation import TraceResult, simulate_trace
    from shootdown._values.architecture import Architecture, Geometry, Lowering, MmRules
    from shootdown._values.changes import Change
    from shootdown._values.kernel import Kernel, switch
    from shootdown._values.parameter import Parameter
    from shootdown._values.platform import Cost, Costs, Platform
    from shootdown._values.report import Report
    from shootdown._values.result import Result, Results
    from shootdown._values.setup import Setup as Setting
    from shootdown._values.workload import Workload

# The module of each public name, and the name there if it differs.
_HOMES = {
    "Architecture": "_values.architecture",
    "CacheGeometry": "_tlb.geometry",
    "Change": "_values.changes",
    "Cost": "_values.platform",
    "Costs": "_values.platform",
    "Difference": "_questions.difference",
    "Geometry": "_values.architecture",
    "History": "_questions.history",
    "Kernel": "_values.kernel",
    "Lowering": "_values.architecture",
    "ManyWalks": "_pagetables.walk_many",
    "MmRules": "_values.architecture",
    "Parameter": "_values.parameter",
    "Platform": "_values.platform",
    "Report": "_values.report",
    "Result": "_values.result",
    "Results": "_values.result",
    "Setting": "_values.setup:Setup",
    "Story": "_explore.story",
    "Sweep": "_batches.sweep",
    "Target": "_questions.targets",
    "TlbGeometry": "_tlb.geometry",
    "TraceResult": "_traces.simulation",
    "Translation": "_questions.image",
    "Verdict": "_questions.explore",
    "Workload": "_values.workload",
    "compare": "_questions.compare",
    "diff": "_questions.difference",
    "explore": "_questions.explore",
    "history": "_questions.history",
    "hookimpl": "_plugins.markers",
    "kernel": "_questions.simulate",
    "mapped": "_questions.image",
    "simulate": "_questions.simulate",
    "simulate_trace": "_traces.simulation",
    "sweep": "_batches.sweep",
    "switch": "_values.kernel",
    "targets": "_questions.targets",
    "walk": "_questions.image",
    "walk_many": "_questions.walk_many",
}

__all__ = [
    "Architecture",
    "CacheGeometry",
    "Change",
    "Cost",
    "Costs",
    "Difference",
    "Geometry",
    "History",
    "Kernel",
    "Lowering",
    "ManyWalks",
    "MmRules",
    "Parameter",
    "Platform",
    "Report",
    "Result",
    "Results",
    "Setting",
    "ShootdownError",
    "Story",
    "Sweep",
    "Target",
    "TlbGeometry",
    "TraceResult",
    "Translation",
    "Verdict",
    "Workload",
    "compare",
    "diff",
    "explore",
    "history",
    "hookimpl",
    "kernel",
    "mapped",
    "simulate",
    "simulate_trace",
    "sweep",
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

    module, _, own_name = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(f"shootdown.{module}"), own_name or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
