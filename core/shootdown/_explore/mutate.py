"""Remove one synchronisation primitive from a program, to see whether a verdict depends on it.

If a fix stays SAFE without one of its primitives, the scenario does not check that primitive, or the fix does not need
it. Taking a lock and releasing it are removed together.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np

from shootdown._explore.problem import Problem
from shootdown._machine import ops as o
from shootdown._machine.steps.table import steps_that

_LOCKS = steps_that(lambda row: row.primitive == "lock")
_MASKS = steps_that(lambda row: row.primitive == "mask")
_ALONE = steps_that(lambda row: row.primitive == "alone")


@attrs.frozen
class Primitive:
    """One synchronisation primitive of a program, such as a lock or a fence.

    Args:
        name: its name, such as `i_mmap_rwsem` or `gup_fast: local_irq_save`.
        steps: the steps that it is made of.
    """

    name: str
    steps: tuple[int, ...]


def primitives(problem: Problem) -> list[Primitive]:
    """List the locks, fences, waits and interrupt masks of a problem's programs.

    Args:
        problem: the problem with the programs.
    """
    return [*_locks(problem), *_single(problem)]


def _locks(problem: Problem) -> Iterator[Primitive]:
    code = problem.machine.code
    steps = code.steps.reshape(-1, 5)
    found: dict[str, list[int]] = {}
    for pc, step in enumerate(steps):
        if int(step[0]) in _LOCKS:
            name = code.notes[pc].text.removeprefix("take ").removeprefix("release ")
            found.setdefault(name, []).append(pc)
    for name, pcs in found.items():
        yield Primitive(name, tuple(pcs))


def _single(problem: Problem) -> Iterator[Primitive]:
    code = problem.machine.code
    steps = code.steps.reshape(-1, 5)
    masks: dict[str, list[int]] = {}
    for pc, step in enumerate(steps):
        note = code.notes[pc]
        if int(step[0]) in _ALONE:
            yield Primitive(f"{note.function}: {note.text}", (pc,))
        elif int(step[0]) in _MASKS:
            masks.setdefault(f"{note.function}: interrupts off", []).append(pc)
    for name, pcs in masks.items():
        yield Primitive(name, tuple(pcs))


def without(problem: Problem, primitive: Primitive) -> Problem:
    """Return the problem with a primitive's steps replaced by steps that do nothing.

    Args:
        problem: the problem; it is not changed.
        primitive: one of `primitives()` of this problem, or of one with the same programs.
    """
    code = problem.machine.code
    steps = code.steps.copy().reshape(-1, 5)
    for pc in primitive.steps:
        steps[pc] = (o.CANCEL if int(steps[pc][0]) == o.WAIT else o.WORK, 0, 0, 0, 0)
    mutant = attrs.evolve(code, steps=np.ascontiguousarray(steps.reshape(-1)))
    return attrs.evolve(problem, machine=attrs.evolve(problem.machine, code=mutant))
