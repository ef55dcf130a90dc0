"""The calls of a small world, each written and finished once: programs are linked from them, and no program is written.

A part is what one call of a process writes, or what comes after the last one. A program is a list of parts for each
task. All parts of a world are written in one machine, whose memory is cut as all calls together cut it: each part is so
the same whatever program it is in.
"""

from __future__ import annotations

from functools import cache, cached_property
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shootdown._explore.away import may_wait, with_waits
from shootdown._explore.linked import Linked, Part, first_alike
from shootdown._explore.linking import MOST_STEPS
from shootdown._machine.layout import Layout, with_walkers
from shootdown._mm.model import Model
from shootdown._programs.checking import forks
from shootdown._programs.explored_hugetlb import HugetlbSpace
from shootdown._programs.explored_ordinary import OrdinarySpace
from shootdown._programs.program import Program, Statement
from shootdown._programs.reading import read_values
from shootdown._programs.sketch import FORK, MEMORY, RUNS, START, Sketch, signals_first
from shootdown._programs.small import Actor, Small
from shootdown._programs.worlds import EXIT, World
from shootdown._values.setup import Setup

#: Calls that move the memory: what a thread calls after one is about the new place, and a program has at most one.
_MOVES = "mremap"
#: Calls that a thread may not make after it has unmapped what they are about, unless it has mapped it again.
_ACCESSES, _UNMAPS, _MAPS = "touch", "munmap", "mmap"
#: Calls for the sake of which others take more steps: programs without one are linked from parts without these steps.
ASKS_MORE = ("reclaim", "migrate", "mkclean", "khugepaged")
#: The same where what is touched is no page of the thread's own: rights are given again, and tables shared.
ASKS_MORE_OF_SHARED = (*ASKS_MORE, "touch")
#: The most parts: a bit of a word for each.
MOST_PARTS = 64


@cache
def _read(call: str) -> tuple[str, str]:
    """Return the verb of a sketch's call, and the call as a program has it."""
    return call.partition(" ")[0], call.replace("@", MEMORY)


class DoesNotFitError(Exception):
    """A program or world that can't be linked, and is explored as it is written."""


class Key(NamedTuple):
    """What a part is written for.

    Args:
        mm: the address space of its process.
        call: the call, or what the task does at the beginning or the end: "begins", "runs", "keeps", and others.
        moved: its thread has moved the memory before.
        use: which use of the call in its program, where each takes something for itself; else 0.
        thread: which of the process's threads that call something makes it, where each notes something; else 0.
    """

    mm: int
    call: str
    moved: bool = False
    use: int = 0
    thread: int = 0


#: What tasks do in the beginning that are forked or started; and in the end: run in user mode, having nothing; keep the
#: table, which GUP-fast of the own threads may read or not; nothing any more.
_BEGINS = "begins"
_GIVEN_UP, _KEEPS, _PINS, _HALTS = "runs", "keeps", "keeps, pins", "halts"


class Row(NamedTuple):
    """A program as numbers.

    Args:
        homes: for each task its mm.
        lazy: the mm with which one more CPU idles, or -1.
        parts: for each task the numbers of its parts, in their order.
        begun: the tasks that another one makes, as a mask: their CPUs are not in user mode at first.
    """

    homes: tuple[int, ...]
    lazy: int
    parts: tuple[tuple[int, ...], ...]
    begun: int = 0

    @property
    def shape(self) -> Shape:
        """What programs have in common that can be explored in one batch."""
        return self.homes, self.lazy, self.begun


#: The mms of tasks, the one of the CPU that idles, the tasks that others make; see `Row`.
Shape = tuple[tuple[int, ...], int, int]


class Linkable:
    """All calls of a world, written.

    Args:
        world: the memory and the calls.
        scene: the kernel and platform.
        most: calls of the largest program.
        preempts: tasks that wait for interrupts to be answered may be preempted, where the kernel lets them.

    Raises:
        ShootdownError, DoesNotFitError: some call of it can't be written for all programs at once.
    """

    def __init__(self, world: World, scene: Setup, most: int, *, preempts: bool = False) -> None:
        self.world = world
        self.scene = scene
        self._huge = world.sketch.kind == "hugetlb"
        self._most = most
        forks = self._declare(1)
        if isinstance(self._space, OrdinarySpace) and self._space.notes_by_thread:
            forks = self._declare(most)
        self._begins = self._model.event() if world.makes else 0
        self.invariants = self._space.invariants
        self._parts: list[Part] = []
        self._numbers: dict[Key, int] = {}
        self._many: set[tuple[int, str]] = set()  # calls that take something for themselves
        for mm in range(world.processes):
            self._write(mm)
        if forks:
            self._part(Key(0, FORK), lambda: self._fork(forks[0]))
        elif world.makes == START:
            self._part(Key(0, START), self._start)
        fields = self._model.asm.functions.fields
        if fields is not None and fields.by_cpu:
            raise DoesNotFitError  # each program has CPUs of its own, and somebody keeps a variable for each
        code = self._model.asm.finish()
        #: Some wait lets its task be preempted, unless a lock that spins is held.
        self.may_wait = may_wait(code)
        waiting = with_waits(code, [part.begin for part in self._parts]) if preempts else None
        self._by_task = int(waiting is not None)
        code = waiting or code
        longest = max(part.end - part.begin for part in self._parts)
        if len(self._parts) > MOST_PARTS or longest * (2 * most + world.processes) > MOST_STEPS:
            raise DoesNotFitError
        same = first_alike(code, self._parts)
        self._numbers = {key: same[number] for key, number in self._numbers.items()}
        self._memory = 0 if self._huge else scene.memory
        self._shapes: dict[Shape, tuple[Layout, npt.NDArray[Any]]] = {}
        layout, _ = self._model.explored_with((0,), lazy=None, user=(0,), memory=self._memory)
        self.linked = Linked(
            code,
            self._with_links(layout),
            self._parts,
            hypervisor=scene.preempts,
        )

    @cached_property
    def digest(self) -> bytes:
        """Equal for worlds in which equal rows are equal programs: of other kernels, or on other platforms."""
        layout, state = self.shape((tuple(range(self.world.processes)), 0, 0))
        numbers = tuple((key, self._numbers[key]) for key in self._numbers)
        found = blake2b(digest_size=16)
        for array in (self.linked.code.steps, self.linked.code.lists, state):
            found.update(np.ascontiguousarray(array).data)
        found.update(
            repr((tuple(layout), self._parts, numbers, self.invariants, self.scene.preempts)).encode()
        )
        return found.digest()

    # --- writing

    def _declare(self, threads: int) -> list[Statement]:
        """Declare the memory of all programs, in each process of which so many threads call; return the forks."""
        self._threads = threads
        program = _universe(self.world, threads)
        self._actors = _actors(program)
        forks = [one for _, _, one in program.statements() if one.verb == FORK]
        small = Small(
            program,
            self._actors,
            self.world.processes,
            (),
            parents={1: 0} if forks else {},
            children={id(one): 1 for one in forks},
            uses=self._most,
        )
        self._space: HugetlbSpace | OrdinarySpace = (HugetlbSpace if self._huge else OrdinarySpace)(
            small, self.scene, marks=False
        )
        self._model: Model = self._space.model(1)
        return forks

    def _write(self, mm: int) -> None:
        space = self._space
        main, *threads = [(number, one) for number, one in enumerate(self._actors) if one.mm == mm]
        for thread, (number, actor) in enumerate(threads):
            for statement in actor.body:
                self._write_call(mm, thread, number, statement, moved=self._has_moved(number))
        if self.world.makes and mm == self.world.processes - 1:
            self._part(Key(mm, _BEGINS), self._begin)
        if EXIT in self.world.calls:
            self._part(Key(mm, EXIT), lambda: space.exit(main[1]))
        if isinstance(space, HugetlbSpace):
            gup = [one for _, actor in threads for one in actor.body if one.verb == "gup"]
            self._part(Key(mm, _KEEPS), lambda: space.keeps(main[1], ()), end="spin")
            if gup:
                self._part(Key(mm, _PINS), lambda: space.keeps(main[1], gup), end="spin")
        self._part(Key(mm, _GIVEN_UP), lambda: None, end="spin")
        self._part(Key(mm, _HALTS), lambda: None, end="halt")

    def _has_moved(self, number: int) -> bool:
        return isinstance(self._space, OrdinarySpace) and (number, MEMORY) in self._space.moved

    def _write_call(self, mm: int, thread: int, number: int, one: Statement, *, moved: bool) -> None:
        """Write a call, as often as one program may have it where each use takes something for itself."""
        space = self._space
        takes = space.takes(one)
        if takes:
            self._many.add((mm, one.text))
        for use in range(self._most if takes else 1):
            space.use = use
            self._part(Key(mm, one.text, moved, use, thread), lambda: space.write(number, one))

    def _begin(self) -> None:
        self._model.asm.await_event(self._begins, 1, text="it is not there yet")
        if not self._huge:
            self._model.asm.user_mode(True, text="it begins")

    def _fork(self, one: Statement) -> None:
        self._space.fork(0, self._actors[0], 1)
        self._model.asm.signal(self._begins, text="wake_up_new_task")
        if not self._huge:
            self._model.asm.user_mode(True, text="returns to user mode")

    def _start(self) -> None:
        self._model.asm.signal(self._begins, text="wake_up_new_task: a thread begins")

    def _part(self, key: Key, write: Any, end: str = "") -> None:
        asm = self._model.asm
        begin = asm.here
        write()
        if end == "spin":
            self._model.spin()
        elif end == "halt":
            asm.halt()
        self._numbers[key] = len(self._parts)
        self._parts.append(Part(begin, asm.here, key.mm, last=bool(end)))
        if not end:
            self._model.spin()  # keeps what follows in the text apart

    # --- programs

    def shape(self, shape: Shape) -> tuple[Layout, npt.NDArray[Any]]:
        """Return layout and first state of programs of a shape."""
        if shape not in self._shapes:
            homes, lazy, begun = shape
            layout, state = self._model.explored_with(
                homes,
                lazy=lazy if lazy >= 0 else None,
                user=[task for task in range(len(homes)) if not self._huge and not begun >> task & 1],
                memory=self._memory,
            )
            wide = self._with_links(layout)
            self._shapes[shape] = (
                wide,
                state[: wide.size] if wide.size <= len(state) else _padded(state, wide),
            )
        return self._shapes[shape]

    def _with_links(self, layout: Layout) -> Layout:
        return (layout if layout.walks else with_walkers(layout))._replace(by_task=self._by_task)

    def row(self, sketch: Sketch, *, idle: bool) -> Row:
        """Return a program as numbers.

        Raises:
            DoesNotFitError: it has calls that can't be linked, or can't be explored at all.
        """
        homes: list[int] = []
        tasks: list[tuple[int, ...]] = []
        uses: dict[str, int] = {}
        weights = [0] * self.world.processes
        begun = moves = 0
        makes = self.world.makes
        # Of two processes that only keep a table neither ever finds it to be its own.
        keepers = sum(all(set(thread) <= {RUNS} for thread in threads) for threads in sketch.processes)
        for mm, threads in enumerate(sketch.processes):
            verbs = {_read(call)[0] for thread in threads for call in thread}
            pins, gone = "gup" in verbs, bool(verbs & {_UNMAPS, _MOVES})
            forked = makes == FORK and mm > 0
            idles = verbs <= {RUNS}
            calling = 0
            for place, thread in enumerate(threads):
                starts = forked or (makes == START and place == len(threads) - 1)
                parts = [self._numbers[Key(mm, _BEGINS)]] if starts else []
                begun |= starts << len(homes)
                weights[mm] += not forked and signals_first(thread)
                moved = exits = False
                unmapped = False
                thread_number = min(calling, self._threads - 1)
                calling += any(call not in (RUNS, EXIT, FORK, START) for call in thread)
                for call in thread:
                    weights[mm] += 1
                    if call == RUNS:
                        break
                    verb, text = _read(call)
                    if verb == _ACCESSES and unmapped:
                        raise DoesNotFitError
                    use = uses.get(text, 0)
                    if verb in (EXIT, FORK, START):
                        key = Key(mm, verb)
                        exits = verb == EXIT
                    else:
                        key = Key(mm, text, moved, use if (mm, text) in self._many else 0, thread_number)
                    number = self._numbers.get(key)
                    if number is None:
                        raise DoesNotFitError
                    uses[text] = use + 1
                    parts.append(number)
                    gone_here = (_UNMAPS, _MOVES) if self._huge else (_UNMAPS,)
                    unmapped = verb in gone_here or (unmapped and verb != _MAPS)
                    if verb == _MOVES and not self._huge:
                        moved = True
                        moves += 1
                if exits:
                    end = _HALTS
                elif not self._huge or place > 0 or gone or (idles and (forked or keepers > 1)):
                    end = _GIVEN_UP
                else:
                    end = _PINS if pins else _KEEPS
                parts.append(self._numbers[Key(mm, end)])
                homes.append(mm)
                tasks.append(tuple(parts))
        if moves > 1:
            raise DoesNotFitError
        lazy = weights.index(max(weights)) if idle else -1
        return Row(tuple(homes), lazy, tuple(tasks), begun)


def _padded(state: npt.NDArray[Any], layout: Layout) -> npt.NDArray[Any]:
    found = np.zeros(layout.size, state.dtype)
    found[: len(state)] = state
    return found


def _universe(world: World, threads: int) -> Program:
    """Return a program in which some threads of each process make every call, and those after a move once more."""
    touch = f"touch {MEMORY} {'write' if world.sketch.writes else 'read'}"
    calls = [call.replace("@", MEMORY) for call in world.calls if call != EXIT]
    first = [call for call in calls if call.split(" ")[0] == _ACCESSES]
    moves = [call for call in calls if call.split(" ")[0] == _MOVES]
    others = [call for call in calls if call not in first and call not in moves]
    does = [*first, *others, *moves]
    if moves and world.sketch.kind != "hugetlb":
        does += others
    processes = {}
    for number in range(world.processes):
        begins = [touch]
        if world.makes == FORK:
            begins = [touch, f"{FORK} B"] if number == 0 else [RUNS]
        those = {f"t{at}": {"do": does} for at in range(threads)}
        processes["ABCDEFGH"[number]] = {"do": begins, "thread": those}
    tables = world.sketch.tables()
    return read_values({**tables, "summary": "all calls of a world", "process": processes}).program({})


def _actors(program: Program) -> tuple[Actor, ...]:
    """Return the threads: what the first one of each process touches is mapped when a search begins."""
    forked = forks(program)
    found = []
    for mm, process in enumerate(program.processes.values()):
        begins = FORK if process.name in forked else ""
        for thread in process.threads:
            before = (
                tuple(one for one in thread.body if one.verb == _ACCESSES) if thread.name == "main" else ()
            )
            body = tuple(one for one in thread.body if one not in before)
            found.append(Actor(process, thread, 0, mm, before, body, 0, begins))
    return tuple(found)
