"""The programs that a hunt tries: all of a few calls over small memories, and random ones of more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, combinations_with_replacement, pairwise, product
from random import Random

import attrs

from shootdown._programs.language import size_text
from shootdown._programs.sketch import FORK, RUNS, START, Calls, Sketch
from shootdown._values.setup import Setup
from shootdown._workloads.hugetlb import needs_madvise, needs_mremap

#: What the last call of a thread is that ends its process.
EXIT = "exit"
#: Calls that a world of two processes which map a file goes without: they are of pages that one process maps alone.
_OF_ONE = ("reclaim", "mremap")
#: Calls besides fork() from which on no further thread runs: what one fault copies another CPU may still write to.
_ONE_MORE_RUNS = 2


@attrs.frozen
class World:
    """A memory, and the calls that can be made on it.

    Args:
        sketch: the memory, without any process.
        calls: what a thread of a process can call.
        processes: how many processes map it.
        makes: `fork` or `start` where each program has one such call: the second process is forked by the first one, or
            the last thread started; else empty.
    """

    sketch: Sketch
    calls: tuple[str, ...]
    processes: int
    makes: str = ""

    def program(self, *processes: tuple[Calls, ...]) -> Sketch | None:
        """Return a program in which other processes only run; None for one that can't be."""
        for threads in processes:
            for calls in threads:
                if EXIT in calls[:-1] or (EXIT in calls and len(threads) > 1):
                    return None
        rest = (((RUNS,),),) * (self.processes - len(processes))
        return attrs.evolve(self.sketch, processes=(*processes, *rest)).canonical()


def worlds(scene: Setup) -> tuple[World, ...]:
    """Return the worlds of a kernel on a platform."""
    kernel, lowering = scene.kernel, scene.lowering
    geometry = lowering.geometry
    page = kernel.page_size
    table = page << (geometry.pmd_shift - geometry.page_shift)
    ends = [size_text(end) for end in (0, page, table)]
    first, both, last = f"@[{ends[0]}:{ends[1]}]", f"@[{ends[0]}:{ends[2]}]", f"@[{ends[2]}:]"
    parts = (first, last, both, "@")
    gup = [f"gup {first}", f"gup {last}"] if kernel.gup_fast else []
    anonymous = World(
        Sketch("anonymous", table + page, (), parts),
        (
            *(f"munmap {part}" for part in parts),
            *(f"madvise {part} DONTNEED" for part in parts),
            *(f"mprotect {part} read" for part in parts),
            *gup,
            f"reclaim {first}",
            *([] if lowering.no_thp() else [f"khugepaged {both}"]),
            f"touch {first} write",
        ),
        1,
    )
    pins = ["gup @"] if gup else []
    file = World(
        Sketch("file", page, ()),
        (
            "munmap @",
            "madvise @ DONTNEED",
            "mprotect @ read",
            "mremap @",
            "truncate @",
            "reclaim @",
            "mkclean @",
            "touch @ write",
            *pins,
        ),
        1,
    )
    mapped_twice = World(
        file.sketch, tuple(call for call in (*file.calls, EXIT) if call.split(" ")[0] not in _OF_ONE), 2
    )
    own = Sketch("anonymous", page, ())
    returns = ("touch @ write", "mprotect @ read", "mprotect @ write", "madvise @ DONTNEED", "munmap @")
    again = World(own, (*returns, "mmap @", "reclaim @", "migrate @", *pins, EXIT), 1)
    starts = World(own, (*returns, *pins), 1, START)
    forks = World(own, (*returns, "mmap @", "reclaim @", "migrate @", *pins, EXIT), 2, FORK)
    found = [file, anonymous, again, mapped_twice, starts, forks, *_huge_pages(scene, table)]
    if lowering.no_pmd_sharing() is None:
        calls = ["munmap @", "mprotect @ read", EXIT]
        calls += [] if needs_madvise(scene) else ["madvise @ DONTNEED"]
        calls += [] if needs_mremap(scene) else ["mremap @"]
        calls += pins
        memory = Sketch("hugetlb", 1 << geometry.pud_shift, ())
        touched = (*calls, "touch @ write")
        found = [
            World(memory, touched, 2),
            *found,
            World(memory, tuple(calls), 3),
            World(memory, touched, 2, FORK),
        ]
    return tuple(found)


def _huge_pages(scene: Setup, table: int) -> list[World]:
    """Return the worlds of memory that a huge page maps.

    What can't be explored together is apart: moves are of memory of which no call is about a part, collapses of memory
    whose rights stay, and neither is explored beside fork().

    Args:
        scene: the kernel and platform.
        table: bytes that a page table maps.
    """
    if scene.lowering.no_thp() is not None:
        return []
    places = (f"@[0:{size_text(scene.kernel.page_size)}]", "@")
    part, whole = places
    memory = Sketch("thp", table, (), places)
    goes = [f"madvise {one} DONTNEED" for one in places]
    pins, pins_any = ([f"gup {one}"] if scene.kernel.gup_fast else [] for one in places)
    splits = [*(f"munmap {one}" for one in places), *goes, *(f"mprotect {one} read" for one in places), *pins]
    moves = [f"munmap {whole}", goes[1], f"mprotect {whole} read", f"mremap {whole}", *pins_any]
    collapses = [*goes, f"munmap {whole}", f"khugepaged {whole}", f"touch {whole} write", *pins]
    forks = [*goes, f"munmap {whole}", f"mprotect {part} read", *pins, EXIT]
    return [
        World(memory, tuple(splits), 1),
        World(memory, tuple(moves), 1),
        World(memory, tuple(collapses), 1),
        World(memory, tuple(forks), 2, FORK),
    ]


def programs(scene: Setup, most: int) -> Iterator[Sketch]:
    """Yield all programs of at most so many calls, those of fewer calls first, each once up to symmetry."""
    seen: set[Sketch] = set()
    there = worlds(scene)
    for count in range(1, most + 1):
        for world in there:
            for found in _of(world, count):
                if found is not None and found not in seen:
                    seen.add(found)
                    yield found


def _of(world: World, count: int) -> Iterator[Sketch | None]:
    """Yield the programs of a world with so many calls, in each way to divide them among threads and processes."""
    if world.makes:
        for calls in product(world.calls, repeat=count - 1):
            for sizes in _made_shapes(count - 1):
                yield _making(world, calls, *sizes)
        return
    for shape in _shapes(count):
        for calls in product(world.calls, repeat=count):
            threads = _divided(calls, shape)
            if len(threads) == 1:
                yield world.program((threads[0], (RUNS,)) if EXIT not in threads[0] else (threads[0],))
                continue
            yield world.program(tuple(threads))
            if world.processes > 1:
                yield from (world.program(*split) for split in _apart(threads, world.processes))


def _divided(calls: Calls, shape: Sequence[int]) -> list[Calls]:
    """Return calls as threads of so many each."""
    ends = list(accumulate(shape, initial=0))
    return [calls[lo:hi] for lo, hi in pairwise(ends)]


def _making(
    world: World, calls: Calls, before: int, after: int, others: Sequence[int], made: Sequence[int]
) -> Sketch | None:
    """Return a program whose first thread forks or starts another one.

    Args:
        world: its world.
        calls: all its other calls.
        before, after: how many of them the thread makes before that and after it.
        others: of its process's other threads, the calls of each.
        made: of the threads of the process that is forked; or of the thread that is started.
    """
    ends = list(accumulate((before, after, sum(others), sum(made)), initial=0))
    first, second, third, fourth = (calls[lo:hi] for lo, hi in pairwise(ends))
    main = (*first, world.makes, *second)
    there = [main, *_divided(third, others)]
    begun = tuple(_divided(fourth, made)) or ((RUNS,),)
    if world.makes == START:
        return None if len(begun) > 1 else world.program((*there, *begun))
    small = world.sketch.kind == "anonymous" and len(calls) < _ONE_MORE_RUNS
    if EXIT not in main and (len(there) == 1 or (small and len(there) < _ONE_MORE_RUNS + 1)):
        there.append((RUNS,))
    return world.program(tuple(there), begun)


def _made_shapes(count: int) -> Iterator[tuple[int, int, tuple[int, ...], tuple[int, ...]]]:
    """Yield the ways to divide calls around one that forks or starts; see `_making`."""
    for before, after, others in product(range(count + 1), repeat=3):
        made = count - before - after - others
        if made >= 0:
            yield from ((before, after, *shapes) for shapes in product(_shapes(others), _shapes(made)))


def _apart(threads: Sequence[Calls], processes: int) -> Iterator[tuple[tuple[Calls, ...], ...]]:
    """Yield threads as processes: each its own, as many as there are."""
    if len(threads) <= processes:
        yield tuple((thread,) for thread in threads)


def _shapes(count: int) -> Iterator[tuple[int, ...]]:
    """Yield the ways to divide calls among threads: `(2,)` for two of one thread, `(1, 1)` for one each."""
    if count == 0:
        yield ()
    for threads in range(1, count + 1):
        for shape in combinations_with_replacement(range(1, count + 1), threads):
            if sum(shape) == count:
                yield tuple(reversed(shape))


def random_program(scene: Setup, seed: int, number: int, calls: int = 3) -> Sketch:
    """Return the random program of a number: so many calls, each on a CPU of its own or two on one."""
    there = worlds(scene)
    rng = Random(f"{seed} {number}")
    while True:
        world = rng.choice(there)
        chosen = [rng.choice(world.calls) for _ in range(calls)]
        if world.makes:
            shapes = list(_made_shapes(calls - 1))
            found = _making(world, tuple(chosen[1:]), *rng.choice(shapes))
            if found is not None:
                return found
            continue
        threads: list[Calls] = [(call,) for call in chosen]
        if rng.random() < 0.25:
            threads = [tuple(chosen[:2]), *threads[2:]]
        if world.processes == 1 or rng.random() < 0.4:
            found = world.program(tuple(threads))
        else:
            homes = [rng.randrange(world.processes) for _ in threads]
            split = [
                tuple(thread for thread, home in zip(threads, homes, strict=True) if home == process)
                for process in range(world.processes)
            ]
            found = world.program(*(one or ((RUNS,),) for one in split))
        if found is not None:
            return found
