"""Variables, and the TLB entries of single ones."""

from __future__ import annotations

from tests.twins.machine.steps.memory import read_memory, store, stores_wait, value_of
from tests.twins.machine.steps.step import BUFFERED, Answer, Words, cpu_of, largest, step
from tests.twins.machine.world import DIRTY, PRESENT, WRITABLE, World


def _variable(w: World, task: int, s: Words) -> int:
    index = getattr(s, "index", None)
    return s.variable + (0 if index is None else w.tasks[task].registers[index])


@step
def v_load(w: World, task: int, s: Words) -> Answer:
    value = read_memory(w, cpu_of(w, task), ("variable", _variable(w, task, s), 0))
    assert value is not None
    w.tasks[task].registers[s.register] = value
    return None


@step
def v_store(w: World, task: int, s: Words) -> Answer:
    return store(w, task, ("variable", _variable(w, task, s), 0), value_of(w, task, s))


@step
def fence(w: World, task: int, s: Words) -> Answer:
    return BUFFERED if stores_wait(w, task) else None


@step
def v_add(w: World, task: int, s: Words) -> Answer:
    if stores_wait(w, task):
        return BUFFERED
    where = _variable(w, task, s)
    w.variables[where] = (w.variables[where] + s.number) & largest(w)
    w.tasks[task].registers[s.register] = w.variables[where]
    return None


@step
def v_xchg(w: World, task: int, s: Words) -> Answer:
    if stores_wait(w, task):
        return BUFFERED
    new, old = value_of(w, task, s), w.variables[s.variable]
    w.variables[s.variable] = new
    w.tasks[task].registers[s.register] = old
    return None


@step
def v_cas(w: World, task: int, s: Words) -> Answer:
    if stores_wait(w, task):
        return BUFFERED
    registers = w.tasks[task].registers
    found = w.variables[s.variable]
    if found != registers[s.expected]:
        registers[s.expected] = found
        return s.label
    w.variables[s.variable] = registers[s.new]
    return None


@step
def own_number(w: World, task: int, s: Words) -> Answer:
    number = w.tasks[task].home if s.what == 0 else w.tasks[task].on
    assert number is not None
    w.tasks[task].registers[s.register] = number
    return None


@step
def target_holding(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    wanted = w.tasks[task].registers[s.register]
    c.targets = frozenset(
        n for n in c.targets if read_memory(w, c, ("variable", s.variable + n, 0)) == wanted
    )
    return None


@step
def access(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    cached, in_memory = c.tlb[s.entry], w.variables[s.entry]

    def ends(value: int, copy_kept: int) -> None:
        c.tlb = (*c.tlb[: s.entry], copy_kept, *c.tlb[s.entry + 1 :])
        w.tasks[task].registers[s.register] = value

    used = cached
    if not cached or (
        s.write and not cached & WRITABLE
    ):  # a miss, or the copy may not be written through: walk
        if not in_memory & PRESENT:
            ends(0, 0)
            return None
        if s.write and not in_memory & WRITABLE:
            ends(0, in_memory)
            return None
        used = in_memory
    if s.write and not used & DIRTY:  # the dirty bit is set in memory, of the entry that is there now
        if not in_memory & PRESENT or not in_memory & WRITABLE:
            ends(0, 0)
            return None
        used = in_memory | DIRTY
        w.variables[s.entry] = used
    ends(used, used)
    return None
