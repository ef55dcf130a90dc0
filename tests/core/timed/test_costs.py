"""What each step costs, and what it is to the engine."""

from __future__ import annotations

import numpy as np
import pytest
from tests.core.timed.clocked import COST, costs

from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._timed.charges import charges
from shootdown._timed.costs import (
    ACTS,
    ASKS_TIME,
    CHARGED,
    ELSEWHERE,
    EXACT,
    LOCKS,
    NODE,
    NOTED,
    RELEASES,
    SERVED,
    SPENDS,
    USER_MODE,
    VARIES,
)
from shootdown._timed.run import cost_array
from shootdown._values.platform import COST_NAMES, Cost, Costs


def charged(op: int, *operands: int, cost: str | None = None) -> tuple[int, int]:
    """Return the picoseconds of a step and what it is to the engine."""
    asm = Assembler()
    asm.emit(op, *operands, cost=cost)
    code = asm.finish()
    time, what, *_ = charges(code.steps, code.cost, cost_array(costs(), "likely"))
    return int(time), int(what)


def test_costs_are_in_picoseconds_and_in_the_order_of_their_names() -> None:
    assert cost_array(costs(), "likely").tolist() == [*(1000 * COST[name] for name in COST_NAMES), 1000]


def test_each_end_of_a_range_makes_costs_of_its_own() -> None:
    ranged = Costs(**{name: Cost(1, 2.5, 4, "a test") for name in COST_NAMES})
    found = [cost_array(ranged, which)[: len(COST_NAMES)] for which in ("low", "likely", "high")]
    assert [set(each.tolist()) for each in found] == [{1000}, {2500}, {4000}]


def test_a_step_without_a_cost_is_free() -> None:
    assert charged(o.SET, 0, 1) == (0, 0)


def test_a_step_is_charged_what_it_names() -> None:
    assert charged(o.LOCK_WRITE, 0, 0, 1, cost="lock_ns") == (1000 * COST["lock_ns"], CHARGED | LOCKS)


def test_work_is_charged_so_many_times_and_varies() -> None:
    assert charged(o.WORK, 0, 3, cost="zap_ns") == (3000 * COST["zap_ns"], CHARGED | VARIES)


def test_so_many_nanoseconds_are_the_processs_own_and_do_not_vary() -> None:
    assert charged(o.WORK, 0, 250, cost="ns") == (250_000, CHARGED | USER_MODE | EXACT)


def test_so_many_nanoseconds_elsewhere_are_neither_the_processs_nor_the_kernels() -> None:
    assert charged(o.WORK, 0, 250, 1, cost="ns") == (250_000, CHARGED | ELSEWHERE | EXACT)


def test_what_a_task_uses_may_change_whose_turn_it_is() -> None:
    assert charged(o.NOTE, o.NOTE_USES, 9)[1] == NOTED | ACTS


@pytest.mark.parametrize("name", ["user_ns", "start_ns"])
def test_what_a_process_does_itself_is_not_the_kernels(name: str) -> None:
    assert charged(o.WORK, 0, 1, cost=name)[1] == CHARGED | VARIES | USER_MODE


@pytest.mark.parametrize("op", [o.TARGET_LOADED, o.CONSIDER_GLOBAL, o.JUMP_NOT_DUE])
def test_steps_that_depend_on_the_time_are_told_it(op: int) -> None:
    assert charged(op)[1] == ASKS_TIME


@pytest.mark.parametrize("op", [o.NOTE, o.CLEAR_PUD, o.UNSHARE, o.POPULATE, o.SET_PUD, o.FLUSH_BEGIN, o.MARK])
def test_steps_that_only_the_books_notice_change_nobodys_turn(op: int) -> None:
    assert charged(op)[1] == NOTED


@pytest.mark.parametrize("op", [o.SPAWN, o.SIGNAL, o.MIGRATE, o.RELEASE_MM, o.WAIT, o.IRQ_ON])
def test_steps_that_act_on_others_may_change_whose_turn_it_is(op: int) -> None:
    assert charged(op)[1] == ACTS


@pytest.mark.parametrize("op", [o.SEND, o.FLUSH_SELF, o.FLUSH_LOCAL_PAGES, o.EXECUTE])
def test_some_of_them_take_time_that_only_then_is_known(op: int) -> None:
    assert charged(op, 1)[1] == ACTS | SPENDS


@pytest.mark.parametrize("op", [o.UNLOCK_READ, o.UNLOCK_WRITE])
def test_a_release_acts_only_if_somebody_waits(op: int) -> None:
    assert charged(op)[1] == ACTS | RELEASES


def test_each_step_of_a_program_has_its_own_row() -> None:
    asm = Assembler()
    asm.work("zap_ns", 2)
    asm.set(0, 1)
    asm.work("skip_ns")
    code = asm.finish()
    rows = charges(code.steps, code.cost, cost_array(costs(), "likely")).reshape(-1, 4)
    assert rows[:, 0].tolist() == [2000 * COST["zap_ns"], 0, 1000 * COST["skip_ns"]]
    assert rows.dtype == np.int64


@pytest.mark.parametrize("serial", [(), (NODE,)])
def test_what_serves_a_step_and_for_how_long_depends_on_what_serves_one_after_another(
    serial: tuple[int, ...],
) -> None:
    """lru_lock's time is the node's where that serves, else the step's own; the zone's comes on top of a fault's."""
    asm = Assembler()
    asm.work("small_fault_ns", 63)
    asm.work("lru_ns")
    asm.work("zap_huge_ns", 63)
    code = asm.finish()
    rows = charges(code.steps, code.cost, cost_array(costs(), "likely"), serial).reshape(-1, 4)
    served = (rows[:, 1] & SERVED != 0).tolist()
    assert served == [bool(serial), bool(serial), False]
    assert (rows[:2, 3] // 1000).tolist() == [COST["zone_ns"], COST["lru_ns"]]
    assert bool(rows[1, 1] & CHARGED) is not bool(serial)
