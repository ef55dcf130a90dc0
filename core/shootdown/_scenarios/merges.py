"""Merges of the feed: whether each kept the change that it carries.

A merge has no behaviour of its own. Its regression run is that of a commit that it brings in: under the first parent,
which lacks the commit, under the second, which has it, and under the merge. The merge may be no worse than the better
of its parents.
"""

from __future__ import annotations

import attrs

from shootdown._explore.problem import Problem
from shootdown._scenarios import compound_head, hole_punch
from shootdown._values.parameter import Parameter
from shootdown._values.scenario import Expect, Scenario
from shootdown._values.setup import Setup

#: Whether each tree has the commit that the merge carries.
_HAS = {"merge": True, "first": False, "second": True}

_TREE = Parameter("tree", "merge", "which tree: the merge, or one of its parents", choices=tuple(_HAS))


def _merge(commit: str, carried: Scenario, summary: str, first: str) -> Scenario:
    """Return the scenario that is the regression run of a merge.

    Args:
        commit: the merge.
        carried: the scenario of the commit that its second parent brings.
        summary: one line.
        first: the verdict under the first parent.
    """

    def build(scene: Setup) -> Problem:
        switches = {p.name: p.default for p in carried.switches}
        values = {**switches, **scene.values, "fix": _HAS[scene["tree"]]}
        return carried.build(attrs.evolve(scene, values=values))

    return Scenario(
        name=f"merge-{commit}",
        summary=summary,
        source=f"{commit}, {carried.source}",
        build=build,
        sentences=carried.sentences,
        parameters=(_TREE, *carried.parameters),
        flushes=carried.flushes,
        window=carried.window,
        expected=tuple(
            Expect(verdict, arch=arch, parameters={"tree": tree})
            for arch in ("x86", "arm64")
            for tree, verdict in (("merge", "safe"), ("second", "safe"), ("first", first))
        ),
    )


MERGES = (
    _merge(
        "2d338201d531",
        compound_head.COMPOUND_HEAD,
        "the merge that brings the single compound_head() of page_add_file_rmap()",
        "safe",
    ),
    _merge(
        "aa99f3c2b9c7",
        hole_punch.HOLE_PUNCH_FILL,
        "the merge that brings mapping->invalidate_lock",
        "bug",
    ),
)
