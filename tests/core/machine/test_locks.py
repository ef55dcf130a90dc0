"""Locks: one writer or many readers, which lock a step means, and who may sleep meanwhile."""

from __future__ import annotations

import pytest
from tests.core.machine.tiny import ELSEWHERE, HERE, Tiny, Took

from shootdown._machine import ops as o
from shootdown._machine.layout import K_READERS, K_WRITER, T_ON
from shootdown._machine.locks import sleeps


def test_a_free_lock_is_taken_for_writing() -> None:
    machine = Tiny()
    took = machine.step(o.LOCK_WRITE, 4)
    assert (took.went_on, took.about) == (True, 4)
    assert machine.lock(4).tolist() == [1, 0]


@pytest.mark.parametrize("wanted", [o.LOCK_READ, o.LOCK_WRITE])
def test_who_wants_a_lock_that_has_a_writer_waits(wanted: int) -> None:
    machine = Tiny()
    machine.step(o.LOCK_WRITE, 4)
    assert machine.step(wanted, 4, task=1) == Took(o.BLOCKED_LOCK, 4, HERE)


def test_readers_share_a_lock_and_keep_writers_out() -> None:
    machine = Tiny()
    assert machine.step(o.LOCK_READ, 2, task=0).went_on
    assert machine.step(o.LOCK_READ, 2, task=1).went_on
    assert machine.lock(2)[K_READERS] == 2
    assert machine.step(o.LOCK_WRITE, 2, task=2) == Took(o.BLOCKED_LOCK, 2, HERE)


def test_a_writer_gets_the_lock_when_the_last_reader_is_gone() -> None:
    machine = Tiny()
    machine.step(o.LOCK_READ, 2, task=0)
    machine.step(o.LOCK_READ, 2, task=1)
    machine.step(o.UNLOCK_READ, 2, task=0)
    assert machine.step(o.LOCK_WRITE, 2, task=2).outcome == o.BLOCKED_LOCK
    machine.step(o.UNLOCK_READ, 2, task=1)
    assert machine.step(o.LOCK_WRITE, 2, task=2).went_on


def test_a_release_says_which_lock_is_free_again() -> None:
    machine = Tiny()
    machine.step(o.LOCK_WRITE, 3)
    took = machine.step(o.UNLOCK_WRITE, 3)
    assert (took.went_on, took.about) == (True, 3)
    assert machine.lock(3)[K_WRITER] == 0


def test_a_lock_of_an_mm_is_that_of_the_mm_that_kernel_work_concerns() -> None:
    machine = Tiny()
    machine.task()[T_ON] = 2
    assert machine.step(o.LOCK_WRITE, 1, 1).about == 1 + 1


def test_a_lock_of_a_table_is_counted_from_the_slot() -> None:
    machine = Tiny()
    machine.registers()[o.SLOT] = 1
    assert machine.step(o.LOCK_WRITE, 4, 2).about == 4 + 1


def test_a_trylock_takes_a_free_lock_and_goes_on() -> None:
    machine = Tiny()
    took = machine.step(o.TRY_WRITE, 5, 0, ELSEWHERE)
    assert (took.went_on, took.about) == (True, 5)
    assert machine.lock(5)[K_WRITER] == 1


@pytest.mark.parametrize("held", [o.LOCK_READ, o.LOCK_WRITE])
def test_a_trylock_that_fails_goes_elsewhere_instead_of_waiting(held: int) -> None:
    machine = Tiny()
    machine.step(held, 5, task=1)
    before = machine.lock(5).tolist()
    assert machine.step(o.TRY_WRITE, 5, 0, ELSEWHERE).jumped
    assert machine.lock(5).tolist() == before


@pytest.mark.parametrize(
    ("memory", "waits"),
    [
        (o.TSO, {o.LOCK_READ, o.LOCK_WRITE, o.TRY_WRITE, o.UNLOCK_READ, o.UNLOCK_WRITE}),
        (o.WEAK, {o.UNLOCK_READ, o.UNLOCK_WRITE}),
    ],
)
def test_a_release_waits_for_the_store_buffer_and_under_tso_so_does_taking_or_trying_a_lock(
    memory: int, waits: set[int]
) -> None:
    for op in (o.LOCK_READ, o.LOCK_WRITE, o.TRY_WRITE, o.UNLOCK_READ, o.UNLOCK_WRITE):
        machine = Tiny(memory=memory, stores=2)
        machine.stores(0)[0] = (3, 1)
        assert (machine.step(op, 0).outcome == o.BLOCKED_BUFFER) == (op in waits)


def _asleep(machine: Tiny, op: int, *operands: int) -> bool:
    return machine.ask(sleeps, op, *operands, task=1)


def test_who_waits_for_a_mutex_may_sleep_and_who_waits_for_a_spinlock_may_not() -> None:
    machine = Tiny()
    machine.step(o.LOCK_WRITE, 4)
    assert _asleep(machine, o.LOCK_WRITE, 4, 0, 1)
    assert _asleep(machine, o.LOCK_READ, 4, 0, 1)
    assert not _asleep(machine, o.LOCK_WRITE, 4, 0, 0)


def test_nobody_sleeps_for_a_lock_that_is_free() -> None:
    machine = Tiny()
    assert not _asleep(machine, o.LOCK_WRITE, 4, 0, 1)
    machine.step(o.LOCK_READ, 4)
    assert not _asleep(machine, o.LOCK_READ, 4, 0, 1)


def test_who_awaits_an_event_sleeps_until_it_was_signalled() -> None:
    machine = Tiny()
    assert _asleep(machine, o.AWAIT, 0, 1)
    machine.step(o.SIGNAL, 0)
    assert not _asleep(machine, o.AWAIT, 0, 1)


@pytest.mark.parametrize("op", [o.TRY_WRITE, o.UNLOCK_WRITE, o.WAIT, o.PARK, o.HALT])
def test_no_other_step_lets_a_task_sleep(op: int) -> None:
    machine = Tiny()
    machine.step(o.LOCK_WRITE, 4)
    machine.aim(1)
    assert not _asleep(machine, op, 4, 0, 1)
