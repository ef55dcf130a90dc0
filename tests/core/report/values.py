"""Results, verdicts and stories made by hand, for tests of reports."""

from __future__ import annotations

from typing import Any

from shootdown._explore.story import Atom, Line, Story
from shootdown._questions.explore import Verdict
from shootdown._values.result import COUNTS, Result, Span

SECOND = 1e9


def span(likely: float, low: float | None = None, high: float | None = None) -> Span:
    """Make a span; a single number has no range."""
    return Span(likely if low is None else low, likely, likely if high is None else high)


def result(kernel: str = "7.0", *, counts: dict[str, int] | None = None, **given: Any) -> Result:
    """Make a row of a comparison; counts that are not given are zero."""
    usual: dict[str, Any] = {
        "arch": "x86", "platform": "intel-server", "workload": "hugetlb-munmap", "parameters": {"tables": 1},
        "cpus": 8, "set": {}, "supported": True, "reason": None, "remarks": (),
        "times": {"elapsed_ns": span(2 * SECOND), "system_ns": span(3 * SECOND), "lost_ns": span(0.0)},
    }  # fmt: skip
    return Result(
        **{**usual, "kernel": kernel, "counts": {**dict.fromkeys(COUNTS, 0), **(counts or {})}, **given}
    )


def refused(kernel: str, reason: str, **given: Any) -> Result:
    """Make a row that could not be run."""
    return result(kernel, **{"supported": False, "reason": reason, "times": {}, **given})


def verdict(kernel: str = "7.0", said: str = "safe", **given: Any) -> Verdict:
    """Make the verdict of an exploration."""
    usual: dict[str, Any] = {
        "scenario": "unshare-gup", "arch": "x86", "platform": "intel-server", "set": {}, "parameters": {},
        "invariant": None, "states": 0, "transitions": 0, "depth": 0, "reason": None, "remarks": (),
        "reached": frozenset(),
    }  # fmt: skip
    return Verdict(**{**usual, "kernel": kernel, "verdict": said, **given})


def atom(function: str, text: str, *changed: str, cpu: int = 0, **given: Any) -> Atom:
    """Make one step of a story."""
    return Atom(function, given.pop("file", "mm/hugetlb.c"), text, changed, cpu, **given)


#: Two CPUs take part, a third takes no step. CPU 0 unshares a table that CPU 1 then reads.
STORY = Story(
    lanes=("munmap", "gup_fast", "another process"),
    lines=(
        Line(1, 0, "munmap", "task", "step 0", (
            atom("huge_pmd_unshare", "clear the PUD entry", "the entry of slot 0 is none"),
            atom("huge_pmd_unshare", "drop the count"),
        )),
        Line(2, 1, "gup_fast", "hardware walker", "walk 1", (atom("", "use a cached entry", cpu=1, file=""),)),
        Line(3, 1, "gup_fast", "task", "step 1", (
            atom("gup_fast", "read a <freed> table", "read: freed", cpu=1, file="mm/gup.c"),
        ), bad=True),
    ),
    invariant="no-stale-walk",
    sentence="nobody walks a table of somebody else",
    ending=("gup_fast() read a table that is freed",),
    state="0123abcd",
)  # fmt: skip


def bug(**given: Any) -> Verdict:
    """Make the verdict that has `STORY`."""
    return verdict(
        **{
            "said": "bug", "invariant": STORY.invariant, "story": STORY, "states": 12_345, "transitions": 23_456,
            "depth": 3, **given,
        }
    )  # fmt: skip
