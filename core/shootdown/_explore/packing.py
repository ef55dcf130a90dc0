"""Packed states: only the cells that ever change, each in as many bits as its values need.

A machine of seven CPUs has some 300 cells, and a scenario changes 60 to 90 of them, most of them flags. Packed, a
state takes 24 to 64 bytes. Nothing is lost: a value that does not fit makes the search stop, and begin again with a
wider plan.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shootdown._compilation.instructions import raw
from shootdown._compilation.kernels import inlined, kernel
from shootdown._machine.bits import Cells

_BITS = 64


class Plan(NamedTuple):
    """Where each cell of a state lies in its packed row.

    Args:
        width: bits of each cell, 0 for those that never change; int64, shape (size,).
        word, shift: where they lie; int64 and uint64, shape (size,).
        varying: the cells with a width, ascending; int64.
        cell: the cell that each bit of a row belongs to; int64, shape (words * 64,).
        words: 64-bit words of a row.
        vary: how many cells vary.
    """

    width: npt.NDArray[np.int64]
    word: npt.NDArray[np.int64]
    shift: npt.NDArray[np.uint64]
    varying: npt.NDArray[np.int64]
    cell: npt.NDArray[np.int64]
    words: int
    vary: int


def plan_for(width: npt.NDArray[np.int64]) -> Plan:
    """Lay the cells out: first fit, widest first, so that no cell crosses a word.

    Args:
        width: bits of each cell, shape (size,).
    """
    word = np.zeros(len(width), np.int64)
    shift = np.zeros(len(width), np.uint64)
    room: list[int] = []
    for cell in sorted(np.flatnonzero(width), key=lambda c: -width[c]):
        bits = int(width[cell])
        at = next((at for at, free in enumerate(room) if free >= bits), len(room))
        if at == len(room):
            room.append(_BITS)
        word[cell], shift[cell] = at, _BITS - room[at]
        room[at] -= bits
    varying = np.flatnonzero(width)
    words = max(len(room), 1)
    cells = np.zeros(words * _BITS, np.int64)
    for cell in varying:
        first = int(word[cell]) * _BITS + int(shift[cell])
        cells[first : first + int(width[cell])] = cell
    return Plan(width.copy(), word, shift, varying, cells, words, len(varying))


@inlined
def unpack(rows: Cells, at: int, S: Cells, plan: Plan) -> None:
    """Set the varying cells of a state from the packed row that begins at `at`."""
    for i in range(plan.vary):
        cell = plan.varying[i]
        mask = (np.uint64(1) << np.uint64(plan.width[cell])) - np.uint64(1)
        S[cell] = (rows[at + plan.word[cell]] >> plan.shift[cell]) & mask


@kernel
def pack(S: Cells, rows: Cells, at: int, plan: Plan) -> None:
    """Write the packed row of a state, whose cells all fit."""
    for w in range(plan.words):
        rows[at + w] = 0
    for i in range(plan.vary):
        cell = plan.varying[i]
        rows[at + plan.word[cell]] |= np.uint64(S[cell]) << plan.shift[cell]


@inlined
def raw_plan(plan: Plan) -> Plan:
    """Return the plan with pointers in place of arrays."""
    return Plan(
        raw(plan.width),
        raw(plan.word),
        raw(plan.shift),
        raw(plan.varying),
        raw(plan.cell),
        plan.words,
        plan.vary,
    )
