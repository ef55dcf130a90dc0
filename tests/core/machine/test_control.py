"""Control and scheduling: where a task goes on, in its program and on the machine."""

from __future__ import annotations

import pytest
from tests.core.machine.tiny import AFTER_IT, ELSEWHERE, HERE, Tiny, Took

from shootdown._machine import ops as o
from shootdown._machine.layout import T_CPU, T_MM, T_ON, T_PC
from shootdown._machine.step import choose


def test_a_task_that_halts_stays_where_it_is() -> None:
    machine = Tiny()
    assert machine.step(o.HALT) == Took(o.HALTED, 0, HERE)


def test_a_jump_goes_to_its_label() -> None:
    assert Tiny().step(o.JUMP, ELSEWHERE).jumped


def test_set_writes_one_register() -> None:
    machine = Tiny()
    assert machine.changes(lambda: machine.step(o.SET, o.SCRATCH, 9)) == 1
    assert machine.registers().tolist() == [9 if n == o.SCRATCH else 0 for n in range(o.REGISTERS)]


def test_next_counts_up_and_goes_back_while_the_register_is_below_the_limit() -> None:
    machine = Tiny()
    assert machine.step(o.NEXT, o.INDEX, 3, ELSEWHERE).jumped
    assert machine.step(o.NEXT, o.INDEX, 3, ELSEWHERE).jumped
    assert machine.registers()[o.INDEX] == 2
    assert machine.step(o.NEXT, o.INDEX, 3, ELSEWHERE).went_on


def test_next_leaves_zero_behind_when_the_loop_is_over() -> None:
    machine = Tiny()
    machine.registers()[o.INDEX] = 2
    machine.step(o.NEXT, o.INDEX, 3, ELSEWHERE)
    assert machine.registers()[o.INDEX] == 0


@pytest.mark.parametrize(("value", "jumps"), [(0, True), (1, False), (-1, False)])
def test_jump_zero_jumps_if_the_register_is_zero(value: int, jumps: bool) -> None:
    machine = Tiny()
    machine.registers()[o.CLASS] = value
    assert machine.step(o.JUMP_ZERO, o.CLASS, ELSEWHERE).jumped == jumps


@pytest.mark.parametrize(("value", "jumps"), [(4, True), (5, False)])
def test_jump_equal_compares_with_a_value(value: int, jumps: bool) -> None:
    machine = Tiny()
    machine.registers()[o.SLOT] = value
    took = machine.step(o.JUMP_EQUAL, o.SLOT, 4, ELSEWHERE)
    assert (took.jumped, took.went_on) == (jumps, not jumps)


@pytest.mark.parametrize(
    ("op", "operands"),
    [
        (o.WORK, (5, 3)),
        (o.MARK, (0, 1, 2)),
        (o.NOTE, (o.NOTE_GATHER, 1)),
        (o.EXECUTE, (0, 1, o.PER_STRIDE, -1)),
        (o.SPAWN, (2,)),
        (o.CHOICE, (ELSEWHERE,)),
        (o.REACHED, (1,)),
    ],
)
def test_steps_that_only_engines_understand_go_on_and_change_nothing(op: int, operands: tuple) -> None:
    machine = Tiny()
    assert machine.changes(lambda: machine.step(op, *operands)) == 0
    assert machine.task()[T_PC] == AFTER_IT


def test_spawn_says_which_task_becomes_runnable() -> None:
    assert Tiny().step(o.SPAWN, 2).about == 2


def test_a_signal_counts_its_event_up_and_says_which() -> None:
    machine = Tiny()
    machine.step(o.SIGNAL, 1)
    assert machine.step(o.SIGNAL, 1).about == 1
    assert machine.events.tolist() == [0, 2]


def test_a_task_awaits_as_many_signals_as_it_asks_for() -> None:
    machine = Tiny()
    machine.step(o.SIGNAL, 1)
    assert machine.step(o.AWAIT, 1, 2) == Took(o.BLOCKED_EVENT, 1, HERE)
    machine.step(o.SIGNAL, 1)
    assert machine.step(o.AWAIT, 1, 2).went_on
    assert machine.step(o.AWAIT, 1, 1, 1).went_on  # uses one of the two up
    assert machine.step(o.AWAIT, 1, 2) == Took(o.BLOCKED_EVENT, 1, HERE)


def test_awaiting_uses_no_signal_up() -> None:
    machine = Tiny()
    machine.step(o.SIGNAL, 0)
    assert all(machine.step(o.AWAIT, 0, 1, task=task).went_on for task in range(3))


def test_a_task_that_migrates_has_another_home() -> None:
    machine = Tiny()
    assert machine.step(o.MIGRATE, 3).went_on
    assert machine.task()[T_CPU] == 3


def test_kernel_work_may_concern_another_mm_than_the_tasks_own() -> None:
    machine = Tiny()
    machine.step(o.ON_MM, 1, -1)
    assert (machine.task()[T_ON], machine.task()[T_MM]) == (2, 1)


def test_the_mm_of_kernel_work_may_be_counted_from_a_register() -> None:
    machine = Tiny(mms=4)
    machine.registers()[o.INDEX] = 2
    machine.step(o.ON_MM, 1, o.INDEX)
    assert machine.task()[T_ON] == 1 + 2 + 1


def test_a_task_without_an_mm_leaves_its_cpu_lazily_on_it() -> None:
    machine = Tiny()
    assert machine.step(o.RELEASE_MM).went_on
    assert machine.task()[T_MM] == 0
    assert machine.cpus("lazy") == [0]
    assert machine.cpus("loaded", mm=0) == [0, 1, 2]


def test_without_lazy_tlb_mode_nobody_is_lazy_after_exit_mm() -> None:
    machine = Tiny(lazy_tlb=False)
    machine.step(o.RELEASE_MM)
    assert machine.cpus("lazy") == []


@pytest.mark.parametrize("mode", [0, 1])
def test_a_parked_task_stays_where_it_is(mode: int) -> None:
    assert Tiny().step(o.PARK, mode) == Took(o.PARKED, 0, HERE)


def test_at_a_choice_a_task_may_go_the_other_way() -> None:
    machine = Tiny()
    assert machine.ask(choose, o.CHOICE, ELSEWHERE)
    assert machine.task()[T_PC] == ELSEWHERE


def test_where_there_is_no_choice_there_is_no_other_way() -> None:
    machine = Tiny()
    assert not machine.ask(choose, o.JUMP, ELSEWHERE)
    assert machine.task()[T_PC] == HERE


def test_a_step_of_one_task_leaves_the_others_where_they_are() -> None:
    machine = Tiny()
    machine.step(o.SET, o.INDEX, 5, task=1)
    assert [machine.registers(task)[o.INDEX] for task in range(3)] == [0, 5, 0]
    assert [machine.task(task)[T_PC] for task in range(3)] == [HERE, AFTER_IT, HERE]
