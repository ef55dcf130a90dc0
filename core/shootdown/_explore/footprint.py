"""Which steps are local: what each step touches, who else touches it, and under which locks.

A step is local if no other task and no agent can observe when it happens. That is so if the others touch nothing that
it touches, or touch it only under a lock that the step's task holds too; or if its only effect is to make other moves
possible: a lock is released, a call is sent. Such steps are as local as those on a task's own registers, and fuse with
the step before them. What a step touches is derived from the program, once for each task: from the task's CPU and,
where it is known, the mm that the step works on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from shootdown._explore.flow import LABELS, LOCAL, Text, index_of, text_of
from shootdown._explore.quiet import QUIET, QUIET_AND_ENABLING, QUIET_ONCE_POSSIBLE, SEEN
from shootdown._machine import ops as o
from shootdown._machine.code import Code
from shootdown._machine.layout import CPU_SETS, MM_SETS, T_CPU, T_ON, T_PC, TASK_CELLS, Layout
from shootdown._machine.steps.cells import STORES
from shootdown._machine.steps.memory import MEMORY
from shootdown._machine.steps.page_tables import PAGE_TABLES
from shootdown._machine.steps.row import BY_MM, BY_TABLE, Kind, Row, Use, Whose
from shootdown._machine.steps.table import ROWS, STEPS, holds, steps_that
from shootdown._machine.steps.variables import VARIABLES

#: Stands for an unknown mm, CPU or lock: it may be any of them.
ANY = -1
_READ, _WRITE = False, True
#: The locks held, each with whether it is held for writing.
_Held = frozenset[tuple[int, bool]]
#: Steps on locks, each with whether it is for writing.
_LOCKS = {row.number: row.for_writing for row in ROWS if row.lock}
#: Steps on which it depends which moves are possible next: never local.
ALWAYS_SEEN = steps_that(lambda row: row.decides)
#: Steps on variables and page tables: never local where stores wait in buffers.
ON_MEMORY = frozenset(row.number for row in (*VARIABLES, *PAGE_TABLES, *MEMORY) if STORES in row.reads)
#: Steps with which a loop makes progress, so that it ends some time.
PROGRESS = steps_that(
    lambda row: row.first(Kind.CHANGED) or any(cell.part == "variable" for cell in row.writes)
)
#: Steps whose only effect on others is to make their moves possible.
ENABLING = steps_that(lambda row: row.enables)
#: Those of them that release a lock: a trylock of another task observes them.
RELEASING = steps_that(lambda row: row.lock is Use.RELEASE)
#: Steps that touch nothing shared, for speed.
TOUCHES_NOTHING = steps_that(lambda row: not row.touches)
_TARGETING_WALKERS = frozenset({o.TARGET_WALKERS})
#: What nobody changes on a machine that stands still.
STANDING = ("lazy", "loaded", "mask")
#: What belongs to the CPU that a task runs on, other than its request.
_OF_A_CPU = ("irq", "lazy", "user")
#: Steps that wait for something that stays true once it is: local as soon as they can be taken.
AWAITING = steps_that(lambda row: row.awaits)


class Touch(NamedTuple):
    """One thing that a step touches.

    Args:
        what: its kind, such as `pud` or `lock`.
        which: the mm, CPU, lock or variable; ANY if unknown.
        writes: the step may change it.
    """

    what: str
    which: int
    writes: bool


class Visit(NamedTuple):
    """A step as one task reaches it: the mm that it works on, and the locks held then (lock, for writing)."""

    on: int
    held: frozenset[tuple[int, bool]]


class _Plan:
    """What a row's step touches, as a function of its operands."""

    def __init__(self, row: Row) -> None:
        self.lock, self.index = row.first(Kind.LOCK), row.first(Kind.LOCK_INDEX)
        self.variable = row.first(Kind.VARIABLE, Kind.ENTRY)
        self.touches = [
            (one, row.place_of(one.when.operand) if one.when else 0, one.when.values if one.when else ())
            for one in row.touches
        ]

    def which(self, whose: Whose, step: Sequence[int], on: int, cpu: int, slots: int) -> int:
        """Return the mm, CPU, lock or variable that `whose` stands for; ANY if unknown."""
        if whose is Whose.ON:
            return on
        if whose is Whose.CPU:
            return cpu
        if whose is Whose.LOCK:
            return _lock(step[self.lock], step[self.index], on, slots)
        if whose is Whose.VARIABLE:
            return ANY if index_of(step) else step[self.variable]
        return 0 if whose is Whose.ONE else ANY


_PLANS = {row.number: _Plan(row) for row in ROWS}


@lru_cache(maxsize=1 << 14)
def touches(step: tuple[int, ...], on: int, cpu: int, slots: int) -> tuple[Touch, ...]:
    """List the things that a step touches and that others could touch too.

    Args:
        step: operation and operands.
        on: the mm that it works on, from zero; ANY if unknown.
        cpu: the CPU of its task.
        slots: PUD entries of an mm, each with a page-table lock.
    """
    plan = _PLANS[step[0]]
    return tuple(
        Touch(one.what, plan.which(one.whose, step, on, cpu, slots), one.writes)
        for one, place, values in plan.touches
        if not place or step[place] in values
    )


def _lock(first: int, index: int, on: int, slots: int) -> int:
    """Return the number of a lock; ANY if its mm is unknown, or if register SLOT selects a page-table lock."""
    if index == BY_TABLE:
        return first if slots == 1 else ANY
    if index == BY_MM:
        return first + on if on != ANY else ANY
    return first


def agents(
    *,
    walkers: bool,
    entries: bool,
    hypervisor: bool,
    scheduler: bool,
    tlbs: bool,
    preemption: bool = False,
) -> list[Touch]:
    """List what agents touch.

    Args:
        walkers: each CPU holds whatever its walker could read, and uses translations in user mode.
        entries, hypervisor, scheduler: the other agents that exist.
        preemption: tasks that wait may be preempted.
        tlbs: CPUs hold something; otherwise the flush of a vCPU that enters the guest is unobservable.
    """
    found: list[Touch] = []
    if walkers:
        found += [Touch(what, ANY, _READ) for what in ("pud", "entry", "user", "lazy", "loaded")]
        found.append(Touch("tlb", ANY, _WRITE))
    if entries:
        found += [Touch("variable", ANY, _READ), Touch("tlb", ANY, _WRITE)]
    if hypervisor:
        found.append(Touch("preempted", ANY, _WRITE))
        if tlbs:
            found.append(Touch("tlb", ANY, _WRITE))
    if scheduler:
        found += [
            Touch(what, ANY, _WRITE) for what in ("lazy", "loaded", "mask", "tlb", "generation", "lock")
        ]
    if preemption:
        found += [
            Touch(what, ANY, _WRITE) for what in ("lazy", "loaded", "mask", "tlb", "generation", "user")
        ]
    return found


def visits_of(code: Code, layout: Layout, state: Iterable[int], task: int) -> dict[int, Visit]:
    """Follow a task's program: for each step that it can reach, the mm and the locks that are certain there."""
    t = layout.o_task + task * TASK_CELLS
    cells = state if isinstance(state, Sequence | np.ndarray) else list(state)
    start, on = int(cells[t + T_PC]), int(cells[t + T_ON]) - 1
    text = text_of(code)
    key = ("visits", start, on, layout.slots)
    if key not in text.memory:
        text.memory[key] = visits_from(text, start, on, layout.slots)
    found: dict[int, Visit] = text.memory[key]
    return found


def visits_from(text: Text, start: int, first_on: int, slots: int) -> dict[int, Visit]:
    """Follow a program from a step, where the work is on an mm and no lock is held; see `visits_of`."""
    known: dict[int, Visit] = {start: Visit(first_on, frozenset())}
    work = [start]
    while work:
        pc = work.pop()
        visit = known[pc]
        op, a, b, c, _ = text.steps[pc]
        on, held = visit
        if op == o.ON_MM:
            on = a if b < 0 else ANY
        elif op == o.USE_MM:
            on = a
        elif op in _LOCKS:
            lock = (_lock(a, b, on, slots), _LOCKS[op])
            if op not in RELEASING:
                held = held | {lock}
            elif lock[0] != ANY:
                held = held - {lock}
            else:  # an unknown lock may be any of those that are held
                held = frozenset()
        passed = visit if on == visit.on and held is visit.held else Visit(on, held)
        for then in text.after[pc]:
            before = known.get(then)
            refused = op == o.TRY_WRITE and then == c
            now = Visit(on, visit.held) if refused else passed
            if before is not None:
                if before is now or before == now:
                    continue
                now = Visit(before.on if before.on == on else ANY, before.held & now.held)
            if now != before:
                known[then] = now
                work.append(then)
    return known


def meet(x: Touch, y: Touch) -> bool:
    """Whether two steps may touch the same thing, and one of them writes it."""
    return x.what == y.what and (x.writes or y.writes) and (x.which == y.which or ANY in (x.which, y.which))


def exclude(x: frozenset[tuple[int, bool]], y: frozenset[tuple[int, bool]]) -> bool:
    """Whether two sets of locks exclude each other, so that two tasks can't hold them at once."""
    return any(a[0] == b[0] != ANY and (a[1] or b[1]) for a in x for b in y)


def stands_still(layout: Layout, state: Sequence[int]) -> bool:
    """Whether each CPU in an mm_cpumask has that mm loaded, and none is lazy.

    If no step that is taken switches, it stays so.

    Args:
        layout, state: the machine, when every task has its CPU.
    """
    words = layout.words
    lazy = layout.o_sets + CPU_SETS.index("lazy") * words
    if any(state[lazy : lazy + words]):
        return False
    for mm in range(layout.mms):
        at = layout.o_mmset + mm * len(MM_SETS) * words
        mask, loaded = (at + MM_SETS.index(name) * words for name in ("mask", "loaded"))
        if state[mask : mask + words] != state[loaded : loaded + words]:
            return False
    return True


def switches(step: tuple[int, ...]) -> bool:
    """Whether a CPU may be lazy after a step, or have another mm loaded."""
    return holds(STEPS[step[0]].switches, STEPS[step[0]], step)


def _switches(text: Text) -> frozenset[int]:
    """Return the steps after which a CPU may be lazy, or have another mm loaded."""
    if "switches" not in text.memory:
        text.memory["switches"] = frozenset(pc for pc, step in enumerate(text.steps) if switches(step))
    found: frozenset[int] = text.memory["switches"]
    return found


class _Touched:
    """What each task touches, and the locks that it holds meanwhile, indexed for many queries."""

    def __init__(self, around: list[Touch]) -> None:
        self._around = around
        self._tasks: dict[str, dict[int, dict[tuple[_Held, Touch], set[int]]]] = {}
        self._answers: dict[tuple[int, _Held, Touch], bool] = {}

    def add(self, task: int, held: _Held, touch: Touch) -> None:
        """Record that a task touches something."""
        of_kind = self._tasks.setdefault(touch.what, {})
        of_kind.setdefault(touch.which, {}).setdefault((held, touch), set()).add(task)

    def by_another(self, task: int, held: _Held, touch: Touch) -> bool:
        """Whether an agent or another task may touch the same thing at the same time, and one of the two writes it."""
        asked = (task, held, touch)
        if asked not in self._answers:
            self._answers[asked] = self._look(task, held, touch)
        return self._answers[asked]

    def _look(self, task: int, held: _Held, touch: Touch) -> bool:
        if any(meet(touch, other) for other in self._around):
            return True
        of_kind = self._tasks.get(touch.what, {})
        which = list(of_kind) if touch.which == ANY else [touch.which, ANY]
        return any(
            meet(touch, other) and not exclude(held, other_held) and tasks - {task}
            for one in which
            for (other_held, other), tasks in of_kind.get(one, {}).items()
        )


def quiet_steps(
    code: Code, layout: Layout, state: Iterable[int], around: list[Touch], *, scheduler: bool, taken: set[int]
) -> list[int]:
    """Return for each step whether it is local for every task that can reach it, as a value of `quiet`.

    Args:
        code, layout, state: the machine, when every task has its CPU.
        around: the things that agents touch.
        scheduler: CPUs may switch at any time.
        taken: the steps that are ever taken; others are ignored.
    """
    cells = state.tolist() if isinstance(state, np.ndarray) else list(state)
    text = text_of(code)
    chosen = frozenset(taken)
    still = (
        not (scheduler or layout.by_task)
        and _switches(text).isdisjoint(chosen)
        and stands_still(layout, cells)
    )
    places = tuple(
        tuple(cells[row + part] for part in (T_PC, T_ON, T_CPU))
        for row in range(layout.o_task, layout.o_task + layout.tasks * TASK_CELLS, TASK_CELLS)
    )
    key = (
        "quiet",
        places,
        layout.slots,
        layout.memory,
        layout.by_task,
        tuple(around),
        scheduler,
        still,
        chosen,
    )
    if key not in text.memory:
        accesses = _accesses(text, code, layout, cells, places)
        text.memory[key] = _quiet(text, layout, accesses, around, scheduler, still, chosen)
    found: list[int] = text.memory[key]
    return found


def anywhere(found: tuple[Touch, ...], layout: Layout) -> tuple[Touch, ...]:
    """Say of what belongs to a CPU that it may be that of any, where tasks may go on elsewhere."""
    if not layout.by_task:
        return found
    return tuple(Touch(one.what, ANY, one.writes) if one.what in _OF_A_CPU else one for one in found)


#: A step as one task reaches it: task, step, locks held, and what it touches.
_Access = tuple[int, int, _Held, tuple[Touch, ...]]


def _accesses(
    text: Text, code: Code, layout: Layout, cells: Sequence[int], places: tuple[tuple[int, ...], ...]
) -> tuple[frozenset[int], list[_Access]]:
    """Return the steps that some task can reach, and what each task touches, where it touches something."""
    key = ("accesses", places, layout.slots, layout.by_task)
    if key not in text.memory:
        every = [visits_of(code, layout, cells, task) for task in range(len(places))]
        touching = frozenset(range(len(text.steps))) - text.places(TOUCHES_NOTHING)
        found = [
            (
                task,
                pc,
                visits[pc].held,
                anywhere(touches(text.steps[pc], visits[pc].on, cpu, layout.slots), layout),
            )
            for task, ((_, _, cpu), visits) in enumerate(zip(places, every, strict=True))
            for pc in sorted(touching.intersection(visits))
        ]
        text.memory[key] = frozenset().union(*every), found
    kept: tuple[frozenset[int], list[_Access]] = text.memory[key]
    return kept


def _quiet(
    text: Text,
    layout: Layout,
    accesses: tuple[frozenset[int], list[_Access]],
    around: list[Touch],
    scheduler: bool,
    still: bool,
    taken: frozenset[int],
) -> list[int]:
    """Do what `quiet_steps` says; `still` is whether the machine stands still."""
    steps = text.steps
    every: list[_Access] = []
    known = _Touched(around)
    tries = _Touched([])  # a trylock observes whether the lock is held
    reached, touching = accesses
    for access in touching:
        task, pc, held, found = access
        # Accesses to variables count even if they were not taken yet: else a loop that polls a variable would be
        # local, and its move endless, until the write to it is taken.
        if pc not in taken and steps[pc][0] not in ON_MEMORY:
            continue
        if still:
            kept = tuple([touch for touch in found if touch.what not in STANDING])
            if len(kept) < len(found):
                found = kept
                access = (task, pc, held, found)
        for touch in found:
            known.add(task, held, touch)
            if steps[pc][0] == o.TRY_WRITE:
                tries.add(task, held, touch)
        if pc in taken:
            every.append(access)
    quiet = [SEEN] * len(steps)
    for pc in text.places(LOCAL):
        quiet[pc] = QUIET
    seen = ALWAYS_SEEN if layout.memory == o.SC else ALWAYS_SEEN | ON_MEMORY
    # A blocked task may leave its CPU only while it is blocked (`agents.go_idle`). A release or signal ends that, so
    # that with a scheduler the order of the two matters and these steps are not local.
    ending_waits = RELEASING | {o.SIGNAL} if scheduler else frozenset()
    candidates = set((reached & taken) - text.places(seen | ending_waits))
    walkers_are_targets = not text.places(_TARGETING_WALKERS).isdisjoint(taken)
    for task, pc, held, found in every:
        op = steps[pc][0]
        if quiet[pc] or pc not in candidates or op in AWAITING or (op in ENABLING and op not in RELEASING):
            continue
        others = tries if op in RELEASING else known
        for touch in found:
            if others.by_another(task, held, touch):
                candidates.discard(pc)
                break
    for pc in candidates:
        op = steps[pc][0]
        if op in AWAITING:
            quiet[pc] = QUIET_ONCE_POSSIBLE
        elif not (op == o.IRQ_ON and walkers_are_targets):
            quiet[pc] = QUIET_AND_ENABLING if op in ENABLING else QUIET
    for pc in candidates:
        if steps[pc][0] == o.V_LOAD and quiet[pc] and polls(text, quiet, pc):
            quiet[pc] = SEEN
    for pc in taken:
        op = steps[pc][0]
        back = op in LABELS and steps[pc][1 + LABELS[op]] <= pc
        if back and quiet[pc] and op not in PROGRESS and polls(text, quiet, pc):
            quiet[pc] = SEEN  # a loop that nothing ends: each round is a move
    return quiet


def polls(text: Text, quiet: list[int], load: int) -> bool:
    """Whether a program can loop back to a step by local steps that make no progress.

    Unless another task writes the variable, such a loop has no end, and neither would the move.
    """
    work, known = [load], set()
    while work:
        for then in text.after[work.pop()]:
            if then == load:
                return True
            if then not in known and quiet[then] and text.steps[then][0] not in PROGRESS:
                known.add(then)
                work.append(then)
    return False
