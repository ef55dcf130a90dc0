"""Which moves may be possible in a state, as labels, and whether somebody waits for one.

`moves.move` refuses those that are not possible.
"""

from __future__ import annotations

from shootdown._compilation.kernels import inlined, kernel
from shootdown._explore.locality import runs
from shootdown._explore.marks import Rules
from shootdown._explore.moves import (
    AWAY,
    BACK,
    CHOOSE,
    COPY,
    DRAIN,
    FILL,
    GRANT,
    IDLE,
    PREEMPT,
    RESUME,
    STEP,
    SWITCH,
    TAKE,
    label_of,
)
from shootdown._machine import ops as o
from shootdown._machine.agents import ELSEWHERE
from shootdown._machine.bits import Cells, int64, lowest
from shootdown._machine.flushes import takeable
from shootdown._machine.layout import CPU_CELLS, CPU_TASK, STORE_CELLS, T_CPU, T_PC, TASK_CELLS, Layout
from shootdown._machine.sets import has


@inlined
def is_progress(label: int) -> bool:
    """Whether a move lets any task progress; fills of caches, preemptions and sleeping don't."""
    kind = label & 15
    return kind not in (FILL, COPY, PREEMPT, IDLE, AWAY)


@kernel
def is_about_to_be_left_out(S: Cells, P: Cells, L: Layout, cpu: int) -> bool:
    """Whether a task on another CPU next leaves preempted vCPUs out of its targets, which has this one among them.

    Nothing else can tell a vCPU that is preempted from one that merely takes no step (ADR 62).
    """
    for task in range(L.tasks):
        t = L.o_task + task * TASK_CELLS
        home = int64(S[t + T_CPU])
        if P[int64(S[t + T_PC]) * 5] == o.TARGET_RUNNING and home != cpu and runs(S, L, task):
            row = task if L.by_task else home
            if has(S, L.o_out + row * L.words, L, cpu):
                return True
    return False


@kernel
def candidates(S: Cells, P: Cells, L: Layout, R: Rules, labels: Cells) -> int:
    """List the moves that may be possible in a state, and return how many; `move` refuses those that aren't."""
    n = int64(0)
    for task in range(L.tasks):
        if not runs(S, L, task):
            continue
        labels[n] = label_of(STEP, task, 0)
        n += 1
        if R.choices:
            labels[n] = label_of(CHOOSE, task, 0)
            n += 1
    for sender in range(L.cpus):
        for word in range(L.words):
            if int64(S[L.o_out + sender * L.words + word]):
                rest = takeable(S, L, sender, word)
                while rest:
                    labels[n] = label_of(TAKE, sender, word * L.bits + lowest(rest))
                    n += 1
                    rest = rest & (rest - 1)
    for cpu in range(L.cpus):
        if L.walks and R.eager == 0:
            for what in range(L.slots + L.atoms):
                labels[n] = label_of(FILL, cpu, what)
                n += 1
        if (R.entries >> cpu) & 1:
            for entry in range(L.entries):
                labels[n] = label_of(COPY, cpu, entry)
                n += 1
        if L.memory:
            for which in range(L.stores):
                if int64(S[L.o_store + (cpu * L.stores + which) * STORE_CELLS]):
                    labels[n] = label_of(DRAIN, cpu, which)
                    n += 1
        if R.hypervisor and (R.preemptible >> cpu) & 1:
            if R.choosing == 0 or is_about_to_be_left_out(S, P, L, cpu):
                labels[n] = label_of(PREEMPT, cpu, 0)
                n += 1
            labels[n] = label_of(RESUME, cpu, 0)
            n += 1
    if R.scheduler:
        for task in range(L.tasks):
            labels[n] = label_of(IDLE, task, 0)
            labels[n + 1] = label_of(GRANT, task, 0)
            labels[n + 2] = label_of(SWITCH, task, 0)
            n += 3
    if R.preemption:
        for task in range(L.tasks):
            for what in range(ELSEWHERE + L.mms):
                if what < ELSEWHERE or (R.apart >> (what - ELSEWHERE)) & 1 == 0:
                    labels[n] = label_of(AWAY, task, what)
                    n += 1
            if L.mms > 1:
                labels[n] = label_of(AWAY, task, ELSEWHERE + L.mms)
                n += 1
            for cpu in range(L.cpus):
                labels[n] = label_of(BACK, task, cpu)
                n += 1
    return n


@kernel
def somebody_waits(S: Cells, P: Cells, L: Layout) -> bool:
    """Whether any task has not finished."""
    for task in range(L.tasks):
        t = L.o_task + task * TASK_CELLS
        op = P[int64(S[t + T_PC]) * 5]
        cpu = int64(S[t + T_CPU])
        mine = int64(S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK]) == task + 1
        if op == o.HALT and not mine:
            continue
        if op == o.PARK and (P[int64(S[t + T_PC]) * 5 + 1] == 1 or not mine):
            continue
        return True
    return False


def most_moves(L: Layout, *, eager: bool) -> int:
    """Return the most moves that `candidates` may list; `eager`: fills are none, see `Rules`."""
    fills = L.slots + L.atoms if L.walks and not eager else 0
    away = ELSEWHERE + L.mms + 1 + L.cpus if L.by_task else 0
    return L.tasks * (5 + away) + L.cpus * (L.cpus + 2 + L.entries + L.stores + fills)
