"""Each step of the table, as one function on the twin's picture of a machine, written from the table's words.

A function returns nothing to go on with the next step, the number of the step to go on with, or a `Stop`: the step
can't be taken now, or the task is over. A step that can't be taken changes nothing.
"""

from __future__ import annotations

from tests.twins.machine.steps import control, entries, gathers, locks, page_tables, requests, variables
from tests.twins.machine.steps.step import STEPS, Stop, next_step
from tests.twins.machine.world import World

__all__ = ["FAMILIES", "STEPS", "Stop", "next_step", "take_step"]

#: Each enters its steps into the table.
FAMILIES = (control, locks, page_tables, entries, gathers, requests, variables)


def take_step(w: World, task: int) -> Stop | None:
    """Take a task's next step; returns why not, if not."""
    t = w.tasks[task]
    s = w.rules.program[t.at]
    answer = STEPS[s.name](w, task, s)
    if isinstance(answer, Stop):
        return answer
    t.at = t.at + 1 if answer is None else answer
    return None
