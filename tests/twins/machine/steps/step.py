"""What a step is in the twin: a function on its picture of a machine, in a table by name."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

from tests.twins.machine.world import Cpu, Mm, World


class Stop(str):
    """Why a task does not go on."""

    __slots__ = ()


LOCKED, UNANSWERED, UNTOLD, BUFFERED = Stop("lock"), Stop("answers"), Stop("event"), Stop("buffer")
ENDED, PARKED, FAILED = Stop("ended"), Stop("parked"), Stop("failed")
Answer = int | Stop | None
Words = SimpleNamespace
Step = Callable[[World, int, Words], Answer]
STEPS: dict[str, Step] = {}
LARGEST = 0x7FFF  # in a search, sums of variables and registers are taken modulo 2^15


def step(function: Step) -> Step:
    """Enter a step into the table, by its name."""
    STEPS[function.__name__.upper().rstrip("_")] = function
    return function


def next_step(w: World, task: int) -> Words:
    return w.rules.program[w.tasks[task].at]


def largest(w: World) -> int:
    """The largest sum: what a cell of a run with clocks holds, and less in a search."""
    return w.rules.most_strides if w.rules.most_strides > 2**40 else LARGEST


def cpu_of(w: World, task: int) -> Cpu:
    home = w.tasks[task].home
    assert home is not None
    return w.cpus[home]


def mm_of(w: World, task: int) -> Mm:
    on = w.tasks[task].on
    assert on is not None
    return w.mms[on]
