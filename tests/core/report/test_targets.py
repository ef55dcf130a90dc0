"""The table of targets: platforms and kernels that agree share a row, reasons are footnotes."""

from __future__ import annotations

from typing import Any

import pytest

from shootdown._questions.targets import ALL, LAZY, NONE, PATHS, Left, Target
from shootdown._report.targets import cells, groups, lines, markdown


def target(
    kernel: str = "7.0", platform: str = "neoverse-v2", *, left: dict[str, Left] | None = None, **given: Any
) -> Target:
    """Make a target whose flush leaves nothing, unless told otherwise by path."""
    usual: dict[str, Any] = {
        "arch": "arm64", "flush_differs_with_freed_tables": True, "honours_unshared_tables": True,
        "walk_cache_dropped": True, "lazy_cpus_keep_entries": False, "sync": "needed",
        "reason": "it flushes everything", "evidence": {},
        "stale_after": {path: Left(NONE, ()) for path in PATHS} | (left or {}),
    }  # fmt: skip
    return Target(**{**usual, "kernel": kernel, "platform": platform, **given})


def test_platforms_on_which_every_kernel_does_the_same_share_a_group() -> None:
    found = groups([target(k, p) for p in ("neoverse-v2", "cortex-x3") for k in ("6.4", "7.0")])
    assert [(group.arch, group.platforms) for group in found] == [("arm64", ("neoverse-v2", "cortex-x3"))]


def test_a_platform_that_differs_on_one_kernel_has_a_group_of_its_own() -> None:
    found = groups([target("7.0", "neoverse-v2"), target("7.0", "cortex-x3", reason="another one")])
    assert [group.platforms for group in found] == [("neoverse-v2",), ("cortex-x3",)]


def test_neighbouring_kernels_that_do_the_same_share_a_row_and_others_do_not() -> None:
    stale = {"munmap": Left(ALL, ("walk-cache",))}
    (group,) = groups([target("6.4"), target("6.6"), target("7.0", left=stale), target("7.1")])
    assert [kernels for kernels, _ in group.rows] == [("6.4", "6.6"), ("7.0",), ("7.1",)]


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ({}, "yes"),
        (dict.fromkeys(PATHS, Left(ALL, ("walk-cache",))), "NO: stale"),
        ({"munmap": Left(ALL, ("walk-cache",))}, "NO: stale (munmap)"),
        ({"exit": Left(ALL, ("walk-cache", "tlb"))}, "NO, nor TLB (exit)"),
        (dict.fromkeys(PATHS, Left(LAZY, ("walk-cache",))), "not if lazy"),
        (
            {"munmap": Left(ALL, ("walk-cache",)), "mprotect": Left(LAZY, ("tlb",))},
            "NO: stale (munmap); not if lazy (mprotect)",
        ),
    ],
)
def test_a_cell_says_after_which_calls_entries_survive_and_where(left: dict[str, Left], said: str) -> None:
    assert cells(target(left=left))[-2] == said


def test_a_missing_sync_is_shouted_and_what_does_not_apply_is_a_dash() -> None:
    assert cells(target(sync="missing"))[-1] == "MISSING"
    nothing = target(
        flush_differs_with_freed_tables=None, honours_unshared_tables=None, walk_cache_dropped=None,
        sync="not-applicable",
    )  # fmt: skip
    assert cells(nothing)[-4:] == ("-", "-", "-", "not-applicable")


def test_a_reason_that_several_rows_have_is_one_footnote() -> None:
    shown = list(lines([target("6.4"), target("7.0", sync="missing"), target("7.1", reason="another")], 100))
    assert [line for line in shown if line.startswith("[")] == ["[1] it flushes everything", "[2] another"]
    assert next(line for line in shown if line.startswith("7.0")).endswith("[1]")


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_table_fits_its_terminal(width: int) -> None:
    found = [target(k, p, sync="missing") for p in ("a", "b") for k in ("6.4", "7.0")]
    assert max(map(len, lines(found, width))) <= width


def test_where_entries_survive_a_command_shows_how() -> None:
    shown = list(lines([target(left={"munmap": Left(ALL, ("walk-cache",))})], 120))
    assert shown[-1].strip() == (
        "shootdown explain hugetlb-munmap -p threads=2 --arch arm64 --platform neoverse-v2 --kernel 7.0 --cpus 6"
    )
    assert not any("shootdown explain" in line for line in lines([target()], 120))


def test_if_only_lazy_cpus_keep_entries_the_command_makes_cpus_lazy() -> None:
    shown = list(lines([target(left={"exit": Left(LAZY, ("tlb",))})], 120))
    assert "hugetlb-exit -p threads=2 -p state=lazy" in shown[-1]


def test_a_page_of_the_documentation_has_the_same_rows_with_numbers_for_reasons() -> None:
    written = list(markdown([target("6.4"), target("7.0", reason="another")]))
    assert written[2:4] == [
        "| arm64 | neoverse-v2 | 6.4 | yes | yes | yes | needed | 1 |",
        "| arm64 | neoverse-v2 | 7.0 | yes | yes | yes | needed | 2 |",
    ]
    assert written[-2:] == ["1. it flushes everything.", "2. another."]
