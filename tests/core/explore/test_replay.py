"""Replays: what --json printed happens in the timed engine and reaches the same bad state, or one line says why not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.explore.expected import explored
from tests.core.explore.test_stories import BUGS, DEADLOCK

from shootdown._compilation.running import runnable
from shootdown._explore.engine import Explorer
from shootdown._explore.labels import read_move
from shootdown._explore.telling import digest, retell
from shootdown._explore.walk import random_walk
from shootdown._questions.explore import explorations, explore_case
from shootdown._questions.saved import _asked, read_rows, replay_row, timed
from shootdown._timed.replay import replay, wide
from shootdown._values.errors import ShootdownError
from shootdown._values.scenario import Expect


def saved(**choices: Any) -> dict[str, Any]:
    (case,) = explorations("unshare-gup", **choices)
    rows: dict[str, Any] = json.loads(json.dumps({"rows": [explore_case(case, stories=True).to_dict()]}))
    return rows


@pytest.fixture(scope="module")
def original() -> dict[str, Any]:
    return saved(arch=["arm64"], kernels=["6.15"])


def replayed(document: dict[str, Any]) -> Any:
    (row,) = read_rows(json.dumps(document), "FILE")
    return replay_row(row, "FILE")


@pytest.mark.parametrize(("name", "expect"), BUGS)
def test_each_bug_of_each_scenario_replays(name: str, expect: Expect) -> None:
    verdict = explored(name, expect)
    (row,) = read_rows(json.dumps({"rows": [verdict.to_dict()]}), "FILE")
    found = replay_row(row, "FILE")
    assert verdict.story is not None
    assert found.story == verdict.story
    layout = found.machine.layout
    assert layout.most > 0xFFFF  # cells are wide
    for run in found.runs.values():
        assert digest(run.state, layout) == verdict.story.state
        assert run.moves == verdict.depth
    assert found.runs["low"].elapsed <= found.runs["likely"].elapsed <= found.runs["high"].elapsed


def test_a_deadlock_replays_with_the_file_that_defines_its_scenario() -> None:
    (case,) = explorations(DEADLOCK, arch=["x86"])
    (row,) = read_rows(json.dumps({"rows": [explore_case(case, stories=True).to_dict()]}), "FILE")
    assert replay_row(row, "FILE", DEADLOCK).story.invariant == "deadlock"
    with pytest.raises(ShootdownError, match="unknown scenario 'abba'"):
        replay_row(row, "FILE")


@settings(max_examples=40)
@given(
    st.integers(1, 2**62),
    st.sampled_from(
        [
            ("x86", "6.16", ""),
            ("arm64", "7.0", ""),
            ("x86", "7.0", "platform.flush=kvm"),
            ("riscv", "7.0", ""),
        ]
    ),
    st.sampled_from(["low", "likely", "high"]),
)
def test_any_walk_of_the_explorer_is_a_run_of_the_timed_engine(
    seed: int, where: tuple[str, str, str], which: str
) -> None:
    arch, kernel, what_if = where
    (case,) = explorations(
        "unshare-walk-cache", arch=[arch], kernels=[kernel], settings=[what_if] if what_if else []
    )
    problem = case.program.build(case.setup())
    explorer = Explorer(problem)
    labels = np.zeros(300, np.int64)
    made, _ = runnable(random_walk)(explorer.first.copy(), *explorer.program, labels, seed)
    from shootdown._explore.telling import _Teller

    teller = _Teller(explorer)
    for label in labels[:made].tolist():
        teller.make(label)
    moves = [(read_move(line.move), len(line.atoms)) for line in teller.lines]
    run = replay(wide(problem.machine), case.platform, [_asked(*move) for move in moves], which=which)
    assert run.moves == made
    layout = problem.machine.layout
    assert digest(run.state, layout) == digest(teller.state, layout)
    assert retell(explorer, moves, "walk-cache").state == digest(teller.state, layout)


def test_each_cpu_does_one_thing_at_a_time_and_effects_keep_the_order_of_the_story() -> None:
    (case,) = explorations(
        "unshare-gup", arch=["x86"], kernels=["6.15"], settings=["platform.flush=broadcast"]
    )
    verdict = explore_case(case, stories=True)
    _, run = timed(verdict)
    ends = [piece.end for piece in run.slices]
    assert ends == sorted(ends)
    for cpu in {piece.cpu for piece in run.slices}:
        own = [piece for piece in run.slices if piece.cpu == cpu]
        assert all(a.end <= b.begin for a, b in pairwise(own) if a.end > a.begin)
    assert run.elapsed == ends[-1]


def test_a_walker_that_is_overtaken_has_to_be_held_up(original: dict[str, Any]) -> None:
    found = replayed(original)
    walker = found.story.lines[-1].cpu
    held = [found.runs[which].held[walker] for which in ("low", "likely", "high")]
    assert 0 < held[0] < held[1] < held[2]


def _drop_a_move(row: dict[str, Any]) -> None:
    del row["story"][5]


def _swap_moves(row: dict[str, Any]) -> None:
    row["story"][4]["move"], row["story"][5]["move"] = row["story"][5]["move"], row["story"][4]["move"]


def _stop_early(row: dict[str, Any]) -> None:
    del row["story"][-1]


def _go_on(row: dict[str, Any]) -> None:
    row["story"].append(row["story"][0])


def _say_something_else(row: dict[str, Any]) -> None:
    row["story"][3]["step"] = "nothing"


def _other_state(row: dict[str, Any]) -> None:
    row["story"][-1]["state"] = "0" * 16


def _other_kernel(row: dict[str, Any]) -> None:
    row["kernel"] = "7.0"


def _other_invariant(row: dict[str, Any]) -> None:
    row["invariant"] = "walk-cache"


def _more_steps(row: dict[str, Any]) -> None:
    row["story"][0]["steps"] += 1


def _task_that_is_not_there(row: dict[str, Any]) -> None:
    row["story"][0]["move"] = "step 9"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_drop_a_move, "does not replay"),
        (_swap_moves, "does not replay"),
        (_stop_early, "no invariant is broken"),
        (_go_on, "does not replay: move 15 of 15: an invariant is broken before it"),
        (_say_something_else, "'step' of move 'step 0' is 'pud_clear' here, not 'nothing'"),
        (_other_state, "'state' of move"),
        (_other_kernel, "does not replay"),
        (_other_invariant, "it breaks 'gup-fast', not 'walk-cache'"),
        (_more_steps, "does not replay"),
        (_task_that_is_not_there, "move 1 of 14: it is not possible then"),
        (lambda row: row.update(arch="vax"), "row 1: unknown architecture|row 1: there is no architecture"),
        (lambda row: row.update(kernel="x"), "row 1: "),
        (lambda row: row.update(platform="pdp"), "row 1: "),
        (lambda row: row.update(parameters={"sharers": 99}), "row 1: -p sharers=99"),
        (lambda row: row.update(set={"kernel.nothing": "1"}), "row 1: there is no switch"),
        (lambda row: row.update(story=[]), "its story is empty"),
        (lambda row: row.update(story="x"), "row 1 has an unusable 'story'"),
        (lambda row: row.pop("set"), "row 1 has no 'set'"),
        (lambda row: row["story"][2].pop("move"), "move 3: it has no 'move'"),
        (lambda row: row["story"][2].update(move="fly 1"), "move 3: 'fly 1' is no move"),
        (lambda row: row["story"][2].update(move=""), "move 3: '' is no move"),
        (lambda row: row["story"][2].update(steps=0), "move 3: 'steps' is no number of steps"),
        (lambda row: row["story"].__setitem__(1, 7), "move 2: it has no 'move'"),
        (lambda row: row.update(verdict="safe"), "no story to replay: its verdict is safe"),
    ],
)
def test_what_was_tampered_with_is_refused_in_one_line(
    original: dict[str, Any], spoil: Callable[[dict[str, Any]], object], says: str
) -> None:
    document = copy.deepcopy(original)
    spoil(document["rows"][0])
    with pytest.raises(ShootdownError, match=says) as error:
        replayed(document)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("FILE: row 1")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '{"rows": []}', '{"rows": [3]}', '{"rows": 3}', "[" * 100_000, "9" * 5000],
)
def test_what_is_no_document_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ShootdownError, match="FILE: ") as error:
        read_rows(text, "FILE")
    assert "\n" not in str(error.value)


@settings(max_examples=60)
@given(cut=st.integers(0, 9000))
def test_a_file_that_was_cut_off_is_refused_wherever_it_ends(cut: int) -> None:
    text = json.dumps(_whole())
    if cut >= len(text):
        return
    with pytest.raises(ShootdownError, match="FILE: no JSON, or cut off"):
        read_rows(text[:cut], "FILE")


_kept: dict[str, Any] = {}


def _whole() -> dict[str, Any]:
    if not _kept:
        _kept.update(saved(arch=["arm64"], kernels=["6.15"]))
    return _kept
