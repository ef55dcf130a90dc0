"""What is known of parts of programs before they are linked: which of their steps are local beside which other parts.

A task's program is parts, one after another. What `flow`, `footprint`, `relevance` and `arrivals` find out about a
program follows here from its parts: each is looked at once, and pairs of parts, one on each of two CPUs, are looked at
for steps that meet. `linking` puts the answers together for each program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._explore import footprint
from shootdown._explore.acting import acting
from shootdown._explore.arrivals import USING_MMS, looks_at_generations, tracks, waits_for_each_call
from shootdown._explore.away import letting_go
from shootdown._explore.flow import LABELS, LOCAL, THINGS, reads_and_writes, text_of
from shootdown._explore.footprint import ANY, Touch
from shootdown._explore.linking import CHOOSES, LEAVES_OUT, LOOKS, MASKS, SWITCHES, TRACKS, Parts
from shootdown._explore.quiet import QUIET, QUIET_AND_ENABLING, QUIET_ONCE_POSSIBLE, SEEN
from shootdown._explore.relevance import FLUSHING, TARGETING, may_leave_out_anybody, names_a_cpu
from shootdown._machine import ops as o
from shootdown._machine.code import Code
from shootdown._machine.layout import Layout
from shootdown._machine.steps.cells import STORES
from shootdown._machine.steps.table import steps_that

#: Kinds of steps that others meet: a bit for each.
MOST_KINDS = 64
#: Steps that read memory, and change at most what no buffer holds back.
_READING = frozenset({o.V_LOAD, o.LOAD_PUD, o.ENTRY_LOAD})
#: Steps whose stores may wait in a buffer.
_STORING = steps_that(lambda row: any(cell.part == STORES.part for cell in row.writes))


class CannotBeLinkedError(Exception):
    """A part that can't be looked at without those before it."""


@attrs.frozen
class Part:
    """A part of a program.

    Args:
        begin, end: its steps.
        mm: that of its task.
        last: nothing follows it. After any other part, the text has one step that keeps it apart from the next.
    """

    begin: int
    end: int
    mm: int
    last: bool


def first_alike(code: Code, parts: Sequence[Part]) -> list[int]:
    """Return for each part the number of the first one that is the same, step by step."""
    known: dict[tuple[Any, ...], int] = {}
    rows = code.steps.reshape(-1, 5)
    found = []
    for number, part in enumerate(parts):
        own = rows[part.begin : part.end].copy()
        for step in own:
            label = LABELS.get(int(step[0]))
            if label is not None:
                step[1 + label] -= part.begin
        found.append(known.setdefault((part.mm, part.last, own.tobytes()), number))
    return found


class Linked:
    """Look at all parts of a text.

    Args:
        code: the text.
        layout: of a machine that runs it; how many CPUs and tasks that has makes no difference. With `by_task` tasks
            that wait may be preempted.
        parts: its parts; at most 64.
        hypervisor: vCPUs may be preempted.

    Raises:
        CannotBeLinkedError: a part leaves a lock held or works on another mm in the end.
    """

    def __init__(self, code: Code, layout: Layout, parts: Sequence[Part], *, hypervisor: bool) -> None:
        self.code = code
        self._layout = layout
        self._text = text = text_of(code)
        self._parts = parts
        self._around = footprint.agents(
            walkers=True,
            entries=False,
            hypervisor=hypervisor,
            scheduler=False,
            tlbs=True,
            preemption=layout.by_task != 0,
        )
        self._visits = [self._visits_of(part) for part in parts]
        steps = text.steps
        every = [[steps[pc] for pc in range(part.begin, part.end)] for part in parts]
        walkers = any(step[0] == o.TARGET_WALKERS for step in steps)
        moving = [self._local(still=still, walkers=walkers) for still in (False, True)]
        self.waits = waits_for_each_call(text)
        self.let_go = letting_go(text)
        self.names_cpus = any(map(names_a_cpu, steps))
        self.parts = Parts(
            steps=code.steps,
            label=np.array([1 + LABELS[step[0]] if step[0] in LABELS else 0 for step in steps], np.int64),
            dead=self._dead(),
            local=np.concatenate([found.local for found in moving]),
            clash=np.concatenate([found.clash for found in moving]),
            meets=np.concatenate([found.meets for found in moving]),
            future=np.concatenate([found.future for found in moving]),
            stays=np.concatenate([found.stays for found in moving]),
            acts=acting(code.steps),
            begin=np.array([part.begin for part in parts], np.int64),
            end=np.array([part.end for part in parts], np.int64),
            does=np.array([self._does(part, own) for part, own in zip(parts, every, strict=True)], np.int64),
            flushes=self._mms_at(FLUSHING | TARGETING),
            uses=self._mms_at(USING_MMS),
            total=len(steps),
        )

    def _visits_of(self, part: Part) -> dict[int, footprint.Visit]:
        found = footprint.visits_from(self._text, part.begin, part.mm, self._layout.slots)
        if not part.last:
            end = found.get(part.end)
            if end is not None and (end.on != part.mm or end.held):
                raise CannotBeLinkedError
        return {pc: visit for pc, visit in found.items() if part.begin <= pc < part.end}

    def _does(self, part: Part, steps: Sequence[tuple[int, ...]]) -> int:
        found = 0
        ops = {step[0] for step in steps}
        for bit, does in (
            (CHOOSES, o.CHOICE in ops),
            (SWITCHES, any(footprint.switches(step) for step in steps)),
            (TRACKS, any(map(tracks, steps))),
            (LOOKS, any(map(looks_at_generations, steps))),
            (MASKS, o.IRQ_OFF in ops),
            (LEAVES_OUT, may_leave_out_anybody(self._text, range(part.begin, part.end))),
        ):
            found |= bit if does else 0
        return found

    def _mms_at(self, ops: Iterable[int]) -> npt.NDArray[np.int64]:
        """Return for each part the mms on which it takes one of some steps, as a mask."""
        there = frozenset(ops)
        found = []
        for visits in self._visits:
            mms = {visit.on for pc, visit in visits.items() if self._text.steps[pc][0] in there}
            found.append((1 << self._layout.mms) - 1 if ANY in mms else sum(1 << mm for mm in mms))
        return np.array(found, np.int64)

    # --- dead values

    def _dead(self) -> npt.NDArray[np.int64]:
        """Return which values no later step reads, whatever part comes after the end of one."""
        text = self._text
        touched = [reads_and_writes(step) for step in text.steps]
        live = [0] * len(text.steps)
        apart = {part.end for part in self._parts if not part.last}
        changed = True
        while changed:
            changed = False
            first = 0
            for part in self._parts:
                first |= live[part.begin]
            for pc in range(len(text.steps) - 1, -1, -1):
                if pc in apart:
                    now = first
                else:
                    reads, writes = touched[pc]
                    out = 0
                    for then in text.after[pc]:
                        out |= live[then]
                    now = reads | (out & ~writes)
                if now != live[pc]:
                    live[pc] = now
                    changed = True
        everything = (1 << THINGS) - 1
        return np.array([everything & ~mask for mask in live], np.int64)

    # --- local steps

    def _local(self, *, still: bool, walkers: bool) -> _Found:
        """Return how local each step is by itself, and what makes it observable; see `footprint`."""
        text, layout = self._text, self._layout
        steps = text.steps
        count = len(steps)
        others, tries = _Others(), _Others()
        for number, visits in enumerate(self._visits):
            for pc, visit in visits.items():
                for touch in self._touches(pc, visit.on, 1, still=still):
                    others.add(number, visit.held, touch, pc)
                    if steps[pc][0] == o.TRY_WRITE:
                        tries.add(number, visit.held, touch, pc)
        local = np.zeros(count, np.uint8)
        clash = np.zeros(count, np.uint64)
        kinds: dict[Any, list[int]] = {}
        seen = footprint.ALWAYS_SEEN
        if layout.memory != o.SC:
            # A release of a lock waits for the stores of its critical section: a read by the lock meets none of them.
            seen = footprint.ALWAYS_SEEN | (footprint.ON_MEMORY - _READING)
        for visits in self._visits:
            for pc, visit in visits.items():
                op = steps[pc][0]
                if op in LOCAL:
                    local[pc] = QUIET
                    continue
                if op in seen:
                    continue
                found = self._touches(pc, visit.on, 0, still=still)
                enabling = op in footprint.ENABLING
                releasing = op in footprint.RELEASING
                mask = 0
                observed = False
                if op not in footprint.AWAITING and (not enabling or releasing):
                    asked = tries if releasing else others
                    for touch in found:
                        observed = observed or (
                            not releasing and any(footprint.meet(touch, other) for other in self._around)
                        )
                        mask |= asked.beside(visit.held, touch)
                if observed or (op == o.IRQ_ON and walkers):
                    continue
                clash[pc] = mask
                if mask:
                    kinds.setdefault((releasing, visit.held, tuple(found)), []).append(pc)
                local[pc] = (
                    QUIET_ONCE_POSSIBLE
                    if op in footprint.AWAITING
                    else QUIET_AND_ENABLING
                    if enabling
                    else QUIET
                )
        quiet = local.tolist()
        for pc in range(count):
            op = steps[pc][0]
            back = op in LABELS and steps[pc][1 + LABELS[op]] <= pc and op not in footprint.PROGRESS
            if quiet[pc] and (op == o.V_LOAD or back) and footprint.polls(text, quiet, pc):
                local[pc] = SEEN
        return self._yet_to_meet(local, clash, kinds, others, tries)

    def _yet_to_meet(
        self,
        local: npt.NDArray[np.uint8],
        clash: npt.NDArray[np.uint64],
        kinds: dict[Any, list[int]],
        others: _Others,
        tries: _Others,
    ) -> _Found:
        """Return for each kind of step that some other step meets which steps those are, and which come before them.

        What a call does to other CPUs it does until it was waited for; a store may wait in its buffer for long.
        """
        steps, after = self._text.steps, self._text.after
        count = len(steps)
        meets, future = np.zeros(count, np.int16), [0] * count
        chosen = sorted(kinds.items(), key=lambda item: -len(item[1]))[:MOST_KINDS]
        for number, ((releasing, held, touches), places) in enumerate(chosen):
            for pc in places:
                if local[pc]:
                    meets[pc] = number << 2 | int(local[pc])
            asked = tries if releasing else others
            for touch in touches:
                for pc in asked.steps_beside(held, touch):
                    future[pc] |= 1 << number
        own = list(future)
        for pc in range(count):
            if steps[pc][0] == o.SEND and own[pc]:
                work, known = list(after[pc]), set()
                while work:
                    then = work.pop()
                    if then not in known:
                        known.add(then)
                        future[then] |= own[pc]
                        if steps[then][0] != o.WAIT:
                            work += after[then]
        stays = []
        for part in self._parts:
            inside = range(part.begin, part.end)
            stays.append(0)
            for pc in inside:
                if steps[pc][0] in _STORING:
                    stays[-1] |= own[pc]
            changed = True
            while changed:
                changed = False
                for pc in reversed(inside):
                    now = future[pc]
                    for then in after[pc]:
                        if then in inside:
                            now |= future[then]
                    changed = changed or now != future[pc]
                    future[pc] = now
        return _Found(local, clash, meets, np.array(future, np.uint64), np.array(stays, np.uint64))

    def _touches(self, pc: int, on: int, cpu: int, *, still: bool) -> Sequence[Touch]:
        step = self._text.steps[pc]
        if step[0] in footprint.TOUCHES_NOTHING:
            return ()
        found = footprint.anywhere(footprint.touches(step, on, cpu, self._layout.slots), self._layout)
        return [one for one in found if one.what not in footprint.STANDING] if still else found


class _Found(NamedTuple):
    """What is known of the steps; see `Parts`."""

    local: npt.NDArray[np.uint8]
    clash: npt.NDArray[np.uint64]
    meets: npt.NDArray[np.int16]
    future: npt.NDArray[np.uint64]
    stays: npt.NDArray[np.uint64]


class _Others:
    """What parts touch on another CPU, and the locks that they hold meanwhile."""

    def __init__(self) -> None:
        self._of: dict[str, dict[tuple[Any, Touch], int]] = {}
        self._known: dict[tuple[Any, Touch], int] = {}
        self._steps: dict[tuple[Any, Touch], list[int]] = {}

    def add(self, part: int, held: Any, touch: Touch, pc: int) -> None:
        """Record that a part touches something in a step."""
        of_kind = self._of.setdefault(touch.what, {})
        of_kind[held, touch] = of_kind.get((held, touch), 0) | 1 << part
        self._steps.setdefault((held, touch), []).append(pc)

    def steps_beside(self, held: Any, touch: Touch) -> Iterator[int]:
        """Yield the steps of these parts that do so."""
        for other_held, other in self._of.get(touch.what, {}):
            if footprint.meet(touch, other) and not footprint.exclude(held, other_held):
                yield from self._steps[other_held, other]

    def beside(self, held: Any, touch: Touch) -> int:
        """Return the parts that may touch the same thing at the same time, where one of the two writes it."""
        asked = (held, touch)
        if asked not in self._known:
            found = 0
            for (other_held, other), parts in self._of.get(touch.what, {}).items():
                if footprint.meet(touch, other) and not footprint.exclude(held, other_held):
                    found |= parts
            self._known[asked] = found
        return self._known[asked]
