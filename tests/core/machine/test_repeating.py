"""Steps that are derived are those that would have been written."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from shootdown._machine.assembler import Assembler
from shootdown._machine.checks import Sizes
from shootdown._machine.code import Code
from shootdown._machine.courses import Start, check
from shootdown._machine.ops import LOAD_PUD
from shootdown._machine.repeating import repeated
from shootdown._questions.compare import cases
from shootdown._values.errors import ShootdownError
from shootdown._workloads import fork_storm

COUNT = 20


def program(write: Callable[[Assembler, int], None], *, count: int = COUNT, derive: bool) -> Code:
    asm = Assembler()
    asm.work("syscall_ns")

    def one(n: int) -> None:
        write(asm, n)

    if derive:
        repeated(asm, count, one)
    else:
        for n in range(count):
            one(n)
    asm.halt()
    asm.halt()  # of the tasks that are forked
    return asm.finish()


def equal(one: Code, other: Code) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("steps", "lists", "cost", "cause")
    ) and (one.notes, one.causes, one.instructions) == (other.notes, other.causes, other.instructions)


def alike(asm: Assembler, n: int) -> None:
    with asm.function("fork", "kernel/fork.c"), asm.because("fork"):
        asm.on_mm(n + 1)
        with asm.if_nonzero(0) as branch:
            asm.spawn(2 * n)
            branch.otherwise()
            asm.work("fork_ns", text="copy")


def unlike_now_and_then(asm: Assembler, n: int) -> None:
    alike(asm, n)
    if n % 5 == 4:
        asm.work("syscall_ns")


def unlike_at_last(asm: Assembler, n: int) -> None:
    asm.set(0, 7 if n == COUNT - 1 else n)


def with_lists(asm: Assembler, n: int) -> None:
    asm.pick(asm.add_list([n, n + 1]), 0)


def written(asm: Assembler, write: Callable[[Assembler, int], None]) -> int:
    count = 0

    def one(n: int) -> None:
        nonlocal count
        count += 1
        write(asm, n)

    repeated(asm, COUNT, one)
    return count


@pytest.mark.parametrize("write", [alike, unlike_now_and_then, unlike_at_last, with_lists])
@pytest.mark.parametrize("count", [0, 1, 7, 8, COUNT])
def test_what_is_derived_is_what_would_have_been_written(write, count):
    assert equal(program(write, count=count, derive=True), program(write, count=count, derive=False))


def test_what_is_alike_is_written_a_few_times():
    assert written(Assembler(), alike) == 10  # 0 to 4, 7, 8, 15, 16 and 19
    assert written(Assembler(), with_lists) == COUNT


@pytest.mark.parametrize("kernel", ["5.15.209", "6.16", "7.0"])
def test_the_forks_of_the_bug_report_are_those_that_would_have_been_written(kernel, monkeypatch):
    def all_of_them(asm: Assembler, count: int, write: Callable[[int], None]) -> None:
        for n in range(count):
            write(n)

    seen = 0
    for case in cases("fork-storm", arch=["all"], kernels=[kernel], parameters={"children": 12, "gib": 4}):
        if case.refusal() is None:
            derived = case.program.build(case.setup())
            with monkeypatch.context() as patch:
                patch.setattr(fork_storm, "repeated", all_of_them)
                whole = case.program.build(case.setup())
            assert equal(derived.code, whole.code)
            assert np.array_equal(derived.state, whole.state)
            seen += 1
    assert seen >= 3


def forks(asm: Assembler, n: int) -> None:
    with asm.if_nonzero(0):
        asm.spawn(n + 1)


def forks_under_a_lock(asm: Assembler, n: int) -> None:
    asm.lock_write(0)
    forks(asm, n)
    asm.unlock_write(0)


def unlocks_what_it_never_took(asm: Assembler, n: int) -> None:
    forks(asm, n)
    asm.unlock_write(0)


def works_on_no_mm(asm: Assembler, n: int) -> None:
    asm.load_pud(2)
    asm.spawn(n + 1)


def complaint(code: Code, *, tasks: int, mms: int) -> str:
    """What is wrong with a program whose first task forks the others, which begin at its last step."""
    sizes = Sizes(
        tasks=tasks, cpus=2, mms=mms, slots=4, events=1, locks=4, classes=2, variables=0, entries=0, atoms=0,
        windows=0, sections=1, lists=len(code.lists), instructions=0, steps=len(code.cost), most=1 << 62,
    )  # fmt: skip
    forked = [Start(len(code.cost) - 1, 0, ready=False) for _ in range(1, tasks)]
    mm = None if LOAD_PUD in code.steps[::5] else 0
    try:
        check(code, sizes, [Start(0, mm, ready=True), *forked], timed=True)
    except ShootdownError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "write", [alike, forks, forks_under_a_lock, unlocks_what_it_never_took, works_on_no_mm]
)
@pytest.mark.parametrize(("tasks", "mms"), [(2 * COUNT, 30), (COUNT - 2, 30), (2 * COUNT, COUNT - 2)])
def test_what_is_wrong_is_found_in_derived_steps_as_in_written_ones(write, tasks, mms):
    derived, whole = (program(write, derive=derive) for derive in (True, False))
    assert derived.derived
    assert not whole.derived
    assert complaint(derived, tasks=tasks, mms=mms) == complaint(whole, tasks=tasks, mms=mms)


def test_every_task_that_derived_steps_fork_runs():
    code = program(forks, derive=True)
    assert complaint(code, tasks=COUNT + 1, mms=1) == ""
    assert f"task {COUNT + 1} never runs" in complaint(code, tasks=COUNT + 2, mms=1)
