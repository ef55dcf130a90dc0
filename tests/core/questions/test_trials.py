"""Trials: equal kernels and equal machines are tried once, and a search can be given a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from shootdown import ShootdownError
from shootdown._plugins.registry import registry
from shootdown._questions.trials import THIS_RELEASE, Outcome, Trials, program_named
from shootdown._values.releases import changes_of

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "late_flush.py"


def trials(program: str, arch: str = "x86", platform: str = "qemu-tcg", **given: object) -> Trials:
    installed = registry()
    return Trials(
        program_named(program),
        installed.architecture(arch),
        installed.platform(arch, platform),
        **given,  # type: ignore[arg-type]
    )


def test_releases_with_equal_switches_are_tried_once() -> None:
    tried = trials("hugetlb-munmap")
    first, second = (changes_of(name, tried.architecture)[0] for name in ("6.12.40", "6.12.60"))
    assert tried.of(first) is tried.of(second)
    assert tried.runs == 1


def test_kernels_that_differ_in_what_the_program_does_not_do_are_run_once() -> None:
    """7.2 brings khugepaged below PMD order, which munmap() of hugetlb memory has nothing to do with."""
    tried = trials("hugetlb-munmap")
    first, _ = changes_of("7.2", tried.architecture)
    second = tuple(change for change in first if change.commit != "90ed32d00054")
    assert tried.kernel(first) != tried.kernel(second)
    assert tried.machine(first) == tried.machine(second)
    tried.of(first)
    tried.of(second)
    assert tried.runs == 1


def test_changes_count_in_the_order_of_the_table_however_they_come() -> None:
    tried = trials("hugetlb-munmap")
    changes, _ = changes_of("7.0", tried.architecture)
    assert tried.kernel(reversed(changes)) == tried.kernel(changes)
    assert tried.kernel(changes).unshare_sync == "last-sharer"


def test_a_kernel_without_a_name_is_called_this_release() -> None:
    tried = trials("hugetlb-mremap")
    outcome = tried.of(changes_of("5.10", tried.architecture)[0])
    assert not outcome.supported
    assert str(outcome.reason).endswith(f"{THIS_RELEASE} lacks it")


def test_a_search_that_takes_longer_than_it_may_is_inconclusive() -> None:
    tried = trials("nested-flush", most_seconds=0)
    outcome = tried.of(changes_of("7.0", tried.architecture)[0])
    assert outcome.verdict == "inconclusive"
    assert outcome.reason == "it took more than 0 s"


def test_a_contradiction_on_one_release_is_why_it_cannot_run() -> None:
    """Not an error: other releases can. Whoever asks about one release alone is told."""
    settings = ["kernel.pti=true", "platform.flush=invlpgb", "platform.invlpgb=true"]
    tried = trials("hugetlb-munmap", platform="amd-server", settings=settings)
    late, early = (changes_of(name, tried.architecture)[0] for name in ("7.0", "6.15"))
    assert "cannot both hold" in str(tried.of(late).reason)
    assert tried.of(early).supported
    with pytest.raises(ShootdownError, match="cannot both hold"):
        tried.case(late)


def test_a_bug_is_said_with_its_invariant() -> None:
    assert Outcome(verdict="bug", invariant="gup-fast").said == "bug gup-fast"
    assert Outcome(verdict="livelock", invariant="livelock").said == "livelock"
    assert Outcome(verdict="safe").said == "safe"


def test_a_scenario_can_be_a_file() -> None:
    assert program_named(str(EXAMPLE)).kind == "scenario"
