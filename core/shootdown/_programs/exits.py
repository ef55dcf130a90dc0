"""`exit` of a process of several threads, which ends them all: what may not stand beside it in a program."""

from __future__ import annotations

from collections.abc import Iterator

from shootdown._programs.program import Process, Program, Statement, Thread, within


def others_of(process: Process) -> int:
    """Return how many threads `exit` of a process ends besides its own."""
    return sum(thread.count for thread in process.threads) - 1


def exits(thread: Thread) -> bool:
    """Whether a thread ends its process."""
    return any(one.verb == "exit" for one in within(thread.body))


def check_exits(program: Program) -> None:
    """Refuse what `exit` of several threads can't be told of.

    Raises:
        ShootdownError: it names file, line and statement.
    """
    for process, one in _exits_of_several(program):
        who = [thread for thread in process.threads if exits(thread)]
        if len(who) > 1 or who[0].count > 1:
            raise one.wrong(f"one thread ends process {process.name}: here several do")
        for thread in process.threads:
            for other in within(thread.body):
                if other.verb == "start":
                    raise other.wrong(f"in a process whose `{one.text}` ends threads it is not known yet")


def check_counted_exits(program: Program) -> None:
    """Refuse what is not counted beside it.

    Raises:
        ShootdownError: it names file, line and statement.
    """
    for process, one in _exits_of_several(program):
        for thread in process.threads:
            if thread.floats:
                raise one.wrong(
                    f'of a process with threads of cpu = "any" ({thread.name}) it is not counted yet'
                )
            for other in within(thread.body):
                if other.verb == "preempted":
                    raise other.wrong(f"in a process whose `{one.text}` ends threads it is not counted yet")


def _exits_of_several(program: Program) -> Iterator[tuple[Process, Statement]]:
    for process, _, one in program.statements():
        if one.verb == "exit" and others_of(process):
            yield process, one
