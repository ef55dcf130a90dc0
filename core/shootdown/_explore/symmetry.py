"""States that differ only in which of several like processes is which are one state.

A scenario says which groups of CPUs, tasks and address spaces are alike: they run the same program from the same
first state. Each permutation of the groups renames them everywhere in the state. Of all states that renaming leads
to, the one whose cells are the smallest, read in order, stands for all.
"""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shootdown._machine.layout import (
    CPU_CALL_MM,
    CPU_CELLS,
    CPU_MM,
    CPU_SETS,
    CPU_TASK,
    LOCK_CELLS,
    MM_CELLS,
    MM_SETS,
    STORE_CELLS,
    T_CPU,
    T_MM,
    T_ON,
    T_PC,
    TASK_CELLS,
    Layout,
)

# What a cell holds, so that renaming knows what to do with it.
PLAIN, TASK, MM, CPU, SET = range(5)


class Symmetry(NamedTuple):
    """How states can be renamed.

    Args:
        groups: how many groups are alike; fewer than two: no symmetry.
        source: for each renaming and cell, the cell that it comes from; int64, shape (renamings, size).
        kind: what each cell holds; int64, shape (size,).
        order: the cells that renaming may change, those that differ most often first; int64.
        task, mm, cpu: for each renaming, the new number plus one of each number plus one; int64.
    """

    groups: int
    source: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]
    task: npt.NDArray[np.int64]
    mm: npt.NDArray[np.int64]
    cpu: npt.NDArray[np.int64]


class Group(NamedTuple):
    """One of several like parts of a machine.

    Args:
        cpus, tasks, mms: the numbers of what belongs to it, in corresponding order.
    """

    cpus: tuple[int, ...]
    tasks: tuple[int, ...]
    mms: tuple[int, ...]


def no_symmetry() -> Symmetry:
    """Return the symmetry of a machine without like parts."""
    empty = np.zeros((0, 0), np.int64)
    none = np.zeros(0, np.int64)
    return Symmetry(0, empty, none, none, empty, empty, empty)


def symmetry_of(L: Layout, groups: tuple[Group, ...], mm_locks: tuple[int, ...]) -> Symmetry:
    """Work out all renamings of a machine.

    Args:
        L: its layout; one word must hold all CPUs.
        groups: the parts that are alike.
        mm_locks: where ranges of locks begin that have one lock for each mm.
    """
    if len(groups) < 2 or L.words != 1:
        return no_symmetry()
    kind = _kinds(L)
    sources, tasks, mms, cpus = [], [], [], []
    for order in permutations(range(len(groups))):
        if order == tuple(range(len(groups))):
            continue
        task, mm, cpu = np.arange(L.tasks + 1), np.arange(L.mms + 1), np.arange(L.cpus + 1)
        for new, old in enumerate(order):
            for table, a, b in (
                (task, groups[old].tasks, groups[new].tasks),
                (mm, groups[old].mms, groups[new].mms),
                (cpu, groups[old].cpus, groups[new].cpus),
            ):
                for x, y in zip(a, b, strict=True):
                    table[x + 1] = y + 1
        sources.append(_source(L, task, mm, cpu, mm_locks))
        tasks.append(task)
        mms.append(mm)
        cpus.append(cpu)
    cells = _order(L, kind, sources)
    return Symmetry(len(groups), *(np.array(x, np.int64) for x in (sources, kind, cells, tasks, mms, cpus)))


def _kinds(L: Layout) -> npt.NDArray[np.int64]:
    kind = np.zeros(L.size, np.int64)
    for cpu in range(L.cpus):
        kind[L.o_cpu + cpu * CPU_CELLS + CPU_TASK] = TASK
        kind[L.o_cpu + cpu * CPU_CELLS + CPU_MM] = MM
        kind[L.o_cpu + cpu * CPU_CELLS + CPU_CALL_MM] = MM
    kind[L.o_asid : L.o_asid + L.cpus * L.asids] = MM
    kind[L.o_sets : L.o_sets + len(CPU_SETS)] = SET
    kind[L.o_out : L.o_out + L.cpus] = SET
    for task in range(L.tasks):
        kind[L.o_task + task * TASK_CELLS + T_CPU] = CPU
        kind[L.o_task + task * TASK_CELLS + T_MM] = MM
        kind[L.o_task + task * TASK_CELLS + T_ON] = MM
    kind[L.o_mmset : L.o_mmset + L.mms * len(MM_SETS)] = SET
    return kind


def _order(L: Layout, kind: npt.NDArray[np.int64], sources: list[npt.NDArray[np.int64]]) -> list[int]:
    """List the cells that a renaming may change: where tasks are first, as that tells most states apart."""
    moved = (kind != PLAIN) | np.any([source != np.arange(L.size) for source in sources], axis=0)
    places = [L.o_task + task * TASK_CELLS + T_PC for task in range(L.tasks)]
    first = [cell for cell in places if moved[cell]]
    return first + [int(cell) for cell in np.flatnonzero(moved) if cell not in first]


def _source(
    L: Layout,
    task: npt.NDArray[np.int64],
    mm: npt.NDArray[np.int64],
    cpu: npt.NDArray[np.int64],
    mm_locks: tuple[int, ...],
) -> npt.NDArray[np.int64]:
    """Say for each cell of a renamed state which cell it comes from."""
    source = np.arange(L.size)
    parts = [
        (L.o_cpu, CPU_CELLS, cpu),
        (L.o_asid, L.asids, cpu),
        (L.o_out, 1, cpu),
        (L.o_tlb, L.entries, cpu),
        (L.o_store, L.stores * STORE_CELLS, cpu),
        (L.o_task, TASK_CELLS, task),
        (L.o_mm, MM_CELLS, mm),
        (L.o_mmset, len(MM_SETS), mm),
        (L.o_pud, L.slots, mm),
        *((L.o_lock + first * LOCK_CELLS, LOCK_CELLS, mm) for first in mm_locks),
    ]
    for start, cells, table in parts:
        for old in range(len(table) - 1):
            new = int(table[old + 1]) - 1
            for i in range(cells):
                source[start + new * cells + i] = start + old * cells + i
    return source
