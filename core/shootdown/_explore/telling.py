"""Tell the story of a bug: make the moves that lead to it once more, one by one, and describe each.

With symmetry, a search renames CPUs, tasks and mms after each move, to the state that represents all like ones; a story
keeps one name for each. A move of a search is a step with the local steps after it; a story takes each step on its own
and describes its changes. That both reach the same states is checked here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._compilation.running import runnable
from shootdown._explore.changes import State, Words
from shootdown._explore.concrete import concrete
from shootdown._explore.engine import Explorer
from shootdown._explore.labels import MOVES, move_words, parts
from shootdown._explore.moves import (
    AWAY,
    BACK,
    CHOOSE,
    COPY,
    DRAIN,
    FILL,
    GRANT,
    IDLE,
    LONGEST,
    PREEMPT,
    REFUSED,
    RESUME,
    STEP,
    SWITCH,
    TAKE,
    VIOLATED,
    forget_dead,
    goes_on,
    label_of,
    move,
)
from shootdown._explore.outcome import Outcome
from shootdown._explore.story import Atom, Line, Story, called
from shootdown._machine import ops as o
from shootdown._machine.layout import (
    CPU_CALL,
    CPU_CELLS,
    CPU_TASK,
    STORE_CELLS,
    T_CPU,
    T_PC,
    T_REG,
    TASK_CELLS,
    Layout,
    padded,
)
from shootdown._machine.sets import PREEMPTED, cpu_set, has
from shootdown._machine.step import step
from shootdown._machine.steps.table import STEPS, holds
from shootdown._values.verdict import DEADLOCK, LIVELOCK

#: Moves that continue with the local steps of a task.
_OF_A_TASK = (STEP, CHOOSE, GRANT)
_OF_A_CPU = (TAKE, RESUME)
#: Of a move that never ends, so many steps are told.
_ROUND = 24
_HANDLERS = {
    o.CALL_FLUSH: ("flush_tlb_func", "takes the flush IPI of CPU {}"),
    o.CALL_SYNC: ("tlb_remove_table_smp_sync", "takes the sync IPI of CPU {}"),
    o.CALL_HYPERCALL: ("", "the hypervisor flushes here for CPU {}"),
    o.CALL_BROADCAST: ("", "the invalidation that CPU {} broadcast arrives"),
    o.CALL_TRANSITION: ("", "takes the IPI of CPU {}: global ASID"),
    o.CALL_INVALIDATE: ("", "takes the invalidation IPI of CPU {}"),
    o.CALL_INVALIDATE_MASKED: ("", "takes the invalidation IPI of CPU {}, if it ran the mm"),
    o.CALL_LEAVE: ("", "takes the IPI of CPU {}: leave the mm"),
    o.CALL_BARRIER: ("ipi_mb", "takes the barrier IPI of CPU {}"),
    o.CALL_KERNEL: ("", "takes the IPI of CPU {}: kernel addresses"),
    o.CALL_RCU: ("", "is in a quiescent state: CPU {}'s grace period goes on"),
}
#: The invariants that every machine has, each as a sentence.
SENTENCES = {
    "walk-cache": "A hardware walker may not use a cached link to a page table that belongs to somebody else by "
    "then, or to nobody.",
    DEADLOCK: "Nobody may wait for ever.",
    LIVELOCK: "Whatever has an end can get to it.",
}


def digest(state: State, layout: Layout) -> str:
    """Return a digest of a state as 16 hexadecimal digits.

    Numbers too large for cells of 32 bits count as the largest that fits, as in exploration. The registers of a patch's
    fields are left out: stories that were saved before there were fields still replay.
    """
    used = layout.o_links + (layout.cpus * layout.mms * layout.slots if layout.walks else 0)
    cells = np.minimum(state[:used].astype("<i8"), 0xFFFF_FFFF)
    tasks = np.arange(layout.tasks) * TASK_CELLS + layout.o_task + T_REG
    cells = np.delete(cells, [*(tasks + o.OWN), *(tasks + o.VALUE)])
    cells = np.pad(cells, (0, padded(len(cells)) - len(cells)))
    return hashlib.sha256(cells.tobytes()).hexdigest()[:16]


def tell(explorer: Explorer, outcome: Outcome, sentences: Mapping[str, str] | None = None) -> Story:
    """Tell the story of a bug.

    Args:
        explorer: the explorer that found it.
        outcome: its outcome, whose verdict is `bug` or `livelock`.
        sentences: the scenario's own invariants, explained.
    """
    assert outcome.invariant is not None
    teller = _Teller(explorer)
    for label in concrete(explorer, outcome.path):
        teller.make(label)
    if outcome.invariant == DEADLOCK or (outcome.invariant == LIVELOCK and not outcome.path):
        teller.begin_all()
    return teller.story(outcome.invariant, SENTENCES | dict(sentences or {}))


def retell(
    explorer: Explorer,
    moves: Sequence[tuple[int, int]],
    invariant: str,
    sentences: Mapping[str, str] | None = None,
) -> Story:
    """Tell a story whose moves are known, each with the number of a task's steps that belong to it.

    Args:
        explorer: an explorer of the machine; it does not matter which steps it fuses.
        moves: labels and numbers of steps; each move must be possible.
        invariant: the one that does not hold at the end.
        sentences: the scenario's own invariants, explained.
    """
    teller = _Teller(explorer)
    for label, steps in moves:
        teller.make(label, steps)
    return teller.story(invariant, SENTENCES | dict(sentences or {}))


class _Teller:
    """Make moves step by step, and write a line for each."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        machine = explorer.problem.machine
        self.code, self.layout = machine.code, machine.layout
        self.state = explorer.first.copy()
        self.fused = explorer.first.copy()
        self.words = Words(self.layout, machine.names, machine.words, machine.atoms, machine.frames)
        self.lines: list[Line] = []
        steps, lists, layout, marks, rules = explorer.program
        self.one_by_one = (steps, lists, layout, marks, rules._replace(fuse=0, dead=0))

    def make(self, label: int, steps: int | None = None) -> None:
        """Make one move: with the steps that the search fuses, or with a given number of a task's steps."""
        kind, x, _ = parts(label)
        cpu = self._cpu(label)
        begins = kind == STEP and runnable(goes_on)(*self.explorer.program[3:], self._pc(x))
        atoms = [self._first(label)]
        task = x if kind in _OF_A_TASK else self._task_after(kind, x)
        if (
            self._failed and task >= 0 and self._fails_next(task)
        ):  # a check right after the move belongs to it
            atoms.append(self._atom(task, self._pc(task), self.state))
        elif task >= 0 and not self._failed:
            self._go_on(label, task, atoms, steps, begins=begins)
        lanes = self.explorer.problem.lanes
        lane = lanes[cpu] if cpu < len(lanes) else ""
        self.lines.append(
            Line(
                len(self.lines) + 1, cpu, lane, MOVES[kind][1], move_words(label), tuple(atoms), self._failed
            )
        )
        if steps is None:
            self._check(label)

    def begin_all(self) -> None:
        """Let every task that has made no move yet take the local steps that it begins with."""
        for task in range(self.layout.tasks):
            label = runnable(label_of)(STEP, task, 0)
            if runnable(move)(self.fused.copy(), *self.explorer.program, label):
                self.make(label)

    def _check(self, label: int) -> None:
        """Check that the search's move leads to the same state, apart from dead values."""
        said = runnable(move)(self.fused, *self.explorer.program, label)
        if (said & 3 == VIOLATED) != self._failed:
            raise AssertionError("a move taken step by step breaks something else")
        if self._failed:
            return
        plain = self.state.copy()
        if self.explorer.rules.dead:
            for task in range(self.layout.tasks):
                runnable(forget_dead)(plain, self.explorer.marks.dead, self.layout, task)
                runnable(forget_dead)(self.fused, self.explorer.marks.dead, self.layout, task)
        if not np.array_equal(plain, self.fused):
            raise AssertionError("a move taken step by step leads elsewhere")

    def _first(self, label: int) -> Atom:
        """Make the first step or action of the move, and nothing after it."""
        kind, x, _ = parts(label)
        before = self.state.copy()
        pc = int(before[self.layout.o_task + x * TASK_CELLS + T_PC]) if kind in _OF_A_TASK else -1
        said = runnable(move)(self.state, *self.one_by_one, label)
        self._failed = said & 3 == VIOLATED
        if said == 0:
            raise AssertionError("a move of the story can't be made")
        if pc < 0:
            function, text = self._agent(label, before)
            return Atom(function, "", text, tuple(self.words.changed(before, self.state)), self._cpu(label))
        atom = self._atom(x, pc, before)
        if kind == CHOOSE and not self.code.notes[pc].text:
            return attrs.evolve(atom, text="goes the other way")
        if kind == GRANT:
            return attrs.evolve(atom, text=f"woken: {atom.text}")
        if atom.text:
            return atom
        began = any(line.move == move_words(label) for line in self.lines)
        return attrs.evolve(atom, text="goes on" if began else "begins")

    def _go_on(self, label: int, task: int, atoms: list[Atom], steps: int | None, *, begins: bool) -> None:
        """Take the further steps of a move: those that the search fuses, or a given number.

        Args:
            label, task: the move, and the task that continues.
            atoms: the atoms of the move; each step is appended.
            steps: the total number of steps; None: as many as the search fuses.
            begins: the move began with a local step: it has all steps up to the first one that is not local.
        """
        machine = self.explorer.problem.machine
        marks, rules = self.explorer.marks, self.explorer.rules
        while len(atoms) < (LONGEST if steps is None else steps):
            pc = self._pc(task)
            fails = int(self.code.steps[pc * 5]) == o.FAIL
            if steps is None and not (begins or fails or (rules.fuse and marks.local[pc])):
                return
            begins = begins and runnable(goes_on)(marks, rules, pc)
            before = self.state.copy()
            if parts(label)[0] == STEP and not fails:
                said = runnable(move)(self.state, *self.one_by_one, label)
                done, self._failed = said != REFUSED, said & 3 == VIOLATED
            else:
                said = runnable(step)(self.state, machine.code.steps, machine.code.lists, self.layout, task)
                done, self._failed = said & 7 in (o.DONE, o.FAILED), said & 7 == o.FAILED
            if not done:
                return
            atoms.append(self._atom(task, pc, before))
            if self._failed:
                if not fails and self._fails_next(task):  # a check right after the step belongs to it
                    atoms.append(self._atom(task, self._pc(task), self.state))
                return

    def _fails_next(self, task: int) -> bool:
        """Whether a task's next step reports a broken invariant."""
        return int(self.code.steps[self._pc(task) * 5]) == o.FAIL

    def _pc(self, task: int) -> int:
        return int(self.state[self.layout.o_task + task * TASK_CELLS + T_PC])

    def _atom(self, task: int, pc: int, before: State) -> Atom:
        note = self.code.notes[pc]
        operation = self.code.steps[pc * 5 : pc * 5 + 5].tolist()
        row = STEPS[operation[0]]
        cpu = int(before[self.layout.o_task + task * TASK_CELLS + T_CPU])
        if note.aside:
            return Atom(note.function, note.where, note.text, (), cpu, pc, aside=True)
        found = self.words.found(operation, task, before, self.state)
        text = note.text or self.words.does(operation)
        changed = (*found, *self.words.changed(before, self.state))
        return Atom(note.function, note.where, text, changed, cpu, pc, holds(row.aside, row, operation))

    def _cpu(self, label: int) -> int:
        kind, x, y = parts(label)
        if kind in (STEP, CHOOSE, IDLE, GRANT, SWITCH):
            return int(self.state[self.layout.o_task + x * TASK_CELLS + T_CPU])
        if kind == AWAY:
            return int(self.state[self.layout.o_task + x * TASK_CELLS + T_CPU])
        return y if kind in (TAKE, BACK) else x

    def _task_after(self, kind: int, x: int) -> int:
        """Return the task that continues after a move of an agent; -1 for none."""
        if kind == BACK:
            return x if self.explorer.rules.fuse else -1
        if kind == TAKE and self.layout.by_task:  # x is the task whose call was taken
            cpu = (
                int(self.state[self.layout.o_task + x * TASK_CELLS + T_CPU]) if x < self.layout.tasks else -1
            )
            return x if cpu >= 0 and self._task_on(cpu) == x else -1
        return self._task_on(x) if kind in _OF_A_CPU else -1

    def _task_on(self, cpu: int) -> int:
        """Return the task of a CPU that continues once its call is answered, or once its vCPU runs again."""
        layout = self.layout
        task = int(self.state[layout.o_cpu + cpu * CPU_CELLS + CPU_TASK]) - 1
        return -1 if runnable(has)(self.state, runnable(cpu_set)(layout, PREEMPTED), layout, cpu) else task

    def _agent(self, label: int, before: State) -> tuple[str, str]:
        """Describe an action of an agent."""
        layout = self.layout
        kind, x, y = parts(label)
        if kind == TAKE:
            function, text = _HANDLERS[int(before[layout.o_cpu + x * CPU_CELLS + CPU_CALL]) & o.CALL_MASK]
            at = layout.o_task + x * TASK_CELLS + T_CPU
            return function, text.format(int(before[at]) if layout.by_task else x)
        if kind == FILL:
            atom = y - layout.slots
            what = "the link to the table" if atom < 0 else f"the translation of {self.words.atom(atom)}"
            return "", f"the walker caches {what}"
        if kind == COPY:
            return "", f"the walker copies {self.words.variable(y)} into the TLB"
        if kind == DRAIN:
            variable = int(before[layout.o_store + (x * layout.stores + y) * STORE_CELLS]) - 1
            return "", f"the store to {self.words.variable(variable)} reaches memory"
        if kind == AWAY:
            what = (
                ("idles", "runs another thread of the process")[y]
                if y < 2
                else f"runs a thread of mm {y - 2}"
            )
            return "", f"task {x} is preempted while it waits; the CPU {what}"
        if kind == BACK:
            old = int(before[layout.o_task + x * TASK_CELLS + T_CPU])
            return "", f"task {x} goes on here" + (f"; it has waited on CPU {old}" if old != y else "")
        return "", {
            PREEMPT: "the host preempts the vCPU",
            RESUME: "the host lets the vCPU run",
            IDLE: "the task sleeps; the CPU idles",
            SWITCH: "the CPU switches to its task",
        }[kind]

    def story(self, invariant: str, sentences: dict[str, str]) -> Story:
        """Return the story of the moves made so far."""
        ending = self._ending(invariant)
        if invariant in (DEADLOCK, LIVELOCK) and self.lines:
            self.lines[-1] = attrs.evolve(self.lines[-1], bad=True)
        if invariant == LIVELOCK:  # a move may go round for ever
            self.lines = [
                attrs.evolve(line, atoms=line.atoms[:_ROUND]) if len(line.atoms) == LONGEST else line
                for line in self.lines
            ]
        lanes = list(self.explorer.problem.lanes[: self.layout.cpus])
        lanes += [""] * (self.layout.cpus - len(lanes))
        return Story(
            lanes=tuple(lanes),
            lines=tuple(self.lines),
            invariant=invariant,
            sentence=sentences.get(invariant, ""),
            ending=tuple(ending),
            state=digest(self.state, self.layout),
        )

    def _ending(self, invariant: str) -> list[str]:
        layout = self.layout
        if invariant == DEADLOCK:
            return waiting(self.state, self.code, layout)
        if invariant == LIVELOCK:
            from shootdown._explore.livelock import going_round

            return going_round(self.explorer, self.fused)
        dead = list(self.words.usable(self.state))
        if dead:
            return dead
        atom = self.lines[-1].atoms[-1]
        where = f" in {called(atom.function)}" if atom.function else ""
        return [f"CPU {atom.cpu}{where}: {atom.text}"]


def waiting(state: State, code: Any, layout: Any) -> list[str]:
    """Describe what each unfinished task waits for."""
    found = []
    for task in range(layout.tasks):
        row = layout.o_task + task * TASK_CELLS
        pc, cpu = int(state[row + T_PC]), int(state[row + T_CPU])
        if STEPS[int(code.steps[pc * 5])].over:
            continue
        note = code.notes[pc]
        where = f" in {called(note.function)}" if note.function else ""
        found.append(f"CPU {cpu} waits for ever{where}: {note.text or 'go on'}")
    return found


def stuck(explorer: Explorer, state: npt.NDArray[Any]) -> bool:
    """Whether no possible move of a state brings any task closer to its end."""
    from shootdown._explore.candidates import candidates, is_progress, somebody_waits

    machine = explorer.problem.machine
    labels = np.zeros(explorer.most_moves(), np.int64)
    count = runnable(candidates)(state, machine.code.steps, machine.layout, explorer.rules, labels)
    for label in labels[:count].tolist():
        if runnable(is_progress)(label) and runnable(move)(state.copy(), *explorer.program, label):
            return False
    return bool(runnable(somebody_waits)(state, machine.code.steps, machine.layout))
