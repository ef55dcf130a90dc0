"""Rename the like parts of a state: see `symmetry`, which works out how, before anything is compiled."""

from __future__ import annotations

from shootdown._explore.symmetry import CPU, MM, PLAIN, TASK, Symmetry
from shootdown._jit import kernel
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import Layout


@kernel
def renamed(S: Cells, L: Layout, sym: Symmetry, which: int, cell: int) -> int:
    """Say what a cell of the renamed state holds."""
    value = int64(S[sym.source[which, cell]])
    kind = sym.kind[cell]
    if kind == CPU:
        return int64(sym.cpu[which, value + 1]) - 1
    if kind == PLAIN or value == 0:
        return value
    if kind == TASK:
        return int64(sym.task[which, value])
    if kind == MM:
        return int64(sym.mm[which, value])
    out = int64(0)
    for cpu in range(L.cpus):
        if (value >> cpu) & 1:
            out |= int64(1) << (sym.cpu[which, cpu + 1] - 1)
    return out


@kernel
def canonical(S: Cells, spare: Cells, L: Layout, sym: Symmetry) -> None:
    """Rename a state to the smallest of those that are alike."""
    best = int64(-1)
    for which in range(sym.source.shape[0]):
        for i in range(sym.order.shape[0]):
            cell = sym.order[i]
            now = renamed(S, L, sym, which, cell)
            then = int64(S[cell]) if best < 0 else renamed(S, L, sym, best, cell)
            if now != then:
                if now < then:
                    best = which
                break
    if best >= 0:
        for i in range(sym.order.shape[0]):
            spare[sym.order[i]] = renamed(S, L, sym, best, sym.order[i])
        for i in range(sym.order.shape[0]):
            S[sym.order[i]] = spare[sym.order[i]]
