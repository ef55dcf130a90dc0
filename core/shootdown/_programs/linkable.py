"""The calls of a small world, each written and finished once: programs are linked from them, and no program is written.

A part is what one call of a process writes, or what comes after the last one. A program is a list of parts for each
task. All parts of a world are written in one machine, whose memory is cut as all calls together cut it: each part is so
the same whatever program it is in.
"""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._explore.linked import Linked, Part, first_alike
from shootdown._explore.linking import MOST_STEPS
from shootdown._machine.layout import Layout, with_walkers
from shootdown._mm.model import Model
from shootdown._programs.explored_hugetlb import HugetlbSpace
from shootdown._programs.explored_ordinary import OrdinarySpace
from shootdown._programs.program import Program, Statement
from shootdown._programs.reading import read_values
from shootdown._programs.sketch import MEMORY, RUNS, Sketch
from shootdown._programs.small import Actor, Small
from shootdown._programs.worlds import EXIT, World
from shootdown._values.setup import Setup

#: Calls that move the memory: what a thread calls after one is about the new place, and a program has at most one.
_MOVES = "mremap"
#: Calls that a thread may not make after it has unmapped what they are about.
_ACCESSES, _UNMAPS = "touch", "munmap"
#: Calls for the sake of which others take more steps: programs without one are linked from parts without these steps.
ASKS_MORE = ("reclaim", "mkclean", "khugepaged")
#: The most parts: a bit of a word for each.
MOST_PARTS = 64


class DoesNotFitError(Exception):
    """A program or world that can't be linked, and is explored as it is written."""


@attrs.frozen
class Key:
    """What a part is written for.

    Args:
        mm: the address space of its process.
        call: the call, or what the task does at the end: "runs", "runs, pins" and "halts".
        moved: its thread has moved the memory before.
        use: which use of the call in its program, where each takes something for itself; else 0.
    """

    mm: int
    call: str
    moved: bool = False
    use: int = 0


#: What tasks do in the end: run in user mode, having nothing; keep the table, which GUP-fast of the own threads may
#: read or not; nothing any more.
_GIVEN_UP, _KEEPS, _PINS, _HALTS = "runs", "keeps", "keeps, pins", "halts"


@attrs.frozen
class Row:
    """A program as numbers.

    Args:
        homes: for each task its mm.
        lazy: the mm with which one more CPU idles, or -1.
        parts: for each task the numbers of its parts, in their order.
    """

    homes: tuple[int, ...]
    lazy: int
    parts: tuple[tuple[int, ...], ...]


class Linkable:
    """All calls of a world, written.

    Args:
        world: the memory and the calls.
        scene: the kernel and platform.
        most: calls of the largest program.

    Raises:
        ShootdownError, DoesNotFitError: some call of it can't be written for all programs at once.
    """

    def __init__(self, world: World, scene: Setup, most: int) -> None:
        self.world = world
        self.scene = scene
        self._huge = world.sketch.kind == "hugetlb"
        self._most = most
        program = _universe(world)
        self._actors = _actors(program)
        small = Small(program, self._actors, world.processes, ())
        self._space: HugetlbSpace | OrdinarySpace = (HugetlbSpace if self._huge else OrdinarySpace)(
            small, scene, marks=False
        )
        self._model: Model = self._space.model(1)
        self.invariants = self._space.invariants
        self._parts: list[Part] = []
        self._numbers: dict[Key, int] = {}
        self._many: set[tuple[int, str]] = set()  # calls that take something for themselves
        for mm in range(world.processes):
            self._write(mm)
        fields = self._model.asm.functions.fields
        if fields is not None and fields.indexed:
            raise DoesNotFitError  # each program has CPUs of its own, and a patch keeps a variable for each
        code = self._model.asm.finish()
        longest = max(part.end - part.begin for part in self._parts)
        if len(self._parts) > MOST_PARTS or longest * (2 * most + world.processes) > MOST_STEPS:
            raise DoesNotFitError
        same = first_alike(code, self._parts)
        self._numbers = {key: same[number] for key, number in self._numbers.items()}
        self._memory = 0 if self._huge else scene.memory
        self._shapes: dict[tuple[tuple[int, ...], int], tuple[Layout, npt.NDArray[Any]]] = {}
        layout, _ = self._model.explored_with((0,), lazy=None, user=True, memory=self._memory)
        self.linked = Linked(
            code,
            self._with_links(layout),
            self._parts,
            hypervisor=scene.preempts,
        )

    @cached_property
    def digest(self) -> bytes:
        """Equal for worlds in which equal rows are equal programs: of other kernels, or on other platforms."""
        layout, state = self.shape(tuple(range(self.world.processes)), 0)
        numbers = tuple((key, self._numbers[key]) for key in self._numbers)
        found = blake2b(digest_size=16)
        for array in (self.linked.code.steps, self.linked.code.lists, state):
            found.update(np.ascontiguousarray(array).data)
        found.update(
            repr((tuple(layout), self._parts, numbers, self.invariants, self.scene.preempts)).encode()
        )
        return found.digest()

    # --- writing

    def _write(self, mm: int) -> None:
        space = self._space
        mine = [(number, one) for number, one in enumerate(self._actors) if one.mm == mm]
        for number, actor in mine:
            for statement in actor.body:
                self._write_call(mm, number, statement, moved=self._has_moved(number))
        main = mine[0][1]
        if isinstance(space, HugetlbSpace):
            if EXIT in self.world.calls:
                self._part(Key(mm, EXIT), lambda: space.exit(main))
            gup = [one for _, actor in mine for one in actor.body if one.verb == "gup"]
            self._part(Key(mm, _KEEPS), lambda: space.keeps(main, ()), end="spin")
            if gup:
                self._part(Key(mm, _PINS), lambda: space.keeps(main, gup), end="spin")
        self._part(Key(mm, _GIVEN_UP), lambda: None, end="spin")
        self._part(Key(mm, _HALTS), lambda: None, end="halt")

    def _has_moved(self, number: int) -> bool:
        return isinstance(self._space, OrdinarySpace) and (number, MEMORY) in self._space.moved

    def _write_call(self, mm: int, number: int, one: Statement, *, moved: bool) -> None:
        """Write a call, as often as one program may have it where each use takes something for itself."""
        space = self._space
        for use in range(self._most):
            before = space.taken
            self._part(Key(mm, one.text, moved, use), lambda: space.write(number, one))
            if space.taken == before:
                break
            self._many.add((mm, one.text))

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

    def shape(self, homes: tuple[int, ...], lazy: int) -> tuple[Layout, npt.NDArray[Any]]:
        """Return layout and first state of programs whose tasks have these mms."""
        key = (homes, lazy)
        if key not in self._shapes:
            layout, state = self._model.explored_with(
                homes, lazy=lazy if lazy >= 0 else None, user=not self._huge, memory=self._memory
            )
            wide = self._with_links(layout)
            self._shapes[key] = wide, state[: wide.size] if wide.size <= len(state) else _padded(state, wide)
        return self._shapes[key]

    def _with_links(self, layout: Layout) -> Layout:
        return layout if layout.walks else with_walkers(layout)

    def row(self, sketch: Sketch, *, idle: bool) -> Row:
        """Return a program as numbers.

        Raises:
            DoesNotFitError: it has calls that can't be linked, or can't be explored at all.
        """
        homes: list[int] = []
        tasks: list[tuple[int, ...]] = []
        uses: dict[str, int] = {}
        weights = [0] * self.world.processes
        moves = 0
        for mm, threads in enumerate(sketch.processes):
            pins = gone = False
            for thread in threads:
                for call in thread:
                    verb = call.partition(" ")[0]
                    pins = pins or verb == "gup"
                    gone = gone or verb in (_UNMAPS, _MOVES)
            for place, thread in enumerate(threads):
                parts: list[int] = []
                moved = exits = False
                unmapped: list[str] = []
                for call in thread:
                    if call == RUNS:
                        weights[mm] += 1
                        break
                    text = call.replace("@", MEMORY)
                    verb = call.partition(" ")[0]
                    if verb == _ACCESSES and not parts:
                        continue
                    weights[mm] += 1
                    if verb == _ACCESSES and unmapped:
                        raise DoesNotFitError
                    if verb == EXIT:
                        exits = True
                    use = uses.get(text, 0)
                    number = self._numbers.get(Key(mm, text, moved, use if (mm, text) in self._many else 0))
                    if number is None:
                        raise DoesNotFitError
                    uses[text] = use + 1
                    parts.append(number)
                    if verb == _UNMAPS:
                        unmapped.append(text)
                    if verb == _MOVES and not self._huge:
                        moved = True
                        moves += 1
                if exits:
                    end = _HALTS
                elif not self._huge or place > 0 or gone:
                    end = _GIVEN_UP
                else:
                    end = _PINS if pins else _KEEPS
                parts.append(self._numbers[Key(mm, end)])
                homes.append(mm)
                tasks.append(tuple(parts))
        if moves > 1:
            raise DoesNotFitError
        lazy = weights.index(max(weights)) if idle else -1
        return Row(tuple(homes), lazy, tuple(tasks))


def _padded(state: npt.NDArray[Any], layout: Layout) -> npt.NDArray[Any]:
    found = np.zeros(layout.size, state.dtype)
    found[: len(state)] = state
    return found


def _universe(world: World) -> Program:
    """Return a program in which each process makes every call: each in a thread of its own, and all after a move."""
    touch = f"touch {MEMORY} {'write' if world.sketch.writes else 'read'}"
    calls = [call.replace("@", MEMORY) for call in world.calls if call != EXIT]
    huge = world.sketch.kind == "hugetlb"
    processes = {}
    for number in range(world.processes):
        threads = {}
        for at, call in enumerate(calls):
            does = [call]
            if call.split(" ")[0] == _MOVES and not huge:
                does += [other for other in calls if other.split(" ")[0] not in (_MOVES, _ACCESSES)]
            threads[f"t{at}"] = {"do": does}
        processes["ABCDEFGH"[number]] = {"do": [touch], "thread": threads}
    tables = world.sketch.tables()
    return read_values({**tables, "summary": "all calls of a world", "process": processes}).program({})


def _actors(program: Program) -> tuple[Actor, ...]:
    """Return the threads: what the first one of each process touches is mapped when a search begins."""
    found = []
    for mm, process in enumerate(program.processes.values()):
        for thread in process.threads:
            main = thread.name == "main"
            found.append(
                Actor(process, thread, 0, mm, thread.body if main else (), () if main else thread.body, 0)
            )
    return tuple(found)
