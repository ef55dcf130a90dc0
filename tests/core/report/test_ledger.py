"""The ledger: what each cause cost, by kernel function, and the tree of all steps that were taken."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from tests.core.timed.clocked import COST, Doing, platform, scripted

from shootdown._machine import ops as o
from shootdown._machine.assembler import Assembler
from shootdown._machine.code import Code
from shootdown._report.ledger import entries, totals, tree, walk
from shootdown._timed.run import Run, run_machine


def flush(asm: Assembler) -> None:
    """Flush mm 0 for munmap(), and sync for its unsharing."""
    asm.work("fork_ns", 3, text="wait until the others have begun")
    with asm.because("munmap"):
        with asm.because("TLB flush"), asm.function("tlb_flush_mmu", "mm/mmu_gather.c"):
            asm.request(2, cleared=o.CLEARED_PTES, hi=1, text="a range")
            with asm.function("flush_tlb_mm_range", "arch/x86/mm/tlb.c"):
                asm.begin_flush(2, ceiling=33)
                asm.target_mm_cpumask()
                asm.send_flush_ipis()
                asm.flush_this_cpu()
                asm.wait_for_answers()
        with asm.because("table sync"), asm.function("tlb_remove_table_sync_one", "mm/mmu_gather.c"):
            asm.target_all_online()
            asm.send(o.CALL_SYNC, 0, text="IPI: nothing to do")
            asm.wait_for_answers()


def ran() -> tuple[Code, Run]:
    """Run it beside two CPUs, one of which has the mm."""

    def busy(asm: Assembler) -> None:
        with asm.loop(50):
            asm.work("user_ns", text="user mode")

    machine = scripted(Doing(flush), Doing(busy, cpu=1), Doing(busy, cpu=2, mm=1))
    return machine.code, run_machine(machine, platform())


@pytest.fixture(scope="module")
def known() -> tuple[Code, Run]:
    return ran()


def test_each_function_has_an_entry_for_each_cause(known: tuple[Code, Run]) -> None:
    found = [(entry.cause, entry.caller, entry.function, entry.called_by) for entry in entries(*known)]
    assert found == [
        ("TLB flush", "munmap", "flush_tlb_mm_range", "tlb_flush_mmu"),
        ("table sync", "munmap", "tlb_remove_table_sync_one", ""),
    ]


def test_an_entry_counts_requests_calls_targets_and_waits(known: tuple[Code, Run]) -> None:
    flushed, synced = entries(*known)
    assert (flushed.requests, flushed.sends, flushed.targets, flushed.ipis) == (1, 1, 1, 1)
    assert (flushed.own_flushes, flushed.waits) == (1, 1)
    assert (synced.requests, synced.sends, synced.targets, synced.ipis) == (0, 1, 2, 2)
    assert flushed.where == "arch/x86/mm/tlb.c"


def test_an_entry_has_the_time_of_all_its_steps(known: tuple[Code, Run]) -> None:
    code, run = known
    _, synced = entries(code, run)
    own = [pc for pc, note in enumerate(code.notes) if note.cause == "table sync"]
    assert synced.time_ns == pytest.approx(float(run.step_times[own].sum()))
    assert synced.time_ns >= COST["ipi_send_ns"] + 2 * COST["ipi_send_each_ns"] + COST["ipi_latency_ns"]


def test_calls_that_interrupt_nobody_have_targets_and_no_ipis(known: tuple[Code, Run]) -> None:
    code, run = known
    steps = code.steps.copy().reshape(-1, 5)
    steps[steps[:, 0] == o.SEND, 1] = o.CALL_HYPERCALL
    (flushed, _) = entries(attrs.evolve(code, steps=steps.ravel()), run)
    assert (flushed.sends, flushed.targets, flushed.ipis) == (1, 1, 0)


def test_steps_that_were_not_taken_are_in_no_entry(known: tuple[Code, Run]) -> None:
    code, run = known
    idle = attrs.evolve(run, step_counts=np.zeros_like(run.step_counts))
    assert entries(code, idle) == []
    assert list(walk(tree(code, idle))) == []


def test_totals_add_up_what_has_one_cause(known: tuple[Code, Run]) -> None:
    found = entries(*known)
    twice = totals([*found, *found])
    assert list(twice) == ["TLB flush", "table sync"]
    assert twice["table sync"]["ipis"] == 4
    assert twice["TLB flush"]["time_ns"] == 2 * found[0].time_ns


def test_the_tree_has_steps_under_the_functions_that_they_stand_for(known: tuple[Code, Run]) -> None:
    names = [(depth, node.name) for depth, node in walk(tree(*known))]
    assert (0, "tlb_flush_mmu") in names
    at = names.index((1, "flush_tlb_mm_range"))
    assert names[at + 1] == (2, "new tlb_gen; decide how much to flush")
    assert (0, "user mode") in names


def test_each_function_has_its_file_also_one_without_a_step_of_its_own() -> None:
    def writes(asm: Assembler) -> None:
        with asm.function("exit_mmap", "mm/mmap.c"), asm.function("unmap_vmas", "mm/memory.c"):
            asm.work("fork_ns", text="unmap")

    machine = scripted(Doing(writes))
    files = {node.name: node.where for _, node in walk(tree(machine.code, run_machine(machine, platform())))}
    assert (files["exit_mmap"], files["unmap_vmas"]) == ("mm/mmap.c", "mm/memory.c")


def test_a_step_says_how_often_it_was_taken_and_to_how_many_cpus(known: tuple[Code, Run]) -> None:
    by_name = {node.name: node for _, node in walk(tree(*known))}
    assert (by_name["IPI: flush_tlb_func"].count, by_name["IPI: flush_tlb_func"].targets) == (1, 1)
    assert by_name["user mode"].count == 100


def test_steps_without_words_only_steer_and_are_left_out(known: tuple[Code, Run]) -> None:
    assert all(node.name for _, node in walk(tree(*known)))


def test_a_function_takes_what_all_within_take(known: tuple[Code, Run]) -> None:
    root = tree(*known)
    outer = root.children[True, "tlb_flush_mmu"]
    inner = outer.children[True, "flush_tlb_mm_range"]
    assert outer.total_ns == sum(child.total_ns for child in outer.children.values()) >= inner.total_ns > 0


def test_json_tells_functions_from_steps(known: tuple[Code, Run]) -> None:
    told = tree(*known).children[True, "tlb_flush_mmu"].to_dict()
    assert (told["function"], told["where"]) == ("tlb_flush_mmu", "mm/mmu_gather.c")
    assert {"text", "count", "targets", "time_ns"} == set(told["steps"][0])
