"""Every step, by its number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shootdown._machine.steps.cells import When
from shootdown._machine.steps.control import CONTROL
from shootdown._machine.steps.gathers import GATHERS
from shootdown._machine.steps.locks import LOCKS
from shootdown._machine.steps.memory import MEMORY
from shootdown._machine.steps.page_tables import PAGE_TABLES
from shootdown._machine.steps.requests import REQUESTS
from shootdown._machine.steps.row import Row
from shootdown._machine.steps.variables import VARIABLES

#: The rows of each family, by the name of its file, in the order of the step functions.
FAMILIES: dict[str, tuple[Row, ...]] = {
    "control": CONTROL,
    "locks": LOCKS,
    "page_tables": PAGE_TABLES,
    "memory": MEMORY,
    "gathers": GATHERS,
    "requests": REQUESTS,
    "variables": VARIABLES,
}
#: All rows, in that order.
ROWS: tuple[Row, ...] = tuple(row for family in FAMILIES.values() for row in family)
#: All rows by the number of the step.
STEPS: dict[int, Row] = {row.number: row for row in ROWS}


def steps_that(holds: Callable[[Row], object]) -> frozenset[int]:
    """Return the numbers of the steps for whose rows `holds` is true."""
    return frozenset(row.number for row in ROWS if holds(row))


def holds(when: When | bool | None, row: Row, step: Sequence[int]) -> bool:
    """Whether a condition on an operand holds for a step; None, no condition, always does.

    Args:
        when: the condition; True and False are constant conditions.
        row: the step's row.
        step: operation and operands.
    """
    if when is None:
        return True
    if isinstance(when, bool):
        return when
    return (int(step[row.place_of(when.operand)]) in when.values) != when.other
