"""Mistakes of a program that a move runs into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from shootdown._compilation.running import runnable
from shootdown._machine.mistakes import found_in
from shootdown._values.errors import ShootdownError

if TYPE_CHECKING:
    from shootdown._explore.engine import Explorer


def mistake_after(explorer: Explorer, state: npt.NDArray[Any], label: int) -> ShootdownError:
    """Say which mistake a move makes.

    Args:
        explorer: of the machine.
        state: before the move.
        label: the move.
    """
    from shootdown._explore.moves import move

    machine = explorer.problem.machine
    then = state.copy()
    runnable(move)(then, *explorer.program, label)
    found = found_in(then, machine.code, machine.code.lists, machine.layout)
    return found or ShootdownError("a step of the program names something that is not there")
