"""Steps that only concern the task itself: registers, jumps, events, and what its CPU is about."""

from __future__ import annotations

from tests.twins.machine import flushes
from tests.twins.machine.steps.step import (
    ENDED,
    FAILED,
    PARKED,
    STEPS,
    UNTOLD,
    Answer,
    Words,
    cpu_of,
    largest,
    step,
)
from tests.twins.machine.world import SLOT, World


@step
def halt(w: World, task: int, s: Words) -> Answer:
    return ENDED


@step
def jump(w: World, task: int, s: Words) -> Answer:
    return s.label


@step
def set_(w: World, task: int, s: Words) -> Answer:
    w.tasks[task].registers[s.register] = s.value
    return None


@step
def next_(w: World, task: int, s: Words) -> Answer:
    registers = w.tasks[task].registers
    registers[s.register] += 1
    if registers[s.register] < s.limit:
        return s.label
    registers[s.register] = 0
    return None


@step
def jump_zero(w: World, task: int, s: Words) -> Answer:
    return s.label if w.tasks[task].registers[s.register] == 0 else None


@step
def jump_equal(w: World, task: int, s: Words) -> Answer:
    return s.label if w.tasks[task].registers[s.register] == s.value else None


@step
def jump_same(w: World, task: int, s: Words) -> Answer:
    registers = w.tasks[task].registers
    return s.label if registers[s.register] == registers[s.other] else None


@step
def jump_no_bits(w: World, task: int, s: Words) -> Answer:
    return s.label if w.tasks[task].registers[s.register] & s.mask == 0 else None


@step
def copy_(w: World, task: int, s: Words) -> Answer:
    registers = w.tasks[task].registers
    registers[s.register] = registers[s.source]
    return None


@step
def add(w: World, task: int, s: Words) -> Answer:
    registers = w.tasks[task].registers
    registers[s.register] = (registers[s.register] + s.number) & largest(w)
    return None


@step
def clear_bits(w: World, task: int, s: Words) -> Answer:
    w.tasks[task].registers[s.register] &= ~s.mask
    return None


def _nothing(w: World, task: int, s: Words) -> Answer:
    return None


for _name in ("WORK", "MARK", "NOTE", "SPAWN", "EXECUTE", "CHOICE", "REACHED"):
    STEPS[_name] = _nothing  # what they do besides is the books' or the search's


@step
def signal(w: World, task: int, s: Words) -> Answer:
    w.events[s.event] += 1
    return None


@step
def await_(w: World, task: int, s: Words) -> Answer:
    if w.events[s.event] < s.count:
        return UNTOLD
    w.events[s.event] -= s.count * s.takes
    return None


@step
def migrate(w: World, task: int, s: Words) -> Answer:
    w.tasks[task].home = s.cpu
    return None


@step
def resched(w: World, task: int, s: Words) -> Answer:
    return None


@step
def on_mm(w: World, task: int, s: Words) -> Answer:
    t = w.tasks[task]
    t.on = s.mm + (0 if s.register is None else t.registers[s.register])
    return None


@step
def use_mm(w: World, task: int, s: Words) -> Answer:
    t = w.tasks[task]
    t.mm = t.on = s.mm
    assert t.home is not None
    cpu_of(w, task).loaded_root = flushes.load(w, t.home, s.mm)
    return None


@step
def release_mm(w: World, task: int, s: Words) -> Answer:
    t = w.tasks[task]
    t.mm = None
    if w.rules.lazy_tlb:
        cpu_of(w, task).lazy = True
    return None


@step
def host_preempt(w: World, task: int, s: Words) -> Answer:
    cpu_of(w, task).preempted = True
    return None


@step
def park(w: World, task: int, s: Words) -> Answer:
    return PARKED


@step
def fail(w: World, task: int, s: Words) -> Answer:
    w.failed = s.invariant
    return FAILED


@step
def pick(w: World, task: int, s: Words) -> Answer:
    t = w.tasks[task]
    t.registers[SLOT] = w.rules.lists[s.base + t.registers[s.register]]
    return None


@step
def irq_off(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    c.irq_off = True
    c.walking = c.walking or bool(s.lockless)
    return None


@step
def irq_on(w: World, task: int, s: Words) -> Answer:
    c = cpu_of(w, task)
    c.irq_off = False
    if s.lockless:
        c.walking = False
    return None
