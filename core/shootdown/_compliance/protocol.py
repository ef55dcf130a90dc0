"""The order of the steps of a flush, followed along every path: begin, choose targets, send, wait.

Nothing is run: both ways of each branch are taken. What is known on the way is small, so that all of it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from shootdown._compliance.lowered import Flush, Machine, machines
from shootdown._compliance.subject import Subject
from shootdown._machine import ops as o
from shootdown._machine.courses import after
from shootdown._machine.steps.row import BY_MM, Use
from shootdown._machine.steps.table import STEPS, steps_that

#: Steps that end, stop or move the task, begin or end a gather, or change memory: not a flush's business.
_ALIEN = steps_that(lambda row: row.over) | {
    o.SPAWN,
    o.SIGNAL,
    o.AWAIT,
    o.MIGRATE,
    o.RELEASE_MM,
    o.ON_MM,
    o.FAIL,
    o.MARK,
    o.CHOICE,
    o.GATHER,
    o.GATHER_END,
    o.USER_MODE,
}
#: Calls that the hardware carries out: several may be under way.
_BROADCASTS = (o.CALL_BROADCAST,)
#: Calls whose targets execute what their handler says, whatever their tlb_gen.
_EXECUTING = (o.CALL_INVALIDATE, o.CALL_INVALIDATE_MASKED)
#: Units that are counted in strides of the range.
_STRIDES = o.PER_STRIDE | o.PER_RANGE_DIGIT | o.PER_PMD | o.ONE_STRIDE | o.MORE_STRIDES
#: More states than any flush has that was written by hand.
_MOST = 50_000

CALLS = {
    o.CALL_FLUSH: "CALL_FLUSH",
    o.CALL_SYNC: "CALL_SYNC",
    o.CALL_HYPERCALL: "CALL_HYPERCALL",
    o.CALL_BROADCAST: "CALL_BROADCAST",
    o.CALL_TRANSITION: "CALL_TRANSITION",
    o.CALL_INVALIDATE: "CALL_INVALIDATE",
    o.CALL_INVALIDATE_MASKED: "CALL_INVALIDATE_MASKED",
    o.CALL_LEAVE: "CALL_LEAVE",
    o.CALL_RCU: "CALL_RCU",
    o.CALL_BARRIER: "CALL_BARRIER",
    o.CALL_KERNEL: "CALL_KERNEL",
}


class _Known(NamedTuple):
    """What is so where a path has come to.

    Args:
        begun: a flush has begun.
        aimed: targets are chosen, and not sent to.
        sent: the call that is under way; 0 for none.
        counted: broadcast instructions were counted that nothing has sent yet.
        held: the locks that are held, each with whether for writing.
        asked: the gathers that have a range, as a mask.
        done: something was sent, or invalidated on this CPU.
        waited: the call that was waited for last; 0 for none.
        itself: this CPU is among the targets.
        told: what the targets will execute is counted.
        ranged: the flush is of a range, or of everything, as the last branch on that has it; None before one.
    """

    begun: bool
    aimed: bool
    sent: int
    counted: bool
    held: frozenset[tuple[int, bool]]
    asked: int
    done: bool
    waited: int
    itself: bool = False
    told: bool = False
    ranged: bool | None = None


class Mistake(NamedTuple):
    """Something wrong on a path.

    Args:
        text: what, and at which step.
        about: `order`, `locks` or `counts`.
    """

    text: str
    about: str


class Followed(NamedTuple):
    """What the paths of a flush are like.

    Args:
        mistakes: what is wrong on them, each mistake once.
        nested: by a lock that is held and one that is taken then, the step that does so.
        ranged: by step, whether the flush is of a range there, as far as branches tell; both where paths join.
    """

    mistakes: list[Mistake]
    nested: dict[tuple[int, int], str]
    ranged: dict[int, set[bool | None]]


def every_flush(subject: Subject) -> tuple[tuple[Machine, Flush, Followed], ...]:
    """Return each flush of the machines that differ, with what its paths are like."""
    kept: tuple[tuple[Machine, Flush, Followed], ...] | None = subject.__dict__.get("paths of flushes")
    if kept is None:
        kept = tuple(
            (machine, flush, followed(flush)) for machine in machines(subject)[0] for flush in machine.flushes
        )
        subject.__dict__["paths of flushes"] = kept
    return kept


def followed(flush: Flush) -> Followed:
    """Follow a flush's steps along every path."""
    found: dict[Mistake, None] = {}
    nested: dict[tuple[int, int], str] = {}
    waits: dict[int, bool] = {}
    ranged: dict[int, set[bool | None]] = {}
    rows, own = flush.rows(), flush.own
    gather = rows[flush.at][1]
    start = (own.start, _Known(False, False, 0, False, frozenset(), 1 << gather, False, 0))
    seen = {start}
    work = [start]
    leads: dict[tuple[int, _Known], list[tuple[int, _Known]]] = {}
    ends: list[tuple[int, _Known]] = []
    while work:
        state = work.pop()
        pc, known = state
        if pc == own.stop:
            ends.append(state)
            for text, about in _at_the_end(known):
                found[Mistake(text, about)] = None
            continue
        if pc not in own:
            found[
                Mistake(f"step {pc} lies outside of what it wrote: a jump leads out of the flush", "order")
            ] = None
            continue
        for text, about in _wrong(flush, rows[pc], known):
            found[Mistake(f"{_place(flush, pc)} {text}", about)] = None
        if rows[pc][0] in _ALIEN:
            continue
        ranged.setdefault(pc, set()).add(known.ranged)
        if STEPS[rows[pc][0]].lock not in (None, Use.RELEASE):
            nested |= {(number, rows[pc][1]): _place(flush, pc) for number, _ in known.held}
        if rows[pc][0] == o.WAIT:
            waits[pc] = waits.get(pc, False) or bool(known.sent) or known.aimed or _completes(rows[pc + 1])
        for then, now in _next(rows, pc, known):
            leads.setdefault((then, now), []).append(state)
            if (then, now) not in seen:
                seen.add((then, now))
                work.append((then, now))
        if len(seen) > _MOST:
            found[
                Mistake(f"its steps have more than {_MOST:,} states: too many branches to follow", "order")
            ] = None
            return Followed(list(found), nested, ranged)
    if not found and (stuck := _never_ends(seen, leads, ends)):
        found[Mistake(f"{_place(flush, min(stuck))} begins a loop that never ends", "order")] = None
    for pc in (pc for pc, asked in waits.items() if not asked):
        found[
            Mistake(f"{_place(flush, pc)} waits for answers, and no path to it sends anything", "order")
        ] = None
    for pc in (pc for pc, either in ranged.items() if either == {False} and _by_strides(rows[pc])):
        found[
            Mistake(
                f"{_place(flush, pc)} counts by strides where everything is flushed, which has none", "counts"
            )
        ] = None
    return Followed(list(found), nested, ranged)


def _by_strides(step: list[int]) -> bool:
    return step[0] == o.EXECUTE and bool(step[3] & _STRIDES)


def _completes(step: list[int]) -> bool:
    return step[0] == o.NOTE and step[1] == o.NOTE_COMPLETION


def _never_ends(
    seen: set[tuple[int, _Known]],
    leads: dict[tuple[int, _Known], list[tuple[int, _Known]]],
    ends: list[tuple[int, _Known]],
) -> set[int]:
    """Return the steps from which no path leads to the end."""
    good = set(ends)
    work = list(ends)
    while work:
        for before in leads.get(work.pop(), ()):
            if before not in good:
                good.add(before)
                work.append(before)
    return {pc for pc, _ in seen - good}


def _place(flush: Flush, pc: int) -> str:
    """Name a step by its operation and, where a plugin's file wrote it, by its line."""
    name = STEPS[flush.rows()[pc][0]].name
    site = flush.code.sites[pc]
    return f"{name} ({site})" if site is not None else f"{name} (step {pc - flush.own.start} of the flush)"


def _wrong(flush: Flush, step: list[int], known: _Known) -> Iterator[tuple[str, str]]:
    op = step[0]
    row = STEPS[op]
    if op in _ALIEN:
        yield "is no step of a flush: it ends, stops or moves the task, or begins or ends a gather", "order"
    elif op == o.FLUSH_BEGIN:
        if not known.asked >> step[1] & 1:
            yield (
                f"begins the flush of gather {step[1]}, which nobody has given a range: the one asked for has",
                "order",
            )
        if known.aimed and not step[4] & o.UNTRACKED:
            yield (
                "comes after the targets were chosen: a CPU that loads the mm between the two is neither a target "
                "nor behind in tlb_gen",
                "order",
            )
        if known.sent and known.sent not in _BROADCASTS:
            yield f"begins a flush before it has waited for {CALLS.get(known.sent)}", "order"
    elif op == o.SEND:
        yield from _wrong_send(step, known, bool(flush.code.instructions))
    elif op == o.WAIT:
        if known.aimed:
            yield "waits for answers before anything is sent to the targets", "order"
        if known.counted:
            yield "waits for broadcasts that were counted but never sent: broadcast() sends them", "counts"
    elif _completes(step):
        if known.waited not in (0, *_BROADCASTS):
            yield (
                f"completes broadcasts, and {CALLS.get(known.waited)} was sent: wait_for_answers() waits for that",
                "counts",
            )
    elif op == o.CANCEL:
        if known.sent:
            yield f"cancels {CALLS.get(known.sent)}, which was sent: wait for its answers", "order"
    elif op in (o.FLUSH_SELF, o.KERNEL_SELF):
        if not known.begun and not known.sent:
            yield "invalidates on this CPU before a flush has begun: nothing says what", "order"
    elif op == o.FLUSH_LOCAL_PAGES:
        if not known.begun:
            yield "invalidates pages before a flush has begun: nothing says which", "order"
    elif op == o.JUMP_WHOLE:
        if not known.begun:
            yield "asks whether the flush is of a range before one has begun", "order"
    elif op == o.EXECUTE:
        yield from _wrong_count(step, known)
        if step[3] & o.PER_CALL_BELOW and not flush.lowering.reach_of_calls:
            yield (
                "counts for each call that it takes to reach all CPUs, and reach_of_calls is 0: one call reaches any",
                "counts",
            )
    elif row.lock is not None:
        yield from _wrong_lock(step, known)


def _wrong_send(step: list[int], known: _Known, counts: bool) -> Iterator[tuple[str, str]]:
    call, scope = step[1], step[2]
    name = CALLS.get(call, f"call {call}")
    if not known.aimed:
        yield f"sends {name} to nobody: no targets have been chosen since the last one", "order"
    if call in o.INVALIDATING_CALLS and scope and not known.begun:
        yield f"sends {name} before a flush has begun: nothing says what is to go", "order"
    if known.itself and call in o.INTERRUPTING_CALLS:
        yield (
            f"sends {name} to this CPU too: Linux interrupts others, and runs the handler here by itself",
            "order",
        )
    if counts and call in _EXECUTING and scope and known.aimed and not known.told:
        yield (
            f"sends {name}, and nothing counts what its targets execute: execute(..., per=ops.PER_TARGET) does, before",
            "counts",
        )
    if known.sent and not (known.sent in _BROADCASTS and call in _BROADCASTS):
        yield f"sends {name} before it has waited for {CALLS.get(known.sent)}, which it replaces", "order"
    if call == o.CALL_BROADCAST and step[3] == -1 and scope and not known.counted:
        yield (
            "says that its broadcasts were counted, and no execute(..., broadcasts=True) comes before it",
            "counts",
        )


def _wrong_count(step: list[int], known: _Known) -> Iterator[tuple[str, str]]:
    per = step[3]
    if per & o.PER_TARGET and not known.aimed:
        yield (
            "counts for each target, and there are none at this point: count before the call is sent",
            "counts",
        )
    if per & o.IN_MASK and not (per & o.PER_TARGET and known.begun):
        yield (
            "counts for targets in mm_cpumask; PER_TARGET, and a flush that has begun, belong to that",
            "counts",
        )
    if _by_strides(step) and not known.begun:
        yield "counts by the strides of a flush that has not begun", "counts"
    if step[2] < 1:
        yield f"counts {step[2]} instructions", "counts"


def _wrong_lock(step: list[int], known: _Known) -> Iterator[tuple[str, str]]:
    row = STEPS[step[0]]
    lock = (step[1], row.for_writing)
    if step[2]:
        which = "that of the mm" if step[2] == BY_MM else "that of a page table"
        yield f"takes or releases a lock of mm/, {which}: a flush has machine-wide locks only", "locks"
    elif row.lock is Use.RELEASE:
        if lock not in known.held:
            yield f"releases lock {step[1]}, which is not held here", "locks"
    elif any(number == step[1] for number, _ in known.held):
        yield f"takes lock {step[1]} a second time: it waits for itself", "locks"


def _next(rows: list[list[int]], pc: int, known: _Known) -> Iterator[tuple[int, _Known]]:
    step = rows[pc]
    op = step[0]
    row = STEPS[op]
    now = known
    if op in (o.FLUSH_BEGIN, o.KERNEL_BEGIN):
        now = known._replace(begun=True, ranged=None)
    elif op in (o.REQUEST, o.GATHER_ADD, o.GATHER_SLOT):
        now = known._replace(asked=known.asked | 1 << step[1])
    elif op == o.COPY_RANGE:
        now = known._replace(asked=known.asked | 1 << 2)
    elif row.targets in ("all", "mm"):
        now = known._replace(aimed=True, itself=op == o.TARGET_EVERY or (op == o.TARGET_MM and step[1] != 0))
    elif op == o.SEND:
        broadcast = step[1] == o.CALL_BROADCAST
        now = known._replace(aimed=False, sent=step[1], counted=known.counted and not broadcast, done=True)
        now = now._replace(itself=False, told=False)
    elif op in (o.WAIT, o.CANCEL):
        now = known._replace(begun=False, aimed=False, sent=0, waited=known.sent, itself=False, told=False)
    elif op in (o.FLUSH_SELF, o.KERNEL_SELF, o.FLUSH_LOCAL_PAGES):
        now = known._replace(done=True)
    elif op == o.EXECUTE:
        broadcasts, each = bool(step[3] & o.BROADCASTS), bool(step[3] & o.PER_TARGET)
        now = known._replace(counted=known.counted or broadcasts, told=known.told or each)
    elif row.lock is Use.RELEASE:
        now = known._replace(held=known.held - {(step[1], row.for_writing)})
    elif row.lock is not None and not step[2]:
        now = known._replace(held=known.held | {(step[1], row.for_writing)})
    for then in after(rows, pc):
        if op == o.JUMP_NO_TARGET and then == step[1] and then != pc + 1:
            yield then, now._replace(aimed=False)
        elif op == o.JUMP_WHOLE:
            yield then, now._replace(ranged=then != step[1])
        elif op == o.TRY_WRITE and then == step[3]:
            yield then, known
        else:
            yield then, now


def _at_the_end(known: _Known) -> Iterator[tuple[str, str]]:
    if known.sent:
        yield (
            f"a path ends without waiting for {CALLS.get(known.sent)}: wait_for_answers() or complete()",
            "order",
        )
    elif known.aimed:
        yield "a path ends with targets that nothing was sent to: send(), or cancel()", "order"
    if known.counted:
        yield "a path ends with broadcasts that were counted but never sent: broadcast() sends them", "counts"
    for lock, _ in sorted(known.held):
        yield f"a path ends with lock {lock} held", "locks"
