"""Interrupts off and on, and lockless walks that a targeted sync can see."""

from __future__ import annotations

from tests.core.machine.tiny import Tiny

from shootdown._machine import ops as o
from shootdown._machine.layout import T_CPU


def test_interrupts_are_off_on_the_cpu_of_the_task_until_they_are_on_again() -> None:
    machine = Tiny()
    machine.task(1)[T_CPU] = 3
    assert machine.step(o.IRQ_OFF, task=1).went_on
    assert machine.cpus("irq_off") == [3]
    assert machine.step(o.IRQ_ON, task=1).went_on
    assert machine.cpus("irq_off") == []


def test_a_lockless_walk_is_visible_while_interrupts_are_off() -> None:
    machine = Tiny()
    machine.step(o.IRQ_OFF, 1)
    assert (machine.cpus("irq_off"), machine.cpus("walking")) == ([0], [0])
    machine.step(o.IRQ_ON, 1)
    assert (machine.cpus("irq_off"), machine.cpus("walking")) == ([], [])


def test_interrupts_that_are_off_for_another_reason_are_no_walk() -> None:
    machine = Tiny()
    machine.step(o.IRQ_OFF, 0)
    assert machine.cpus("walking") == []


def test_one_cpu_leaves_the_others_alone() -> None:
    machine = Tiny()
    machine.step(o.IRQ_OFF, 1, task=0)
    machine.step(o.IRQ_OFF, 1, task=2)
    machine.step(o.IRQ_ON, 1, task=0)
    assert (machine.cpus("irq_off"), machine.cpus("walking")) == ([2], [2])
