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
    varying = np.flatnonzero(width)
    widest = varying[np.argsort(-width[varying], kind="stable")]
    room: list[int] = []
    words, shifts = [], []
    first = 0  # words before this one are full
    for bits in width[widest].tolist():
        at = first
        while at < len(room) and room[at] < bits:
            at += 1
        if at == len(room):
            room.append(_BITS)
        words.append(at)
        shifts.append(_BITS - room[at])
        room[at] -= bits
        while first < len(room) and room[first] == 0:
            first += 1
    word[widest], shift[widest] = words, shifts
    cells = np.zeros(max(len(room), 1) * _BITS, np.int64)
    starts = word[varying] * _BITS + shift[varying].astype(np.int64)
    bits_of = width[varying]
    ends = np.cumsum(bits_of)
    cells[np.repeat(starts - ends + bits_of, bits_of) + np.arange(bits_of.sum())] = np.repeat(
        varying, bits_of
    )
    return Plan(width.copy(), word, shift, varying, cells, max(len(room), 1), len(varying))


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
def hash_row(rows: Cells, at: int, words: int) -> np.uint64:
    """Mix a row into 64 bits."""
    h = np.uint64(0x9E3779B97F4A7C15)
    for w in range(words):
        h = (h ^ rows[at + w]) * np.uint64(0xFF51AFD7ED558CCD)
        h = h ^ (h >> np.uint64(32))
    return h


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
