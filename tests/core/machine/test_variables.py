"""Memory that scenarios name, as each CPU sees it through its store buffer and its TLB."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.machine.tiny import ELSEWHERE, HERE, Tiny, Took

from shootdown._machine import ops as o

PRESENT, WRITABLE, DIRTY = o.ENTRY_PRESENT, o.ENTRY_WRITABLE, o.ENTRY_DIRTY
PAGE = 5 << o.ENTRY_PAGE_SHIFT


def buffered(memory: int = o.TSO) -> Tiny:
    """Make a machine whose CPUs have store buffers for two stores each."""
    return Tiny(memory=memory, stores=2)


# --- loads and stores


def test_with_sequential_consistency_a_store_is_seen_at_once() -> None:
    machine = Tiny()
    machine.step(o.V_STORE, 3, 7)
    assert machine.variables[3] == 7
    machine.step(o.V_LOAD, o.SCRATCH, 3, task=1)
    assert machine.registers(1)[o.SCRATCH] == 7


@pytest.mark.parametrize("memory", [o.TSO, o.WEAK])
def test_a_store_waits_where_only_its_own_cpu_sees_it(memory: int) -> None:
    machine = buffered(memory)
    machine.variables[3] = 1
    machine.step(o.V_STORE, 3, 7)
    assert machine.variables[3] == 1
    for task, seen in ((0, 7), (1, 1)):
        machine.step(o.V_LOAD, o.SCRATCH, 3, task=task)
        assert machine.registers(task)[o.SCRATCH] == seen


def test_a_cpu_sees_the_newest_of_its_own_stores() -> None:
    machine = buffered()
    machine.step(o.V_STORE, 3, 7)
    machine.step(o.V_STORE, 3, 8)
    machine.step(o.V_LOAD, o.SCRATCH, 3)
    assert machine.registers()[o.SCRATCH] == 8


def test_a_store_waits_for_room_in_the_buffer() -> None:
    machine = buffered()
    machine.step(o.V_STORE, 2, 1)
    machine.step(o.V_STORE, 3, 1)
    assert machine.step(o.V_STORE, 2, 9) == Took(o.BLOCKED_BUFFER, 0, HERE)
    assert machine.step(o.V_STORE, 2, 9, task=1).went_on


def test_a_register_may_be_stored() -> None:
    machine = Tiny()
    machine.registers()[o.CLASS] = 6
    machine.step(o.V_STORE, 3, o.CLASS, 1)
    assert machine.variables[3] == 6


def test_an_array_is_counted_on_by_a_register() -> None:
    machine = Tiny(variables=6, entries=0)
    machine.registers()[o.INDEX] = 2
    machine.step(o.V_STORE, 1, 9, 0, o.INDEX + 1)
    assert machine.variables.tolist() == [0, 0, 0, 9, 0, 0]
    machine.step(o.V_LOAD, o.SCRATCH, 1, o.INDEX + 1)
    assert machine.registers()[o.SCRATCH] == 9
    machine.step(o.V_ADD, 1, 4, o.SCRATCH, o.INDEX + 1)
    assert machine.variables.tolist() == [0, 0, 0, 13, 0, 0]


# --- what is fully ordered


@pytest.mark.parametrize(
    ("op", "operands"),
    [
        (o.FENCE, ()),
        (o.V_ADD, (3, 1, o.SCRATCH)),
        (o.V_XCHG, (3, 1, o.SCRATCH)),
        (o.V_CAS, (3, 0, 1, ELSEWHERE)),
    ],
)
def test_a_fence_and_every_atomic_operation_wait_until_the_store_buffer_is_empty(
    op: int, operands: tuple[int, ...]
) -> None:
    machine = buffered()
    assert machine.step(op, *operands).outcome == o.DONE
    machine.step(o.V_STORE, 2, 1)
    assert machine.step(op, *operands) == Took(o.BLOCKED_BUFFER, 0, HERE)
    assert machine.step(op, *operands, task=1).outcome == o.DONE


def test_an_atomic_addition_returns_the_new_value_modulo_two_to_the_fifteenth() -> None:
    machine = Tiny()
    machine.variables[3] = 5
    machine.step(o.V_ADD, 3, 2, o.SCRATCH)
    assert (machine.variables[3], machine.registers()[o.SCRATCH]) == (7, 7)
    machine.step(o.V_ADD, 3, -8, o.SCRATCH)
    assert machine.registers()[o.SCRATCH] == 0x7FFF


def test_an_exchange_returns_the_old_value() -> None:
    machine = Tiny()
    machine.variables[3] = 5
    machine.step(o.V_XCHG, 3, 9, o.SCRATCH)
    assert (machine.variables[3], machine.registers()[o.SCRATCH]) == (9, 5)
    machine.registers()[o.CLASS] = 2
    machine.step(o.V_XCHG, 3, o.CLASS, o.SCRATCH, 1)
    assert (machine.variables[3], machine.registers()[o.SCRATCH]) == (2, 9)


def test_a_compare_and_exchange_that_meets_what_it_expects_writes_the_new_value() -> None:
    machine = Tiny()
    machine.variables[3] = 5
    machine.registers()[o.SCRATCH], machine.registers()[o.SCRATCH2] = 5, 8
    assert machine.step(o.V_CAS, 3, o.SCRATCH, o.SCRATCH2, ELSEWHERE).went_on
    assert machine.variables[3] == 8


def test_a_compare_and_exchange_that_fails_says_what_was_there() -> None:
    machine = Tiny()
    machine.variables[3] = 6
    machine.registers()[o.SCRATCH], machine.registers()[o.SCRATCH2] = 5, 8
    assert machine.step(o.V_CAS, 3, o.SCRATCH, o.SCRATCH2, ELSEWHERE).jumped
    assert (machine.variables[3], machine.registers()[o.SCRATCH]) == (6, 6)


# --- an access through the TLB, or by a walk


def test_an_access_walks_and_the_tlb_keeps_what_it_found() -> None:
    machine = Tiny()
    machine.variables[0] = PAGE | PRESENT
    machine.step(o.ACCESS, o.SCRATCH, 0, 0)
    assert machine.registers()[o.SCRATCH] == machine.tlb()[0] == PAGE | PRESENT


def test_an_access_uses_a_copy_whatever_memory_says_now() -> None:
    machine = Tiny()
    machine.tlb()[0] = PAGE | PRESENT
    machine.variables[0] = 0
    machine.step(o.ACCESS, o.SCRATCH, 0, 0)
    assert machine.registers()[o.SCRATCH] == PAGE | PRESENT


@pytest.mark.parametrize("write", [0, 1])
def test_an_access_to_what_is_not_present_faults_and_leaves_no_copy(write: int) -> None:
    machine = Tiny()
    machine.variables[0] = PAGE | WRITABLE
    machine.step(o.ACCESS, o.SCRATCH, 0, write)
    assert (machine.registers()[o.SCRATCH], machine.tlb()[0]) == (0, 0)


def test_a_store_to_what_is_read_only_faults() -> None:
    machine = Tiny()
    machine.variables[0] = PAGE | PRESENT
    machine.step(o.ACCESS, o.SCRATCH, 0, 1)
    assert machine.registers()[o.SCRATCH] == 0
    assert machine.tlb()[0] == PAGE | PRESENT


def test_a_store_through_a_read_only_copy_walks_again() -> None:
    machine = Tiny()
    machine.tlb()[0] = PAGE | PRESENT
    machine.variables[0] = PAGE | PRESENT | WRITABLE
    machine.step(o.ACCESS, o.SCRATCH, 0, 1)
    assert machine.registers()[o.SCRATCH] == PAGE | PRESENT | WRITABLE | DIRTY


def test_the_first_store_sets_the_dirty_bit_in_memory_and_in_the_copy() -> None:
    machine = Tiny()
    machine.tlb()[0] = machine.variables[0] = PAGE | PRESENT | WRITABLE
    machine.step(o.ACCESS, o.SCRATCH, 0, 1)
    assert machine.variables[0] == machine.tlb()[0] == PAGE | PRESENT | WRITABLE | DIRTY


def test_a_load_sets_no_dirty_bit() -> None:
    machine = Tiny()
    machine.variables[0] = PAGE | PRESENT | WRITABLE
    machine.step(o.ACCESS, o.SCRATCH, 0, 0)
    assert machine.variables[0] == PAGE | PRESENT | WRITABLE


@pytest.mark.parametrize("memory_now", [0, PAGE | PRESENT])
def test_a_store_through_a_clean_copy_faults_if_the_entry_has_gone(memory_now: int) -> None:
    machine = Tiny()
    machine.tlb()[0] = PAGE | PRESENT | WRITABLE
    machine.variables[0] = memory_now
    machine.step(o.ACCESS, o.SCRATCH, 0, 1)
    assert (machine.registers()[o.SCRATCH], machine.tlb()[0]) == (0, 0)
    assert machine.variables[0] == memory_now


def test_a_store_through_a_dirty_copy_asks_memory_nothing() -> None:
    machine = Tiny()
    machine.tlb()[0] = PAGE | PRESENT | WRITABLE | DIRTY
    machine.variables[0] = 0
    machine.step(o.ACCESS, o.SCRATCH, 0, 1)
    assert machine.registers()[o.SCRATCH] == PAGE | PRESENT | WRITABLE | DIRTY
    assert machine.variables[0] == 0


def test_each_cpu_has_copies_of_its_own() -> None:
    machine = Tiny()
    machine.variables[1] = PAGE | PRESENT
    machine.step(o.ACCESS, o.SCRATCH, 1, 0, task=2)
    assert [machine.tlb(cpu).tolist() for cpu in (0, 1, 2)] == [[0, 0], [0, 0], [0, PAGE | PRESENT]]


# --- registers, and what is reported


def test_registers_are_copied_and_added_to_modulo_two_to_the_fifteenth() -> None:
    machine = Tiny()
    machine.registers()[o.SLOT] = 5
    machine.step(o.COPY, o.SCRATCH, o.SLOT)
    machine.step(o.ADD, o.SCRATCH, 3)
    assert machine.registers()[[o.SLOT, o.SCRATCH]].tolist() == [5, 8]
    machine.step(o.ADD, o.SCRATCH, -9)
    assert machine.registers()[o.SCRATCH] == 0x7FFF


@given(st.integers(0, 0x7FFF), st.integers(0, 0x7FFF))
def test_registers_are_compared_with_bits_and_with_one_another(one: int, other: int) -> None:
    machine = Tiny()
    machine.registers()[o.SCRATCH], machine.registers()[o.SCRATCH2] = one, other
    assert machine.step(o.JUMP_NO_BITS, o.SCRATCH, other, ELSEWHERE).jumped == (one & other == 0)
    assert machine.step(o.JUMP_SAME, o.SCRATCH, o.SCRATCH2, ELSEWHERE).jumped == (one == other)


def test_an_invariant_that_does_not_hold_ends_the_run_there_and_is_named() -> None:
    assert Tiny().step(o.FAIL, 4) == Took(o.FAILED, 4, HERE)


def test_a_place_that_exploration_reached_is_named() -> None:
    took = Tiny().step(o.REACHED, 6)
    assert (took.went_on, took.about) == (True, 6)


def test_a_grace_period_asks_every_other_online_cpu() -> None:
    machine = Tiny()
    machine.take_out("online", 2)
    machine.step(o.TARGET_RCU, task=1)
    assert machine.targets(1) == [0, 3]
