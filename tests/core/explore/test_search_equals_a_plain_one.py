"""The search finds what a plain breadth-first search over the same moves finds: states, moves, depth and verdict."""

from __future__ import annotations

import pytest
from tests.core.explore.plain_search import Found, plain_search

from shootdown._explore.engine import Explorer
from shootdown._explore.outcome import Outcome, Reductions
from shootdown._explore.problem import Problem
from shootdown._explore.telling import tell
from shootdown._machine import ops as o
from shootdown._mm.model import Model
from shootdown._questions.explore import explorations
from shootdown._values.verdict import DEADLOCK
from shootdown.scenarios import Scene

NOTHING = Reductions(fuse=False, dead=False, symmetry=False, arrive=False)
#: Scenario, architecture, platform, settings, parameters: small machines with every kind of agent.
CELLS = (
    ("dirty-bit-lost", "x86", "kvm-guest", (), {}),
    ("dirty-bit-lost", "x86", "intel-server", ("scenario.pte_clear=store",), {}),
    ("break-before-make", "arm64", "neoverse-v2", (), {}),
    ("hash-pte-reuse", "powerpc", "power9-hash", ("memory_model=sc",), {}),
    ("hash-pte-reuse", "powerpc", "power8", ("scenario.fix=false",), {}),
    ("contpte-partial", "arm64", "neoverse-v2", ("memory_model=sc", "scenario.fix=false"), {}),
    ("unshare-gup", "x86", "intel-server", ("kernel.unshare_sync=none",), {}),
    ("unshare-walk-cache", "x86", "intel-server", (), {"lazy": True}),
)


def _problem(cell: tuple) -> Problem:
    name, arch, platform, settings, parameters = cell
    (case,) = explorations(
        name, arch=[arch], platforms=[platform], kernels=["7.0"], settings=settings, parameters=parameters
    )
    return case.program.build(case.setup())


def _both(problem: Problem, reductions: Reductions) -> tuple[Outcome, Found]:
    explorer = Explorer(problem, reductions)
    outcome = explorer.search()
    return outcome, plain_search(explorer)


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("reductions", [Reductions(symmetry=False), NOTHING], ids=["fused", "plain"])
def test_states_moves_depth_and_verdict_are_those_of_a_plain_search(
    cell: tuple, reductions: Reductions
) -> None:
    problem = _problem(cell)
    outcome, plain = _both(problem, reductions)
    assert (outcome.verdict, outcome.depth) == (plain.verdict, plain.depth)
    if plain.verdict == "safe":
        assert (outcome.states, outcome.transitions) == (plain.states, plain.transitions)
    else:
        assert plain.invariant is not None


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_fusing_local_steps_and_forgetting_dead_values_change_no_verdict(cell: tuple) -> None:
    problem = _problem(cell)
    whole = Explorer(problem, NOTHING).search()
    fused = Explorer(problem).search()
    assert (fused.verdict, fused.invariant) == (whole.verdict, whole.invariant)
    assert fused.depth <= whole.depth


def test_renaming_like_parts_keeps_verdict_and_depth_and_leaves_fewer_states() -> None:
    problem = _problem(("unshare-gup", "x86", "intel-server", (), {"sharers": 3}))
    assert len(problem.groups) == 2
    whole = Explorer(problem, Reductions(symmetry=False)).search()
    folded = Explorer(problem).search()
    assert (folded.verdict, folded.depth) == (whole.verdict, whole.depth)
    assert whole.states / 2 <= folded.states < whole.states


@pytest.mark.parametrize("crossed", [True, False])
def test_two_locks_taken_crosswise_deadlock_and_in_one_order_do_not(crossed: bool) -> None:
    (case,) = explorations("unshare-gup", arch=["x86"], platforms=["intel-server"], kernels=["7.0"])
    scene = case.setup()
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=1, files=2)
    tasks = [model.task(mm=0, cpu=cpu, ready=True) for cpu in range(2)]
    for task in tasks:
        model.starts(task)
        order = (0, 1) if task == tasks[0] or not crossed else (1, 0)
        for number in order:
            model.asm.lock(model.locks.i_mmap + number, write=True, sleeps=False, text="a lock")
        for number in reversed(order):
            model.asm.unlock(model.locks.i_mmap + number, write=True, text="a lock")
        model.spin()
    outcome = Explorer(Problem(machine=model.build(bits=16), invariants=("walk-cache",))).search()
    assert outcome.invariant == (DEADLOCK if crossed else None)


def test_a_bound_that_is_hit_says_inconclusive_and_how_far_the_search_came() -> None:
    problem = _problem(("unshare-gup", "x86", "intel-server", (), {"sharers": 3}))
    whole = Explorer(problem).search()
    part = Explorer(problem).search(most_states=whole.states // 2)
    assert part.verdict == "inconclusive"
    assert 0 < part.states < whole.states
    assert part.depth <= whole.depth


def _one_scene() -> Scene:
    (case,) = explorations("unshare-gup", arch=["x86"], platforms=["intel-server"], kernels=["7.0"])
    return case.setup()


@pytest.mark.parametrize("reductions", [Reductions(), NOTHING], ids=["fused", "plain"])
def test_what_lets_others_go_on_does_not_wait_for_the_next_step(reductions: Reductions) -> None:
    """A signal is local, but not as good later: whoever waits for it may come before what its task does next."""
    scene = _one_scene()
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=1, slots=1)
    first, second = (model.task(mm=0, cpu=cpu, ready=True) for cpu in range(2))
    variable, event = model.variable(0), model.event()
    model.starts(first)
    model.signal(event)
    model.asm.v_store(variable, 1)
    model.spin()
    model.starts(second)
    model.wait(event)
    model.asm.v_load(o.INDEX, variable)
    model.fail_if(o.INDEX, 0, 1, "what came after the signal is not there yet")
    model.spin()
    problem = Problem(machine=model.build(bits=16), invariants=("walk-cache", "early"))
    outcome = Explorer(problem, reductions).search()
    assert (outcome.verdict, outcome.invariant) == ("bug", "early")


@pytest.mark.parametrize("reductions", [Reductions(), NOTHING], ids=["fused", "plain"])
def test_who_only_began_and_waits_for_ever_is_in_the_story(reductions: Reductions) -> None:
    """The first step, a lock that nobody else takes, belongs to the next one, which never comes."""
    scene = _one_scene()
    model = Model(scene.kernel, scene.lowering, cpus=1, mms=1, slots=1)
    model.starts(model.task(mm=0, cpu=0, ready=True))
    model.asm.lock(model.locks.mmap, write=True, sleeps=True, text="mmap_lock")
    model.wait(model.event())
    model.spin()
    problem = Problem(machine=model.build(bits=16), invariants=("walk-cache",))
    explorer = Explorer(problem, reductions)
    outcome = explorer.search()
    assert (outcome.verdict, outcome.invariant) == ("bug", DEADLOCK)
    story = tell(explorer, outcome)
    assert len(story.lines) == outcome.depth == 1
    assert story.lines[0].atoms[0].text == "take mmap_lock"
    assert any("waits for ever" in ending for ending in story.ending)


@pytest.mark.parametrize("somebody", [True, False])
def test_who_polls_a_variable_in_a_loop_ends_each_move_whether_or_not_anybody_writes_it(
    somebody: bool,
) -> None:
    (case,) = explorations("unshare-gup", arch=["x86"], platforms=["intel-server"], kernels=["7.0"])
    scene = case.setup()
    model = Model(scene.kernel, scene.lowering, cpus=2, mms=1)
    flag, asm = model.variable(0), model.asm
    again = model.label()
    model.starts(model.task(mm=None, cpu=0, ready=True))
    asm.place(again)
    asm.v_load(o.SCRATCH, flag)
    asm.jump_zero(o.SCRATCH, again)
    asm.reached(0)
    model.spin()
    model.starts(model.task(mm=None, cpu=1, ready=True))
    if somebody:
        asm.v_store(flag, 1)
    model.spin()
    problem = Problem(model.build(bits=16), ("walk-cache",), places=("told",))
    outcome, plain = _both(problem, Reductions())
    assert (outcome.verdict, outcome.states) == (plain.verdict, plain.states)
    assert ("told" in outcome.reached) == somebody
