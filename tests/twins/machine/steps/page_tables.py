"""Links to tables, and the tables' sharers and use."""

from __future__ import annotations

from tests.twins.machine.steps.memory import read_memory, store, stores_wait, value_of, write_memory
from tests.twins.machine.steps.step import BUFFERED, Answer, Words, cpu_of, mm_of, step
from tests.twins.machine.world import CLASS, HUGE, SCRATCH, SLOT, Table, Where, World


def _table(w: World, task: int) -> Table:
    """The table of registers CLASS and SLOT; CLASS holds the class plus one, as a PUD entry is read."""
    t = w.tasks[task]
    return w.tables[(t.registers[CLASS] - 1, t.registers[SLOT])]


def _link(w: World, task: int) -> Where:
    """Where the PUD entry of the mm and of register SLOT is."""
    t = w.tasks[task]
    assert t.on is not None
    return ("link", t.on, t.registers[SLOT])


@step
def load_pud(w: World, task: int, s: Words) -> Answer:
    kind = read_memory(w, cpu_of(w, task), _link(w, task))
    w.tasks[task].registers[s.register] = 0 if kind is None else kind + 1
    return None


@step
def clear_pud(w: World, task: int, s: Words) -> Answer:
    return store(w, task, _link(w, task), None)


@step
def set_pud(w: World, task: int, s: Words) -> Answer:
    return store(w, task, _link(w, task), s.table_class)


@step
def store_pud(w: World, task: int, s: Words) -> Answer:
    value = value_of(w, task, s) | (HUGE if s.huge else 0)
    return store(w, task, _link(w, task), value - 1 if value else None)


@step
def xchg_pud(w: World, task: int, s: Words) -> Answer:
    if stores_wait(w, task):
        return BUFFERED
    where, new = _link(w, task), value_of(w, task, s)
    old = read_memory(w, None, where)
    write_memory(w, where, new - 1 if new else None)
    w.tasks[task].registers[s.register] = 0 if old is None else old + 1
    return None


@step
def jump_exclusive(w: World, task: int, s: Words) -> Answer:
    return None if _table(w, task).sharers > 1 else s.label


@step
def share(w: World, task: int, s: Words) -> Answer:
    registers = w.tasks[task].registers
    table = w.tables[(s.table_class, registers[SLOT])]
    registers[SCRATCH] = table.sharers
    table.sharers += 1
    return None


@step
def populate(w: World, task: int, s: Words) -> Answer:
    if read_memory(w, cpu_of(w, task), _link(w, task)) is not None:
        return s.label
    return store(w, task, _link(w, task), s.table_class) or share(w, task, s)


@step
def unshare(w: World, task: int, s: Words) -> Answer:
    table = _table(w, task)
    table.sharers -= 1
    gather = w.tasks[task].gathers[s.gather]
    gather.flags |= s.flags
    if table.sharers == 1:
        gather.flags |= s.more_flags
    return None


@step
def drop(w: World, task: int, s: Words) -> Answer:
    _table(w, task).sharers -= 1
    return None


@step
def table_state(w: World, task: int, s: Words) -> Answer:
    t, table = w.tasks[task], _table(w, task)
    table.use, table.owner = s.state, t.on
    if s.state:  # freed, or used anew: links to it are dead, but in the latter case for the new owner's
        for c in w.cpus:
            dead = {
                link
                for link in c.links
                if link[1:] == (t.registers[SLOT], t.registers[CLASS] - 1)
                and (s.state == 2 or link[0] != t.on)
            }
            c.links -= dead
            c.dead_links |= {link[:2] for link in dead}
    return None


@step
def read_table(w: World, task: int, s: Words) -> Answer:
    registers = w.tasks[task].registers
    registers[s.register] = w.tables[(registers[s.table] - 1, registers[SLOT])].use
    return None


@step
def touch(w: World, task: int, s: Words) -> Answer:
    home = w.tasks[task].home
    assert home is not None
    m = mm_of(w, task)
    m.leaf |= {home}
    if w.rules.hardware_walks:
        m.walk |= {home}
    return None
