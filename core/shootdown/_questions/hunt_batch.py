"""Explore many programs of a hunt: linked from the calls of their world, in batches, none of them written."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import attrs

from shootdown._explore.linked import CannotBeLinkedError
from shootdown._explore.linking import BROKEN, STATES, WHY
from shootdown._explore.many import Many
from shootdown._explore.search import ALL, BUG, DEADLOCK
from shootdown._explore.searches import TRAPPED
from shootdown._machine import ops as o
from shootdown._machine.machine import Machine
from shootdown._programs.linkable import ASKS_MORE, ASKS_MORE_OF_SHARED, DoesNotFitError, Linkable, Row, Shape
from shootdown._programs.sketch import FORK, RUNS, START, Sketch
from shootdown._programs.worlds import World, worlds
from shootdown._values import verdict as verdicts
from shootdown._values.errors import ShootdownError
from shootdown._values.setup import Setup

#: Calls of which each program of some worlds has one.
MADE_BY = (FORK, START)
#: Kind and size of a memory, the processes that map it, and what makes the last thread or process.
_Kind = tuple[str, int, int, str]


@attrs.frozen
class Found:
    """What exploring one linked program found.

    Args:
        verdict: `safe`, `bug`, `livelock` or `inconclusive`; empty if only writing the program can tell.
        invariant: the broken one.
        states: of the search.
        key: equal for equal programs.
    """

    verdict: str
    invariant: str | None
    states: int
    key: bytes = b""


@attrs.frozen(eq=False)
class _Explored:
    """A world, its machines, and what was found of its programs.

    Args:
        linkable: its calls.
        most: states of a search.
        many: the machines, by their shapes.
        known: what was found, by rows.
    """

    linkable: Linkable
    most: int
    many: dict[Shape, Many] = attrs.field(factory=dict)
    known: dict[Row, Found | None] = attrs.field(factory=dict)

    def machine(self, shape: Shape) -> Many:
        """Return the machine of programs of a shape."""
        if shape not in self.many:
            linkable = self.linkable
            layout, state = linkable.shape(shape)
            machine = Machine(
                code=linkable.linked.code,
                layout=layout,
                state=state,
                ready=tuple(range(layout.tasks)),
                sections=1,
                windows=0,
                pages_per_table=1,
                tasks_expected=layout.tasks,
            )
            self.many[shape] = Many(
                linkable.linked, machine, hypervisor=linkable.scene.preempts, most=self.most
            )
        return self.many[shape]

    def explore(self, rows: Sequence[Row]) -> None:
        """Explore programs that were not explored before."""
        shapes: dict[Shape, dict[Row, None]] = {}
        for row in rows:
            if row not in self.known:
                shapes.setdefault(row.shape, {})[row] = None
        for shape, some in shapes.items():
            results = self.machine(shape).explore([row.parts for row in some])
            for row, result in zip(some, results.tolist(), strict=True):
                key = self.linkable.digest + repr(row).encode()
                self.known[row] = _found(self.linkable.invariants, result, key)


#: The worlds explored last, by their digests and the most states: other kernels and platforms may have equal ones.
_explored: OrderedDict[tuple[bytes, int], _Explored] = OrderedDict()
_MOST_WORLDS = 64


def _shared(linkable: Linkable, most: int) -> _Explored:
    """Return what is known of a world."""
    key = (linkable.digest, most)
    found = _explored.pop(key, None) or _Explored(linkable, most)
    _explored[key] = found
    if len(_explored) > _MOST_WORLDS:
        _explored.popitem(last=False)
    return found


class Batches:
    """All worlds of a kernel on a platform.

    Args:
        scene: what programs are built for.
        calls: of the largest program.
        most: states of a search.
        before: the same without preemption, if tasks that wait may be preempted.
    """

    def __init__(self, scene: Setup, calls: int, most: int, *, before: Batches | None = None) -> None:
        self._scene = scene
        self._before = before
        self._calls = calls
        self._most = most
        self._whole: dict[_Kind, list[tuple[frozenset[str], World]]] = {}
        for world in worlds(scene):
            kind = (world.sketch.kind, world.sketch.size, world.processes, world.makes)
            self._whole.setdefault(kind, []).append((frozenset((*world.calls, world.makes, RUNS)), world))
        self._worlds: dict[tuple[World, tuple[str, ...]], _Explored | None] = {}
        self._of_calls: dict[tuple[str, int, int, frozenset[str]], _Explored | None] = {}

    def explore(self, sketches: Sequence[Sketch], *, idle: Sequence[bool]) -> list[Found | None]:
        """Explore programs; None for those that can't be linked."""
        places: list[tuple[_Explored, Row] | None] = []
        wanted: dict[int, tuple[_Explored, list[Row]]] = {}
        for sketch, idles in zip(sketches, idle, strict=True):
            places.append(None)
            world = self.world(sketch)
            if world is None:
                continue
            try:
                row = world.linkable.row(sketch, idle=idles)
            except DoesNotFitError:
                continue
            places[-1] = (world, row)
            wanted.setdefault(id(world), (world, []))[1].append(row)
        for world, rows in wanted.values():
            world.explore(rows)
        return [None if place is None else place[0].known[place[1]] for place in places]

    def world(self, sketch: Sketch) -> _Explored | None:
        """Return the world of a program, without the calls for whose sake others take more steps, if it makes none.

        None if its calls can't be written for all programs at once.
        """
        if self._before is not None:
            plain = self._before.world(sketch)
            if plain is None or not plain.linkable.may_wait:
                return plain
        calls = frozenset(call for threads in sketch.processes for thread in threads for call in thread)
        key = (sketch.kind, sketch.size, len(sketch.processes), calls)
        if key not in self._of_calls:
            self._of_calls[key] = self._chosen(sketch, calls)
        return self._of_calls[key]

    def _chosen(self, sketch: Sketch, made: frozenset[str]) -> _Explored | None:
        """Return the world of programs that make these calls on a sketch's memory."""
        makes = next((call for call in MADE_BY if sketch.has(call)), "")
        there = self._whole.get((sketch.kind, sketch.size, len(sketch.processes), makes), ())
        whole = next((world for calls, world in there if made <= calls), None)
        if whole is None:
            return None
        asks = ASKS_MORE if sketch.kind == "anonymous" else ASKS_MORE_OF_SHARED
        key = (whole, tuple(filter(sketch.has, asks)))
        if key not in self._worlds:
            without = set(asks).difference(key[1])
            calls = tuple(call for call in whole.calls if call.split(" ")[0] not in without)
            try:
                linkable = Linkable(
                    attrs.evolve(whole, calls=calls),
                    self._scene,
                    self._calls,
                    preempts=self._before is not None,
                )
                self._worlds[key] = _shared(linkable, self._most)
            except (ShootdownError, DoesNotFitError, CannotBeLinkedError):
                self._worlds[key] = None
        return self._worlds[key]


def _found(invariants: Sequence[str], result: Sequence[int], key: bytes) -> Found | None:
    why, states = result[WHY], result[STATES] - 1
    if why == ALL:
        return Found(verdicts.SAFE, None, states, key)
    if why == DEADLOCK:
        return Found(verdicts.BUG, verdicts.DEADLOCK, states, key)
    if why == TRAPPED:
        return Found(verdicts.LIVELOCK, verdicts.LIVELOCK, states, key)
    if why == BUG:
        if result[BROKEN] >= o.MISTAKES:  # writing the program says where
            return None
        return Found(verdicts.BUG, invariants[result[BROKEN]], states, key)
    return Found(verdicts.INCONCLUSIVE, None, states, key)
