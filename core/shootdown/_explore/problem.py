"""What a search is given: a machine, the agents that act on it, and what must hold."""

from __future__ import annotations

import attrs

from shootdown._explore.alike import Group, Table
from shootdown._machine.machine import Machine


@attrs.frozen(eq=False)
class Problem:
    """A machine to explore.

    Args:
        machine: with cells of 16 bits; see `Model.build`.
        invariants: their names; the first is that of hardware walkers.
        places: the names of what REACHED steps mark.
        walkers, entries, hypervisor, scheduler: the agents that there are; see `Rules`.
        groups: parts of the machine that are alike.
        tables: records whose places mean nothing.
        mm_locks: where the machine's locks of mms begin.
        lanes: what each CPU does, for stories.
    """

    machine: Machine
    invariants: tuple[str, ...]
    places: tuple[str, ...] = ()
    walkers: bool = False
    entries: bool = False
    hypervisor: bool = False
    scheduler: bool = False
    groups: tuple[Group, ...] = ()
    tables: tuple[Table, ...] = ()
    mm_locks: tuple[int, ...] = ()
    lanes: tuple[str, ...] = ()
