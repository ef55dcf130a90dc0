"""Compile a program for the runner that is a booted machine's only process: `runner/image.h` has the form."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import attrs

from shootdown._programs.cast import Cast, cast
from shootdown._programs.checking import maps, repeated_waits
from shootdown._programs.language import ends
from shootdown._programs.program import PRIVATE_FILE, Memory, Program, Statement
from shootdown._programs.touches import draws
from shootdown._programs.verbs import COMMANDS, ENDLESS, IOCTLS
from shootdown._values.errors import ShootdownError

_MAGIC = 0x53484F4F54313
_KINDS = ("anonymous", "thp", "file", "hugetlb")
_OPS = (
    "end", "mmap", "touch", "touch_pages", "munmap", "madvise", "mprotect", "mremap", "truncate", "punch",
    "soft_offline", "move_pages", "userfaultfd", "membarrier",
    "fork", "exit", "start", "signal", "wait", "reap", "lock", "unlock", "work", "spin", "sleep",
    "move", "loop", "again", "measure", "measured",
)  # fmt: skip
OP = {name: number for number, name in enumerate(_OPS)}
_ADVICE = ("DONTNEED", "FREE", "COLLAPSE", "PAGEOUT")
#: Pages of one move_pages(): their addresses are on the runner's stack.
_MOST_MOVED = 4096
#: What a program can say and the runner can't do to a kernel, and why.
_UNABLE = {
    "reclaim": "a kernel reclaims what it likes: nothing makes it take these pages",
    "khugepaged": "khugepaged scans what it likes, when it likes: use `madvise PLACE COLLAPSE`",
    "mkclean": "the machine's only file system is in memory, and writes nothing back",
    "gup": "no system call is a walk of GUP-fast alone",
    "vmalloc": "no system call maps kernel addresses alone",
    "vfree": "no system call maps kernel addresses alone",
    "exec": "the runner is the machine's only program",
    "other": "it stands for what is not modelled, and the runner can't do that",
    "preempted": "no host preempts the emulated CPUs",
}
HUGE_PAGE = 2 << 20
#: Memory lies in parts of its own. Those of hugetlb memory are as large as a PUD table maps, which is freed with it.
_GIB, _UPPER = 1 << 30, 1 << 39
_FIRST, _END = 0x1200000000, 0x700000000000
_LOOPS, _EVENTS, _LOCKS, _MEMORIES = 16, 1024, 256, 60


@attrs.frozen
class Image:
    """A program as the runner takes it.

    Args:
        words: the file's, each of 64 bits.
        huge_pages: how many the machine has to reserve.
        forks: how many processes are forked while the program measures.
        actor_forked: whether the process that measures was forked, so that the CPU of its parent had its mm too.
        migrates: whether it needs a second node, to which pages go.
        swaps: whether it needs swap.
    """

    words: tuple[int, ...]
    huge_pages: int
    forks: int
    actor_forked: bool
    migrates: bool = False
    swaps: bool = False

    def content(self, *, big_endian: bool) -> bytes:
        """Return the file, in the byte order of the machine that runs it."""
        return struct.pack(f"{'>' if big_endian else '<'}{len(self.words)}q", *self.words)


def compile_program(
    program: Program, cpus: int, *, page_size: int = 4096, repetitions: int = 3, watched: int = 0
) -> Image:
    """Compile a program.

    Args:
        program: with values for its parameters, and checked.
        cpus: of the machine.
        page_size: of the kernel, in bytes.
        repetitions: how often the program is run.
        watched: how often it is run besides, while threads that spin read what its calls take away.

    Raises:
        ShootdownError: it does what can't be done to a real kernel, or is too large.
    """
    return _Compiler(program, cast(program, cpus), page_size, watched).image(repetitions)


def _huge_pages(program: Program, members: Cast) -> int:
    """Return how many huge pages of hugetlb memory are touched in all."""
    found = 0
    for memory in program.memory.values():
        if memory.kind != "hugetlb":
            continue
        touched: set[int] = set()
        for _, _, one in program.statements():
            if one.verb == "touch" and one.place is not None and one.place.memory == memory.name:
                touched.update(offset // HUGE_PAGE for offset in _offsets(one, HUGE_PAGE))
        owners = 1
        if not memory.shared:
            owners = sum(
                members.counts[p.name] for p in program.processes.values() if memory.name in maps(program, p)
            )
        found += len(touched) * owners
    return found


def _offsets(one: Statement, unit: int) -> Sequence[int]:
    """Return where a `touch` accesses its memory, in bytes from its beginning, in its order."""
    assert one.place is not None
    lo, hi, pattern = one.place.lo, one.place.hi, one.pattern
    if pattern.how == "all":
        return range(lo, hi, unit)
    if pattern.how == "every":
        return range(lo, hi, max(pattern.number, unit))
    return [lo + unit * page for page in draws(pattern, (hi - lo) // unit)]


class _Compiler:
    """Write the tables of one program."""

    def __init__(self, program: Program, members: Cast, page_size: int, watched: int) -> None:
        self.watched = watched
        self.program = program
        self.cast = members
        self.page_size = page_size
        self.code: list[tuple[int, ...]] = []
        self.pages: list[int] = []
        self.memories = {name: number for number, name in enumerate(program.memory)}
        names = [one.name for _, _, one in program.statements() if one.verb in ("signal", "wait")]
        self.events = {name: number for number, name in enumerate(dict.fromkeys(names))}
        names = [one.name for _, _, one in program.statements() if one.verb == "lock"]
        self.locks = {name: number for number, name in enumerate(dict.fromkeys(names))}
        self.classes = {name: number for number, name in enumerate(program.processes)}
        self.repeated = repeated_waits(program)
        self.first_process = members.first_mm
        self.bodies: dict[int, int] = {}
        self.free = _FIRST
        self.depth = 0
        for what, count, most in (
            ("memories", len(self.memories), _MEMORIES),
            ("events", len(self.events), _EVENTS),
            ("locks", len(self.locks), _LOCKS),
        ):
            if count > most:
                raise ShootdownError(
                    f"program {program.name}: {count} {what}; {most} at most can be measured"
                )

    def image(self, repetitions: int) -> Image:
        """Return the whole."""
        roles, processes = self._roles(), self._processes()
        memories = [self._memory(one) for one in self.program.memory.values()]
        huge = _huge_pages(self.program, self.cast)
        measured = [(process, one) for process, _, one in self.program.statements() if one.verb == "measure"]
        if not measured:
            raise ShootdownError(
                f"program {self.program.name} measures nothing: put what is counted into `measure {{ ... }}`"
            )
        counts = (len(memories), len(processes), len(roles), len(self.code), len(self.pages))
        swaps = any(one[0] == OP["madvise"] and _ADVICE[one[4]] == "PAGEOUT" for one in self.code)
        header = (_MAGIC, *counts, huge, repetitions, self.page_size, swaps, self.watched)
        words = [*header]
        for rows in (memories, processes, roles, self.code):
            for row in rows:
                words += row
        words += self.pages
        actor_forked = measured[0][0].name in self.cast.parents
        return Image(
            tuple(words),
            huge,
            sum(map(_forks, [one for _, one in measured])),
            actor_forked,
            any(one[0] == OP["move_pages"] for one in self.code),
            swaps,
        )

    def _memory(self, one: Memory) -> tuple[int, ...]:
        real = "file" if one.kind == PRIVATE_FILE else one.kind
        part = _UPPER if one.kind == "hugetlb" else _GIB
        room = -(-(one.size + (0 if one.kind == "hugetlb" else 8 << 20)) // part) * part
        # Of a huge page's memory the PMD table is freed too, and another part of the PUD table's keeps that.
        room = (room + (part if one.kind == "thp" else 0)) * (2 if self._moves(one) else 1)
        threads = max(sum(t.count for t in p.threads) for p in self.program.processes.values())
        at = -(-self.free // part) * part
        self.free = at + room * (threads if one.each == "thread" else 1)
        if self.free > _END:
            raise ShootdownError(f"{one.at}: there are no addresses left for it on a real machine")
        if real in ("anonymous", "file"):
            at += 4 << 20  # room for a neighbour before it
        kind = _KINDS.index(real)
        return (kind, one.size, one.shared, one.vmas, one.alone, one.each == "thread", at, room, one.begin)

    def _moves(self, memory: Memory) -> bool:
        return any(
            one.verb == "mremap" and one.place is not None and one.place.memory == memory.name
            for _, _, one in self.program.statements()
        )

    def _processes(self) -> list[tuple[int, ...]]:
        found: list[tuple[int, ...]] = []
        first = 0
        for process in self.program.processes.values():
            threads = sum(thread.count for thread in process.threads)
            mapped = {
                one.place.memory
                for _, _, one in self.program.statements()
                if one.verb == "mmap" and one.place
            }
            mask = sum(1 << self.memories[n] for n in maps(self.program, process) if n not in mapped)
            exits = self.events.get(process.name, -1)
            for _ in range(self.cast.counts[process.name]):
                forked = process.name in self.cast.parents
                found.append((first, threads, forked, mask, self.classes[process.name], exits))
                first += threads
        return found

    def _roles(self) -> list[tuple[int, ...]]:
        found: list[tuple[int, ...]] = []
        started = {one.name for _, _, one in self.program.statements() if one.verb == "start"}
        place: dict[int, int] = {}
        for role in self.cast.roles:
            number = place[role.mm] = place.get(role.mm, -1) + 1
            begins = role.thread.name == "main" or role.thread.name not in started
            last = role.thread.body[-1]
            finite = not (ends(last) and _last(last) in ENDLESS)
            cpu = -1 if role.cpu is None else role.cpu
            key = id(role.thread)
            if key not in self.bodies:
                self.bodies[key] = len(self.code)
                self._process = role.process
                self._body(role.thread.body)
                self._write("end")
            found.append((role.mm, number, cpu, begins, self.bodies[key], finite))
        return found

    # --- statements

    def _write(self, op: str, *, a: int = 0, lo: int = 0, hi: int = 0, b: int = 0, c: int = 0,
               piece: int = 0, slot: int = 0) -> None:  # fmt: skip
        self.code.append((OP[op], a, lo, hi, b, c, piece, slot))

    def _body(self, body: tuple[Statement, ...]) -> None:
        for one in body:
            getattr(self, f"_{one.verb}", self._on_memory)(one)

    def _on_memory(self, one: Statement) -> None:
        if one.verb in _UNABLE:
            raise self._wrong(one, _UNABLE[one.verb])
        assert one.place is not None
        kind = self.program.memory[one.place.memory].kind
        verb, b = one.verb, 0
        if verb == "madvise":
            if one.word not in _ADVICE:
                raise self._wrong(one, "the runner does not know this advice")
            b = _ADVICE.index(one.word)
        elif verb == "userfaultfd":
            b = list(IOCTLS).index(one.word)
        elif verb == "mprotect":
            b = int(one.word == "write")
        elif verb == "migrate":
            verb = "soft_offline" if kind == "hugetlb" else "move_pages"
            if verb == "move_pages" and one.place.hi - one.place.lo > _MOST_MOVED * self.page_size:
                raise self._wrong(one, f"{_MOST_MOVED:,} pages at most are moved at once by the runner")
        piece, slot = one.place.piece, self.depth - 1
        hi = one.place.lo + piece if piece else one.place.hi
        self._write(
            verb, a=self.memories[one.place.memory], lo=one.place.lo, hi=hi, b=b, piece=piece, slot=slot
        )

    def _touch(self, one: Statement) -> None:
        assert one.place is not None
        kind = self.program.memory[one.place.memory].kind
        unit = HUGE_PAGE if kind == "hugetlb" else self.page_size
        memory, write = self.memories[one.place.memory], int(one.word == "write")
        if one.pattern.how in ("all", "every"):
            step = unit if one.pattern.how == "all" else max(one.pattern.number, unit)
            piece = one.place.piece
            hi = one.place.lo + piece if piece else one.place.hi
            self._write(
                "touch", a=memory, lo=one.place.lo, hi=hi, b=write, c=step, piece=piece, slot=self.depth - 1
            )
            return
        offsets = _offsets(one, unit)
        self._write("touch_pages", a=memory, lo=len(self.pages), hi=len(offsets), b=write)
        self.pages += offsets

    def _fork(self, one: Statement) -> None:
        self._write("fork", a=self.classes[one.name], b=self.first_process[one.name])

    def _exit(self, one: Statement) -> None:
        del one
        self._write("exit")

    def _start(self, one: Statement) -> None:
        first = 0
        for thread in self._process.threads:
            if thread.name == one.name:
                self._write("start", a=first, b=thread.count)
            first += thread.count

    def _signal(self, one: Statement) -> None:
        self._write("signal", a=self.events[one.name])

    def _wait(self, one: Statement) -> None:
        uses = int(one.name in self.repeated)
        parent = self.cast.parents.get(one.name)
        if parent is not None and parent != self._process.name:
            raise self._wrong(one, f"only {parent}, which forked it, can wait for it on a real kernel")
        self._write("wait" if parent is None else "reap", a=self.events[one.name], b=one.number, c=uses)

    def _lock(self, one: Statement) -> None:
        self._write("lock", a=self.locks[one.name])

    def _unlock(self, one: Statement) -> None:
        self._write("unlock", a=self.locks[one.name])

    def _work(self, one: Statement) -> None:
        self._write("work", a=one.number)

    def _membarrier(self, one: Statement) -> None:
        self._write("membarrier", b=list(COMMANDS).index(one.word))

    def _spin(self, one: Statement) -> None:
        del one
        self._write("spin")

    def _sleep(self, one: Statement) -> None:
        del one
        self._write("sleep")

    def _move(self, one: Statement) -> None:
        self._write("move", a=one.number)

    def _turn(self, one: Statement) -> None:
        """A turn is only counted by who reads the program."""

    def _loop(self, one: Statement, count: int) -> None:
        if self.depth == _LOOPS:
            raise self._wrong(one, f"{_LOOPS} loops within each other at most can be measured")
        slot = self.depth
        self._write("loop", a=count, slot=slot)
        begin = len(self.code)
        self.depth += 1
        self._body(one.body)
        self.depth -= 1
        self._write("again", a=begin, slot=slot)

    def _repeat(self, one: Statement) -> None:
        self._loop(one, one.number)

    def _each(self, one: Statement) -> None:
        assert one.place is not None
        self._loop(one, (one.place.hi - one.place.lo) // one.number)

    def _measure(self, one: Statement) -> None:
        self._write("measure")
        self._body(one.body)
        self._write("measured")

    def _wrong(self, one: Statement, what: str) -> ShootdownError:
        return ShootdownError(f"{one.at}: `{one.text:.60}`: {what}")


def _last(one: Statement) -> str:
    return _last(one.body[-1]) if one.body else one.verb


def _forks(one: Statement) -> int:
    """Return how many processes a statement forks."""
    if one.verb == "each" and one.place is not None:
        times = (one.place.hi - one.place.lo) // one.number
    else:
        times = one.number if one.verb == "repeat" else 1
    return int(one.verb == "fork") + times * sum(map(_forks, one.body))
