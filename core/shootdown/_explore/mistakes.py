"""Mistakes of a program that a move runs into."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from shootdown._compilation.running import runnable
from shootdown._explore.moves import move
from shootdown._explore.prepared import Prepared
from shootdown._machine.mistakes import found_in
from shootdown._values.errors import ShootdownError


def mistake_after(prepared: Prepared, state: npt.NDArray[Any], label: int) -> ShootdownError:
    """Say which mistake a move makes.

    Args:
        prepared: of the machine.
        state: before the move.
        label: the move.
    """
    machine = prepared.problem.machine
    then = state.copy()
    runnable(move)(then, *prepared.program, label)
    found = found_in(then, machine.code, machine.code.lists, machine.layout)
    return found or ShootdownError("a step of the program names something that is not there")
