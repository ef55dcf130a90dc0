"""Kernel threads of a counted program: khugepaged or kswapd, one for each statement of a thread that asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from shootdown._mm.counted_reclaim import BATCH_CELLS
from shootdown._mm.model import Model
from shootdown._programs.cast import Cast
from shootdown._programs.program import Statement
from shootdown._values.errors import ShootdownError


@attrs.frozen
class Daemon:
    """What khugepaged or kswapd does for one statement of one thread.

    Args:
        role: the number of the thread's role.
        one: the statement.
        task: the kernel thread's.
        starts: the event that wakes it.
        done: the variable that says that it is through.
        turns: the variable that counts how often it is still to be woken, the first of 1 + `BATCH_CELLS`.
    """

    role: int
    one: Statement
    task: int
    starts: int
    done: int
    turns: int


class Daemons:
    """Declare the kernel threads of a program.

    Args:
        model: the model.
        cast: the program's threads, on whose CPUs no kernel thread runs.
    """

    def __init__(self, model: Model, cast: Cast) -> None:
        self.model = model
        self.cast = cast
        self._found: dict[tuple[int, int], Daemon] = {}

    def __iter__(self) -> Iterator[Daemon]:
        return iter(self._found.values())

    def of(self, role: int, one: Statement) -> Daemon:
        """Return the kernel thread for a statement of a role, the same each time that it is written.

        Raises:
            ShootdownError: all CPUs have threads of the program.
        """
        at = (role, id(one))
        if at not in self._found:
            taken = {other.cpu for other in self.cast.roles}
            free = [cpu for cpu in range(self.model.cpus) if cpu not in taken]
            if not free:
                raise ShootdownError(
                    f"{one.at}: `{one.text:.60}`: {one.word or one.verb} needs a CPU that no thread has; ask for more "
                    "(--cpus)"
                )
            task = self.model.task(mm=None, cpu=free[-1], ready=True)
            event = self.model.event()
            done, turns = self.model.variable(), self.model.variable()
            for _ in range(BATCH_CELLS):
                self.model.variable()
            self._found[at] = Daemon(role, one, task, event, done, turns)
        return self._found[at]
