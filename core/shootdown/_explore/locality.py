"""Which steps are local where a program is: by themselves, or because no other task has yet to do what meets them.

`Marks.future` has for each step what its task does from there on, in kinds; `linked` works that out once for each part.
"""

from __future__ import annotations

import numpy as np

from shootdown._compilation.kernels import inlined, kernel
from shootdown._explore.marks import Marks, Rules
from shootdown._explore.quiet import QUIET, QUIET_AND_ENABLING, SEEN
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import CPU_CELLS, CPU_TASK, T_CPU, T_PC, TASK_CELLS, Layout
from shootdown._machine.sets import PREEMPTED, cpu_set, has


@inlined
def runs(S: Cells, L: Layout, task: int) -> bool:
    """Whether a task has its CPU, and its CPU runs."""
    cpu = int64(S[L.o_task + task * TASK_CELLS + T_CPU])
    if int64(S[L.o_cpu + cpu * CPU_CELLS + CPU_TASK]) != task + 1:
        return False
    return not has(S, cpu_set(L, PREEMPTED), L, cpu)


@inlined
def locality(S: Cells, L: Layout, F: Marks, R: Rules, task: int, pc: int) -> int:
    """Return how local a task's next step is here, a value of `quiet`: by itself, or by what others have yet to do."""
    found = int64(F.local[pc])
    if found != 0 or R.later == 0:
        return found
    code = int64(F.meets[pc])
    if code == 0:
        return found
    ahead = np.uint64(0)
    for other in range(L.tasks):
        if other != task:
            ahead |= F.future[int64(S[L.o_task + other * TASK_CELLS + T_PC])]
    if (ahead >> np.uint64(code >> 2)) & np.uint64(1):
        return int64(SEEN)
    return code & 3


@kernel
def next_local(S: Cells, L: Layout, F: Marks, R: Rules) -> int:
    """Return a task whose next step is local and need not wait, or -1: no other move has to come before it."""
    for task in range(L.tasks):
        if runs(S, L, task):
            how = locality(S, L, F, R, task, int64(S[L.o_task + task * TASK_CELLS + T_PC]))
            if how in (QUIET, QUIET_AND_ENABLING):
                return int64(task)
    return int64(-1)
