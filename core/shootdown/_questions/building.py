"""Build the program of a scenario or workload."""

from __future__ import annotations

import traceback
from typing import Any, TypeVar

from shootdown._questions.called import called
from shootdown._questions.case import Case, expect
from shootdown._values.errors import MistakeError, ShootdownError
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
    try:
        made = called(f"{program.kind} {program.name}: build()", program.build, setup)
    except MistakeError as error:
        if not isinstance(error.__cause__, NotImplementedError):
            raise
        *_, (frame, _) = traceback.walk_tb(error.__cause__.__traceback__)
        if not isinstance(frame.f_locals.get("self"), type(setup.lowering)):
            raise
        raise ShootdownError(
            f"{case.architecture.name}: {type(setup.lowering).__name__} does not say yet what "
            f"{frame.f_code.co_name}() writes"
        ) from None
    try:
        expect(f"{program.kind} {program.name}: build()", made, wanted)
    except ShootdownError as error:
        raise mistake(str(error), beginning(program.build)) from None
    return made  # type: ignore[no-any-return]
