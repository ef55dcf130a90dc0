"""CPUs that can be exchanged: where tasks go on at any of them, states that differ only in their numbers are one.

A task that is preempted while it waits leaves its CPU and goes on at another one, so that after a while the same things
are so of other CPUs. A state with its CPUs in the order of what is so of each stands for all of them. No step of such a
program names a CPU, and none of its moves depends on a CPU's number.
"""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, kernel
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import (
    CPU_CELLS,
    CPU_MM,
    CPU_NEXT_ASID,
    CPU_SETS,
    CPU_TASK,
    MM_SETS,
    STORE_CELLS,
    T_CPU,
    TASK_CELLS,
    Layout,
)

#: Cells of a CPU; the others of its row are those of a request, which is a task's.
_OWN = (CPU_TASK, CPU_MM, CPU_NEXT_ASID)
_CPU_SETS, _MM_SETS = len(CPU_SETS), len(MM_SETS)
#: Keys have 40 bits, so that their products with the factor fit a word, in plain Python as well.
_FACTOR, _KEY = 1000003, (1 << 40) - 1


@inlined
def mixed(key: int, value: int) -> int:
    """Mix a number of at most 60 bits into a key."""
    return ((key ^ (value & _KEY)) * _FACTOR + (value >> 40)) & _KEY


@kernel
def sort_asids(S: Cells, L: Layout, cpu: int) -> None:
    """Put the mms that a CPU has tags for in order, where it has a tag for each mm, whichever that is."""
    if L.mms > L.asids:
        return
    at = L.o_asid + cpu * L.asids
    for i in range(1, L.mms):
        j = i
        while j > 0 and S[at + j] != 0 and S[at + j] < S[at + j - 1]:
            mm = S[at + j]
            S[at + j] = S[at + j - 1]
            S[at + j - 1] = mm
            j -= 1


@kernel
def key_of(S: Cells, L: Layout, cpu: int) -> int:
    """Return a key of all that is so of a CPU; equal for CPUs of which the same is so, and seldom for others."""
    key = int64(0)
    for task in range(L.tasks):
        home = int64(S[L.o_task + task * TASK_CELLS + T_CPU]) == cpu
        key = (key << 2) | (int64(home) << 1) | ((int64(S[L.o_out + task]) >> cpu) & 1)
    key = mixed(key, int64(0))
    sets = int64(0)
    for name in range(_CPU_SETS):
        sets = (sets << 1) | ((int64(S[L.o_sets + name]) >> cpu) & 1)
    key = mixed(key, sets)
    for mm in range(L.mms):
        sets = int64(0)
        for name in range(_MM_SETS):
            sets = (sets << 1) | ((int64(S[L.o_mmset + mm * _MM_SETS + name]) >> cpu) & 1)
        key = mixed(key, sets)
    base = L.o_cpu + cpu * CPU_CELLS
    for cell in _OWN:
        key = mixed(key, int64(S[base + cell]))
    for begin, cells in rows_of(L):
        for i in range(cells):
            key = mixed(key, int64(S[begin + cpu * cells + i]))
    return key


@inlined
def rows_of(L: Layout) -> tuple[tuple[int, int], ...]:
    """Return where the tables begin that have a row for each CPU, and the cells of a row."""
    links = L.mms * L.slots if L.walks else int64(0)
    return (
        (L.o_asid, L.asids),
        (L.o_held, L.mms * L.atoms),
        (L.o_links, links),
        (L.o_tlb, L.entries),
        (L.o_store, L.stores * STORE_CELLS),
    )


@inlined
def swap_cells(S: Cells, one: int, other: int) -> None:
    """Swap two cells."""
    kept = S[one]
    S[one] = S[other]
    S[other] = kept


@inlined
def swap_bits(S: Cells, at: int, one: int, other: int) -> None:
    """Swap two CPUs in a set of one word."""
    word = int64(S[at])
    differs = ((word >> one) ^ (word >> other)) & 1
    S[at] = word ^ ((differs << one) | (differs << other))


@kernel
def swap(S: Cells, L: Layout, one: int, other: int) -> None:
    """Give two CPUs each other's number."""
    for task in range(L.tasks):
        at = L.o_task + task * TASK_CELLS + T_CPU
        home = int64(S[at])
        if home == one:
            S[at] = other
        elif home == other:
            S[at] = one
        swap_bits(S, L.o_out + task, one, other)
    for name in range(_CPU_SETS):
        swap_bits(S, L.o_sets + name, one, other)
    for name in range(L.mms * _MM_SETS):
        swap_bits(S, L.o_mmset + name, one, other)
    for cell in _OWN:
        swap_cells(S, L.o_cpu + one * CPU_CELLS + cell, L.o_cpu + other * CPU_CELLS + cell)
    for begin, cells in rows_of(L):
        for i in range(cells):
            swap_cells(S, begin + one * cells + i, begin + other * cells + i)


@kernel
def exchange(S: Cells, L: Layout, keys: Cells) -> None:
    """Exchange the CPUs of a state: first the homes of the tasks, in their order, then the others by their keys.

    Args:
        S, L: the state, in which a word holds all CPUs and requests are those of tasks.
        keys: room for a number for each CPU, int64.
    """
    placed = int64(0)
    for task in range(L.tasks):
        home = int64(S[L.o_task + task * TASK_CELLS + T_CPU])
        if home >= placed:
            if home != placed:
                swap(S, L, placed, home)
            placed += 1
    for cpu in range(L.cpus):
        sort_asids(S, L, cpu)
    if placed > L.cpus - 2:
        return
    for cpu in range(placed, L.cpus):
        keys[cpu] = key_of(S, L, cpu)
    for i in range(placed, L.cpus - 1):
        least = i
        for j in range(i + 1, L.cpus):
            if keys[j] < keys[least]:
                least = j
        if least != i:
            swap(S, L, i, least)
            keys[least] = keys[i]
