"""A program as values: what memory there is, which processes and threads, and what each does."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from shootdown._values.errors import ShootdownError

#: What memory can be, with the words of the reference.
KINDS = {
    "anonymous": "private pages of the process, mapped by base pages",
    "thp": "private pages, mapped by a huge page wherever a whole one fits (transparent huge pages)",
    "file": "pages of an ordinary file, mapped shared or privately; each process has page tables of its own",
    "vmalloc": "kernel addresses, which no process maps",
    "hugetlb": "huge pages of 2 MiB (the size of a PMD entry) of a hugetlb file",
}
#: What a file's memory is that is mapped privately: what is written are copies of its pages, as of the zero page.
PRIVATE_FILE = "private file"
#: Kinds of which a process has pages of its own.
PRIVATE = ("anonymous", "thp", PRIVATE_FILE)

#: The slice of a scheduler if a program does not say: kernel/sched/fair.c has 0.75 ms, times four from eight CPUs on.
SLICE_NS = 3_000_000


@attrs.frozen
class Spot:
    """Where in a file something was said.

    Args:
        file: the path, or what stands for it.
        line: counted from one; 0 if it is not known.
        key: the keys that lead to it, with points between them.
    """

    file: str
    line: int
    key: str

    def __str__(self) -> str:
        """Return `FILE, line N, KEY`."""
        line = f", line {self.line}" if self.line else ""
        return f"{self.file}{line}, {self.key}" if self.key else f"{self.file}{line}"


@attrs.frozen
class Memory:
    """A range of addresses that processes map.

    Args:
        name: as statements call it.
        kind: one of `KINDS`, or `PRIVATE_FILE`.
        size: bytes.
        shared: of files: mapped shared, so that processes can share PMD tables of `hugetlb`.
        vmas: of `hugetlb`: VMAs that the mapping consists of, each of whole PUD entries.
        alone: no other mapping uses its page tables, which are freed with it.
        each: who has one of his own: `process`, or `thread`.
        begin: bytes from the beginning of what a page table maps to its own; places count from there too.
        at: where it was said.
    """

    name: str
    kind: str
    size: int
    shared: bool
    vmas: int
    alone: bool
    each: str
    at: Spot
    begin: int = 0

    @property
    def whole(self) -> Place:
        """All of it."""
        return Place(self.name, self.begin, self.begin + self.size)


@attrs.frozen
class Place:
    """A memory, or a part of it.

    Args:
        memory: its name.
        lo, hi: bytes, `[lo, hi)`, counted from where the first page table of its addresses begins.
        piece: bytes of one piece of it, where a statement in `each` is about `it`; else 0.
    """

    memory: str
    lo: int
    hi: int
    piece: int = 0


@attrs.frozen
class Pattern:
    """Which pages of a place are touched.

    Args:
        how: `all`; `every`: one in each `number` bytes; `random` or `rand`: `number` pages, by a generator that `seed`
            starts, Python's or glibc's `rand()`.
        number, seed: as `how` says.
    """

    how: str = "all"
    number: int = 0
    seed: int = 1


@attrs.frozen
class Statement:
    """One thing that a thread does.

    Args:
        verb: a key of `verbs.VERBS`.
        at: where it was said.
        text: the statement as it was written.
        place: the memory that it is about.
        name: a process, thread, event or lock.
        number: how often, how many, which CPU, nanoseconds, or bytes of a piece.
        word: `read`, `write`, `none`, or the advice of madvise().
        pattern: which pages are touched.
        body: the statements in braces.
    """

    verb: str
    at: Spot
    text: str
    place: Place | None = None
    name: str = ""
    number: int = 0
    word: str = ""
    pattern: Pattern = Pattern()
    body: tuple[Statement, ...] = ()

    def wrong(self, what: str) -> ShootdownError:
        """Return an error about it."""
        return ShootdownError(f"{self.at}: `{self.text:.60}`: {what}")


@attrs.frozen
class Thread:
    """A thread of a process, or several that do the same.

    Args:
        name: `main` for a process's first one.
        cpu: where it runs, and the next ones behind it; None: on CPUs that no thread before it has.
        floats: the scheduler chooses where it runs, and may move it.
        count: how many there are.
        body: what each does.
        at: where it was said.
    """

    name: str
    cpu: int | None
    count: int
    body: tuple[Statement, ...]
    at: Spot
    floats: bool = False


@attrs.frozen
class Process:
    """A process, or several that do the same.

    Args:
        name: as statements call it.
        count: how many there are; those that are forked are as many as forks.
        threads: `main` first.
        at: where it was said.
    """

    name: str
    count: int
    threads: tuple[Thread, ...]
    at: Spot


@attrs.frozen
class Program:
    """A whole program.

    Args:
        name, summary: of the program.
        memory, processes: by name.
        slice_ns: how long a thread runs before it gives way to another one of its CPU, where a scheduler chooses CPUs.
    """

    name: str
    summary: str
    memory: dict[str, Memory]
    processes: dict[str, Process]
    slice_ns: int = SLICE_NS

    @property
    def scheduled(self) -> bool:
        """Whether a scheduler chooses the CPU of some thread."""
        return any(thread.floats for process in self.processes.values() for thread in process.threads)

    def in_use(self) -> Program:
        """Return the program with the memory that some statement is about."""
        names = {one.place.memory for _, _, one in self.statements() if one.place}
        return attrs.evolve(self, memory={name: one for name, one in self.memory.items() if name in names})

    def statements(self) -> Iterator[tuple[Process, Thread, Statement]]:
        """Yield each statement, those in braces after the one that they belong to."""
        for process in self.processes.values():
            for thread in process.threads:
                for statement in within(thread.body):
                    yield process, thread, statement


def within(body: tuple[Statement, ...]) -> Iterator[Statement]:
    """Yield statements, those in braces after the one that they belong to."""
    for statement in body:
        yield statement
        yield from within(statement.body)
