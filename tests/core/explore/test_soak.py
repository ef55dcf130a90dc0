"""Random walks: a seed replays, and what they find is a story as any other."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.explore.test_stories import DEADLOCK

import shootdown
from shootdown import ShootdownError
from shootdown._explore.engine import Explorer
from shootdown._explore.soak import Soak
from shootdown._questions.explore import explorations, explore_case


def soaked(seed: int, walks: int = 4000, **choices: Any) -> shootdown.Verdict:
    (verdict,) = shootdown.explore(
        "unshare-walk-cache", arch=["arm64"], kernels=["7.0"], soak=walks, seed=seed, **choices
    )
    return verdict


def test_the_same_seed_walks_the_same_way() -> None:
    first, again = soaked(5), soaked(5)
    assert first == again
    assert first.story == again.story
    assert first.verdict == "bug"


def test_seeds_differ() -> None:
    assert len({soaked(seed).transitions for seed in range(6)}) > 1


def test_what_a_walk_finds_is_not_shorter_than_what_a_search_finds() -> None:
    (shortest,) = shootdown.explore("unshare-walk-cache", arch=["arm64"], kernels=["7.0"])
    for seed in range(4):
        verdict = soaked(seed)
        assert verdict.story is not None
        assert verdict.depth == len(verdict.story.lines) >= shortest.depth
        assert verdict.invariant == shortest.invariant
        assert any(f"--seed {seed}" in remark for remark in verdict.remarks)


def test_the_story_of_a_walk_has_no_move_to_spare() -> None:
    """Left out one by one, each move is needed for the others to lead there."""
    from shootdown._explore.soak import _replayed

    (case,) = explorations("unshare-walk-cache", arch=["arm64"], kernels=["7.0"])
    explorer = Explorer(case.program.build(case.setup()))
    outcome = Soak(4000, 9).walk(explorer)
    said = 2  # invariant 0 is violated
    assert _replayed(explorer, list(outcome.path), said) == list(outcome.path)
    for at in range(len(outcome.path)):
        rest = [*outcome.path[:at], *outcome.path[at + 1 :]]
        assert _replayed(explorer, rest, said) is None


def test_walks_that_find_nothing_prove_nothing() -> None:
    (verdict,) = shootdown.explore("unshare-gup", arch=["x86"], kernels=["7.0"], soak=50)
    assert verdict.verdict == "inconclusive"
    assert "50 random walks" in (verdict.reason or "")
    assert verdict.story is None
    assert verdict.reached


def test_walks_find_deadlocks() -> None:
    (case,) = explorations(DEADLOCK, arch=["x86"])
    verdict = explore_case(case, soak=Soak(100), stories=True)
    assert (verdict.verdict, verdict.invariant) == ("bug", "deadlock")
    assert verdict.story is not None
    assert len(verdict.story.ending) == 2


@pytest.mark.parametrize("bounds", [{"soak": 0}, {"states": 0}, {"memory": -1}])
def test_bounds_that_bound_nothing_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ShootdownError, match="from 1 on"):
        shootdown.explore("unshare-gup", **bounds)  # type: ignore[arg-type]
