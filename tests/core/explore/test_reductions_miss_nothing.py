"""Small programs in which a move that is made too long, or a state that is packed too tightly, would hide something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shootdown._explore.alike import Group
from shootdown._explore.engine import Explorer
from shootdown._explore.outcome import Reductions
from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._mm.model import Model
from shootdown._questions.explore import explorations
from shootdown._values.errors import ShootdownError

NONE = Reductions(fuse=False, dead=False, symmetry=False, arrive=False)
Programs = Callable[[], "tuple[Model, dict[str, Any]]"]


def machine(cpus: int, *, mms: int = 1, slots: int = 1) -> Model:
    (case,) = explorations("unshare-gup", arch=["x86"], platforms=["intel-server"], kernels=["7.0"])
    scene = case.setup()
    return Model(scene.kernel, scene.lowering, cpus=cpus, mms=mms, slots=slots, files=2)


def tasks(model: Model, cpus: int) -> list[int]:
    return [model.task(mm=0, cpu=cpu, ready=True) for cpu in range(cpus)]


def fail_if(model: Model, register: int, value: int) -> None:
    """End the program: with a bug if the register has the value."""
    bad = model.label()
    model.asm.jump_equal(register, value, bad)
    model.spin()
    model.asm.place(bad)
    model.asm.fail(1)


def a_choice_after_what_is_waited_for() -> tuple[Model, dict[str, Any]]:
    model = machine(2)
    first, second = tasks(model, 2)
    event, variable, bad = model.event(), model.variable(0), model.label()
    model.starts(first)
    model.asm.v_xchg(variable, 1, o.SCRATCH)
    model.signal(event)
    model.spin()
    model.starts(second)
    model.wait(event)
    model.asm.choice(bad)
    model.spin()
    model.asm.place(bad)
    model.asm.fail(1)
    return model, {}


def a_choice_after_a_lock_that_only_the_store_buffer_holds_up() -> tuple[Model, dict[str, Any]]:
    model = machine(1)
    (task,) = tasks(model, 1)
    variable, lock, bad = model.variable(0), model.lock(), model.label()
    model.starts(task)
    model.asm.v_store(variable, 1)
    model.asm.lock(lock, write=True, sleeps=False, text="lock")
    model.asm.choice(bad)
    model.spin()
    model.asm.place(bad)
    model.asm.fail(1)
    return model, {"memory": o.TSO}


def a_trylock_just_before_the_unlock() -> tuple[Model, dict[str, Any]]:
    model = machine(2)
    first, second = tasks(model, 2)
    variable, lock = model.variable(0), model.lock()
    model.starts(first)
    model.asm.lock(lock, write=True, sleeps=False, text="lock")
    model.asm.v_store(variable, 1)
    model.asm.unlock(lock, write=True, text="unlock")
    model.spin()
    model.starts(second)
    refused, out = model.label(), model.label()
    model.asm.v_load(o.INDEX, variable)
    model.asm.jump_zero(o.INDEX, out)
    model.asm.try_write(lock, refused)
    model.asm.place(out)
    model.spin()
    model.asm.place(refused)
    model.asm.fail(1)
    return model, {}


def _middle(model: Model, variable: int) -> None:
    """Show another task what should be between two stores of a critical section."""
    model.asm.v_load(o.INDEX, variable)
    seen = model.label()
    model.asm.jump_equal(o.INDEX, 1, seen)
    model.asm.v_store(variable, 1)
    model.asm.v_store(variable, 0)
    done = model.label()
    model.asm.jump(done)
    model.asm.place(seen)
    model.asm.fail(1)
    model.asm.place(done)


def locks_of_two_tables() -> tuple[Model, dict[str, Any]]:
    model = machine(2, slots=2)
    variable = model.variable(0)
    for slot, task in enumerate(tasks(model, 2)):
        model.starts(task)
        model.asm.set(o.SLOT, slot)
        model.asm.lock_write(model.locks.ptl, index=2)
        _middle(model, variable)
        model.asm.unlock_write(model.locks.ptl, index=2)
        model.spin()
    return model, {}


def a_lock_by_its_table_and_by_its_number() -> tuple[Model, dict[str, Any]]:
    model = machine(2)
    first, second = tasks(model, 2)
    variable = model.variable(0)
    model.starts(first)
    model.asm.set(o.SLOT, 0)
    model.asm.v_store(variable, 1)
    model.asm.lock_write(model.locks.ptl, index=2)
    model.asm.v_store(variable, 2)
    model.spin()
    model.starts(second)
    early, refused = model.label(), model.label()
    model.asm.v_load(o.INDEX, variable)
    model.asm.jump_equal(o.INDEX, 1, early)
    model.spin()
    model.asm.place(early)
    model.asm.try_write(model.locks.ptl, refused)
    model.asm.fail(1)
    model.asm.place(refused)
    model.spin()
    return model, {}


def a_lock_released_after_its_mm_was_chosen_by_a_register() -> tuple[Model, dict[str, Any]]:
    model = machine(2, mms=2)
    variable = model.variable(0)
    for task in tasks(model, 2):
        model.starts(task)
        model.asm.lock_write(model.locks.mmap, index=1)
        model.asm.reached(0)
        model.asm.set(o.SCRATCH, 0)
        model.asm.on_mm(0, register=o.SCRATCH)
        model.asm.unlock_write(model.locks.mmap, index=1)
        _middle(model, variable)
        model.spin()
    return model, {"places": ("locked",)}


def a_trylock_that_goes_on_alike_when_refused() -> tuple[Model, dict[str, Any]]:
    model = machine(2)
    variable, lock = model.variable(0), model.lock()
    for task in tasks(model, 2):
        model.starts(task)
        then = model.label()
        model.asm.try_write(lock, then)
        model.asm.place(then)
        _middle(model, variable)
        model.spin()
    return model, {}


def a_preempted_walker_that_a_sync_leaves_out() -> tuple[Model, dict[str, Any]]:
    model = machine(2)
    asm = model.asm
    first, second = tasks(model, 2)
    begun, done = model.variable(0), model.variable(0)
    model.starts(first)
    nobody, over = model.label(), model.label()
    asm.v_store(begun, 1)
    asm.target_online()
    asm.target_running()
    asm.jump_no_target(nobody)
    asm.send(o.CALL_SYNC, scope=0)
    asm.wait()
    asm.jump(over)
    asm.place(nobody)
    asm.cancel()
    asm.place(over)
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
    return model, {"hypervisor": True}


def who_idles_before_the_signal() -> tuple[Model, dict[str, Any]]:
    model = machine(2)
    asm = model.asm
    first, second = tasks(model, 2)
    event = model.event()
    model.starts(first)
    lazy, bad = model.label(), model.label()
    for label in (lazy, bad):
        asm.target_online()
        asm.target_not_lazy()
        asm.jump_no_target(label)
        if label == lazy:
            asm.cancel()
            model.signal(event)
    model.spin()
    asm.place(lazy)
    model.signal(event)
    model.spin()
    asm.place(bad)
    asm.fail(1)
    model.starts(second)
    model.wait(event)
    model.spin()
    return model, {"scheduler": True}


def a_value_that_only_the_first_state_has(wrong: int) -> tuple[Model, dict[str, Any]]:
    model = machine(2)
    asm = model.asm
    first, second = tasks(model, 2)
    event, variable = model.event(), model.variable(0)
    model.starts(first)
    over = model.label()
    asm.jump_zero(o.SCRATCH, over)
    asm.load_pud(o.CLASS)  # never taken: what it reads is then local to who writes it
    asm.jump_zero(o.CLASS, over)
    asm.place(over)
    asm.v_xchg(variable, 1, o.INDEX)
    fail_if(model, o.INDEX, wrong)
    model.starts(second)
    large, small, same = model.label(), model.label(), model.label()
    asm.set_pud(0)
    asm.set(o.INDEX, 15)
    model.signal(event)
    asm.jump_equal(o.INDEX, 15, large)
    model.spin()
    asm.place(large)
    asm.set(o.INDEX, 1)
    asm.v_cas(variable, o.SCRATCH2, o.SCRATCH2, same)
    asm.place(same)
    asm.jump_equal(o.INDEX, 1, small)
    asm.fail(2)
    asm.place(small)
    model.spin()
    return model, {}


def a_poll_of_what_nobody_was_seen_to_write() -> tuple[Model, dict[str, Any]]:
    model = machine(2)
    asm = model.asm
    first, second = tasks(model, 2)
    model.starts(first)
    again, out = model.label(), model.label()
    asm.set(o.SLOT, 0)
    asm.place(again)
    asm.load_pud(o.CLASS)
    asm.jump_zero(o.CLASS, again)
    asm.fail(1)
    model.starts(second)
    for _ in range(20):  # one way of a million leads to the writer
        on = model.label()
        asm.choice(on)
        asm.jump(out)
        asm.place(on)
        asm.choice(out)
    asm.set(o.SLOT, 0)
    asm.set_pud(0)
    asm.place(out)
    model.spin()
    return model, {}


def a_loop_that_writes_what_nobody_else_reads() -> tuple[Model, dict[str, Any]]:
    model = machine(1)
    (task,) = tasks(model, 1)
    polled, written, again = model.variable(0), model.variable(0), model.label()
    model.starts(task)
    model.asm.place(again)
    model.asm.v_store(written, 1)
    model.asm.v_load(o.INDEX, polled)
    model.asm.jump_zero(o.INDEX, again)
    model.spin()
    return model, {}


@pytest.mark.parametrize(
    ("program", "verdict"),
    [
        (a_choice_after_what_is_waited_for, "bug"),
        (a_choice_after_a_lock_that_only_the_store_buffer_holds_up, "bug"),
        (a_trylock_just_before_the_unlock, "bug"),
        (locks_of_two_tables, "bug"),
        (a_lock_by_its_table_and_by_its_number, "bug"),
        (a_lock_released_after_its_mm_was_chosen_by_a_register, "bug"),
        (a_trylock_that_goes_on_alike_when_refused, "bug"),
        (a_preempted_walker_that_a_sync_leaves_out, "bug"),
        (who_idles_before_the_signal, "bug"),
        (lambda: a_value_that_only_the_first_state_has(0), "bug"),
        (lambda: a_value_that_only_the_first_state_has(1), "safe"),
        (a_poll_of_what_nobody_was_seen_to_write, "bug"),
        (a_loop_that_writes_what_nobody_else_reads, "livelock"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_the_verdict_is_that_without_reductions(program: Programs, verdict: str) -> None:
    model, more = program()
    built = model.build(bits=16, memory=more.pop("memory", o.SC))
    problem = Problem(machine=built, invariants=("walk-cache", "bug", "other bug"), **more)
    plain = Explorer(problem, NONE).search(most_states=1_000_000)
    reduced = Explorer(problem).search(most_states=1_000_000)
    assert (plain.verdict, reduced.verdict) == (verdict, verdict)
    assert (plain.invariant, plain.reached) == (reduced.invariant, reduced.reached)
    assert reduced.depth <= plain.depth


def test_parts_that_give_a_table_another_owner_are_not_exchanged() -> None:
    model = machine(2, mms=2)
    both = [model.task(mm=cpu, cpu=cpu, ready=True) for cpu in range(2)]
    model.starts(*both)
    model.asm.set(o.SLOT, 0)
    model.asm.set(o.CLASS, 1)
    model.asm.table_state(o.TABLE_REUSED)
    model.spin()
    groups = (Group((0,), (0,), (0,)), Group((1,), (1,), (1,)))
    problem = Problem(machine=model.build(bits=16), invariants=("walk-cache",), groups=groups)
    with pytest.raises(
        ShootdownError, match="task 0 is in a group that has mms of its own and reuses or frees"
    ):
        Explorer(problem)
