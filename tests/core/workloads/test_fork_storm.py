"""The bug report's workload."""

from __future__ import annotations

import pytest

import shootdown
from shootdown._machine.machine import Machine
from shootdown._plugins.registry import registry
from shootdown._questions.case import Question, prepare
from shootdown._timed.run import Run, run_machine
from shootdown._workloads.fork_storm import glibc_rand, tables_read


def test_rand_is_glibcs() -> None:
    """The first values of rand() after srand(1), as every glibc prints them."""
    assert glibc_rand(1, 5) == [1804289383, 846930886, 1681692777, 1714636915, 1957747793]


def test_the_reproducer_reads_through_97_tables() -> None:
    """published.csv A03."""
    assert len(tables_read(1200, 100)) == 97


def test_the_headline_case_synchronises_per_table_with_the_fix_and_at_most_per_child_after_the_rework() -> (
    None
):
    rows = shootdown.compare("fork-storm", arch=["x86"], kernels=["6.15", "6.16", "7.0"])
    before, sync, rework = (row.counts for row in rows)
    assert before["sync_broadcasts"] == 0
    assert 0.9 * 97_000 < sync["sync_broadcasts"] <= 97_000, "most of them: the children overlap"
    assert sync["sync_ipis"] == 195 * sync["sync_broadcasts"]
    assert 0 < rework["sync_broadcasts"] <= 1000
    assert rework["unshared_tables"] > 0.9 * 97_000
    assert rows[1].times["elapsed_ns"].likely > 3 * rows[0].times["elapsed_ns"].likely


def test_invlpgb_is_never_used_because_single_threaded_children_get_no_global_asid() -> None:
    (row,) = shootdown.compare("fork-storm", platforms=["amd-server"], kernels=["7.0"])
    assert row.counts["broadcast_invalidations"] == 0
    assert row.counts["flush_ipis"] == 0, "nor does anybody else run a child's mm"


def storm(kernel: str, **given: int) -> tuple[Machine, Run]:
    """Run a small storm: its machine, and the run with the likely costs."""
    question = Question(
        registry().workload("fork-storm"),
        registry().architecture("x86"),
        registry().platform("x86", "intel-server"),
        kernel,
        parameters={"children": 6},
        cpus=given["cpus"],
    )
    case = prepare(question)
    machine = case.program.build(case.setup())
    return machine, run_machine(machine, case.platform)


def taken(machine: Machine, found: Run, text: str) -> int:
    """Return how often steps of a description were taken, each as many times as its operand says."""
    steps = machine.code.steps.reshape(-1, 5)
    return sum(
        int(found.step_counts[pc] * steps[pc, 2])
        for pc, note in enumerate(machine.code.notes)
        if note.text.startswith(text)
    )


@pytest.mark.parametrize("cpus", [1, 4])
def test_a_page_of_the_shared_file_is_allocated_and_cleared_once(cpus: int) -> None:
    """The page cache keeps it when the last process that maps it exits: the children read 97 tables, once each."""
    machine, found = storm("6.15", cpus=cpus)
    assert taken(machine, found, "allocate and clear huge pages") == 97
    assert taken(machine, found, "map the pages") == 6 * 97


def test_before_6_0_fork_and_exit_step_over_every_huge_page_that_has_no_table() -> None:
    """bcd51a3c679d and e95a9851787d: 1200 GiB are 614,400 pages, of which exit() skips what 97 tables map."""
    machine, found = storm("5.15.180", cpus=2)
    assert taken(machine, found, "step over each huge page") == 6 * (1200 * 512 + (1200 - 97) * 512)
    machine, found = storm("6.1", cpus=2)
    assert taken(machine, found, "step over each huge page") == 0
    assert taken(machine, found, "step over entries that have no table") == 6 * (1200 - 97)
