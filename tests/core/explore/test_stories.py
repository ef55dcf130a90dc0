"""Stories: the moves of a search, made step by step, in the names of one machine."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.explore.expected import case_of, explored

from shootdown._compilation.running import runnable
from shootdown._explore.changes import Words, entry_words
from shootdown._explore.engine import Explorer
from shootdown._explore.outcome import Reductions
from shootdown._explore.telling import tell
from shootdown._machine import ops as o
from shootdown._machine.layout import set_cpu
from shootdown._mm.model import Model
from shootdown._plugins.registry import registry
from shootdown._questions.explore import Verdict, explorations, explore_case
from shootdown._values.scenario import Expect
from shootdown.scenarios import Problem, Scenario, Scene

BUGS = [
    pytest.param(name, expect, id=f"{name}-{expect.arch}-{expect.kernel}-{number}")
    for name, scenario in registry().scenarios().items()
    for number, expect in enumerate(scenario.expected)
    if expect.verdict == "bug"
]


def found(name: str, **choices: object) -> Verdict:
    (case,) = explorations(name, **choices)  # type: ignore[arg-type]
    return explore_case(case, stories=True)


@pytest.mark.parametrize(("name", "expect"), BUGS)
def test_each_bug_of_each_scenario_has_a_story_of_as_many_moves_as_it_is_deep(
    name: str, expect: Expect
) -> None:
    verdict = explored(name, expect)
    story = verdict.story
    assert story is not None
    assert len(story.lines) == verdict.depth
    assert [line.number for line in story.lines] == list(range(1, verdict.depth + 1))
    assert [line.bad for line in story.lines] == [False] * (verdict.depth - 1) + [True]
    assert story.invariant == verdict.invariant
    assert all(story.ending)
    assert all(line.atoms[0].text for line in story.lines)
    assert len(story.lanes) > max(line.cpu for line in story.lines)


@pytest.mark.parametrize("name", sorted(registry().scenarios()))
def test_each_invariant_of_a_scenario_is_explained_in_a_sentence(name: str) -> None:
    """Those of hardware walkers and of deadlocks are every machine's. Its variables have names, for stories."""
    scenario = registry().scenarios()[name]
    applies = [expect for expect in scenario.expected if expect.verdict != "not-applicable"]
    places = applies or [Expect("safe", arch="x86"), Expect("safe", arch="arm64")]
    case = next(case for case in map(case_of, [name] * len(places), places) if case.refusal() is None)
    problem = scenario.build(case.setup())
    assert set(problem.invariants) <= set(scenario.sentences) | {"walk-cache", "none"}
    assert all(text.endswith(".") for text in scenario.sentences.values())
    assert all(problem.machine.names), problem.machine.names


@pytest.mark.parametrize(
    ("reductions", "sharers"),
    [
        (Reductions(fuse=False), 2),
        (Reductions(dead=False), 3),
        (Reductions(symmetry=False), 3),
        (Reductions(False, False, False, False), 2),
    ],
)
def test_a_story_is_told_whatever_reductions_are_on(reductions: Reductions, sharers: int) -> None:
    (case,) = explorations("unshare-gup", arch=["arm64"], kernels=["6.15"], parameters={"sharers": sharers})
    story = explore_case(case, reductions=reductions, stories=True).story
    usual = explore_case(case, stories=True).story
    assert story is not None
    assert usual is not None
    assert [text.partition(" in ")[2] for text in story.ending] == [
        text.partition(" in ")[2] for text in usual.ending
    ]


def test_each_cpu_keeps_its_name_where_the_search_renames_like_parts() -> None:
    """With own-mm syncs the walker of the process that unshared first is missed: it stays one CPU throughout."""
    verdict = found(
        "unshare-gup",
        arch=["x86"],
        kernels=["7.0"],
        settings=["kernel.sync_targets=own-mm", "platform.flush=broadcast"],
        parameters={"sharers": 3},
    )
    story = verdict.story
    assert story is not None
    walks = {line.cpu for line in story.lines if any(a.function.startswith("gup_fast") for a in line.atoms)}
    assert len(walks) == 1
    assert story.lines[-1].cpu in walks
    syncs = [line.cpu for line in story.lines if line.atoms[0].function == "tlb_remove_table_smp_sync"]
    assert syncs
    assert not walks & set(syncs)


def test_the_walk_cache_entry_that_8ce720d5bd91_left_is_named() -> None:
    story = found("unshare-walk-cache", arch=["arm64"], kernels=["7.0"]).story
    assert story is not None
    changed = [text for line in story.lines for atom in line.atoms for text in atom.changed]
    assert "PUD entry of A: table → none" in changed
    assert "processes that map the table: 2 → 1" in changed
    assert "CPU 1's walk cache may still lead into the table for A" in changed
    assert "belongs to B" in story.ending[0] or "maps memory of its own" in story.ending[0]


def test_a_fixed_kernel_drops_what_the_story_needs() -> None:
    assert found("unshare-walk-cache", arch=["arm64"]).verdict == "safe"


def deadlock(scene: Scene) -> Problem:
    """Two tasks take two locks, each in its own order."""
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=2, files=2)
    for first in (0, 1):
        task = model.task(mm=first, cpu=first, ready=True)
        model.starts(task)
        with model.asm.function(f"path_{'ab'[first]}", "mm/example.c"):
            for lock in (first, 1 - first):
                where = model.locks.i_mmap + lock
                model.asm.lock(where, write=True, sleeps=False, text=f"lock {lock}")
            for lock in (0, 1):
                model.asm.unlock(model.locks.i_mmap + lock, write=True, text=f"lock {lock}")
        model.spin()
    return Problem(
        machine=model.build(bits=16, memory=scene.memory),
        invariants=("none",),
        lanes=("a then b", "b then a"),
    )


DEADLOCK = Scenario(name="abba", summary="two locks", source="an example", build=deadlock)


def test_a_deadlock_says_who_waits_for_what() -> None:
    (case,) = explorations(DEADLOCK, arch=["x86"])
    verdict = explore_case(case, stories=True)
    assert (verdict.verdict, verdict.invariant) == ("bug", "deadlock")
    assert verdict.story is not None
    assert verdict.story.sentence == "Nobody may wait for ever."
    assert set(verdict.story.ending) == {
        "CPU 0 waits for ever in path_a(): take lock 1",
        "CPU 1 waits for ever in path_b(): take lock 0",
    }
    assert verdict.story.lines[-1].bad


def test_a_step_on_the_way_back_from_an_answer_is_told_where_it_happens() -> None:
    """The last target that answers lets the sender go on: what that does is on the sender's CPU."""
    story = found("unshare-gup", arch=["arm64"], kernels=["6.15"]).story
    assert story is not None
    answered = [line for line in story.lines if line.who == "interrupt" and len(line.atoms) > 1]
    assert answered
    for line in answered:
        sender = int(line.move.split()[1])
        assert {atom.cpu for atom in line.atoms[1:]} == {sender}


@given(st.integers(0, 7), st.integers(0, 5))
def test_entries_are_told_by_their_bits(bits: int, page: int) -> None:
    words = entry_words(bits | page << o.ENTRY_PAGE_SHIFT)
    if bits == 0 and page == 0:
        assert words == "none"
        return
    assert words.startswith(f"page {page}")
    assert ("writable" in words) == bool(bits & o.ENTRY_WRITABLE)
    assert ("not present" in words) == (not bits & o.ENTRY_PRESENT)
    assert ("dirty" in words) == bool(bits & o.ENTRY_DIRTY)


@settings(max_examples=60)
@given(st.integers(1, 2**62), st.integers(1, 400))
def test_nothing_changed_says_nothing_and_any_walk_can_be_told(seed: int, most: int) -> None:
    """Walks at random, told step by step: telling asserts that each move leads where the explorer's leads."""
    from shootdown._explore.telling import _Teller
    from shootdown._explore.walk import random_walk

    (case,) = explorations("unshare-gup", arch=["x86"], kernels=["6.16"], parameters={"sharers": 3})
    explorer = Explorer(case.program.build(case.setup()))
    labels = np.zeros(most, np.int64)
    made, _ = runnable(random_walk)(explorer.first.copy(), *explorer.program, labels, seed)
    teller = _Teller(explorer)
    for label in labels[:made].tolist():
        teller.make(label)
    assert len(teller.lines) == made
    words = Words(explorer.problem.machine.layout)
    assert words.changed(teller.state, teller.state.copy()) == []


def test_a_story_needs_a_bug() -> None:
    (case,) = explorations("unshare-gup", arch=["x86"], kernels=["7.0"])
    explorer = Explorer(case.program.build(case.setup()))
    outcome = explorer.search()
    assert outcome.path == ()
    with pytest.raises(AssertionError):
        tell(explorer, attrs.evolve(outcome, invariant=None))


def test_of_more_cpus_than_a_word_holds_each_is_named() -> None:
    model = _model(20)
    model.starts(model.task(mm=0, cpu=0, ready=True))
    model.spin()
    layout = model.build(bits=16).layout
    assert layout.words == 2
    before = np.zeros(layout.size, np.int64)
    after = before.copy()
    set_cpu(after, layout, "lazy", 3)
    set_cpu(after, layout, "lazy", 18)
    assert Words(layout).changed(before, after) == ["CPU 3 is lazy", "CPU 18 is lazy"]


def test_what_a_program_keeps_for_itself_is_not_told_and_values_have_the_words_that_they_were_given() -> None:
    model = _model(1)
    page = model.variable(0, "the page", ("not mapped", "mapped").__getitem__)
    count = model.variable(0)
    model.starts(model.task(mm=None, cpu=0, ready=True))
    with model.asm.aside():
        model.asm.v_add(count, 1, o.SCRATCH)
    model.asm.set(o.INDEX, 0)
    model.asm.v_store(page, 1, text="map it")
    model.asm.v_load(o.SCRATCH, page, index=o.INDEX, text="look")
    model.asm.fail(0, text="there it is")
    explorer = Explorer(Problem(model.build(bits=16), ("rule",)))
    (line,) = tell(explorer, explorer.search()).lines
    assert [(atom.text, atom.changed) for atom in line.atoms if atom.tells] == [
        ("map it", ("the page: not mapped → mapped",)),
        ("look", ("reads mapped",)),
        ("there it is", ()),
    ]


def _model(cpus: int) -> Model:
    (case,) = explorations("unshare-gup", arch=["x86"], kernels=["7.0"])
    scene = case.setup()
    return Model(scene.kernel, scene.lowering, cpus=cpus, mms=1)


def test_a_range_is_told_in_pages_and_in_strides() -> None:
    story = found("unshare-gup", arch=["arm64"], kernels=["6.15"]).story
    assert story is not None
    told = str(story.to_list())
    assert "flush a range of 262,144 pages" in told  # TLBI RVALE1IS counts pages
    story = found("unshare-gup", arch=["arm64"], platforms=["neoverse-n1"], kernels=["6.15"]).story
    assert story is not None
    assert "flush a range of 512 pages: 1 stride of 512" in str(story.to_list())
    assert "flush a range of 0" not in told
    assert "65,535" not in told
