"""What a run with clocks is told, and what it keeps beside the machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

SECOND = 10**12


@dataclass(frozen=True)
class Hardware:
    """What a platform and a machine say beyond the programs.

    Args:
        costs: picoseconds by name.
        tick: the length of a jiffy in picoseconds.
        walk_entries, huge_entries: entries that a CPU's caches have for walks and huge pages.
        pages_per_table: the huge pages that a process uses in each table.
        sections: i_mmap_rwsems.
        numbers, reach: hart ids, and how far apart they may be for one call of what runs below; 0: any.
        writes, scan_misses: CPUs that a write to the interrupt controller interrupts and its words; whether a sender
            reads a cache line for each target.
        floating, seed: tasks that the scheduler may move, and the seed of the run.
        serial, serial_machine: what serves one CPU after another: `lock`, `mm`, `node`; and broadcasts.
    """

    costs: Mapping[str, int]
    tick: int
    walk_entries: int
    huge_entries: int
    pages_per_table: int
    sections: int
    numbers: tuple[int, ...]
    reach: int
    writes: tuple[int, int]
    scan_misses: bool
    serial: frozenset[str]
    serial_machine: bool
    floating: frozenset[int] = frozenset()
    seed: int = 1


@dataclass
class Section:
    """What happened since an i_mmap_rwsem was taken, to tell which sync IPIs were not needed."""

    flushed: set[int] = field(default_factory=set)
    needed: Counter[int] = field(default_factory=Counter)
    slots: list[int] = field(default_factory=list)


@dataclass
class Window:
    """A counting window."""

    counts: Counter[str] = field(default_factory=Counter)
    of_actor: Counter[str] = field(default_factory=Counter)
    instructions: Counter[int] = field(default_factory=Counter)
    begun: int = 0
    ended: int = 0
    user: int = 0  # the time in user mode on all CPUs
    before: int = 0  # what there had been of it when the window opened
