"""Steps on entries of page tables, on frames, and on rights that a call takes away."""

from __future__ import annotations

import pytest
from tests.core.machine.tiny import AFTER_IT, ELSEWHERE, HERE, Tiny, Took

from shootdown._machine import ops as o
from shootdown._machine.agents import drain_store

MAPS_BOTH = 0b11 << o.ENTRY_PAGE_SHIFT | o.ENTRY_PRESENT
MAPS_FIRST = 0b01 << o.ENTRY_PAGE_SHIFT | o.ENTRY_PRESENT


def machine(memory: int = o.SC) -> Tiny:
    """Make a machine with two atoms and two frames; register CLASS names the first class of tables."""
    made = Tiny(atoms=2, frames=2, memory=memory, stores=2 if memory else 0)
    for task in range(3):
        made.registers(task)[o.CLASS] = 1
    return made


def references(made: Tiny) -> list[int]:
    """The references to each frame."""
    return [int(n) for n in made.state[made.layout.o_frame : made.layout.o_frame + 2]]


def set_references(made: Tiny, *counts: int) -> None:
    made.state[made.layout.o_frame : made.layout.o_frame + 2] = counts


def entry(made: Tiny, atom: int, klass: int = 0) -> int:
    """What memory has of an atom's entry."""
    return int(made.state[made.layout.o_entry + klass * made.layout.atoms + atom])


@pytest.mark.parametrize("memory", [o.TSO, o.WEAK])
def test_an_entry_is_written_through_the_store_buffer_and_seen_by_its_own_cpu(memory: int) -> None:
    made = machine(memory)
    made.step(o.ENTRY_STORE, 1, 9)
    assert entry(made, 1) == 0
    for task, seen in ((0, 9), (1, 0)):
        made.step(o.ENTRY_LOAD, o.SCRATCH, 1, task=task)
        assert made.registers(task)[o.SCRATCH] == seen
    assert made.step(o.ENTRY_XCHG, 1, 0, o.SCRATCH).outcome == o.BLOCKED_BUFFER
    assert made.run(drain_store, 0, 0)
    assert entry(made, 1) == 9
    assert made.step(o.ENTRY_XCHG, 1, 0, o.SCRATCH).went_on
    assert (entry(made, 1), made.registers()[o.SCRATCH]) == (0, 9)


def test_an_entry_is_that_of_the_table_of_register_class() -> None:
    made = machine()
    made.registers()[o.CLASS] = 2
    made.step(o.ENTRY_STORE, 0, 9)
    assert (entry(made, 0), entry(made, 0, klass=1)) == (0, 9)
    made.registers()[o.CLASS] = 0
    assert made.step(o.ENTRY_LOAD, o.SCRATCH, 0) == Took(o.FAILED, o.NO_TABLE, HERE)


def test_references_are_taken_of_all_frames_of_a_value_or_of_none() -> None:
    made = machine()
    made.registers()[o.SCRATCH] = MAPS_BOTH
    set_references(made, 1, 2)
    assert made.step(o.GET_FRAMES, o.SCRATCH, ELSEWHERE).went_on
    assert references(made) == [2, 3]
    set_references(made, 1, 0)
    assert made.step(o.GET_FRAMES, o.SCRATCH, ELSEWHERE).jumped
    assert references(made) == [1, 0]


def test_a_jump_is_taken_if_one_of_the_frames_has_another_reference() -> None:
    made = machine()
    made.registers()[o.SCRATCH] = MAPS_BOTH
    set_references(made, 1, 1)
    assert made.step(o.JUMP_REFERENCED, o.SCRATCH, ELSEWHERE).went_on
    set_references(made, 1, 2)
    assert made.step(o.JUMP_REFERENCED, o.SCRATCH, ELSEWHERE).jumped
    made.registers()[o.SCRATCH] = MAPS_FIRST
    assert made.step(o.JUMP_REFERENCED, o.SCRATCH, ELSEWHERE).went_on


def test_references_are_taken_where_the_label_is_the_next_step_too() -> None:
    made = machine()
    made.registers()[o.SCRATCH] = MAPS_FIRST
    set_references(made, 1, 0)
    assert made.step(o.GET_FRAMES, o.SCRATCH, AFTER_IT).went_on
    assert references(made) == [2, 0]


@pytest.mark.parametrize("step", [(o.PUT_FRAMES, o.SCRATCH), (o.QUEUE_FRAMES, o.INDEX, o.SCRATCH)])
def test_a_reference_that_there_is_not_can_not_be_dropped(step: tuple[int, ...]) -> None:
    made = machine()
    made.registers()[o.INDEX] = made.registers()[o.SCRATCH] = MAPS_BOTH
    set_references(made, 1, 0)
    assert made.step(*step) == Took(o.FAILED, o.NO_REFERENCE, HERE)
    assert references(made) == [1, 0]
    set_references(made, 2, 2)
    assert made.step(*step).went_on
    assert references(made) == [1, 1]


def test_a_frame_has_a_reference_for_each_time_that_it_is_noted() -> None:
    made = machine()
    made.registers()[o.INDEX] = made.registers()[o.SCRATCH] = MAPS_FIRST
    set_references(made, 1, 0)
    assert made.step(o.QUEUE_FRAMES, o.INDEX, o.SCRATCH) == Took(o.FAILED, o.NO_REFERENCE, HERE)


def test_a_free_frame_that_is_noted_once_loses_no_reference() -> None:
    made = machine()
    made.registers()[o.SCRATCH] = MAPS_BOTH
    assert made.step(o.QUEUE_FRAMES, o.INDEX, o.SCRATCH).went_on
    assert references(made) == [0, 0]


def test_frames_are_noted_beside_those_noted_before() -> None:
    made = machine()
    made.registers()[o.INDEX] = 0b10 << o.ENTRY_PAGE_SHIFT
    made.registers()[o.SCRATCH] = MAPS_FIRST
    made.step(o.QUEUE_FRAMES, o.INDEX, o.SCRATCH)
    assert made.registers()[o.INDEX] == 0b11 << o.ENTRY_PAGE_SHIFT
    set_references(made, 2, 1)
    assert made.step(o.PUT_FRAMES, o.INDEX).went_on
    assert references(made) == [1, 0]
