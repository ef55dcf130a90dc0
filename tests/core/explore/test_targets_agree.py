"""`targets`, judged by timed runs, and exploration, which tries every interleaving, say the same of each target."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest
from tests.core.explore.every_target import every_target

from shootdown._questions.explore import explorations, explore_case
from shootdown._questions.targets import ALL, LAZY, NONE, PATHS, Target
from shootdown._questions.targets_of import targets
from shootdown._report.targets import Group, groups

#: What-ifs in which something else than by default flushes or waits.
_WHAT_IFS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("arm64", "7.0", ("kernel.page_size=16k", "kernel.va_bits=47")),
    ("arm64", "7.3.4", ("kernel.page_size=16k", "kernel.va_bits=47")),
    ("powerpc", "7.0", ("kernel.pmd_sharing=true",)),
    ("x86", "7.0", ("kernel.honour_unshared_tables=true",)),
    ("x86", "7.0", ("kernel.unshare_sync=none", "platform.flush=invlpgb")),
)


@cache
def judged() -> list[tuple[Group, Target, tuple[str, ...]]]:
    """Return one target of each group of platforms and kernels that do the same, with its what-ifs."""
    found = [(group, target, ()) for group in groups(every_target()) for _, target in group.rows]
    found += [
        (group, target, settings)
        for arch, kernel, settings in _WHAT_IFS
        for group in groups(targets(arch=[arch], kernels=[kernel], settings=settings))
        for _, target in group.rows
    ]
    return [entry for entry in found if entry[1].stale_after]


def verdict(target: Target, scenario: str, settings: Sequence[str], **parameters: object) -> str:
    (case,) = explorations(
        scenario,
        arch=[target.arch],
        platforms=[target.platform],
        kernels=[target.kernel],
        parameters=parameters,
        settings=settings,
    )
    return explore_case(case).verdict


def without(settings: Sequence[str], name: str) -> list[str]:
    return [text for text in settings if not text.startswith(f"{name}=")]


def name(target: Target, settings: Sequence[str]) -> str:
    return "-".join((target.arch, target.platform, target.kernel, *settings))


#: One target in four in the short tests. They are judged when a test runs, not when tests are collected.
PARTS = [pytest.param(part, marks=[pytest.mark.long] if part else []) for part in range(4)]


@pytest.mark.parametrize("part", PARTS)
def test_the_sync_is_needed_where_gup_fast_goes_wrong_without_it(part: int) -> None:
    for _, target, settings in judged()[part::4]:
        unsynced = [*without(settings, "kernel.unshare_sync"), "kernel.unshare_sync=none"]
        without_sync, as_it_is = (verdict(target, "unshare-gup", each) for each in (unsynced, settings))
        assert {
            "needed": ("bug", "safe"),
            "missing": ("bug", "bug"),
            "redundant": ("safe", "safe"),
            "not-applicable": ("not-applicable", "not-applicable"),
        }[target.sync] == (without_sync, as_it_is), name(target, settings)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("part", PARTS)
def test_an_entry_is_left_where_a_hardware_walker_can_use_it(part: int, path: str) -> None:
    expected = {NONE: ("safe", "safe"), LAZY: ("safe", "bug"), ALL: ("bug", "bug")}
    for _, target, settings in judged()[part::4]:
        found = tuple(
            verdict(target, "unshare-walk-cache", settings, path=path, lazy=lazy) for lazy in (False, True)
        )
        assert found == expected[target.stale_after[path].cpus], name(target, settings)
