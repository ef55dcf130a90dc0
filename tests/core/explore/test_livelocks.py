"""Livelocks and windows that nobody reaches: small programs, compared with a plain slow search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest
from tests.core.explore.plain_search import plain_search

from shootdown._compilation.running import runnable
from shootdown._explore.alike import Group
from shootdown._explore.candidates import candidates
from shootdown._explore.engine import Explorer
from shootdown._explore.livelock import going_round
from shootdown._explore.outcome import Reductions
from shootdown._explore.problem import Problem
from shootdown._explore.telling import stuck, tell
from shootdown._machine import ops as o
from shootdown._mm.model import Model
from shootdown._questions.explore import explorations, explore_case
from shootdown._values.errors import ShootdownError
from shootdown._values.scenario import Scenario

NONE = Reductions(fuse=False, dead=False, symmetry=False, arrive=False)


def empty(cpus: int = 2) -> Model:
    (case,) = explorations("unshare-gup", arch=["x86"], platforms=["intel-server"], kernels=["7.0"])
    scene = case.setup()
    return Model(scene.kernel, scene.lowering, cpus=cpus, mms=1, files=2)


def ready(model: Model, cpus: int = 2) -> list[int]:
    return [model.task(mm=0, cpu=cpu, ready=True) for cpu in range(cpus)]


def poll(model: Model, variable: int, value: int = 0) -> None:
    again = model.label()
    model.asm.place(again)
    model.asm.v_load(o.SCRATCH, variable, text="read the flag")
    model.asm.jump_equal(o.SCRATCH, value, again)


def a_flag_that_nobody_sets() -> Model:
    model = empty()
    first, second = ready(model)
    flag = model.variable(0)
    model.starts(first)
    with model.asm.function("poll"):
        poll(model, flag)
    model.spin()
    model.starts(second)
    model.spin()
    return model


def a_flag_that_somebody_sets() -> Model:
    model = empty()
    first, second = ready(model)
    flag = model.variable(0)
    model.starts(first)
    poll(model, flag)
    model.spin()
    model.starts(second)
    model.asm.v_store(flag, 1)
    model.spin()
    return model


def a_flag_that_is_set_and_taken_back_for_good() -> Model:
    """Who looks in between ends; who looks too late never does."""
    model = empty()
    first, second = ready(model)
    flag = model.variable(0)
    model.starts(first)
    poll(model, flag)
    model.spin()
    model.starts(second)
    model.asm.v_store(flag, 1)
    model.asm.v_store(flag, 0)
    model.spin()
    return model


def two_that_back_off_from_each_other() -> Model:
    """Each may yield for ever, and each may get through: no livelock, as some way leads on."""
    model = empty()
    both = ready(model)
    locks = [model.lock(), model.lock()]
    for task in both:
        mine, other = locks if task == both[0] else reversed(locks)
        again, refused = model.label(), model.label()
        model.starts(task)
        model.asm.place(again)
        model.asm.lock_write(mine)
        model.asm.try_write(other, refused)
        model.asm.unlock_write(other)
        model.asm.unlock_write(mine)
        model.spin()
        model.asm.place(refused)
        model.asm.unlock_write(mine)
        model.asm.jump(again)
    return model


def a_choice_into_a_trap() -> Model:
    model = empty()
    first, second = ready(model)
    flag, bad = model.variable(0), model.label()
    model.starts(first)
    model.asm.choice(bad)
    model.spin()
    model.asm.place(bad)
    poll(model, flag)
    model.spin()
    model.starts(second)
    model.asm.v_store(flag, 0)
    model.spin()
    return model


def a_server_that_goes_on_for_ever() -> Model:
    """It has no end, and is meant to have none."""
    model = empty()
    first, second = ready(model)
    lock, again = model.lock(), model.label()
    for task in (first, second):
        model.starts(task)
        if task == first:
            model.asm.place(again)
        model.asm.lock_write(lock)
        model.asm.unlock_write(lock)
        if task == first:
            model.asm.jump(again)
        else:
            model.spin()
    return model


def a_step_that_jumps_to_itself() -> Model:
    model = empty(1)
    (task,) = ready(model, 1)
    here = model.label()
    model.starts(task)
    with model.asm.function("stuck"):
        model.asm.place(here)
        model.asm.jump(here)
    return model


def a_server_that_gets_stuck() -> Model:
    """A move of endless local steps, in a task that has no end."""
    model = empty()
    first, second = ready(model)
    lock, again, stuck = model.lock(), model.label(), model.label()
    model.starts(first)
    model.asm.place(again)
    model.asm.lock_write(lock)
    model.asm.unlock_write(lock)
    model.asm.set(o.SCRATCH, 5)
    model.asm.place(stuck)
    model.asm.jump_equal(o.SCRATCH, 5, stuck)
    model.asm.jump(again)
    model.starts(second)
    model.asm.lock_write(lock)
    model.asm.unlock_write(lock)
    model.spin()
    return model


PROGRAMS: list[tuple[Callable[[], Model], str]] = [
    (a_flag_that_nobody_sets, "livelock"),
    (a_flag_that_somebody_sets, "safe"),
    (a_flag_that_is_set_and_taken_back_for_good, "livelock"),
    (two_that_back_off_from_each_other, "safe"),
    (a_choice_into_a_trap, "livelock"),
    (a_server_that_goes_on_for_ever, "safe"),
    (a_step_that_jumps_to_itself, "livelock"),
    (a_server_that_gets_stuck, "livelock"),
]


def problem_of(model: Model, **more: Any) -> Problem:
    return Problem(machine=model.build(bits=16), invariants=("walk-cache",), **more)


@pytest.mark.parametrize("reductions", [Reductions(), NONE], ids=["reduced", "plain"])
@pytest.mark.parametrize(
    ("program", "verdict"), PROGRAMS, ids=lambda value: getattr(value, "__name__", value)
)
def test_the_verdict_is_livelock_exactly_where_no_way_leads_to_an_end(
    program: Callable[[], Model], verdict: str, reductions: Reductions
) -> None:
    assert Explorer(problem_of(program()), reductions).search().verdict == verdict


@pytest.mark.parametrize(("program", "_"), PROGRAMS[:6], ids=lambda value: getattr(value, "__name__", value))
def test_a_plain_search_finds_the_same_traps_at_the_same_distance(
    program: Callable[[], Model], _: str
) -> None:
    explorer = Explorer(problem_of(program()), NONE)
    outcome, plain = explorer.search(), plain_search(explorer)
    assert (outcome.verdict, outcome.states, outcome.depth) == (plain.verdict, plain.states, plain.depth)


@pytest.mark.parametrize(
    "program", [program for program, verdict in PROGRAMS if verdict == "livelock"], ids=lambda p: p.__name__
)
def test_a_story_leads_into_the_trap_and_says_who_goes_round_where(program: Callable[[], Model]) -> None:
    explorer = Explorer(problem_of(program()))
    outcome = explorer.search()
    story = tell(explorer, outcome)
    assert story.invariant == "livelock"
    assert "goes round for ever" in story.ending[0]
    assert "test_livelocks.py, line" in story.ending[0]


def test_like_tasks_in_a_trap_are_found_though_renamed() -> None:
    model = empty(3)
    tasks = ready(model, 3)
    flag = model.variable(0)
    model.starts(*tasks[:2])
    poll(model, flag)
    model.spin()
    model.starts(tasks[2])
    model.asm.v_store(flag, 1)
    model.asm.v_store(flag, 0)
    model.spin()
    groups = (Group((0,), (0,), ()), Group((1,), (1,), ()))
    problem = problem_of(model, groups=groups)
    folded, whole = Explorer(problem).search(), Explorer(problem, NONE).search()
    assert (folded.verdict, whole.verdict) == ("livelock", "livelock")
    assert folded.states < whole.states


def scenario(window: tuple[str, ...]) -> Scenario:
    def build(scene: Any) -> Problem:
        model = Model(scene.kernel, scene.lowering, cpus=1, mms=1)
        never = model.label()
        model.starts(model.task(mm=0, cpu=0, ready=True))
        model.asm.reached(0)
        model.asm.jump(never)
        model.asm.reached(1)
        model.asm.place(never)
        model.spin()
        return problem_of(model, places=("there", "never"))

    return Scenario(name="own", summary="own", source="a test", build=build, window=window)


@pytest.mark.parametrize(
    ("window", "verdict"), [((), "safe"), (("there",), "safe"), (("there", "never"), "vacuous")]
)
def test_a_window_that_no_state_reaches_makes_a_verdict_vacuous(
    window: tuple[str, ...], verdict: str
) -> None:
    (case,) = explorations(scenario(window), arch=["x86"])
    found = explore_case(case)
    assert found.verdict == verdict
    assert ("never" in (found.reason or "")) == (verdict == "vacuous")


def test_a_window_whose_place_the_problem_does_not_have_is_refused() -> None:
    (case,) = explorations(scenario(("their",)), arch=["x86"])
    with pytest.raises(ShootdownError, match="place 'their' that its problem does not name; nearest: there"):
        explore_case(case)


def test_a_search_that_hits_its_bound_says_nothing_of_livelocks() -> None:
    problem = problem_of(two_that_back_off_from_each_other())
    assert Explorer(problem, NONE).search(most_states=3).verdict == "inconclusive"
    assert attrs.evolve(problem).invariants == ("walk-cache",)


def test_there_is_room_for_the_moves_of_any_machine() -> None:
    """40 CPUs whose walkers read 110 atoms one by one have more than 4,400 moves."""
    model = empty(cpus=40)
    for page in range(110):
        model.atom(page, page + 1)
    for task in ready(model):
        model.starts(task)
        again = model.label()
        model.asm.place(again)
        model.asm.jump(again)
    problem = Problem(machine=model.build(bits=16), invariants=("walk-cache",))
    explorer = Explorer(problem, attrs.evolve(NONE, eager=False))
    labels = np.zeros(explorer.most_moves(), np.int64)
    listed = runnable(candidates)(
        explorer.first, problem.machine.code.steps, problem.machine.layout, explorer.rules, labels
    )
    assert 4_400 < listed <= len(labels)
    assert not stuck(explorer, explorer.first)
    assert len(going_round(explorer, explorer.first)) == 2
