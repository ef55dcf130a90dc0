"""Kernel time: of the callers, of the handlers on CPUs that they hit, and of those that wait for a lock."""

from __future__ import annotations

import pytest
from tests.core.timed.clocked import COST, Doing, platform, run, scripted

from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._timed.run import run_machine

IN = COST["switch_ns"]


def syncs(asm: Assembler) -> None:
    """Interrupt every other CPU and wait."""
    asm.target_online()
    asm.send(o.CALL_SYNC)
    asm.wait()


def idles(asm: Assembler) -> None:
    """End at once."""


@pytest.mark.parametrize("one_by_one", [False, True])
def test_handlers_on_the_cpus_that_are_hit_are_kernel_time_and_lost_to_them(one_by_one: bool) -> None:
    machine = scripted(Doing(syncs), Doing(idles, cpu=3, ready=True), cpus=4)
    found = run_machine(machine, platform(), one_by_one=one_by_one)
    sender = COST["ipi_send_ns"] + 3 * COST["ipi_send_each_ns"]
    waits = COST["ipi_latency_ns"] + COST["ipi_handler_ns"] + 3 * COST["ipi_answer_each_ns"]
    assert found.lost_ns == 3 * COST["ipi_handler_ns"]
    assert found.system_ns == sender + waits + 3 * COST["ipi_handler_ns"]


def test_a_window_has_the_handlers_of_the_calls_in_it() -> None:
    def measures(asm: Assembler) -> None:
        syncs(asm)
        asm.mark(0, True)
        syncs(asm)
        asm.mark(0, False)

    found = run(Doing(measures), windows=1, cpus=3)
    assert found.lost_ns == 4 * COST["ipi_handler_ns"]
    assert found.window_lost_ns == (2 * COST["ipi_handler_ns"],)
    assert found.window_system_ns == (found.system_ns / 2,)


def test_a_window_has_the_time_for_which_a_writer_spins() -> None:
    def holds(asm: Assembler) -> None:
        asm.mark(0, True)
        asm.lock(0, write=True, sleeps=True, text="a lock")
        asm.work("fork_ns", 100)
        asm.unlock(0, write=True, text="a lock")
        asm.work("fork_ns", 100)
        asm.mark(0, False)

    def wants(asm: Assembler) -> None:
        asm.work("zap_ns")
        asm.lock(0, write=True, sleeps=True, text="a lock")
        asm.unlock(0, write=True, text="a lock")

    found = run(Doing(holds), Doing(wants, cpu=1), windows=1, locks=1)
    spun = COST["lock_ns"] + 100 * COST["fork_ns"] - COST["zap_ns"] + COST["lock_handoff_ns"]
    own = 200 * COST["fork_ns"] + COST["lock_ns"]
    assert found.window_system_ns[0] == own + COST["zap_ns"] + spun


def test_who_spins_for_a_lock_does_not_spin_while_it_is_in_a_handler() -> None:
    def holds(asm: Assembler) -> None:
        asm.lock(0, write=True, sleeps=False, text="a lock")
        syncs(asm)
        asm.work("fork_ns", 100)
        asm.unlock(0, write=True, text="a lock")

    def wants(asm: Assembler) -> None:
        asm.lock(0, write=True, sleeps=False, text="a lock")
        asm.unlock(0, write=True, text="a lock")

    found = run(Doing(holds), Doing(wants, cpu=1), locks=1)
    assert found.system_ns == found.clocks.sum() / 1000 - 2 * IN, "each CPU is in the kernel all the time"


def test_a_switch_is_kernel_time_but_not_the_one_that_begins_a_run() -> None:
    def waits(asm: Assembler) -> None:
        asm.await_event(1, 1)

    def tells(asm: Assembler) -> None:
        asm.signal(1)

    assert run(Doing(idles)).system_ns == 0
    assert run(Doing(waits), Doing(tells)).system_ns == 2 * COST["switch_ns"], "to who tells, and back"
