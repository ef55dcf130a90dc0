"""Cut a program down to a size whose every interleaving can be explored, and say what was cut."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from shootdown._programs.checking import used
from shootdown._programs.program import Process, Program, Statement, Thread
from shootdown._values.errors import ShootdownError

#: The most like threads, and like processes, that are explored.
ALIKE = 2
#: The most threads: a search of more has no end.
MOST_THREADS = 8
#: Statements that map memory, and those that take away what is mapped.
_MAPS = ("touch", "mmap")
TAKES = (
    "munmap",
    "madvise",
    "mprotect",
    "mremap",
    "truncate",
    "punch",
    "migrate",
    "reclaim",
    "mkclean",
    "khugepaged",
    "exit",
)
#: Statements that an explored program does without: they take time, or count.
_IGNORED = ("work", "turn")
#: Statements that hold a thread up, or let another one go on.
_SYNCHRONISES = ("wait", "lock", "signal")


@attrs.frozen
class Actor:
    """A thread as it is explored.

    Args:
        process, thread: whose it is.
        instance: the number of its process among those of the same name.
        mm: its address space.
        before: the accesses that come before everything else: what they touch is mapped when the search begins.
        body: what it does then, without braces.
        number: among the like threads that do the same.
    """

    process: Process
    thread: Thread
    instance: int
    mm: int
    before: tuple[Statement, ...]
    body: tuple[Statement, ...]
    number: int

    @property
    def name(self) -> str:
        """What stories call it."""
        whose = self.process.name + (str(self.instance + 1) if self.process.count > 1 else "")
        if self.thread.name == "main":
            return whose
        return f"{whose} {self.thread.name}{self.number + 1 if self.thread.count > 1 else ''}"


@attrs.frozen
class Small:
    """A program as it is explored.

    Args:
        program: the whole one.
        actors: its threads.
        mms: its address spaces.
        cut: what was left out, in words.
    """

    program: Program
    actors: tuple[Actor, ...]
    mms: int
    cut: tuple[str, ...]

    def mms_of(self, memory: str) -> tuple[int, ...]:
        """Return the address spaces whose processes use a memory."""
        return tuple(dict.fromkeys(actor.mm for actor in self.actors if memory in used(actor.process)))


def small(program: Program) -> Small:
    """Cut a program: like threads and processes to two, loops to one turn, or to two if the second one differs.

    Raises:
        ShootdownError: it has too many threads even so.
    """
    cut: dict[str, None] = {}
    actors: list[Actor] = []
    mm = 0
    for process in program.processes.values():
        instances = min(process.count, ALIKE)
        if process.count > ALIKE:
            cut[f"{ALIKE} of {process.count:,} like processes {process.name}"] = None
        for instance in range(instances):
            for thread in process.threads:
                count = min(thread.count, ALIKE)
                if thread.count > ALIKE:
                    cut[f"{ALIKE} of {thread.count:,} like threads {thread.name} of {process.name}"] = None
                flat = tuple(_flat(thread.body, cut))
                first = _first(flat)
                actors += [
                    Actor(process, thread, instance, mm, flat[:first], flat[first:], number)
                    for number in range(count)
                ]
            mm += 1
    if len(actors) > MOST_THREADS:
        at = next(iter(program.processes.values())).at
        raise ShootdownError(
            f"{at.file}: {len(actors)} threads that differ cannot be explored: there are at most {MOST_THREADS}"
        )
    return Small(program, _with_waits(program, actors), mm, tuple(cut))


def _flat(body: tuple[Statement, ...], cut: dict[str, None]) -> Iterator[Statement]:
    """Yield statements without braces, each turn of a loop that is explored."""
    for one in body:
        if one.verb in _IGNORED:
            continue
        if one.verb not in ("repeat", "measure"):
            yield one
            continue
        turns = 1
        if one.verb == "repeat" and one.number > 1:
            inner = list(_flat(one.body, {}))
            differs = any(each.verb in _MAPS for each in inner) and any(each.verb in TAKES for each in inner)
            turns = min(one.number, ALIKE) if differs else 1
            if turns < one.number:
                cut[f"{'two turns' if turns > 1 else 'one turn'} of {one.number:,} of a loop"] = None
        for _ in range(turns):
            yield from _flat(one.body, cut)


def _first(flat: tuple[Statement, ...]) -> int:
    """Return how many statements of a thread are accesses that come before everything else."""
    for number, one in enumerate(flat):
        if one.verb not in _MAPS:
            return number
    return len(flat)


def _with_waits(program: Program, actors: list[Actor]) -> tuple[Actor, ...]:
    """Return the actors with waits for as many signals as there are now."""
    whole: dict[str, int] = {}
    for process in program.processes.values():
        for thread in process.threads:
            for name, times in _signals(process, thread.body, 1):
                whole[name] = whole.get(name, 0) + times * process.count * thread.count
    left: dict[str, int] = {}
    for actor in actors:
        for one in actor.body:
            name = one.name if one.verb == "signal" else actor.process.name if one.verb == "exit" else ""
            if name:
                left[name] = left.get(name, 0) + 1

    def awaited(one: Statement) -> Statement:
        if one.verb != "wait":
            return one
        there = max(left.get(one.name, 0), 1)
        number = there if one.number >= whole.get(one.name, 0) else min(one.number, there)
        return attrs.evolve(one, number=number)

    return tuple(attrs.evolve(actor, body=tuple(map(awaited, actor.body))) for actor in actors)


def _signals(process: Process, body: tuple[Statement, ...], times: int) -> Iterator[tuple[str, int]]:
    """Yield what statements signal, and how often."""
    for one in body:
        if one.verb == "signal":
            yield one.name, times
        elif one.verb == "exit":
            yield process.name, times
        yield from _signals(process, one.body, times * (one.number if one.verb == "repeat" else 1))


def synchronises(actors: tuple[Actor, ...]) -> bool:
    """Whether a thread waits for another one in some statement."""
    return any(one.verb in _SYNCHRONISES[:2] for actor in actors for one in actor.body)
