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


WRONG = """
from shootdown.scenarios import Scenario
def build(scene):
    {build}
def refuse(scene):
    return {refuse}
SCENARIO = Scenario(name="wrong", summary="its own fault", source="here", build=build, refuse=refuse)
"""


@pytest.mark.parametrize(
    ("build", "refuse", "said"),
    [
        ("raise KeyError('boom')", "None", "build.*KeyError"),
        ("return 7", "None", "build.*returned 7"),
        ("pass", "7", "refuse.*returned 7"),
    ],
)
def test_a_program_that_is_wrong_is_an_error_and_no_release_is_said_to_lack_something(
    tmp_path: Path, build: str, refuse: str, said: str
) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(WRONG.format(build=build, refuse=refuse))
    tried = trials(str(file))
    changes, _ = changes_of("7.0", tried.architecture)
    for ask in (tried.machine, tried.of, tried.of):
        with pytest.raises(ShootdownError, match=said):
            ask(changes)


def test_a_kernel_whose_machine_can_not_be_built_says_so_whether_or_not_its_machine_was_asked_for_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unwritten(*_: object) -> None:
        raise ShootdownError("this flush is not written yet")

    monkeypatch.setattr("shootdown._questions.trials.key_of", unwritten)
    tried = trials("hugetlb-munmap")
    changes, _ = changes_of("7.0", tried.architecture)
    assert tried.machine(changes) is None
    assert tried.of(changes).reason == "this flush is not written yet"
