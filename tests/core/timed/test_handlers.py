"""When each CPU is inside interrupt handlers, and how much of its time they took."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.core.timed.clocked import Clocked

from shootdown._timed import books as k
from shootdown._timed.handlers import (
    began,
    busy_until,
    can_step,
    charge,
    charge_everybody,
    charge_merged,
    owed,
    pay_at_once,
    rejoin,
    set_apart,
)
from shootdown._timed.heap import push, remove

CPUS = 4


def machine() -> Clocked:
    return Clocked(cpus=CPUS, tasks=1)


def busy(found: Clocked) -> list[int]:
    return [int(found.book(busy_until, cpu)) for cpu in range(CPUS)]


def taken(found: Clocked) -> list[int]:
    return [int(found.book(owed, cpu)) for cpu in range(CPUS)]


def test_a_handler_begins_when_its_interrupt_arrives() -> None:
    found = machine()
    assert found.book(charge, 1, 100, 30) == 130
    assert busy(found) == [0, 130, 0, 0]
    assert taken(found) == [0, 30, 0, 0]


def test_a_second_interrupt_waits_until_the_first_handler_ends() -> None:
    found = machine()
    found.book(charge, 1, 100, 30)
    assert found.book(charge, 1, 110, 5) == 135
    assert found.book(charge, 1, 200, 5) == 205


def test_a_broadcast_takes_time_from_everybody_but_its_sender() -> None:
    found = machine()
    assert found.book(charge_everybody, CPUS, 2, 100, 0, 30) == 130
    assert busy(found) == [130, 130, 0, 130]
    assert taken(found) == [30, 30, 0, 30]


def test_only_cpus_that_differ_are_written_down_one_by_one() -> None:
    found = machine()
    found.book(charge_everybody, CPUS, 2, 100, 0, 30)
    assert found.misc(k.APART) == 1
    found.book(charge_everybody, CPUS, 3, 500, 0, 30)
    assert found.misc(k.APART) == 1, "CPU 2 has been in the same last handler as all others but CPU 3"


def test_who_was_set_apart_may_rejoin_the_others() -> None:
    found = machine()
    for cpu in (1, 3, 0):
        found.book(set_apart, cpu, 40 + cpu)
    found.book(rejoin, 0)
    assert found.misc(k.APART) == 2
    assert busy(found) == [40, 0, 0, 43]


def test_setting_apart_twice_keeps_the_later_end() -> None:
    found = machine()
    found.book(set_apart, 1, 40)
    found.book(set_apart, 1, 50)
    assert (found.misc(k.APART), busy(found)[1]) == (1, 50)


INTERRUPTS = st.tuples(
    st.integers(0, CPUS - 1),
    st.integers(0, 3),
    st.integers(1, 9),
    st.sets(st.integers(0, CPUS - 1)) | st.none(),
)


@given(st.lists(INTERRUPTS, max_size=12))
def test_a_broadcast_to_everybody_is_one_interrupt_for_each(
    interrupts: list[tuple[int, int, int, set[int] | None]],
) -> None:
    """Broadcasts and interrupts to some CPUs, in any order, against a list with an end for each CPU."""
    found = machine()
    ends, lost, now = [0] * CPUS, [0] * CPUS, 0
    for sender, later, handler, targets in interrupts:
        now += later
        everybody = set(range(CPUS)) - {sender}
        for cpu in everybody if targets is None else targets:
            ends[cpu] = max(now, ends[cpu]) + handler
            lost[cpu] += handler
        if targets is None:
            last = found.book(charge_everybody, CPUS, sender, now, 0, handler)
            assert last == max([now, *(ends[cpu] for cpu in everybody)])
        else:
            for cpu in targets:
                assert found.book(charge, cpu, now, handler) == ends[cpu]
    assert (busy(found), taken(found)) == (ends, lost)


def test_who_has_a_step_to_take_pays_a_broadcast_at_once() -> None:
    found = machine()
    for cpu in (0, 1, 2):
        found.cells("clock")[cpu] = 10 * cpu
        found.book(push, cpu)
    found.book(pay_at_once, 1, 7)
    assert found.cells("clock").tolist() == [7, 10, 27, 0]
    assert found.cells("paid").tolist() == [7, 0, 7, 0]


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=CPUS, max_size=CPUS), st.integers(1, 9))
def test_who_only_waits_for_the_host_pays_nothing_and_all_stay_in_order(
    cpus: list[tuple[int, bool]], time: int
) -> None:
    found = machine()
    for cpu, (clock, idle) in enumerate(cpus):
        found.cells("clock")[cpu] = clock
        found.cells("idles")[cpu] = idle
        found.book(push, cpu)
    sender = int(found.cells("heap")[0])
    found.book(pay_at_once, sender, time)
    expected = [clock + (0 if idle or cpu == sender else time) for cpu, (clock, idle) in enumerate(cpus)]
    assert found.cells("clock").tolist() == expected
    assert drawn(found) == sorted(range(CPUS), key=lambda cpu: (expected[cpu], cpu))


@given(st.permutations(range(CPUS)), st.integers(0, CPUS - 1), st.integers(0, 9))
def test_a_cpu_whose_clock_goes_on_has_its_step_after_those_that_are_earlier(
    order: list[int], later: int, time: int
) -> None:
    found = machine()
    for cpu in order:
        found.cells("clock")[cpu] = order.index(cpu)
        found.book(push, cpu)
    found.cells("clock")[later] += time
    found.book(can_step, later)
    clocks = found.cells("clock").tolist()
    assert drawn(found) == sorted(range(CPUS), key=lambda cpu: (clocks[cpu], cpu))


def drawn(found: Clocked) -> list[int]:
    """Take all CPUs out of the heap, the first of those left each time."""
    order = []
    while found.misc(k.HEAP_SIZE):
        order.append(int(found.cells("heap")[0]))
        found.book(remove, order[-1])
    return order


def test_a_further_call_is_taken_by_the_handler_that_has_not_begun() -> None:
    found = machine()
    found.book(charge, 1, 100, 30)
    found.book(charge, 1, 110, 30)
    assert found.book(began, 1) == 130
    assert found.book(charge_merged, 1, 5) == 165
    assert (found.book(began, 1), taken(found)) == (130, [0, 65, 0, 0])


def test_after_a_broadcast_all_handlers_began_at_once_but_the_senders() -> None:
    found = machine()
    found.book(charge, 3, 90, 30)
    found.book(charge_everybody, CPUS, 2, 100, 0, 30)
    assert [found.book(began, cpu) for cpu in range(CPUS)] == [100, 100, 0, 120]
    assert found.misc(k.LAST_BEGAN) == 120
