"""What a thread of a program uses over and over, as its steps say it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from shootdown._machine import ops as o
from shootdown._plugins.registry import registry
from shootdown._programs.working_set import reach
from shootdown._questions.case import Question, prepare
from shootdown._questions.subjects import workload_named

#: Base pages of the second-level TLB of intel-server.
MOST = 2048


def uses(do: str, *, size: str = "256K", kind: str = "anonymous", **given: Any) -> list[tuple[int, bool]]:
    """Return what a thread uses, and whether it computes, each time that its steps say it."""
    program = {"memory": {"m": {"kind": kind, "size": size}}, "process": {"A": {"do": do}}}
    known = registry()
    settings = {f"platform.{name}": str(value).lower() for name, value in given.items()}
    case = prepare(
        Question(
            workload_named(program), known.architecture("x86"), known.platform("x86", "intel-server"), "7.0",
            cpus=2, settings=settings,
        )
    )  # fmt: skip
    steps = case.program.build(case.setup()).code.steps.reshape(-1, 5)
    found = steps[(steps[:, 0] == o.NOTE) & (steps[:, 1] == o.NOTE_USES)]
    return [(int(step[2]), bool(step[4])) for step in found]


@pytest.mark.parametrize(
    ("do", "expected"),
    [
        ("work 1us", []),
        ("touch m; work 1us", [(64, False), (64, True)]),
        ("touch m[0:8K]; touch m[128K:]; work 1us", [(2, False), (34, False), (34, True)]),
        ("touch m; work 1us; munmap m", [(64, False), (64, True), (0, False)]),
        ("touch m; madvise m DONTNEED; work 1us", [(64, False), (0, False)]),
        ("touch m; mprotect m read; spin", [(64, False), (64, True)]),
        ("touch m random 5; work 1us", [(5, False), (5, True)]),
    ],
)
def test_it_uses_what_it_touched_and_has_not_given_up(do: str, expected: list[tuple[int, bool]]) -> None:
    assert uses(do) == expected


def test_what_is_gone_through_piece_by_piece_is_not_used_over_and_over() -> None:
    assert uses("each 4K of m { touch it; madvise it DONTNEED; touch it read }") == []


def test_a_tlb_holds_no_more_and_threads_of_a_core_share_it() -> None:
    assert uses("touch m; work 1us", size="1G", kind="anonymous")[-1] == (MOST, True)
    assert uses("touch m; work 1us", size="1G", kind="anonymous", smt=2)[-1] == (MOST // 2, True)


def test_a_huge_page_has_one_translation() -> None:
    assert uses("touch m; work 1us", size="8M", kind="thp")[-1] == (4, True)
    assert uses("touch m; work 1us", size="8M", kind="hugetlb")[-1] == (4, True)


def test_without_the_switch_no_step_says_it() -> None:
    assert uses("touch m; work 1us", refill=False) == []


def test_nothing_is_known_of_a_machine_without_tlbs() -> None:
    platform = registry().platform("x86", "intel-server")
    assert reach(platform, 4096) == MOST
    assert reach(attrs.evolve(platform, tlb=None), 4096) == 0
    assert reach(platform, 8192) == 0
