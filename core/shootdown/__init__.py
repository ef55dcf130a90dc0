"""Emulate how Linux tears down and unshares page tables, on each architecture.

    import shootdown
    rows = shootdown.compare("hugetlb-munmap", kernels=["6.12.73", "7.0"], parameters={"tables": 4})
    rows[0].counts["sync_ipis"]

`help(shootdown.NAME)` explains a name of this page. Further public modules: `shootdown.formats` (page tables),
`shootdown.porting` (flushes and platforms of an architecture), `shootdown.kernels` (walks of one's own),
`shootdown.measured`, `shootdown.scenarios`, `shootdown.patches`, `shootdown.testing`.

To ask:

    compare          run a workload on every combination: a row for each, with counts and times
    explain          run a workload once: who caused each interrupt, step by step
    explore          try every interleaving of a scenario: a verdict for each combination
    history          run a program on every release that is known: since when it does what it does
    diff             tell two kernels apart: switches, counts, times, verdicts, with the commits
    targets          judge what unsharing a table does on every platform
    sweep            run a design of many points, and go on where it was stopped
    simulate         run one prepared case with the low, likely and high end of each cost
    kernel           return the kernel of a release on an architecture, with what-ifs
    walk, walk_many  translate addresses with the page tables in an image of memory
    mapped           list all that page tables map
    simulate_trace   count what the TLBs of a trace do

To describe an architecture, a platform or a workload:

    Architecture     everything that an architecture's plugin defines: the porting guide, in stages
    Lowering         how one kernel on one platform flushes
    Geometry         the levels of the page tables, as flushes see them
    MmRules          how context switches treat address spaces
    Kernel           one kernel generation, as switches
    switch           declare a switch: a field with its sentence and its range
    Change           what one commit changed, and which releases have it
    Platform         a CPU model and hypervisor, with its costs and TLBs
    Costs            what each step and interrupt costs, a sentence for each field
    Cost             a time as a range, with its source
    TlbGeometry      the translation caches of one CPU
    CacheGeometry    one set-associative cache of translations
    Workload         processes and the calls that they make
    Parameter        what can be chosen of a workload or scenario
    Setting          what a workload's or scenario's `build` gets
    Report           a form of output that a plugin adds
    Expected         a defect of real kernels or machines that `shootdown check` is to find
    hookimpl         mark a function as the implementation of a hook

What comes back:

    Results, Result  rows of `compare`; counts are exact, times are ranges
    Explanation      one run, and everything that explains it
    Verdict, Story   what `explore` found, and how a bug comes about
    History          ranges of releases that do the same
    Difference       what is different between two kernels
    Target           what unsharing does on one target
    Sweep            the points of a design that are done
    Translation      what became of an address
    ManyWalks        what became of many
    TraceResult      what the TLBs of a trace did
    ShootdownError   a request that can't be served; the message says what to do

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
    from shootdown._questions.difference import diff
    from shootdown._questions.differing import Difference
    from shootdown._questions.explore import Verdict, explore
    from shootdown._questions.history import History, history
    from shootdown._questions.image import Translation, mapped, walk
    from shootdown._questions.simulate import kernel, simulate
    from shootdown._questions.targets import Target
    from shootdown._questions.targets_of import targets
    from shootdown._questions.walk_many import walk_many
    from shootdown._report.explaining import explain
    from shootdown._report.explanation import Explanation
    from shootdown._tlb.geometry import CacheGeometry, TlbGeometry
    from shootdown._traces.simulation import TraceResult, simulate_trace
    from shootdown._values.architecture import Architecture
    from shootdown._values.changes import Change
    from shootdown._values.expected import Expected
    from shootdown._values.kernel import Kernel, switch
    from shootdown._values.lowering import Geometry, Lowering, MmRules
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
    "Difference": "_questions.differing",
    "Explanation": "_report.explanation",
    "Expected": "_values.expected",
    "Geometry": "_values.lowering",
    "History": "_questions.history",
    "Kernel": "_values.kernel",
    "Lowering": "_values.lowering",
    "ManyWalks": "_pagetables.walk_many",
    "MmRules": "_values.lowering",
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
    "explain": "_report.explaining",
    "explore": "_questions.explore",
    "history": "_questions.history",
    "hookimpl": "_plugins.markers",
    "kernel": "_questions.simulate",
    "mapped": "_questions.image",
    "simulate": "_questions.simulate",
    "simulate_trace": "_traces.simulation",
    "sweep": "_batches.sweep",
    "switch": "_values.kernel",
    "targets": "_questions.targets_of",
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
    "Expected",
    "Explanation",
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
    "explain",
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
    """List the public names; to `help()` none, as the page above has them and each would be printed whole."""
    import sys

    frame = sys._getframe(1)
    for _ in range(3):
        if frame.f_globals.get("__name__") == "pydoc":
            return ["__doc__"]
        if frame.f_back is None:
            break
        frame = frame.f_back
    return __all__
