"""Cut a program down to a size whose every interleaving can be explored, and say what was cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import attrs

from shootdown._programs.cast import cast
from shootdown._programs.checking import forks, repeated_waits, used
from shootdown._programs.program import Place, Process, Program, Statement, Thread
from shootdown._programs.unrolled import unrolled
from shootdown._values.errors import ShootdownError

#: The most like threads, and like processes, that are explored.
ALIKE = 2
#: The most threads: a search of more has no end.
MOST_THREADS = 8
#: CPUs enough for any program as a whole.
MOST_CPUS = 1 << 20
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
    "userfaultfd",
    "khugepaged",
    "fork",
    "exit",
    "exec",
)
#: Statements after which a thread is explored as another actor.
_SPLITS = ("exec", "move")
#: Statements that an explored program does without: they take time, or count.
_IGNORED = ("work", "other", "turn")
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
        begins: what it begins with: nothing, if it is there at first, `fork` of its process, `start`, or what splits a
            thread in two: `exec`, from which on its address space is another one, and `move`, its CPU.
        earlier: of such a second part, the number of the actor that is the first one; else -1.
    """

    process: Process
    thread: Thread
    instance: int
    mm: int
    before: tuple[Statement, ...]
    body: tuple[Statement, ...]
    number: int
    begins: str = ""
    earlier: int = -1

    @property
    def name(self) -> str:
        """What stories call it."""
        several = self.process.count > 1 or self.instance > 0
        whose = self.process.name + (str(self.instance + 1) if several else "")
        moved = ", moved" if self.begins == "move" else ""
        if self.thread.name == "main":
            return whose + moved
        return f"{whose} {self.thread.name}{self.number + 1 if self.thread.count > 1 else ''}{moved}"


@attrs.frozen
class Small:
    """A program as it is explored.

    Args:
        program: the whole one.
        actors: its threads.
        mms: its address spaces.
        cut: what was left out, in words.
        parents: by the address space of a process that is forked, that of the process which forks it.
        children: by a statement that forks, as its `id()`, the address space of the process that it makes.
        left_out: places that are explored as if they were not there.
        uses: how often a program uses a statement, where statements are written for many programs; 0: each is written
            once, for this program.
        used_up: the events whose signals a wait uses up.
    """

    program: Program
    actors: tuple[Actor, ...]
    mms: int
    cut: tuple[str, ...]
    parents: dict[int, int] = attrs.field(factory=dict)
    children: dict[int, int] = attrs.field(factory=dict)
    left_out: tuple[Place, ...] = ()
    uses: int = 0
    used_up: frozenset[str] = frozenset()

    def mms_of(self, memory: str) -> tuple[int, ...]:
        """Return the address spaces that map a memory: their processes, or processes kin to them by fork(), use it."""
        own = {actor.mm for actor in self.actors if memory in used(actor.process)}
        roots = {self.root(mm) for mm in own}
        return tuple(dict.fromkeys(actor.mm for actor in self.actors if self.root(actor.mm) in roots))

    def parts_of(self, number: int) -> list[int]:
        """Return the numbers of the actors that are one thread in one address space, up to this one: it moves."""
        found = [number]
        while self.actors[found[0]].begins == "move":
            found.insert(0, self.actors[found[0]].earlier)
        return found

    def root(self, mm: int) -> int:
        """Return the address space that an address space is a copy of, or a copy of a copy; itself if it is none."""
        while mm in self.parents:
            mm = self.parents[mm]
        return mm

    def kin(self, mm: int) -> tuple[int, ...]:
        """Return the address spaces that are copies of one another, this one among them."""
        return tuple(other for other in range(self.mms) if self.root(other) == self.root(mm))


def small(program: Program) -> Small:
    """Cut a program: like threads and processes to two, loops to one turn, or to two if the second one differs.

    Raises:
        ShootdownError: it has too many threads even so.
    """
    used_up = frozenset(repeated_waits(program))
    whole = unrolled(program)
    program = whole.program
    cut = dict.fromkeys(whole.cut)
    forked = forks(program)
    parents: dict[int, int] = {}
    children: dict[int, int] = {}
    actors: list[Actor] = []
    mms = 0
    waiting = [process for process in program.processes.values() if process.name not in forked]
    homes: dict[str, list[int | None]] = {}
    for process in waiting:
        homes[process.name] = [None] * min(process.count, ALIKE)
        if process.count > ALIKE:
            cut[f"{ALIKE} of {process.count:,} like processes {process.name}"] = None
    order = {name: number for number, name in enumerate(program.processes)}
    while waiting:
        process = waiting.pop(0)
        made = _Cut(program, process, process.name in forked, cut, used_up)
        for instance, parent in enumerate(homes[process.name]):
            mine = made.actors(instance, mms)
            if parent is not None:
                parents[mms] = parent
            mms += 1
            for actor in mine:
                parts = _parts(actor, mms)
                mms = max(mms, parts[-1].mm + 1)
                actors += parts
                for part in parts:
                    for one in part.body:
                        if one.verb == "fork":
                            homes.setdefault(one.name, []).append(part.mm)
        waiting += [
            child for child in program.processes.values()
            if forked.get(child.name) == process.name and child.name in homes
        ]  # fmt: skip
    if len(actors) > MOST_THREADS:
        at = next(iter(program.processes.values())).at
        raise ShootdownError(
            f"{at.file}: {len(actors)} threads that differ cannot be explored: there are at most {MOST_THREADS}"
        )
    taken: dict[str, int] = {}
    actors.sort(key=lambda actor: (order[actor.process.name], actor.instance))
    for actor in sorted(actors, key=lambda actor: actor.mm):
        for one in actor.body:
            if one.verb == "fork":
                number = taken.get(one.name, 0)
                taken[one.name] = number + 1
                children[id(one)] = next(
                    other.mm
                    for other in actors
                    if other.process.name == one.name and other.instance == number
                )
    return Small(
        program,
        _with_waits(program, _in_order(actors), used_up),
        mms,
        tuple(cut),
        parents,
        children,
        whole.left_out,
        used_up=used_up,
    )


def _parts(actor: Actor, mms: int) -> list[Actor]:
    """Split a thread where it takes another address space, the first one `mms`, or another CPU."""
    found = [attrs.evolve(actor, body=())]
    for one in actor.body:
        found[-1] = attrs.evolve(found[-1], body=(*found[-1].body, one))
        if one.verb in _SPLITS:
            mm = mms if one.verb == "exec" else found[-1].mm
            mms += one.verb == "exec"
            found.append(attrs.evolve(actor, mm=mm, before=(), body=(), begins=one.verb, earlier=0))
    return found


def _in_order(actors: list[Actor]) -> list[Actor]:
    """Say of each second part of a thread where the first one is: the actor before it."""
    return [
        attrs.evolve(actor, earlier=number - 1) if actor.earlier >= 0 else actor
        for number, actor in enumerate(actors)
    ]


class _Cut:
    """Cut one process.

    Args:
        program: its program.
        process: it.
        forked: another one forks it.
        cut: gets what was left out.
        used_up: the events whose signals a wait uses up: of loops about one there are as many turns.
    """

    def __init__(
        self, program: Program, process: Process, forked: bool, cut: dict[str, None], used_up: frozenset[str]
    ) -> None:
        self.process = process
        self.forked = forked
        self.cut = cut
        self.used_up = used_up
        self.forks = any(one.verb == "fork" for other, _, one in program.statements() if other is process)
        self.started = {
            one.name for other, _, one in program.statements() if other is process and one.verb == "start"
        }

    def actors(self, instance: int, mm: int) -> list[Actor]:
        """Return the threads of one such process."""
        found = []
        for thread in self.process.threads:
            count = min(thread.count, ALIKE)
            if thread.count > ALIKE:
                self.cut[f"{ALIKE} of {thread.count:,} like threads {thread.name} of {self.process.name}"] = (
                    None
                )
            begins = "start" if thread.name in self.started else "fork" if self.forked else ""
            flat = tuple(_flat(thread.body, self.cut, self.used_up))
            first = 0 if begins else _first(flat)
            before, body = flat[:first], flat[first:]
            if not begins and self.forks and not any(one.verb == "fork" for one in body):
                body = (*_again(before), *body)
            for number in range(count):
                own = tuple(map(attrs.evolve, body))  # each like thread's statement is another one
                found.append(Actor(self.process, thread, instance, mm, before, own, number, begins))
        return found


def _again(before: tuple[Statement, ...]) -> Iterator[Statement]:
    """Yield the writes among accesses once more: a thread goes on writing while another one forks."""
    for one in before:
        if one.verb == "touch" and one.word == "write":
            yield attrs.evolve(one)


def _flat(body: tuple[Statement, ...], cut: dict[str, None], used_up: frozenset[str]) -> Iterator[Statement]:
    """Yield statements without braces, each turn of a loop that is explored."""
    for one in body:
        if one.verb in _IGNORED:
            continue
        if one.verb not in ("repeat", "measure"):
            yield attrs.evolve(one)  # each turn's is another one
            continue
        turns = 1
        if one.verb == "repeat" and one.number > 1:
            inner = list(_flat(one.body, {}, used_up))
            differs = any(each.verb == "fork" or each.name in used_up for each in inner) or (
                any(each.verb in _MAPS for each in inner) and any(each.verb in TAKES for each in inner)
            )
            turns = min(one.number, ALIKE) if differs else 1
            if turns < one.number:
                cut[f"{'two turns' if turns > 1 else 'one turn'} of {one.number:,} of a loop"] = None
        for _ in range(turns):
            yield from _flat(one.body, cut, used_up)


def _first(flat: tuple[Statement, ...]) -> int:
    """Return how many statements of a thread are accesses that come before everything else, and what maps for them.

    An access to what was touched before is a call: another thread may have made something of it meanwhile.
    """
    touched: list[Place] = []
    for number, one in enumerate(flat):
        place = one.place
        if one.verb not in _MAPS or place is None:
            return number
        beside = [before for before in touched if before.memory == place.memory]
        if one.verb == "mmap" and beside:
            return number
        if any(before.lo < place.hi and place.lo < before.hi for before in beside):
            return number
        touched.append(place)
    return len(flat)


def _with_waits(program: Program, actors: Sequence[Actor], used_up: frozenset[str]) -> tuple[Actor, ...]:
    """Return the actors with waits for as many signals as there are now.

    Where waits use signals up each waits for its share of them.
    """
    whole: dict[str, int] = {}
    counts = cast(program, MOST_CPUS).counts
    for process in program.processes.values():
        for thread in process.threads:
            for name, times in _signals(process, thread.body, 1):
                whole[name] = whole.get(name, 0) + times * counts[process.name] * thread.count
    left: dict[str, int] = {}
    for actor in actors:
        for one in actor.body:
            name = one.name if one.verb == "signal" else actor.process.name if one.verb == "exit" else ""
            if name:
                left[name] = left.get(name, 0) + 1

    waits = Counter(one.name for actor in actors for one in actor.body if one.verb == "wait")

    def awaited(one: Statement) -> Statement:
        if one.verb != "wait":
            return one
        there = max(left.get(one.name, 0), 1)
        if one.name in used_up:
            return attrs.evolve(one, number=min(one.number, max(there // waits[one.name], 1)))
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


def synchronises(actors: Sequence[Actor]) -> bool:
    """Whether a thread waits for another one in some statement."""
    return any(one.verb in _SYNCHRONISES[:2] for actor in actors for one in actor.body)
