"""Locks: who has to wait, and who sleeps meanwhile."""

from __future__ import annotations

from tests.twins.machine.steps.memory import stores_wait
from tests.twins.machine.steps.step import BUFFERED, LOCKED, Answer, Words, next_step, step
from tests.twins.machine.world import SLOT, World


def lock_of(w: World, task: int, s: Words) -> int:
    t = w.tasks[task]
    if s.index == 1:
        assert t.on is not None
        return s.lock + t.on
    return s.lock + t.registers[SLOT] if s.index == 2 else s.lock


def must_wait(w: World, task: int, s: Words) -> bool:
    """Whether the lock of a step that takes one is held."""
    writer, readers = w.locks[lock_of(w, task, s)]
    return writer or (s.name != "LOCK_READ" and readers > 0)


def sleeps(w: World, task: int) -> bool:
    """Whether a task waits, at its next step, in a way that lets its CPU do something else."""
    s = next_step(w, task)
    if s.name == "AWAIT":
        return w.events[s.event] < s.count
    return s.name in ("LOCK_READ", "LOCK_WRITE") and bool(s.sleeps) and must_wait(w, task, s)


@step
def lock_write(w: World, task: int, s: Words) -> Answer:
    if w.rules.memory == "tso" and stores_wait(w, task):
        return BUFFERED  # a locked instruction
    if must_wait(w, task, s):
        return LOCKED
    w.locks[lock_of(w, task, s)] = (True, w.locks[lock_of(w, task, s)][1])
    return None


@step
def lock_read(w: World, task: int, s: Words) -> Answer:
    if w.rules.memory == "tso" and stores_wait(w, task):
        return BUFFERED
    if must_wait(w, task, s):
        return LOCKED
    writer, readers = w.locks[lock_of(w, task, s)]
    w.locks[lock_of(w, task, s)] = (writer, readers + 1)
    return None


@step
def try_write(w: World, task: int, s: Words) -> Answer:
    if w.rules.memory == "tso" and stores_wait(w, task):
        return BUFFERED
    if must_wait(w, task, s):
        return s.label
    w.locks[lock_of(w, task, s)] = (True, w.locks[lock_of(w, task, s)][1])
    return None


@step
def unlock_write(w: World, task: int, s: Words) -> Answer:
    if stores_wait(w, task):
        return BUFFERED  # a release
    w.locks[lock_of(w, task, s)] = (False, w.locks[lock_of(w, task, s)][1])
    return None


@step
def unlock_read(w: World, task: int, s: Words) -> Answer:
    if stores_wait(w, task):
        return BUFFERED
    writer, readers = w.locks[lock_of(w, task, s)]
    w.locks[lock_of(w, task, s)] = (writer, readers - 1)
    return None
