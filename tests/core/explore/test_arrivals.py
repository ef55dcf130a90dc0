"""Calls that change nothing where they arrive do so at once; all others at any moment."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest
from tests.core.explore.random_programs import random_problem

from shootdown._compilation.running import runnable
from shootdown._explore.engine import Explorer
from shootdown._explore.moves import REFUSED, TAKE, move
from shootdown._explore.outcome import Outcome, Reductions
from shootdown._explore.problem import Problem
from shootdown._explore.telling import tell
from shootdown._machine import ops as o
from shootdown._mm.model import Model
from shootdown._questions.explore import explorations
from shootdown._values.errors import ShootdownError

NONE = Reductions(fuse=False, dead=False, symmetry=False, arrive=False)
ALONE = attrs.evolve(NONE, arrive=True)
#: In `make long`, thousands.
SEEDS = range(5000, 5012)
MANY = range(5000, 8000)


def machine(cpus: int, *, mms: int = 1) -> Model:
    (case,) = explorations("unshare-gup", arch=["x86"], platforms=["intel-server"], kernels=["7.0"])
    scene = case.setup()
    return Model(scene.kernel, scene.lowering, cpus=cpus, mms=mms)


def call(model: Model, kind: int, scope: int = 0, *, everywhere: bool = False) -> None:
    """Send a call to all other CPUs, or to all, and wait for it; a flush is one of everything."""
    asm = model.asm
    if kind != o.CALL_SYNC:
        asm.request(0, 1, 0)
        asm.flush_begin(2, 0, 0, o.UNTRACKED)
    if everywhere:
        asm.target_every()
    else:
        asm.target_online()
    asm.send(kind, scope)
    asm.wait()


def searched_once(problem: Problem, reductions: Reductions, most: int = 100_000) -> Outcome | None:
    """Search with arrivals at once, without the second search for a story; None where that is not possible."""
    explorer = Explorer(problem, reductions)
    if not explorer.lets_arrive:
        return None
    explorer.rules = explorer.rules._replace(arrive=1)
    return explorer._searched(most, 1 << 30, lambda *_: None)


def differences(seeds: range, most: int) -> tuple[int, list[Any]]:
    """Compare random programs with a search without reductions; return how many, and those that differ."""
    compared, wrong = 0, []
    for seed in seeds:
        problem = random_problem(seed)
        if problem is None:
            continue
        try:
            plain = Explorer(problem, NONE).search(most_states=most)
        except ShootdownError:  # a mistake that only a run finds
            continue
        if plain.verdict == "inconclusive":
            continue
        for reductions in (Reductions(), ALONE):
            found = searched_once(problem, reductions)
            if found is None:
                continue
            compared += 1
            same = found.verdict == plain.verdict
            if plain.verdict == "safe":
                same = same and found.reached == plain.reached
            if not same:
                wrong.append((seed, reductions, plain.verdict, found.verdict))
    return compared, wrong


def test_random_programs_have_the_verdicts_that_they_have_without_reductions() -> None:
    compared, wrong = differences(SEEDS, 200)
    assert not wrong
    assert compared > 4


@pytest.mark.long
@pytest.mark.compiled
def test_thousands_of_random_programs_have_the_verdicts_that_they_have_without_reductions() -> None:
    compared, wrong = differences(MANY, 20_000)
    assert not wrong
    assert compared > 2000


def a_walker_that_uses_what_it_cached(flush: bool) -> Problem:
    """The table is freed once a flush has reached the other CPU, or without one."""
    model = machine(2)
    model.populate(0)
    both = [model.task(mm=0, cpu=cpu, ready=True) for cpu in range(2)]
    model.starts(both[0])
    model.asm.set(o.SLOT, 0)
    model.asm.set(o.CLASS, 1)
    model.asm.clear_pud()
    call(model, o.CALL_BROADCAST, o.SCOPE_BOTH if flush else o.SCOPE_LEAF, everywhere=True)
    model.asm.table_state(o.TABLE_FREED)
    model.spin()
    model.starts(both[1])
    model.spin()
    return Problem(machine=model.build(bits=16), invariants=("walk-cache", "bug"), walkers=True)


@pytest.mark.parametrize("flush", [True, False])
def test_an_invalidation_arrives_at_any_moment_on_a_cpu_that_may_hold_something(flush: bool) -> None:
    problem = a_walker_that_uses_what_it_cached(flush)
    plain, reduced = Explorer(problem, NONE).search(), Explorer(problem).search()
    explorer = Explorer(problem)
    assert explorer._without.tolist() == [0]
    assert plain.verdict == reduced.verdict == ("safe" if flush else "bug")


def where_two_mms_run(*, walkers: bool) -> Problem:
    """CPUs 0 and 1 run mm 0, CPU 2 mm 1, and CPU 3 nothing; CPU 0 sends an invalidation and waits for it."""
    model = machine(4, mms=2)
    tasks = [model.task(mm=mm, cpu=cpu, ready=True) for cpu, mm in enumerate((0, 0, 1))]
    model.starts(tasks[0])
    call(model, o.CALL_BROADCAST, o.SCOPE_BOTH, everywhere=True)
    model.spin()
    model.starts(*tasks[1:])
    model.spin()
    return Problem(machine=model.build(bits=16), invariants=("walk-cache",), walkers=walkers)


def test_with_walkers_the_cpus_that_may_load_an_mm_may_hold_something_of_it() -> None:
    assert Explorer(where_two_mms_run(walkers=True))._without.tolist() == [0b1100, 0b1011]


def test_without_walkers_a_cpu_that_takes_no_step_on_memory_never_holds_anything() -> None:
    assert Explorer(where_two_mms_run(walkers=False))._without.tolist() == [0b1111, 0b1111]


@pytest.mark.parametrize("flush", [True, False])
def test_walkers_that_read_one_link_after_the_other_change_no_verdict(flush: bool) -> None:
    problem = a_walker_that_uses_what_it_cached(flush)
    at_once = Explorer(problem).search()
    for reductions in (Reductions(eager=False), attrs.evolve(NONE, eager=False)):
        one_by_one = Explorer(problem, reductions).search()
        assert (one_by_one.verdict, one_by_one.invariant) == (at_once.verdict, at_once.invariant)
        assert one_by_one.states >= at_once.states


def test_it_would_be_found_out_if_each_invalidation_arrived_at_once() -> None:
    """Who frees the table while the flush is under way lets a walker use what it still has cached."""
    model = machine(3)
    model.populate(0)
    tasks = [model.task(mm=mm, cpu=cpu, ready=True) for cpu, mm in enumerate((0, 0, None))]
    sent, asm = model.variable(0), model.asm
    model.starts(tasks[0])
    asm.set(o.SLOT, 0)
    asm.clear_pud()
    asm.request(0, 1, 0)
    asm.flush_begin(2, 0, 0, o.UNTRACKED)
    asm.target_every()
    asm.send(o.CALL_BROADCAST, o.SCOPE_BOTH)
    asm.v_store(sent, 1)
    asm.wait()
    model.spin()
    model.starts(tasks[1])
    model.spin()
    model.starts(tasks[2])
    asm.on_mm(0)
    asm.set(o.SLOT, 0)
    asm.set(o.CLASS, 1)
    again = model.label()
    asm.place(again)
    asm.v_load(o.SCRATCH, sent)
    asm.jump_zero(o.SCRATCH, again)
    asm.table_state(o.TABLE_FREED)
    model.spin()
    problem = Problem(machine=model.build(bits=16), invariants=("walk-cache",), walkers=True)
    explorer = Explorer(problem)
    assert explorer._without.tolist() == [4]  # the CPU of who frees the table
    assert Explorer(problem, NONE).search().verdict == explorer.search().verdict == "bug"
    wrong = Explorer(problem)
    wrong._without[:] = 7
    wrong.rules = wrong.rules._replace(arrive=1)
    assert wrong._searched(100_000, 1 << 30, lambda *_: None).verdict == "safe"


@pytest.mark.parametrize("early", [False, True])
def test_a_sync_waits_for_who_was_inside_before_it(early: bool) -> None:
    """An empty handler runs at once where interrupts are on, and once they are on again elsewhere."""
    model = machine(2)
    asm = model.asm
    first, second = (model.task(mm=0, cpu=cpu, ready=True) for cpu in range(2))
    begun, done = model.variable(0), model.variable(0)
    model.starts(first)
    if not early:
        asm.v_store(begun, 1)
    call(model, o.CALL_SYNC)
    if early:
        asm.v_store(begun, 1)
    asm.v_store(done, 1)
    model.spin()
    model.starts(second)
    out = model.label()
    asm.irq_off(lockless=True)
    asm.v_load(o.INDEX, begun)
    asm.jump_equal(o.INDEX, 1, out)
    asm.v_load(o.INDEX, done)
    asm.jump_zero(o.INDEX, out)
    asm.fail(1)
    asm.place(out)
    asm.irq_on(lockless=True)
    model.spin()
    problem = Problem(machine=model.build(bits=16), invariants=("walk-cache", "bug"))
    plain, reduced = Explorer(problem, NONE).search(), searched_once(problem, Reductions())
    assert reduced is not None
    assert plain.verdict == reduced.verdict == ("bug" if early else "safe")


def test_who_reads_targets_that_are_pending_sees_each_arrival() -> None:
    model = machine(2)
    model.starts(model.task(mm=0, cpu=0, ready=True))
    over = model.label()
    model.asm.target_online()
    model.asm.send(o.CALL_SYNC, 0)
    model.asm.jump_no_target(over)
    model.asm.place(over)
    model.asm.wait()
    model.spin()
    explorer = Explorer(Problem(machine=model.build(bits=16), invariants=("walk-cache",)))
    assert not explorer.lets_arrive


def test_a_bug_has_the_same_shortest_story_as_without_the_reduction() -> None:
    (case,) = explorations("unshare-gup", arch=["arm64"], kernels=["6.15"])
    problem = case.program.build(case.setup())
    explorers = [Explorer(problem), Explorer(problem, Reductions(arrive=False))]
    found = [explorer.search() for explorer in explorers]
    assert attrs.asdict(found[0]) == attrs.asdict(found[1])
    told = [tell(explorer, outcome) for explorer, outcome in zip(explorers, found, strict=True)]
    assert told[0] == told[1]


def test_for_a_verdict_alone_a_bug_is_not_searched_for_again() -> None:
    (case,) = explorations("unshare-gup", arch=["arm64"], kernels=["6.15"])
    problem = case.program.build(case.setup())
    whole, alone = Explorer(problem).search(), Explorer(problem).search(verdict_only=True)
    once = searched_once(problem, Reductions())
    assert once is not None
    assert attrs.asdict(alone) == attrs.asdict(once)
    assert (alone.verdict, alone.invariant) == (whole.verdict, whole.invariant) == ("bug", "gup-fast")
    assert alone.states < whole.states


def test_where_only_the_reduced_search_fits_its_story_has_a_move_for_each_arrival() -> None:
    (case,) = explorations("unshare-gup", arch=["arm64"], kernels=["6.15"], parameters={"sharers": 3})
    problem = case.program.build(case.setup())
    reduced = searched_once(problem, Reductions())
    assert reduced is not None
    assert reduced.verdict == "bug"
    explorer = Explorer(problem)
    outcome = explorer.search(most_states=reduced.states + 100)
    assert (outcome.verdict, outcome.invariant, outcome.shortest) == ("bug", "gup-fast", False)
    assert any(label & 15 == TAKE for label in outcome.path)
    assert tell(explorer, outcome).invariant == "gup-fast"
    state = explorer.start.copy()
    said = [runnable(move)(state, *explorer.program, label) for label in outcome.path]
    assert REFUSED not in said
    assert np.all(np.array(said[:-1]) & 3 == 1)


def test_states_of_four_sharers_of_arm64_are_few_enough_to_be_all_looked_at() -> None:
    (case,) = explorations(
        "unshare-gup", arch=["arm64"], kernels=["7.0"], parameters={"sharers": 4, "path": "mprotect"}
    )
    outcome = Explorer(case.program.build(case.setup())).search(most_states=5000)
    assert outcome.verdict == "safe"
