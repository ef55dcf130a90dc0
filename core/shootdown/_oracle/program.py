"""A measured program as a machine, with a counting window for each step."""

from __future__ import annotations

import attrs

from shootdown._machine.machine import Machine
from shootdown._mm.mapping import Mapping
from shootdown._values.errors import ShootdownError

#: Which huge pages of a table are touched: the first, and this one (measured: a flush from one to the other on arm64
#: takes 301 instructions).
SECOND_PAGE = 300
#: Pages that a process copies on write after a fork (measured: one to three for each child).
COPIED = 1
#: Steps that have another name in some files.
STEP_NAMES = {"madv_dontneed": "madvise", "mremap_whole": "mremap"}


@attrs.frozen
class Program:
    """One run that answers several rows.

    Args:
        machine: what to run.
        windows: the step of each counting window, `(step, i)`; `i` is 0 where a mode has one actor.
        attempts: collapses that are attempted, by order and outcome; None where nobody collapses, or where the row
            itself says what was attempted.
    """

    machine: Machine
    windows: tuple[tuple[str, int], ...]
    attempts: dict[str, tuple[int, int]] | None = None


def window(windows: tuple[tuple[str, int], ...], step: str, i: int) -> int:
    """Find the window of a step in those of a program.

    Raises:
        ShootdownError: the program has no such step.
    """
    for number, (name, actor) in enumerate(windows):
        if name in (step, STEP_NAMES.get(step)) and i in (actor, 0):
            return number
    known = sorted({name for name, _ in windows})
    raise ShootdownError(f"step {step!r} (i={i}) is none of this program's: {', '.join(known)}")


def touched(mappings: tuple[Mapping, ...]) -> tuple[Mapping, ...]:
    """Return the huge pages of each table that the measured program touches."""
    return tuple(attrs.evolve(m, first=0, last=SECOND_PAGE + 1) for m in mappings)
