"""Explore many programs of a hunt: linked from the calls of their world, in batches, none of them written."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from shootdown._explore.linked import CannotBeLinkedError
from shootdown._explore.linking import BROKEN, STATES, WHY
from shootdown._explore.many import Many
from shootdown._explore.search import ALL, BUG, DEADLOCK
from shootdown._explore.searches import TRAPPED
from shootdown._machine import ops as o
from shootdown._machine.machine import Machine
from shootdown._programs.linkable import ASKS_MORE, DoesNotFitError, Linkable, Row
from shootdown._programs.sketch import Sketch
from shootdown._programs.worlds import World, worlds
from shootdown._values import verdict as verdicts
from shootdown._values.errors import ShootdownError
from shootdown._values.setup import Setup


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


class Batches:
    """All worlds of a kernel on a platform, and the machines of their programs.

    Args:
        scene: what programs are built for.
        calls: of the largest program.
        most: states of a search.
    """

    def __init__(self, scene: Setup, calls: int, most: int) -> None:
        self._scene = scene
        self._calls = calls
        self._most = most
        self._linkable: dict[World, Linkable | None] = {}
        self._whole = {
            (world.sketch.kind, world.sketch.size, world.processes): world for world in worlds(scene)
        }
        self._worlds: dict[tuple[World, tuple[str, ...]], World] = {}
        self._many: dict[tuple[World, tuple[int, ...], int], Many] = {}
        self._known: dict[bytes, Found | None] = {}

    def explore(self, sketches: Sequence[Sketch], *, idle: Sequence[bool]) -> list[Found | None]:
        """Explore programs; None for those that can't be linked."""
        keys: list[bytes | None] = []
        groups: dict[tuple[World, tuple[int, ...], int], dict[bytes, Row]] = {}
        for sketch, idles in zip(sketches, idle, strict=True):
            world = self.world_of(sketch)
            linkable = None if world is None else self.linkable(world)
            keys.append(None)
            if world is None or linkable is None:
                continue
            try:
                row = linkable.row(sketch, idle=idles)
            except DoesNotFitError:
                continue
            keys[-1] = key = f"{sketch.kind} {world.processes} {row}".encode()
            if key not in self._known:
                groups.setdefault((world, row.homes, row.lazy), {})[key] = row
        for (world, homes, lazy), some in groups.items():
            linkable = self.linkable(world)
            assert linkable is not None
            results = self.many(world, homes, lazy).explore([row.parts for row in some.values()])
            for key, result in zip(some, results.tolist(), strict=True):
                self._known[key] = _found(linkable.invariants, result, key)
        return [None if key is None else self._known[key] for key in keys]

    def world_of(self, sketch: Sketch) -> World | None:
        """Return the world of a program, without the calls for whose sake others take more steps, if it makes none."""
        whole = self._whole.get((sketch.kind, sketch.size, len(sketch.processes)))
        if whole is None:
            return None
        key = (whole, tuple(filter(sketch.has, ASKS_MORE)))
        if key not in self._worlds:
            without = set(ASKS_MORE).difference(key[1])
            calls = tuple(call for call in whole.calls if call.split(" ")[0] not in without)
            self._worlds[key] = attrs.evolve(whole, calls=calls)
        return self._worlds[key]

    def linkable(self, world: World) -> Linkable | None:
        """Return the calls of a world; None if they can't be written for all programs at once."""
        if world not in self._linkable:
            try:
                self._linkable[world] = Linkable(world, self._scene, self._calls)
            except (ShootdownError, DoesNotFitError, CannotBeLinkedError):
                self._linkable[world] = None
        return self._linkable[world]

    def many(self, world: World, homes: tuple[int, ...], lazy: int) -> Many:
        """Return the machine of programs whose tasks have these mms."""
        key = (world, homes, lazy)
        if key not in self._many:
            linkable = self.linkable(world)
            assert linkable is not None
            layout, state = linkable.shape(homes, lazy)
            machine = Machine(
                code=linkable.linked.code,
                layout=layout,
                state=state,
                ready=tuple(range(len(homes))),
                sections=1,
                windows=0,
                pages_per_table=1,
                tasks_expected=len(homes),
            )
            self._many[key] = Many(linkable.linked, machine, hypervisor=self._scene.preempts, most=self._most)
        return self._many[key]


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
