"""Steps that are derived are those that would have been written."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from shootdown._machine.assembler import Assembler, Code
from shootdown._machine.repeating import repeated
from shootdown._questions.compare import cases
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
    for case in cases("fork-storm", kernels=[kernel], parameters={"children": 12, "gib": 4}):
        if case.refusal() is None:
            derived = case.program.build(case.setup())
            with monkeypatch.context() as patch:
                patch.setattr(fork_storm, "repeated", all_of_them)
                whole = case.program.build(case.setup())
            assert equal(derived.code, whole.code)
            assert np.array_equal(derived.state, whole.state)
            seen += 1
    assert seen >= 3
