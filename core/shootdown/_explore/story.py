"""The story of a bug: the moves that lead to it, made once more and told one by one.

A search names its moves in the states that stand for all that are alike; a story keeps one name for each CPU. A move
of a search is a step with the local ones after it; a story takes each step on its own, so that it can say what each
changed. Both come to the same states, which is checked here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._errors import ShootdownError
from shootdown._explore.changes import State, Words, mm_name
from shootdown._explore.engine import DEADLOCK, Explorer, Outcome
from shootdown._explore.moves import (
    CHOOSE,
    COPY,
    DRAIN,
    FILL,
    GRANT,
    IDLE,
    KINDS,
    PREEMPT,
    RESUME,
    STEP,
    SWITCH,
    TAKE,
    VIOLATED,
    WALK,
    forget_dead,
    label_of,
    move,
)
from shootdown._machine import ops as o
from shootdown._machine.layout import (
    CPU_CALL,
    CPU_CELLS,
    CPU_MM,
    CPU_TASK,
    STORE_CELLS,
    T_CPU,
    T_PC,
    TASK_CELLS,
)
from shootdown._machine.step import PREEMPTED, cpu_set, has, step

#: Moves by the word that stands for them in JSON, and who makes them.
MOVES = {
    STEP: ("step", "task"),
    CHOOSE: ("choose", "task"),
    TAKE: ("take", "interrupt"),
    FILL: ("fill", "hardware walker"),
    WALK: ("walk", "hardware walker"),
    COPY: ("copy", "hardware walker"),
    DRAIN: ("drain", "store buffer"),
    PREEMPT: ("preempt", "host"),
    RESUME: ("resume", "host"),
    IDLE: ("idle", "scheduler"),
    GRANT: ("grant", "scheduler"),
    SWITCH: ("switch", "scheduler"),
}
#: Those that go on with the local steps of a task.
_OF_A_TASK = (STEP, CHOOSE, GRANT)
_OF_A_CPU = (TAKE, RESUME)
_HANDLERS = {
    o.CALL_FLUSH: ("flush_tlb_func", "takes the flush IPI of CPU {}"),
    o.CALL_SYNC: ("tlb_remove_table_smp_sync", "takes the sync IPI of CPU {}"),
    o.CALL_HYPERCALL: ("", "the hypervisor flushes here for CPU {}"),
    o.CALL_BROADCAST: ("", "the invalidation that CPU {} broadcast arrives"),
    o.CALL_TRANSITION: ("", "takes the IPI of CPU {}: global ASID"),
    o.CALL_INVALIDATE: ("", "takes the invalidation IPI of CPU {}"),
    o.CALL_LEAVE: ("", "takes the IPI of CPU {}: leave the mm"),
    o.CALL_RCU: ("", "is in a quiescent state: CPU {}'s grace period goes on"),
}
#: What a step is called whose program gives it no words.
_STEP_WORDS = {
    o.CHOICE: "goes one way",
    o.PARK: "has nothing more to do",
    o.HALT: "the task is gone",
    o.SIGNAL: "tells who waits",
    o.AWAIT: "goes on: it was told",
    o.FENCE: "full barrier",
    o.WAIT: "all targets have answered",
    o.IRQ_OFF: "interrupts off",
    o.IRQ_ON: "interrupts on",
    o.LOAD_PUD: "read the PUD entry",
    o.JUMP_EXCLUSIVE: "is the table exclusive?",
    o.TOUCH: "access",
}

#: The invariants that every machine has, in a sentence.
SENTENCES = {
    "walk-cache": "A hardware walker may not use a cached link to a page table that belongs to somebody else by "
    "then, or to nobody.",
    DEADLOCK: "Nobody may wait for ever.",
}


@attrs.frozen
class Atom:
    """One step of a task, or what an agent did, in a story.

    Args:
        function: the kernel function, or empty.
        file: its source file, or empty.
        text: what is done.
        changed: what changed, or what was read, each in a few words.
        pc: the number of the step in the programs; -1 for an agent.
        aside: it is there for counting or for taking time, and changes nothing.
    """

    function: str
    file: str
    text: str
    changed: tuple[str, ...]
    pc: int = -1
    aside: bool = False

    @property
    def tells(self) -> bool:
        """There is something to read here."""
        return bool(self.changed or (self.text and not self.aside))

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "function": self.function or None,
            "file": self.file or None,
            "step": self.text,
            "changed": list(self.changed),
        }


@attrs.frozen
class Line:
    """One move of a story.

    Args:
        number: from one.
        cpu: where it happens.
        lane: what that CPU does in the scenario.
        who: `task`, `interrupt`, `hardware walker`, `store buffer`, `host` or `scheduler`.
        move: the move for a replay, such as `step 1` or `take 0 2`.
        atoms: what happens, the move itself first, then the local steps that belong to it.
        bad: after it, the invariant does not hold.
    """

    number: int
    cpu: int
    lane: str
    who: str
    move: str
    atoms: tuple[Atom, ...]
    bad: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON; `steps` counts those of a task that a replay takes."""
        return {
            "cpu": self.cpu,
            "lane": self.lane,
            "who": self.who,
            "move": self.move,
            "steps": len(self.atoms),
            **self.atoms[0].to_dict(),
            "then": [atom.to_dict() for atom in self.atoms[1:] if atom.tells],
            "bad": self.bad,
        }


@attrs.frozen
class Story:
    """How a bug comes about.

    Args:
        lanes: what each CPU does, by number.
        lines: the moves.
        invariant: the one that does not hold at the end.
        sentence: that invariant, explained.
        ending: what is bad, each a sentence: what the last step found, or who waits for what.
        state: a digest of the last state, the same for whoever makes these moves.
    """

    lanes: tuple[str, ...]
    lines: tuple[Line, ...]
    invariant: str
    sentence: str
    ending: tuple[str, ...]
    state: str

    def to_list(self) -> list[dict[str, Any]]:
        """Return the moves for JSON; the last one has the digest of the state that it leads to."""
        lines = [line.to_dict() for line in self.lines]
        if lines:
            lines[-1]["ending"] = list(self.ending)
            lines[-1]["state"] = self.state
        return lines


def digest(state: State, size: int) -> str:
    """Return 16 hexadecimal digits that two states share if and (for all practical purposes) only if they are equal."""
    cells = np.ascontiguousarray(state[:size], dtype="<i8")
    return hashlib.sha256(cells.tobytes()).hexdigest()[:16]


def tell(explorer: Explorer, outcome: Outcome, sentences: dict[str, str] | None = None) -> Story:
    """Tell the story of a bug.

    Args:
        explorer: what found it.
        outcome: what it found; its verdict is `bug`.
        sentences: the scenario's own invariants, explained.
    """
    assert outcome.invariant is not None
    teller = _Teller(explorer)
    for label in concrete(explorer, outcome.path):
        teller.make(label)
    return teller.story(outcome.invariant, SENTENCES | (sentences or {}))


def concrete(explorer: Explorer, path: Sequence[int]) -> list[int]:
    """Name the moves of a search anew, each CPU, task and mm by one name throughout.

    Where like parts of a machine stand for each other, the search renamed each state to the one that stands for all
    that are alike. Of the moves of the real state, the one that leads to a state alike is the one.
    """
    from shootdown._explore.symmetry import canonical

    if explorer.symmetry.groups < 2:
        return list(path)
    layout = explorer.problem.machine.layout
    real, named = explorer.first.copy(), explorer.first.copy()
    spare = named.copy()
    labels = []
    for label in path:
        said = move(named, *explorer.program, label)
        canonical(named, spare, layout, explorer.symmetry)
        for candidate in _alike(label, layout.tasks, layout.cpus):
            then = real.copy()
            if move(then, *explorer.program, candidate) != said:
                continue
            alike = then.copy()
            canonical(alike, spare, layout, explorer.symmetry)
            if said & 3 == VIOLATED or np.array_equal(alike, named):
                labels.append(candidate)
                real = then
                break
        else:
            raise AssertionError("no move of the real state leads to a state that is alike")
    return labels


def _alike(label: int, tasks: int, cpus: int) -> list[int]:
    """List the moves of the same kind, those of the same names first."""
    kind, x, y = parts(label)
    if kind in (STEP, CHOOSE, IDLE, GRANT, SWITCH):
        others = [label_of(kind, task, 0) for task in range(tasks)]
    elif kind == TAKE:
        others = [label_of(kind, one, two) for one in range(cpus) for two in range(cpus)]
    else:
        others = [label_of(kind, cpu, y) for cpu in range(cpus)]
    return [label, *(other for other in others if other != label)]


def parts(label: int) -> tuple[int, int, int]:
    """Take a label apart: the kind of move, and its two numbers."""
    return label & 15, label >> 4 & 0xFF, label >> 12 & 0xFF


def move_words(label: int) -> str:
    """Write a move for JSON."""
    kind, x, y = parts(label)
    return f"{MOVES[kind][0]} {x} {y}" if kind in (TAKE, COPY, DRAIN) else f"{MOVES[kind][0]} {x}"


def read_move(text: str) -> int:
    """Read what `move_words` wrote.

    Raises:
        ShootdownError: it is no move.
    """
    word, *numbers = text.split()
    kinds = {name: kind for kind, (name, _) in MOVES.items()}
    assert len(kinds) == KINDS
    if word not in kinds or len(numbers) != 1 + (kinds[word] in (TAKE, COPY, DRAIN)):
        raise ShootdownError(f"{text!r} is no move")
    if not all(number.isdecimal() and int(number) <= 0xFF for number in numbers):
        raise ShootdownError(f"{text!r} is no move")
    return label_of(kinds[word], int(numbers[0]), int(numbers[1]) if len(numbers) > 1 else 0)


class _Teller:
    """Make moves step by step, and write a line for each."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        machine = explorer.problem.machine
        self.code, self.layout = machine.code, machine.layout
        self.state = explorer.first.copy()
        self.fused = explorer.first.copy()
        self.words = Words(self.layout, machine.names)
        self.lines: list[Line] = []
        steps, lists, layout, marks, rules = explorer.program
        self.one_by_one = (steps, lists, layout, marks, rules._replace(fuse=0, dead=0))

    def make(self, label: int) -> None:
        """Make one move of the search."""
        said = move(self.fused, *self.explorer.program, label)
        bad = said & 3 == VIOLATED
        kind, x, _ = parts(label)
        cpu = self._cpu(label)
        atoms = [self._first(label)]
        task = x if kind in _OF_A_TASK else self._task_on(x) if kind in _OF_A_CPU else -1
        if task >= 0 and self.explorer.rules.fuse and not (bad and atoms[0].pc >= 0 and self._failed):
            self._go_on(task, atoms)
        lanes = self.explorer.problem.lanes
        lane = lanes[cpu] if cpu < len(lanes) else ""
        self.lines.append(
            Line(len(self.lines) + 1, cpu, lane, MOVES[kind][1], move_words(label), tuple(atoms), bad)
        )
        self._check(bad)

    def _check(self, bad: bool) -> None:
        """Compare with the move that the search made: but for values that nobody reads, both are the same."""
        if bad:
            return
        plain = self.state.copy()
        if self.explorer.rules.dead:
            for task in range(self.layout.tasks):
                forget_dead(plain, self.explorer.marks.dead, self.layout, task)
                forget_dead(self.fused, self.explorer.marks.dead, self.layout, task)
        if not np.array_equal(plain, self.fused):
            raise AssertionError("a move taken step by step leads elsewhere")

    def _first(self, label: int) -> Atom:
        """Make the move itself, and nothing after it."""
        kind, x, _ = parts(label)
        before = self.state.copy()
        pc = int(before[self.layout.o_task + x * TASK_CELLS + T_PC]) if kind in _OF_A_TASK else -1
        said = move(self.state, *self.one_by_one, label)
        self._failed = said & 3 == VIOLATED
        if said == 0:
            raise AssertionError("a move of the story can't be made")
        if pc < 0:
            function, text = self._agent(label, before)
            return Atom(function, "", text, tuple(self.words.changed(before, self.state)))
        atom = self._atom(x, pc, before)
        if kind == CHOOSE and not self.code.notes[pc].text:
            return attrs.evolve(atom, text="goes the other way")
        if kind == GRANT:
            return attrs.evolve(atom, text=f"woken: {atom.text}")
        return atom if atom.text or atom.changed else attrs.evolve(atom, text="goes on")

    def _go_on(self, task: int, atoms: list[Atom]) -> None:
        """Take the local steps that the search takes in the same move."""
        at = self.layout.o_task + task * TASK_CELLS + T_PC
        machine = self.explorer.problem.machine
        while True:
            pc = int(self.state[at])
            if int(self.code.steps[pc * 5]) != o.FAIL and not self.explorer.marks.local[pc]:
                return
            before = self.state.copy()
            said = step(self.state, machine.code.steps, machine.code.lists, self.layout, task)
            if said & 7 == o.FAILED:
                atoms.append(self._atom(task, pc, before))
                return
            if said & 7 != o.DONE:
                return
            atoms.append(self._atom(task, pc, before))

    def _atom(self, task: int, pc: int, before: State) -> Atom:
        note = self.code.notes[pc]
        operation = self.code.steps[pc * 5 : pc * 5 + 5]
        op, what = int(operation[0]), int(operation[1])
        found = self.words.found(operation.tolist(), task, before, self.state)
        text = note.text or _STEP_WORDS.get(op, "")
        changed = (*found, *self.words.changed(before, self.state))
        aside = op in (o.MARK, o.REACHED) or (op == o.NOTE and what != o.NOTE_WARNING)
        return Atom(note.function, note.where, text, changed, pc, aside)

    def _cpu(self, label: int) -> int:
        kind, x, y = parts(label)
        if kind in (STEP, CHOOSE, IDLE, GRANT, SWITCH):
            return int(self.state[self.layout.o_task + x * TASK_CELLS + T_CPU])
        return y if kind == TAKE else x

    def _task_on(self, cpu: int) -> int:
        """Say which task of a CPU goes on once an interrupt of its call is taken, or once its CPU runs again."""
        layout = self.layout
        task = int(self.state[layout.o_cpu + cpu * CPU_CELLS + CPU_TASK]) - 1
        return -1 if has(self.state, cpu_set(layout, PREEMPTED), layout, cpu) else task

    def _agent(self, label: int, before: State) -> tuple[str, str]:
        """Say what an agent did."""
        layout = self.layout
        kind, x, y = parts(label)
        if kind == TAKE:
            function, text = _HANDLERS[int(before[layout.o_cpu + x * CPU_CELLS + CPU_CALL]) & o.CALL_MASK]
            return function, text.format(x)
        if kind == FILL:
            return "", "the walker caches the link to the table"
        if kind == WALK:
            mm = int(before[layout.o_cpu + x * CPU_CELLS + CPU_MM]) - 1
            return "", f"the walker uses its cached link of {mm_name(mm)}"
        if kind == COPY:
            return "", f"the walker copies {self.words.variable(y)} into the TLB"
        if kind == DRAIN:
            variable = int(before[layout.o_store + (x * layout.stores + y) * STORE_CELLS]) - 1
            return "", f"the store to {self.words.variable(variable)} reaches memory"
        return "", {
            PREEMPT: "the host preempts the vCPU",
            RESUME: "the host lets the vCPU run",
            IDLE: "the task sleeps; the CPU idles",
            SWITCH: "the CPU switches to its task",
        }[kind]

    def story(self, invariant: str, sentences: dict[str, str]) -> Story:
        """Return what was told so far."""
        ending = self._ending(invariant)
        if invariant == DEADLOCK and self.lines:
            self.lines[-1] = attrs.evolve(self.lines[-1], bad=True)
        lanes = list(self.explorer.problem.lanes[: self.layout.cpus])
        lanes += [""] * (self.layout.cpus - len(lanes))
        return Story(
            lanes=tuple(lanes),
            lines=tuple(self.lines),
            invariant=invariant,
            sentence=sentences.get(invariant, ""),
            ending=tuple(ending),
            state=digest(self.state, self.layout.size),
        )

    def _ending(self, invariant: str) -> list[str]:
        layout = self.layout
        if invariant == DEADLOCK:
            return waiting(self.state, self.code, layout)
        last = self.lines[-1]
        if last.atoms[-1].pc >= 0:
            return [last.atoms[-1].text]
        mm = int(self.state[layout.o_cpu + last.cpu * CPU_CELLS + CPU_MM]) - 1
        return [
            f"CPU {last.cpu} walks the table through {mm_name(mm)}'s old link, and the table "
            f"{table_words(self.state, layout, mm)}"
        ]


def table_words(state: State, layout: Any, mm: int) -> str:
    """Say of a table that an mm has no business in whose it is."""
    for table in range(layout.slots * layout.classes):
        value = int(state[layout.o_state + table])
        used, owner = value & o.TABLE_MASK, (value >> o.TABLE_OWNER_SHIFT) - 1
        if used == o.TABLE_FREED:
            return "is free"
        if used == o.TABLE_REUSED and owner != mm:
            return f"belongs to {mm_name(owner)}"
    return "is somebody else's"


def waiting(state: State, code: Any, layout: Any) -> list[str]:
    """Say of each task that has something left to do what it waits for."""
    found = []
    for task in range(layout.tasks):
        row = layout.o_task + task * TASK_CELLS
        pc, cpu = int(state[row + T_PC]), int(state[row + T_CPU])
        op = int(code.steps[pc * 5])
        if op in (o.HALT, o.PARK):
            continue
        note = code.notes[pc]
        where = f" in {note.function}()" if note.function else ""
        words = note.text or _STEP_WORDS.get(op, "go on")
        found.append(f"CPU {cpu} waits for ever{where}: {words}")
    return found


def stuck(explorer: Explorer, state: npt.NDArray[Any]) -> bool:
    """Say whether nothing that brings anybody closer to an end can happen in a state."""
    from shootdown._explore.search import candidates, is_progress, somebody_waits

    machine = explorer.problem.machine
    labels = np.zeros(4096, np.int64)
    count = candidates(state, machine.layout, explorer.rules, labels)
    for label in labels[:count].tolist():
        if is_progress(label) and move(state.copy(), *explorer.program, label):
            return False
    return bool(somebody_waits(state, machine.code.steps, machine.layout))
