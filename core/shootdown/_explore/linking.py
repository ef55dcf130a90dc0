"""Link programs from parts that were looked at before: copy their steps one behind another, and move their labels.

A program is a row of numbers: for each task its parts, in their order. What is known of each step comes along.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shootdown._compilation.kernels import kernel
from shootdown._explore.marks import ARRIVE_FRESH, Marks, Rules
from shootdown._machine import ops as o
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import T_MM, T_PC, TASK_CELLS, Layout

#: The most steps of a program that is linked.
MOST_STEPS = 1 << 15
# What parts may do, as bits.
CHOOSES, SWITCHES, TRACKS, LOOKS, LEAVES_OUT, MASKS = (1 << n for n in range(6))
# Numbers of a result: why the search ended, the invariant, states, moves.
WHY, BROKEN, STATES, MOVES = range(4)
RESULT = 4


class Parts(NamedTuple):
    """What is known of parts.

    Args:
        steps: of all parts, as in `Code`.
        label: of each step, the operand that is a label (1 for `a`), or 0; int64.
        dead: of each step, as in `Flow`; int64.
        local: of each step, how local it is if no other part is seen beside it, on a machine that does not stand still;
            then the same on one that does; uint8, 2 * total.
        clash: for each step, the parts that, on another CPU, make it observable, as a mask; then on a machine that
            stands still; uint64, 2 * total.
        meets, future: of each step, as in `Marks`, but `future` as far as its part goes; then on a machine that stands
            still; int16 and uint64, 2 * total.
        stays: of each part, the kinds that may come to pass when it has ended: stores in the buffer; the same twice;
            uint64.
        acts: of each step, as in `Marks`.
        begin, end: the steps of each part, int64.
        does: of each part, what it may do; int64.
        flushes, uses: of each part, the mms that it flushes, and those of which it uses translations, as masks; int64.
        total: how many steps there are.
    """

    steps: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    dead: npt.NDArray[np.int64]
    local: npt.NDArray[np.uint8]
    clash: npt.NDArray[np.uint64]
    meets: npt.NDArray[np.int16]
    future: npt.NDArray[np.uint64]
    stays: npt.NDArray[np.uint64]
    acts: npt.NDArray[np.uint8]
    begin: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    does: npt.NDArray[np.int64]
    flushes: npt.NDArray[np.int64]
    uses: npt.NDArray[np.int64]
    total: int


class Work(NamedTuple):
    """Programs to link and to explore, all on machines of one shape.

    Args:
        parts: what they are linked of.
        first: the state in which each begins, but for the steps of its tasks; uint32.
        holding: for each mm the CPUs that may hold a translation of it, whatever they do, as a mask; int64.
        inside: for each mm the CPUs in its mm_cpumask at first, as a mask; int64.
        rows: the programs: for each task `width` numbers of parts, -1 behind the last; int64.
        results: of each program `RESULT` numbers; int64.
        ends: a number for each row of the store, uint8.
        still: the machine stands still; see `footprint.stands_still`.
        width: the most parts of a task.
        begin, end: the number of the first program, and of the one behind the last; no program: one that was linked
            already is searched for.
        most: states of a search.
    """

    parts: Parts
    first: npt.NDArray[np.uint32]
    holding: npt.NDArray[np.int64]
    inside: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    results: npt.NDArray[np.int64]
    ends: npt.NDArray[np.uint8]
    still: int
    width: int
    begin: int
    end: int
    most: int


def no_work() -> Work:
    """Return no programs."""
    none = np.zeros(0, np.int64)
    bytes_ = np.zeros(0, np.uint8)
    words = np.zeros(0, np.uint64)
    meets = np.zeros(0, np.int16)
    parts = Parts(
        none, none, none, bytes_, words, meets, words, words, bytes_, none, none, none, none, none, 0
    )
    return Work(parts, np.zeros(0, np.uint32), none, none, none, none, bytes_, 0, 0, 0, 0, 0)


@kernel
def link(W: Work, number: int, S: Cells, P: Cells, L: Layout, F: Marks) -> int:
    """Link a program, and let the tasks of a state begin with it.

    Args:
        W, number: the programs, and which.
        S: the state.
        P: gets its steps.
        L: the layout.
        F: gets its marks.

    Returns:
        what its parts may do.
    """
    Q = W.parts
    at = number * L.tasks * W.width
    does = int64(0)
    for i in range(L.tasks * W.width):
        part = int64(W.rows[at + i])
        if part >= 0:
            does |= int64(Q.does[part])
    known = int64(0)
    if W.still != 0 and does & SWITCHES == 0:
        known = int64(Q.total)
    n = int64(0)
    for task in range(L.tasks):
        others = np.uint64(0)
        for i in range(L.tasks * W.width):
            part = int64(W.rows[at + i])
            if part >= 0 and i // W.width != task:
                others |= np.uint64(1) << np.uint64(part)
        S[L.o_task + task * TASK_CELLS + T_PC] = n
        stays = np.uint64(0)
        for i in range(W.width):
            part = int64(W.rows[at + task * W.width + i])
            if part >= 0:
                stays |= Q.stays[int64(known > 0) * len(Q.begin) + part]
        for i in range(W.width):
            part = int64(W.rows[at + task * W.width + i])
            if part < 0:
                break
            ahead = stays
            for later in range(i + 1, W.width):
                then = int64(W.rows[at + task * W.width + later])
                if then >= 0:
                    ahead |= Q.future[known + int64(Q.begin[then])]
            first = int64(Q.begin[part])
            for pc in range(first, int64(Q.end[part])):
                for operand in range(5):
                    P[n * 5 + operand] = Q.steps[pc * 5 + operand]
                label = int64(Q.label[pc])
                if label:
                    P[n * 5 + label] = int64(P[n * 5 + label]) + n - pc
                F.dead[n] = Q.dead[pc]
                F.local[n] = Q.local[known + pc]
                F.meets[n] = 0
                F.acts[n] = Q.acts[pc]
                F.future[n] = Q.future[known + pc] | ahead
                if np.uint64(Q.clash[known + pc]) & others:
                    F.local[n] = 0
                    F.meets[n] = Q.meets[known + pc]
                n += 1
    everybody = (int64(1) << L.cpus) - 1
    for mm in range(L.mms):
        holding = int64(W.holding[mm])
        for i in range(L.tasks * W.width):
            part = int64(W.rows[at + i])
            if part >= 0 and (int64(Q.uses[part]) >> mm) & 1:
                holding |= int64(1) << (i // W.width)
        F.without[mm] = ~holding & everybody
        if L.by_task or (does & TRACKS and does & LOOKS):
            F.without[mm] = 0
    return does


@kernel
def apart_of(W: Work, at: int, L: Layout) -> int:
    """Return the mms that no part of a program flushes and that some task runs all the time, as a mask.

    Args:
        W, L: as in `rules_of`.
        at: where the program begins.
    """
    Q = W.parts
    flushed, running = int64(0), int64(0)
    for i in range(L.tasks * W.width):
        part = int64(W.rows[at + i])
        if part >= 0:
            flushed |= int64(Q.flushes[part])
            if i % W.width == 0 and Q.steps[int64(Q.begin[part]) * 5] == o.PARK:
                mm = int64(W.first[L.o_task + i // W.width * TASK_CELLS + T_MM]) - 1
                running |= int64(1) << mm
    return running & ~flushed


@kernel
def rules_of(W: Work, number: int, does: int, L: Layout, R: Rules, arrive: int) -> Rules:
    """Return the rules by which a program that was linked is explored.

    Args:
        W, number: the programs, and which.
        does: what `link` returned.
        L: the layout.
        R: rules for all programs.
        arrive: as in `Rules`.
    """
    Q = W.parts
    at = number * L.tasks * W.width
    everybody = (int64(1) << L.cpus) - 1
    mask = int64(0)
    if R.hypervisor:
        for mm in range(L.mms):
            flushers = int64(0)
            for i in range(L.tasks * W.width):
                part = int64(W.rows[at + i])
                if part >= 0 and (int64(Q.flushes[part]) >> mm) & 1:
                    flushers |= int64(1) << (i // W.width)
            for cpu in range(L.cpus):
                if (int64(W.inside[mm]) >> cpu) & 1 and flushers & ~(int64(1) << cpu):
                    mask |= int64(1) << cpu
        if does & LEAVES_OUT or L.by_task:
            mask = everybody
    # A CPU that a task leaves, or goes on at, looks at the generation.
    if arrive and (does & TRACKS == 0 or (does & LOOKS == 0 and L.by_task == 0)):
        arrive = int64(ARRIVE_FRESH)
    choices = int64(0)
    if does & CHOOSES:
        choices = int64(1)
    last, late = int64(0), int64(0)
    if L.by_task:
        last = int64(R.last)
        if R.hypervisor or does & MASKS:  # who has yet to answer may be unable to, for a while
            late = last
    return Rules(
        int64(0),
        int64(R.hypervisor),
        mask,
        int64(0),
        int64(R.preemption),
        choices,
        int64(1),
        int64(1),
        int64(arrive),
        int64(1),
        int64(R.later),
        int64(R.choosing),
        int64(R.cpus),
        int64(R.apart) & apart_of(W, at, L),
        last,
        late,
    )
