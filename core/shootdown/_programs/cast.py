"""Who runs a program: the tasks of its threads, their CPUs, and the address spaces of its processes."""

from __future__ import annotations

from itertools import count

import attrs

from shootdown._programs.checking import forks
from shootdown._programs.program import Process, Program, Statement, Thread
from shootdown._values.errors import ShootdownError

#: The most processes and threads that a program makes.
MOST_TASKS = 10**5


@attrs.frozen
class Role:
    """One thread of one process.

    Args:
        process, thread: what it does.
        instance: the number of its process among those of the same name.
        mm: its address space.
        cpu: where it runs; None where fork() or a scheduler chooses.
        begins: it runs from the beginning; otherwise a statement starts it.
    """

    process: Process
    thread: Thread
    instance: int
    mm: int
    cpu: int | None
    begins: bool


@attrs.frozen
class Cast:
    """All roles of a program.

    Args:
        roles: in the order of the file, those of one process after another.
        first_mm: by a process's name, the address space of its first instance; the others follow.
        counts: by a process's name, how many there are.
        parents: by the name of a process that is forked, the name of the one that forks it.
        spaces: by a process's name, how many address spaces each of it has in all: one, and one for each `exec`.
        forked_before: by a process's name, how many of it one instance of its parent forks.
    """

    roles: tuple[Role, ...]
    first_mm: dict[str, int]
    counts: dict[str, int]
    parents: dict[str, str]
    forked_before: dict[str, int]
    spaces: dict[str, int]

    @property
    def mms(self) -> int:
        """The number of address spaces."""
        return sum(count * self.spaces[name] for name, count in self.counts.items())

    def mm_of(self, process: str, instance: int) -> int:
        """Return the first address space of a process; those that it gets by `exec` follow."""
        return self.first_mm[process] + instance * self.spaces[process]

    def of(self, process: str, instance: int, thread: str) -> tuple[int, ...]:
        """Return the numbers of the roles of a thread's name in one process."""
        return tuple(
            number
            for number, role in enumerate(self.roles)
            if role.process.name == process and role.instance == instance and role.thread.name == thread
        )


def forks_of(body: tuple[Statement, ...], child: str) -> int:
    """Return how often statements fork a process."""
    return _times(body, "fork", child)


def times_of(body: tuple[Statement, ...], one: Statement) -> int:
    """Return how often a statement among others is done."""
    return sum(int(each is one) + times_of(each.body, one) * _repeats(each) for each in body)


def _times(body: tuple[Statement, ...], verb: str, name: str) -> int:
    """Return how often statements of a verb and a name are done, those with a number so many times."""
    return sum(
        (one.number or 1) * (one.verb == verb and one.name == name)
        + _times(one.body, verb, name) * _repeats(one)
        for one in body
    )


def _repeats(one: Statement) -> int:
    """Return how often what is in a statement's braces is done."""
    if one.verb == "each" and one.place is not None:
        return (one.place.hi - one.place.lo) // one.number
    return one.number if one.verb == "repeat" else 1


def turns(program: Program) -> int:
    """Return how often threads do `turn` in all."""
    parents, found = forks(program), 0
    for process in program.processes.values():
        count, name = process.count, process.name
        while name in parents:
            parent = program.processes[parents[name]]
            count *= parent.count * sum(_times(thread.body, "fork", name) for thread in parent.threads)
            name = parents[name]
        found += count * sum(thread.count * _times(thread.body, "turn", "") for thread in process.threads)
    return found


def cast(program: Program, cpus: int) -> Cast:
    """Give each thread its CPU and each process its address space.

    Raises:
        ShootdownError: there are too many of them, or a thread has no CPU.
    """
    parents = forks(program)
    counts: dict[str, int] = {}
    each: dict[str, int] = {}
    waiting = list(program.processes.values())
    while waiting:
        rest = []
        for process in waiting:
            parent = parents.get(process.name)
            if parent is None:
                counts[process.name] = process.count
            elif parent in counts:
                bodies = [thread.body for thread in program.processes[parent].threads]
                each[process.name] = sum(forks_of(body, process.name) for body in bodies)
                counts[process.name] = counts[parent] * each[process.name]
            else:
                rest.append(process)
        if len(rest) == len(waiting):
            raise ShootdownError(f"{rest[0].at}: it is forked by a process that it forks itself")
        waiting = rest
    total = sum(
        counts[process.name] * thread.count
        for process in program.processes.values()
        for thread in process.threads
    )
    if total > MOST_TASKS:
        raise ShootdownError(f"program {program.name}: it has {total:,} threads; the most are {MOST_TASKS:,}")
    first_mm, mm = {}, 0
    spaces = {
        name: 1 + sum(_times(thread.body, "exec", "") for thread in process.threads)
        for name, process in program.processes.items()
    }
    for name in program.processes:
        first_mm[name] = mm
        mm += counts[name] * spaces[name]
    found = Cast((), first_mm, counts, parents, each, spaces)
    return attrs.evolve(found, roles=tuple(_roles(program, found, cpus)))


def _roles(program: Program, cast: Cast, cpus: int) -> list[Role]:
    found: list[Role] = []
    parents, counts = cast.parents, cast.counts
    taken = {
        thread.cpu + number
        for process in program.processes.values()
        for thread in process.threads
        if thread.cpu is not None
        for number in range(thread.count * (1 if process.name in parents else process.count))
    }
    free = (cpu for cpu in count() if cpu not in taken)
    for process in program.processes.values():
        forked = process.name in parents
        started = {one.name for _, _, one in program.statements() if one.verb == "start"}
        for instance in range(counts[process.name]):
            for thread in process.threads:
                main = thread.name == "main"
                for number in range(thread.count):
                    if (forked and main) or thread.floats:
                        cpu = None
                    elif thread.cpu is not None:
                        cpu = thread.cpu + number + (instance if process.count > 1 else 0)
                    else:
                        cpu = next(free)
                    if cpu is not None and cpu >= cpus:
                        raise ShootdownError(
                            f"{thread.at}: thread {thread.name} of {process.name} needs CPU {cpu}, and CPUs "
                            f"are 0 to {cpus - 1}: ask for more (--cpus), or say `cpu` or `count`"
                        )
                    begins = not forked and (main or thread.name not in started)
                    found.append(
                        Role(process, thread, instance, cast.mm_of(process.name, instance), cpu, begins)
                    )
    return found
