"""Mistakes of a program that only a run can tell: which step of which task, in which line."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from shootdown._compilation.running import runnable
from shootdown._machine import ops as o
from shootdown._machine.code import Code
from shootdown._machine.layout import T_CPU, T_PC, T_REG, TASK_CELLS, Layout
from shootdown._machine.step import step
from shootdown._machine.steps.table import STEPS
from shootdown._values.errors import ShootdownError
from shootdown._values.sites import mistake

_WORDS = {
    o.NO_SLOT: "register SLOT names no PUD entry",
    o.NO_TABLE: "the register names no class of tables (it holds the class plus one)",
    o.NO_VARIABLE: "the index leads to no variable",
    o.NO_PLACE: "the register names no place in the list",
    o.NO_MM: "the register leads to no mm",
    o.NO_LOCK: "register SLOT names no table, whose lock this is",
    o.NOT_HELD: "nobody holds the lock",
    o.NOT_SHARED: "no process maps the table",
    o.NOT_BEGUN: "no gather of this mm has begun",
    o.NO_REFERENCE: "a page that the register names has no reference left that could be dropped",
}
_REGISTERS = ("INDEX", "SLOT", "CLASS", "SCRATCH", "SCRATCH2")


def found_in(state: npt.NDArray[Any], code: Code, lists: Any, layout: Layout) -> ShootdownError | None:
    """Look for a task whose next step is a mistake; returns what to say of it."""
    for task in range(layout.tasks):
        said = int(runnable(step)(state.copy(), code.steps, lists, layout, task))
        if said & 7 == o.FAILED and said >> 3 >= o.MISTAKES:
            return _said(state, code, layout, task, said >> 3)
    return None


def _said(state: npt.NDArray[Any], code: Code, layout: Layout, task: int, number: int) -> ShootdownError:
    t = layout.o_task + task * TASK_CELLS
    pc, cpu = int(state[t + T_PC]), int(state[t + T_CPU])
    note = code.notes[pc]
    registers = ", ".join(f"{name} {int(state[t + T_REG + n])}" for n, name in enumerate(_REGISTERS))
    where = f" in {note.function}()" if note.function else ""
    what = f", {note.text!r}" if note.text else ""
    return mistake(
        f"task {task} on CPU {cpu}{where}, step {pc} ({STEPS[int(code.steps[pc * 5])].name}{what}): "
        f"{_WORDS[number]}; its registers: {registers}",
        code.sites[pc] if pc < len(code.sites) else None,
    )
