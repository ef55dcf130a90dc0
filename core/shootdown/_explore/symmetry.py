"""Symmetry: states that differ only in which of several like processes is which count as one.

A scenario says which groups of CPUs, tasks and address spaces are alike: they run the same program from the same
first state. Each permutation of the groups renames them everywhere in the state. One of the states that
renaming leads to represents all of them: the one whose groups ascend by a key that no renaming changes. A move
changes few cells, and the keys are updated with them, so that most moves rename nothing and compare nothing.

A scenario may also keep records in variables, one in each row of a table, where neither the row of a record nor the
number that says which records belong together means anything. States that differ only in these are represented by
the one whose records descend.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shootdown._explore.alike import Group, Table
from shootdown._machine.layout import (
    CPU_CALL_MM,
    CPU_CELLS,
    CPU_MM,
    CPU_SETS,
    CPU_TASK,
    K_WRITER,
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

# The kind of value in a cell, which decides how it is renamed.
PLAIN, TASK, MM, CPU, SET = range(5)
BYTE = 256
NAMES = 3  # tasks, mms, CPUs
#: Rows that a table may have: an owner's number has 4 bits where they are ranked.
MOST_ROWS = 15


class Symmetry(NamedTuple):
    """The renamings of a machine's states. Renaming 0 changes nothing.

    Args:
        groups: how many groups are alike; fewer than two: no symmetry.
        renamings, size, most: how many there are, cells of a state, names of a kind.
        ordered, moved: cells in `order` and in `moves`.
        tables: how many tables of records there are.
        source: for each renaming and cell, the cell that it comes from; int64, renamings * size.
        kind: what each cell holds; int64, shape (size,).
        order: the cells that vary and that renaming may change; int64.
        moves: all cells that renaming may change, whether they vary or not; int64.
        owner: the group that a cell belongs to, or -1; int64, shape (size,).
        local: a number that corresponding cells of all groups share; int64, shape (size,).
        names: for each renaming and kind of name, the new one of each; int64.
        bits: for each renaming, the new bits of each low byte of a set of CPUs, then of each high byte; int64.
        of, place: for each kind of name, the group that it belongs to (-1: none) and its place there; int64.
        places: for each renaming, the old group at each new place; int64.
        first: for each group the cell that distinguishes most states, -1: none; int64.
        table: for each table, its first cell, rows, columns, the column of owners, and the cell of its lock; int64,
            5 * tables.
    """

    groups: int
    renamings: int
    size: int
    most: int
    ordered: int
    moved: int
    tables: int
    source: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]
    moves: npt.NDArray[np.int64]
    owner: npt.NDArray[np.int64]
    local: npt.NDArray[np.int64]
    names: npt.NDArray[np.int64]
    bits: npt.NDArray[np.int64]
    of: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    table: npt.NDArray[np.int64]


def no_symmetry() -> Symmetry:
    """Return the symmetry of a machine without like parts."""
    none = np.zeros(0, np.int64)
    return Symmetry(0, 0, 0, 0, 0, 0, 0, *[none] * 13)


@lru_cache(maxsize=64)
def symmetry_of(
    L: Layout, groups: tuple[Group, ...], mm_locks: tuple[int, ...], tables: tuple[Table, ...] = ()
) -> Symmetry:
    """Work out all renamings of a machine; machines with equal layouts share them.

    Args:
        L: its layout. If one word can't hold all CPUs, the groups are ignored.
        groups: the parts that are alike.
        mm_locks: where ranges of locks begin that have one lock for each mm.
        tables: records whose rows are alike.
    """
    assert all(table.rows <= MOST_ROWS for table in tables)
    of_tables = no_symmetry()._replace(
        tables=len(tables),
        table=np.array(
            [
                (
                    L.o_variable + t.first,
                    t.rows,
                    t.columns,
                    t.owner,
                    L.o_lock + t.lock * LOCK_CELLS + K_WRITER,
                )
                for t in tables
            ],
            np.int64,
        ).reshape(-1),
    )
    if len(groups) < 2 or L.words != 1:
        return of_tables
    kind = _kinds(L)
    sources, names, bits = [], [], []
    orders = list(permutations(range(len(groups))))
    for permutation in orders:
        task, mm, cpu = np.arange(L.tasks + 1), np.arange(L.mms + 1), np.arange(L.cpus + 1)
        for new, old in enumerate(permutation):
            for table, a, b in (
                (task, groups[old].tasks, groups[new].tasks),
                (mm, groups[old].mms, groups[new].mms),
                (cpu, groups[old].cpus, groups[new].cpus),
            ):
                for x, y in zip(a, b, strict=True):
                    table[x + 1] = y + 1
        sources.append(_source(L, task, mm, cpu, mm_locks))
        names.append(_padded((task, mm, cpu[1:] - 1)))
        bits.append(_renamed_bytes(cpu[1:] - 1))
    source = np.array(sources)
    owners = [_owned(n, groups, k) for n, k in ((L.tasks + 1, 1), (L.mms + 1, 2), (L.cpus, 0))]
    order = np.flatnonzero((kind != PLAIN) | np.any(source != np.arange(L.size), axis=0))
    of = _padded([of for of, _ in owners], -1)
    return of_tables._replace(
        groups=len(groups),
        renamings=len(orders),
        size=L.size,
        most=of.shape[1],
        ordered=len(order),
        moved=len(order),
        source=source.reshape(-1),
        kind=kind,
        order=order,
        moves=order,
        owner=_owners(L, mm_locks, owners),
        local=source.min(axis=0),
        names=np.array(names).reshape(-1),
        bits=np.array(bits).reshape(-1),
        of=of.reshape(-1),
        place=_padded([place for _, place in owners]).reshape(-1),
        places=np.array(orders).reshape(-1),
        first=np.array(
            [L.o_task + g.tasks[0] * TASK_CELLS + T_PC if g.tasks else -1 for g in groups], np.int64
        ),
    )


def evened(sym: Symmetry, first: npt.NDArray[Any], width: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the widths of cells, made equal for cells that renaming exchanges, so that a renamed state fits too.

    Args:
        sym: the renamings.
        first: the first state; where a renaming changes it, cells have room for what comes there.
        width: bits of each cell.
    """
    if sym.groups < 2:
        return width
    size = sym.size  # cells behind these are padding
    values = first[:size].astype(np.int64)
    even = width[:size].copy()
    for which in range(1, sym.renamings):
        there = all_renamed(values, sym, which)
        for cell in np.flatnonzero(there != values):
            even[cell] = max(even[cell], int(there[cell]).bit_length(), int(values[cell]).bit_length())
    widest = np.max(even[sym.source].reshape(-1, size), axis=0)
    out = width.copy()
    out[:size] = np.where(sym.kind == SET, np.where(widest > 0, _set_width(sym), 0), widest)
    return out


def varying(sym: Symmetry, width: npt.NDArray[np.int64]) -> Symmetry:
    """Leave cells that never vary out of renaming: they are the same in every renamed state."""
    order = sym.order[width[sym.order] > 0]
    return sym._replace(order=order, ordered=len(order))


def all_renamed(values: npt.NDArray[np.int64], sym: Symmetry, which: int) -> npt.NDArray[np.int64]:
    """Rename a whole state; see `renaming.renamed`."""
    out = values[sym.source.reshape(sym.renamings, -1)[which]]
    of_set = sym.kind == SET
    bits = sym.bits.reshape(sym.renamings, -1)[which]
    out[of_set] = bits[out[of_set] & 0xFF] | bits[BYTE + (out[of_set] >> 8)]
    named = (sym.kind != PLAIN) & ~of_set & (out < sym.most)
    names = sym.names.reshape(sym.renamings, -1, sym.most)[which]
    out[named] = names[sym.kind[named] - 1, out[named]]
    return np.asarray(out)


def _set_width(sym: Symmetry) -> int:
    """Return the bits of the largest CPU that a renaming may put into a set."""
    return int(sym.bits.max()).bit_length()


def _padded(tables: Iterable[npt.NDArray[np.int64]], fill: int | None = None) -> npt.NDArray[np.int64]:
    """Pad tables to one length, with `fill` or with each index itself."""
    rows = list(tables)
    most = max(map(len, rows))
    out = np.tile(
        np.arange(most) if fill is None else np.int64(fill), (len(rows), 1 if fill is None else most)
    )
    for row, table in zip(out, rows, strict=True):
        row[: len(table)] = table
    return out


def _renamed_bytes(cpu: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rename the CPUs in every value that the low, then the high byte of a set can have."""
    values = np.arange(BYTE)
    out = np.zeros((2, BYTE), np.int64)
    for old, new in enumerate(cpu):
        out[old // 8] |= (values >> (old % 8) & 1) << int(new)
    return out.reshape(-1)


def _owned(
    names: int, groups: tuple[Group, ...], which: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return for each name (tasks and mms from one, CPUs from zero) its group, and its place there."""
    of = np.full(names, -1, np.int64)
    place = np.arange(names)
    for i, group in enumerate(groups):
        for at, name in enumerate(group[which]):
            of[name + (which > 0)] = i
            place[name + (which > 0)] = at
    return of, place


def _owners(
    L: Layout, mm_locks: tuple[int, ...], owners: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]
) -> npt.NDArray[np.int64]:
    """Return which group each cell belongs to."""
    (task, _), (mm, _), (cpu, _) = owners
    owner = np.full(L.size, -1, np.int64)
    for start, cells, of in _parts(L, task[1:], mm[1:], cpu, mm_locks):
        for i, group in enumerate(of):
            owner[start + i * cells : start + (i + 1) * cells] = group
    for start, cells in _pairs(L):
        for pair in range(L.cpus * L.mms):
            group = cpu[pair // L.mms]
            owner[start + pair * cells : start + (pair + 1) * cells] = (
                group if group >= 0 else mm[pair % L.mms + 1]
            )
    return owner


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


def _source(
    L: Layout,
    task: npt.NDArray[np.int64],
    mm: npt.NDArray[np.int64],
    cpu: npt.NDArray[np.int64],
    mm_locks: tuple[int, ...],
) -> npt.NDArray[np.int64]:
    """Return for each cell of a renamed state which cell it comes from."""
    source = np.arange(L.size)
    for start, cells, table in _parts(L, task, mm, cpu, mm_locks):
        for old in range(len(table) - 1):
            new = int(table[old + 1]) - 1
            for i in range(cells):
                source[start + new * cells + i] = start + old * cells + i
    for start, cells in _pairs(L):
        for old in range(L.cpus * L.mms):
            new = int(cpu[old // L.mms + 1] - 1) * L.mms + int(mm[old % L.mms + 1] - 1)
            for i in range(cells):
                source[start + new * cells + i] = start + old * cells + i
    return source


def _pairs(L: Layout) -> list[tuple[int, int]]:
    """List the arrays in a state that have so many cells for each CPU and mm: what it may hold of that mm."""
    return [(L.o_held, L.atoms), (L.o_links, L.slots if L.walks else 0)]


def _parts(
    L: Layout,
    task: npt.NDArray[np.int64],
    mm: npt.NDArray[np.int64],
    cpu: npt.NDArray[np.int64],
    mm_locks: tuple[int, ...],
) -> list[tuple[int, int, npt.NDArray[np.int64]]]:
    """List the arrays in a state that have so many cells for each CPU, task or mm."""
    return [
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
