"""Build the program of a scenario or workload."""

from __future__ import annotations

from typing import Any, TypeVar

from shootdown._questions.called import called
from shootdown._questions.case import Case, expect
from shootdown._values.errors import ShootdownError
from shootdown._values.setup import Setup
from shootdown._values.sites import beginning, mistake

T = TypeVar("T")


def built(case: Case[Any], setup: Setup, wanted: type[T]) -> T:
    """Build the program of a case.

    Args:
        case: whose.
        setup: what `build` gets.
        wanted: what it is to return.

    Raises:
        ShootdownError: it raised something, or returned something else.
    """
    program = case.program
    made = called(f"{program.kind} {program.name}: build()", program.build, setup)
    try:
        expect(f"{program.kind} {program.name}: build()", made, wanted)
    except ShootdownError as error:
        raise mistake(str(error), beginning(program.build)) from None
    return made  # type: ignore[no-any-return]
