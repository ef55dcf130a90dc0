"""Memory as a CPU sees it: variables, links to tables and entries of atoms, through its store buffer."""

from __future__ import annotations

from tests.twins.machine.steps.step import BUFFERED, Answer, Words, cpu_of
from tests.twins.machine.world import Cpu, Where, World


def read_memory(w: World, c: Cpu | None, where: Where) -> int | None:
    """Read a variable, link or entry as a CPU sees it, through its store buffer, or as memory has it."""
    for place, value in reversed(c.stores if c else ()):
        if place == where:
            return value
    kind, x, y = where
    if kind == "link":
        return w.mms[x].pud[y]
    return w.variables[x] if kind == "variable" else w.entries[(x, y)]


def write_memory(w: World, where: Where, value: int | None) -> None:
    """Let a store reach memory."""
    kind, x, y = where
    if kind == "link":
        m = w.mms[x]
        m.pud[y] = value
        if value is None:  # what was cached through it is stale
            m.stale_leaf |= m.leaf
            m.stale_walk |= m.walk
        return
    assert value is not None
    if kind == "variable":
        w.variables[x] = value
    else:
        w.entries[(x, y)] = value


def store(w: World, task: int, where: Where, value: int | None) -> Answer:
    """Store, through the CPU's buffer where it has one."""
    if w.rules.memory == "sc":
        write_memory(w, where, value)
        return None
    c = cpu_of(w, task)
    if len(c.stores) == w.rules.buffer:
        return BUFFERED
    c.stores = (*c.stores, (where, value))
    return None


def stores_wait(w: World, task: int) -> bool:
    return bool(cpu_of(w, task).stores)


def value_of(w: World, task: int, s: Words) -> int:
    return w.tasks[task].registers[s.value] if s.from_register else s.value
