"""Turns of calls as programs of the model, and as calls of this process."""

from __future__ import annotations

import os
import sys

import pytest

from shootdown._calibrate.machine import PAGE, Area, Others, membarrier, reserved
from shootdown._calibrate.recipes import Recipe, as_case, checked, fitted, numbers_of
from shootdown._calibrate.refill import Refill, reach
from shootdown._compilation.running import compiles
from shootdown._plugins.registry import registry
from shootdown._questions.simulate import simulate
from shootdown._values.platform import COST_NAMES

linux = pytest.mark.skipif(sys.platform != "linux", reason="these are calls of Linux")


def test_what_is_checked_was_not_fitted_to() -> None:
    for cpus in (1, 2, 8, 64):
        fitted_to = {(one.turn, one.pages, one.others) for one in fitted(cpus)}
        assert fitted_to.isdisjoint((one.turn, one.pages, one.others) for one in checked(cpus))
        assert all(one.others < cpus for one in fitted(cpus) + checked(cpus))


def test_on_one_cpu_nothing_runs_beside() -> None:
    assert {one.others for one in fitted(1) + checked(1)} == {0}


def test_numbers_of_threads_double_up_to_all() -> None:
    assert sorted({one.others for one in fitted(8)}) == [0, 1, 2, 4, 7]


@pytest.mark.parametrize("recipe", fitted(4) + checked(4), ids=lambda one: one.name)
def test_every_turn_is_a_program_that_interrupts_only_threads_beside(recipe: Recipe) -> None:
    row = simulate(as_case(recipe, "x86", registry().platform("x86", "kvm-guest"), "7.0", 4))
    assert row.supported
    assert row.counts["flush_ipis"] % max(recipe.others, 1) == 0
    assert (row.counts["flush_ipis"] > 0) == (recipe.others > 0)


def test_a_turn_consists_of_costs_as_often_as_it_has_pages() -> None:
    recipe = Recipe("madvise heap DONTNEED; touch heap write", 16)
    numbers = numbers_of(as_case(recipe, "x86", registry().platform("x86", "kvm-guest"), "7.0", 2))
    found = dict(zip(COST_NAMES, numbers, strict=False))
    assert found["zap_ns"] == pytest.approx(16, rel=0.05)
    assert found["small_fault_ns"] == pytest.approx(16, rel=0.05)
    assert found["syscall_ns"] == pytest.approx(1, rel=0.05)


@linux
def test_statements_do_to_memory_what_they_say() -> None:
    area = Area(3)
    try:
        cells = area._bytes
        area.statement("touch heap write")()
        assert cells.tolist() == [1, 1, 1]
        assert area.statement("madvise heap DONTNEED")() == 0
        assert cells.tolist() == [0, 0, 0]
        area.statement("touch heap write")()
        assert area.statement("mprotect heap read")() == 0
        assert cells.tolist() == [1, 1, 1]
        assert area.statement("mprotect heap write")() == 0
        assert area.statement("munmap heap")() == 0
        area.statement("mmap heap")()
        assert cells.tolist() == [0, 0, 0], "new pages"
    finally:
        area.close()


@linux
def test_every_statement_of_a_recipe_can_be_carried_out() -> None:
    area = Area(1)
    try:
        for recipe in fitted(2) + checked(2):
            for text in recipe.statements:
                assert callable(area.statement(text))
    finally:
        area.close()


@linux
@pytest.mark.compiled
@pytest.mark.skipif(not compiles(), reason="other threads run compiled kernels")
def test_threads_beside_compute_until_they_are_stopped() -> None:
    others = Others(sorted(os.sched_getaffinity(0))[-1:])
    try:
        before = others.computed()
        while others.computed() == before:
            pass
    finally:
        others.stop()


@linux
def test_membarrier_succeeds_where_there_is_one() -> None:
    machine = os.uname().machine
    here = next(
        (one for one in registry().architectures().values() if machine in (one.name, *one.aliases)), None
    )
    if here is None:
        pytest.skip(f"no plugin knows {machine}")
    try:
        call = membarrier(here.recorded.syscalls)
    except OSError as error:
        pytest.skip(str(error))
    assert call() == 0


@pytest.mark.parametrize("arch", registry().architectures())
def test_architectures_that_say_how_system_calls_are_numbered_number_membarrier(arch: str) -> None:
    syscalls = registry().architecture(arch).recorded.syscalls
    assert not syscalls or "membarrier" in syscalls.values()


@linux
def test_membarrier_whose_number_no_plugin_has_is_not_called() -> None:
    with pytest.raises(OSError, match="number is not known"):
        membarrier({215: "munmap"})


@linux
def test_reserved_memory_is_aligned_to_huge_pages() -> None:
    with reserved(4 * PAGE, huge=False) as at:
        assert at % (512 * PAGE) == 0


def test_tlbs_reach_as_many_pages_as_are_read_without_waiting() -> None:
    found = [
        Refill(4096, 64, 0.0),
        Refill(4096, 512, 2.0),
        Refill(4096, 2048, 10.0),
        Refill(4096, 8192, 14.0),
    ]
    assert reach(found) == 512
    assert reach([]) == 0
