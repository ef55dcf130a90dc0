"""What happens without anybody's step: walkers, store buffers, the hypervisor, the scheduler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.core.machine.tiny import HERE, Tiny

from shootdown._machine import ops as o
from shootdown._machine.agents import (
    come_back,
    drain_store,
    fill_entry,
    go_idle,
    preempt,
    resume,
)
from shootdown._machine.layout import CPU_MM, CPU_TASK, T_CPU, T_PC


def acts(machine: Tiny, agent: Callable[..., Any], *arguments: int) -> bool:
    """Let an agent act; one that can't must have written nothing."""
    before = machine.state.copy()
    acted = bool(machine.run(agent, *arguments))
    assert acted or (machine.state == before).all()
    return acted


# --- entries that stand alone


def with_entry(value: int = 8 | o.ENTRY_PRESENT, mm: int = 0) -> Tiny:
    """Let entry 1 belong to an mm and hold a value."""
    machine = Tiny()
    machine.owners[:] = (0, mm)
    machine.variables[1] = value
    return machine


def test_a_walker_may_copy_an_entry_of_the_mm_into_its_tlb() -> None:
    machine = with_entry()
    assert acts(machine, fill_entry, 2, 1)
    assert machine.tlb(2).tolist() == [0, 8 | o.ENTRY_PRESENT]
    assert not acts(machine, fill_entry, 2, 1)


@pytest.mark.parametrize(
    "machine",
    [with_entry(mm=1), with_entry(8 | o.ENTRY_WRITABLE)],
    ids=["of another mm", "not present"],
)
def test_a_walker_copies_no_entry_that_is_not_there_for_it(machine: Tiny) -> None:
    assert not acts(machine, fill_entry, 2, 1)


def test_a_preempted_cpu_and_one_without_an_mm_copy_no_entry() -> None:
    machine = with_entry()
    machine.put("preempted", 2)
    assert not acts(machine, fill_entry, 2, 1)
    assert not acts(machine, fill_entry, 3, 1)


# --- store buffers


def waiting(memory: int) -> Tiny:
    """Let three stores of CPU 0 wait, two of them to one variable."""
    machine = Tiny(memory=memory, stores=3)
    for variable, value in ((2, 1), (3, 5), (2, 9)):
        machine.step(o.V_STORE, variable, value)
    return machine


def test_the_oldest_store_reaches_memory_and_the_others_move_up() -> None:
    machine = waiting(o.TSO)
    assert acts(machine, drain_store, 0, 0)
    assert machine.variables.tolist() == [0, 0, 1, 0]
    assert machine.stores(0).tolist() == [[3 + 1, 5], [2 + 1, 9], [0, 0]]


def test_under_tso_no_store_overtakes_another() -> None:
    machine = waiting(o.TSO)
    assert not acts(machine, drain_store, 0, 1)


def test_in_weak_memory_a_store_overtakes_those_to_other_variables_alone() -> None:
    machine = waiting(o.WEAK)
    assert not acts(machine, drain_store, 0, 2)
    assert acts(machine, drain_store, 0, 1)
    assert machine.variables.tolist() == [0, 0, 0, 5]
    assert machine.stores(0).tolist() == [[2 + 1, 1], [2 + 1, 9], [0, 0]]


def test_an_empty_buffer_drains_no_store() -> None:
    assert not acts(waiting(o.TSO), drain_store, 1, 0)


# --- the hypervisor


def test_the_host_preempts_a_vcpu_that_runs_and_resumes_one_that_does_not() -> None:
    machine = Tiny()
    assert not acts(machine, resume, 1)
    assert acts(machine, preempt, 1)
    assert machine.cpus("preempted") == [1]
    assert not acts(machine, preempt, 1)
    assert acts(machine, resume, 1)
    assert machine.cpus("preempted") == []


def test_a_vcpu_that_resumes_flushes_if_it_was_told_to() -> None:
    machine = Tiny()
    machine.put("leaf", 1, mm=0)
    machine.put("flush_on_entry", 1)
    acts(machine, preempt, 1)
    acts(machine, resume, 1)
    assert machine.cpus("leaf", mm=0) == machine.cpus("flush_on_entry") == []


# --- the scheduler


def scheduled(agent: Callable[..., Any], machine: Tiny, op: int, *operands: int, task: int = 1) -> bool:
    """Let a task whose next step is given go idle or come back."""
    machine.task(task)[T_PC] = HERE
    before = machine.state.copy()
    acted = machine.ask(agent, op, *operands, task=task)
    assert acted or (machine.state == before).all()
    return acted


def test_a_task_that_has_to_wait_may_leave_its_cpu_to_idle_lazily() -> None:
    machine = Tiny()
    machine.step(o.LOCK_WRITE, 4)
    assert scheduled(go_idle, machine, o.LOCK_WRITE, 4, 0, 1)
    assert machine.cpu(1)[CPU_TASK] == 0
    assert machine.cpu(1)[CPU_MM] == 1
    assert machine.cpus("lazy") == [1]


def test_a_task_that_spins_or_need_not_wait_stays_on_its_cpu() -> None:
    machine = Tiny()
    assert not scheduled(go_idle, machine, o.LOCK_WRITE, 4, 0, 1)
    machine.step(o.LOCK_WRITE, 4)
    assert not scheduled(go_idle, machine, o.LOCK_WRITE, 4, 0, 0)


def test_a_task_that_is_not_on_its_cpu_or_whose_vcpu_is_preempted_can_not_leave_it() -> None:
    machine = Tiny()
    machine.step(o.LOCK_WRITE, 4)
    machine.put("preempted", 1)
    assert not scheduled(go_idle, machine, o.LOCK_WRITE, 4, 0, 1)
    machine.take_out("preempted", 1)
    machine.cpu(1)[CPU_TASK] = 0
    assert not scheduled(go_idle, machine, o.LOCK_WRITE, 4, 0, 1)
    machine.task(1)[T_CPU] = machine.layout.cpus  # fork() has not chosen yet
    assert not scheduled(go_idle, machine, o.LOCK_WRITE, 4, 0, 1)


def idle() -> Tiny:
    """Let CPU 1 idle lazily while task 1 waits for lock 4, which task 0 holds."""
    machine = Tiny()
    machine.step(o.LOCK_WRITE, 4)
    scheduled(go_idle, machine, o.LOCK_WRITE, 4, 0, 1)
    return machine


def test_an_idle_cpu_comes_back_to_its_task_once_it_need_not_wait() -> None:
    machine = idle()
    assert not scheduled(come_back, machine, o.LOCK_WRITE, 4, 0, 1)
    machine.step(o.UNLOCK_WRITE, 4)
    assert scheduled(come_back, machine, o.LOCK_WRITE, 4, 0, 1)
    assert machine.cpu(1)[CPU_TASK] == 2
    assert machine.cpus("lazy") == []


@pytest.mark.parametrize("op", [o.HALT, o.PARK])
def test_nobody_comes_back_to_a_task_that_is_gone_or_parked(op: int) -> None:
    assert not scheduled(come_back, idle(), op)


def test_a_cpu_that_has_a_task_or_is_preempted_comes_back_to_no_other() -> None:
    machine = idle()
    machine.put("preempted", 1)
    assert not scheduled(come_back, machine, o.WORK)
    machine.take_out("preempted", 1)
    machine.cpu(1)[CPU_TASK] = 3
    assert not scheduled(come_back, machine, o.WORK)
