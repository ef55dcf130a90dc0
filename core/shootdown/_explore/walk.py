"""Random walks: for machines too large to search, and to sample which cells of a state vary."""

from __future__ import annotations

import numpy as np

from shootdown._compilation.kernels import inlined, instruction, kernel
from shootdown._explore.candidates import candidates
from shootdown._explore.marks import Marks, Rules
from shootdown._explore.moves import (
    AWAY,
    BACK,
    CHOOSE,
    COPY,
    DRAIN,
    FILL,
    GRANT,
    IDLE,
    KINDS,
    LONG,
    PREEMPT,
    REFUSED,
    RESUME,
    STEP,
    SWITCH,
    TAKE,
    VIOLATED,
    label_of,
    move,
)
from shootdown._machine.bits import Cells, int64
from shootdown._machine.layout import Layout

#: A walk ends after so many refused moves in a row.
PATIENCE = 20_000
#: The same for walks that only sample.
STILL = 250
#: Walks end after so many moves that go round in steps which no other CPU can observe, perhaps for ever.
ROUNDS = 16
#: The same for all walks that sample: what a wrong guess costs is less than such moves.
FEW_ROUNDS = 2
#: For each pace of a task, the bits of a random number that must be zero for it to step.
SLOWNESS = (0, 0, 15, 255)


@inlined
def next_random(x: int) -> int:
    """Draw the next number: xorshift, 63 bits."""
    x ^= (x << 13) & 0x7FFFFFFFFFFFFFFF
    x ^= x >> 7
    x ^= (x << 17) & 0x7FFFFFFFFFFFFFFF
    return x


@kernel
def any_label(L: Layout, R: Rules, x: int) -> int:
    """Draw the label of a random move; steps and interrupts are drawn more often than actions of agents."""
    kind = x % 24
    x = x // 24
    if kind >= 17:
        kind = int64(STEP)
    elif kind >= KINDS or (kind >= AWAY and R.preemption == 0):
        kind = int64(TAKE)
    if kind in (STEP, CHOOSE, IDLE, GRANT, SWITCH):
        return label_of(kind, x % L.tasks, int64(0))
    if kind == AWAY:
        return label_of(kind, x % L.tasks, x // L.tasks % (2 + L.mms))
    if kind == BACK:
        return label_of(kind, x % L.tasks, x // L.tasks % L.cpus)
    cpu = x % L.cpus
    x = x // L.cpus
    if kind == TAKE:
        return label_of(kind, cpu, x % L.cpus)
    if kind == COPY:
        return label_of(kind, cpu, x % max(L.entries, 1))
    if kind == DRAIN:
        return label_of(kind, cpu, x % max(L.stores, 1))
    if kind == FILL:
        return label_of(kind, cpu, x % (L.slots + L.atoms))
    return label_of(kind, cpu, int64(0))


@inlined
def allowed(L: Layout, R: Rules, label: int) -> bool:
    """Whether the agent of a move acts under the rules."""
    kind = label & 15
    if kind == FILL:
        return L.walks != 0 and R.eager == 0
    if kind == COPY:
        return R.entries != 0
    if kind == DRAIN:
        return L.stores != 0
    if kind in (PREEMPT, RESUME):
        return R.hypervisor != 0
    if kind in (IDLE, GRANT, SWITCH):
        return R.scheduler != 0
    if kind in (AWAY, BACK):
        return R.preemption != 0
    return True


@kernel
def random_walk(
    S: Cells,
    P: Cells,
    lists: Cells,
    L: Layout,
    F: Marks,
    R: Rules,
    labels: Cells,
    seed: int,
) -> tuple[int, int]:
    """Make random moves until an invariant breaks, no move seems possible, or `labels` is full.

    Each task has a pace of its own that changes now and then, so that one may stand still while others get far. Races
    need that, and moves drawn evenly would rarely do it.

    Args:
        labels: receives the moves made, int64; its length is the limit.
        seed: equal seeds give equal walks; not zero.

    Returns:
        The number of moves made, and the last result of `move`.
    """
    n = int64(0)
    x = seed
    idle = int64(0)
    rounds = int64(0)
    said = int64(REFUSED)
    pace = next_random(next_random(x))
    while n < labels.shape[0] and idle < PATIENCE:
        x = next_random(x)
        label = any_label(L, R, x >> 8)
        idle += 1
        if not allowed(L, R, label):
            continue
        if x & 127 == 0:
            pace = next_random(x ^ pace)
        if label & 15 in (STEP, CHOOSE) and (x >> 40) & SLOWNESS[(pace >> (2 * ((label >> 4) % 16))) & 3]:
            continue
        said = move(S, P, lists, L, F, R, label)
        if said == REFUSED:
            continue
        labels[n] = label
        n += 1
        idle = int64(0)
        if said & 3 == VIOLATED:
            break
        if said == LONG:
            rounds += 1
            if rounds == ROUNDS:
                break
    return n, said


@instruction("shootdown._compilation.backend.states:copy_cells")
def copy_cells(to: Cells, cells: Cells) -> None:
    """Copy a state."""
    to[:] = cells


@instruction("shootdown._compilation.backend.states:note_cells")
def note_cells(S: Cells, first: Cells, varies: Cells, largest: Cells) -> None:
    """Note in what bits each cell of a state differs from the first one, and the largest value that each had."""
    varies |= S ^ first
    np.maximum(S, largest, out=largest)


@kernel
def sample(
    S: Cells,
    start: Cells,
    first: Cells,
    P: Cells,
    lists: Cells,
    L: Layout,
    F: Marks,
    R: Rules,
    labels: Cells,
    largest: Cells,
    varies: Cells,
    seed: int,
    walks: int,
    length: int,
) -> None:
    """Make several random walks, and record which cells change and the largest value of each.

    In every second walk a task that has taken a step mostly continues until it blocks, so that programs reach their
    ends; and in each of these walks another task starts late, after half of the moves or when the rest are blocked.

    Args:
        S: scratch, as large as the first state.
        start: the state in which the walks start.
        first: the first state.
        labels: scratch with room for the labels of all moves possible in one state, int64.
        largest, varies: the results by cell: the largest value, and the bits that ever differ from `first`.
        seed, walks, length: the seed, the number of walks, and the tries in each.
    """
    x = seed
    rounds = int64(0)
    for walk in range(walks):
        copy_cells(S, start)
        found = int64(0)  # moves that may be possible, 0 where they have to be listed anew
        left = int64(0)  # those of them that were not refused yet
        last = int64(-1)
        late = (walk >> 1) % (L.tasks + 1) if walk & 1 else int64(-1)
        idle = int64(0)
        for i in range(length * 4):
            if i == length * 2 or idle == STILL:
                if late < 0 and idle == STILL:
                    break
                late = int64(-1)
                idle = int64(0)
            x = next_random(x)
            tried = left == int64(0 <= late < L.tasks)  # all moves but those of who starts late
            if found > 0 and last < 0 and tried:
                idle += 1
                continue
            label = last
            drawn = int64(-1)
            if last < 0 or x & 31 == 0:
                if found == 0:
                    found = candidates(S, P, L, R, labels)
                    left = found
                if found == 0:
                    break
                drawn = int64((x >> 8) % found)
                label = int64(labels[drawn])
            last = int64(-1)
            idle += 1
            if label < 0:  # refused before, and nothing has changed since
                continue
            if label & 15 == STEP and label >> 4 == late:
                continue
            said = move(S, P, lists, L, F, R, label)
            if said == REFUSED:
                if drawn >= 0:
                    labels[drawn] = -1
                    left -= 1
                continue
            found = int64(0)
            idle = int64(0)
            if walk & 1 and label & 15 == STEP:
                last = label
            note_cells(S, first, varies, largest)
            if said == LONG:
                rounds += 1
                if rounds == FEW_ROUNDS:
                    return
