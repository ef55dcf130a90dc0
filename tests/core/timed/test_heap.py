"""The heap of CPUs: the earliest comes first, and of those at the same time the one with the lowest number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.timed.clocked import Clocked

from shootdown._timed import books as k
from shootdown._timed.heap import leave, push, remove, second, sift_down

CPUS = 12


def machine(*clocks: int) -> Clocked:
    """Make a machine whose CPUs have clocks and are all in the heap."""
    found = Clocked(cpus=max(len(clocks), 3), tasks=1)
    for cpu, clock in enumerate(clocks):
        found.cells("clock")[cpu] = clock
        found.book(push, cpu)
    return found


def in_order(found: Clocked) -> list[int]:
    """Take one CPU after the other from the root."""
    order = []
    while found.misc(k.HEAP_SIZE):
        order.append(int(found.cells("heap")[0]))
        found.book(remove, order[-1])
    return order


@given(st.lists(st.integers(0, 9), min_size=1, max_size=CPUS))
def test_cpus_come_by_clock_and_then_by_number(clocks: list[int]) -> None:
    assert in_order(machine(*clocks)) == sorted(range(len(clocks)), key=lambda cpu: (clocks[cpu], cpu))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=CPUS), st.data())
def test_a_cpu_can_be_taken_out_from_anywhere(clocks: list[int], data: st.DataObject) -> None:
    found = machine(*clocks)
    gone = data.draw(st.sets(st.integers(0, len(clocks) - 1)))
    for cpu in gone:
        found.book(remove, cpu)
    left = set(range(len(clocks))) - gone
    assert in_order(found) == sorted(left, key=lambda cpu: (clocks[cpu], cpu))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=CPUS), st.data())
def test_a_cpu_whose_clock_went_on_finds_its_place_again(clocks: list[int], data: st.DataObject) -> None:
    found = machine(*clocks)
    cpu = data.draw(st.integers(0, len(clocks) - 1))
    clocks[cpu] += data.draw(st.integers(0, 9))
    found.cells("clock")[cpu] = clocks[cpu]
    found.book(sift_down, int(found.cells("place")[cpu]))
    assert in_order(found) == sorted(range(len(clocks)), key=lambda cpu: (clocks[cpu], cpu))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=CPUS))
def test_the_second_is_the_one_that_comes_after_the_root(clocks: list[int]) -> None:
    found = machine(*clocks)
    ranked = sorted(range(len(clocks)), key=lambda cpu: (clocks[cpu], cpu))
    assert found.book(second) == (ranked[1] if len(ranked) > 1 else -1)


def test_every_cpu_in_the_heap_knows_its_place() -> None:
    found = machine(5, 3, 8, 1, 9, 2)
    heap, place = found.cells("heap"), found.cells("place")
    assert [int(heap[place[cpu]]) for cpu in range(6)] == list(range(6))
    found.book(remove, 3)
    assert place[3] == -1
    assert [int(heap[place[cpu]]) for cpu in (0, 1, 2, 4, 5)] == [0, 1, 2, 4, 5]


def test_a_cpu_is_in_the_heap_once() -> None:
    found = machine(4, 2)
    found.book(push, 0)
    assert found.misc(k.HEAP_SIZE) == 2


def test_a_cpu_that_is_not_there_can_be_taken_out_without_harm() -> None:
    found = machine(4, 2)
    found.book(remove, 2)
    assert in_order(found) == [1, 0]


@pytest.mark.parametrize(("clock", "comes_back"), [(3, 7), (9, 9)])
def test_a_preempted_vcpu_that_was_called_leaves_only_until_the_host_resumes_it(
    clock: int, comes_back: int
) -> None:
    found = machine(clock, 20)
    found.cells("resume")[0] = 7
    found.book(leave, 0)
    assert in_order(found) == [0, 1]
    assert (found.cells("clock")[0], found.cells("idles")[0]) == (comes_back, 1)


def test_a_cpu_that_nobody_calls_leaves_for_good() -> None:
    found = machine(3, 20)
    found.book(leave, 0)
    assert in_order(found) == [1]
