"""Replay moves in a given order with clocks: all but the order of moves is as in a timed run.

A timed run lets the earliest CPU move. In a replay the order is given; a CPU whose turn comes late has to be held up
until then. A replay finds out for how long: that is the window that a bug needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from shootdown._compilation.running import runnable
from shootdown._machine import ops as o
from shootdown._machine.layout import (
    CPU_CALL,
    CPU_CELLS,
    CPU_TASK,
    T_CPU,
    T_PC,
    TASK_CELLS,
    with_cells,
)
from shootdown._machine.machine import Machine
from shootdown._timed import books as k
from shootdown._timed import costs as c
from shootdown._timed.charges import charges
from shootdown._timed.effects import charge_step
from shootdown._timed.opening import blank
from shootdown._timed.placing import place_cpus
from shootdown._timed.run import books_of, cost_array
from shootdown._timed.sending import all_answered
from shootdown._timed.taking import answer
from shootdown._values.platform import Platform

#: Moves whose first number is a task; that of the others is a CPU.
_TASK_MOVES = ("step", "choose", "grant", "idle", "switch")


@attrs.frozen
class Slice:
    """An interval of the timeline: what a CPU did, from when to when.

    Args:
        kind: `step`, `interrupt` or `wait`.
        begin, end: picoseconds.
        cpu: the CPU.
        pc: the step; -1 for an agent.
        move: the number of its move, from zero.
        task: the task that took the step; -1 for an agent.
        sender: the CPU that sent the interrupt; -1 for none.
    """

    kind: str
    begin: int
    end: int
    cpu: int
    pc: int
    move: int
    task: int = -1
    sender: int = -1


@attrs.frozen(eq=False)
class Replayed:
    """The result of a replay.

    Args:
        moves: the number of moves made; fewer than given if one was not possible.
        broken: the number of the invariant that the last move broke; -1 if it broke none.
        state: the last state.
        elapsed: picoseconds, from the first step to the last effect.
        held: for each CPU, the longest time that it had to be held up between two of its own steps, in picoseconds.
        slices: the timeline.
    """

    moves: int
    broken: int
    state: npt.NDArray[np.int64]
    elapsed: int
    held: tuple[int, ...]
    slices: tuple[Slice, ...]


def wide(machine: Machine) -> Machine:
    """Return a machine made for exploration with the 64-bit cells of a timed run, at the same places."""
    return attrs.evolve(machine, layout=with_cells(machine.layout, 64), state=machine.state.astype(np.int64))


def replay(
    machine: Machine,
    platform: Platform,
    moves: Iterable[tuple[str, Sequence[int], int]],
    *,
    which: str = "likely",
) -> Replayed:
    """Make moves one after another, each at the earliest time that keeps their order.

    Args:
        machine: with cells of 64 bits; see `wide`.
        platform: the platform with the costs.
        moves: for each its kind (`step`, `take`...), its numbers (a task or CPU, and what it acts on), and the
            number of a task's steps in it.
        which: `low`, `likely` or `high`: which end of the costs.
    """
    run = _Replay(machine, platform, which)
    made = 0
    for made, (kind, numbers, steps) in enumerate(moves, 1):
        run.number = made - 1
        if not run.make(kind, tuple(numbers), steps):
            return run.result(made - 1)
        run.read_ahead()
        if run.broken >= 0:
            break
    return run.result(made)


class _Replay:
    """A machine with the clocks and books of a timed run, which charge each step; the order of moves is given."""

    def __init__(self, machine: Machine, platform: Platform, which: str) -> None:
        from shootdown._machine.switching import switch_to

        self.code, self.layout = machine.code, machine.layout
        self.costs = cost_array(platform.costs, which)
        self.charges = charges(self.code.steps, self.code.cost, self.costs).reshape(-1, 4)
        self.state = machine.state.copy()
        cpus = self.layout.cpus
        self.books = books_of(machine, platform)
        self.book = blank(self.books, seed=1)
        place_cpus(machine, platform, self.books, self.book)
        self.clock = self.book[self.books.o_clock : self.books.o_clock + cpus]
        self.arrives = [0] * cpus  # when the call of this CPU arrives
        self.completes = [0] * cpus  # the time from the last arrival to completion
        self.off_since = [0] * cpus
        self.started = [False] * cpus
        self.held = [0] * cpus
        self.order = 0  # the last effect of any move
        self.number = 0
        self.broken = -1
        self.slices: list[Slice] = []
        for task in machine.ready:
            runnable(switch_to)(self.state, self.layout, self._home(task), task)
        self.read_ahead()

    def read_ahead(self) -> None:
        """Let CPUs hold what their walkers could read now; something dead that one can use breaks an invariant."""
        from shootdown._machine.holding import fill_all, usable_dead

        if self.layout.walks:
            runnable(fill_all)(self.state, self.layout)
            self.broken = max(self.broken, int(runnable(usable_dead)(self.state, self.layout)) - 1)

    def result(self, moves: int) -> Replayed:
        return Replayed(moves, self.broken, self.state, self.order, tuple(self.held), tuple(self.slices))

    def _home(self, task: int) -> int:
        return int(self.state[self.layout.o_task + task * TASK_CELLS + T_CPU])

    def make(self, kind: str, numbers: tuple[int, ...], steps: int) -> bool:
        """Make a move; False if it is not possible."""
        first = numbers[0]
        layout = self.layout
        task = -1
        if first >= (layout.tasks if kind in _TASK_MOVES else layout.cpus):
            return False
        if kind in ("step", "choose", "grant"):
            task = first
            if not getattr(self, f"_{kind}")(first):
                return False
        elif not getattr(self, f"_{kind}")(*numbers):
            return False
        elif kind in ("take", "resume"):
            task = int(self.state[layout.o_cpu + first * CPU_CELLS + CPU_TASK]) - 1
        return steps == 1 or (task >= 0 and self._go_on(task, steps - 1, may_end=kind == "step"))

    def _go_on(self, task: int, steps: int, *, may_end: bool) -> bool:
        """Take the steps of a move; False if one is not possible, or if an invariant broke before it."""
        return all(self.broken < 0 and self._take_step(task, must=may_end) for _ in range(steps))

    # --- steps of tasks

    def _runs(self, task: int) -> bool:
        from shootdown._machine.sets import PREEMPTED, cpu_set, has

        cpu = self._home(task)
        if int(self.state[self.layout.o_cpu + cpu * CPU_CELLS + CPU_TASK]) != task + 1:
            return False
        return not runnable(has)(self.state, runnable(cpu_set)(self.layout, PREEMPTED), self.layout, cpu)

    def _step(self, task: int) -> bool:
        return self._runs(task) and self._take_step(task, must=True)

    def _choose(self, task: int) -> bool:
        at = self.layout.o_task + task * TASK_CELLS + T_PC
        pc = int(self.state[at])
        if int(self.code.steps[pc * 5]) != o.CHOICE or not self._runs(task):
            return False
        self.state[at] = self.code.steps[pc * 5 + 1]
        self._spend(self._home(task), 0, pc, task)
        return True

    def _grant(self, task: int) -> bool:
        """Hand a sleeping task, which is off its CPU, the lock or event that it waits for."""
        pc = int(self.state[self.layout.o_task + task * TASK_CELLS + T_PC])
        op, may_sleep = int(self.code.steps[pc * 5]), int(self.code.steps[pc * 5 + 3])
        asleep = op == o.AWAIT or (op in (o.LOCK_READ, o.LOCK_WRITE) and may_sleep)
        if (
            not asleep
            or int(self.state[self.layout.o_cpu + self._home(task) * CPU_CELLS + CPU_TASK]) == task + 1
        ):
            return False
        return self._take_step(task, must=True)

    def _take_step(self, task: int, *, must: bool = False) -> bool:
        from shootdown._machine.step import step
        from shootdown._machine.switching import switch_to

        pc = int(self.state[self.layout.o_task + task * TASK_CELLS + T_PC])
        cpu = self._home(task)
        op = int(self.code.steps[pc * 5])
        answered = int(runnable(all_answered)(self.book, self.books, cpu)) if op == o.WAIT else 0
        said = int(runnable(step)(self.state, self.code.steps, self.code.lists, self.layout, task))
        why = said & 7
        if why == o.FAILED:
            self.broken = said >> 3
        elif must and (why == o.HALTED or (why == o.PARKED and int(self.code.steps[pc * 5 + 1]) == 0)):
            runnable(switch_to)(self.state, self.layout, cpu, -1)
        elif why != o.DONE:
            return False
        if answered > self.clock[cpu]:
            self._slice("wait", int(self.clock[cpu]), answered, cpu, pc, task)
            self.clock[cpu] = answered
        self._charge(cpu, task, pc, said, sends=op == o.SEND)
        return True

    def _charge(self, cpu: int, task: int, pc: int, said: int, *, sends: bool) -> None:
        """Let the timed engine charge a CPU for a step, then hold the CPU up as long as the order of moves requires."""
        began = int(self.clock[cpu])
        self.clock[cpu] += self.charges[pc, 0]
        self._in_turn(cpu)
        arrival = int(
            runnable(charge_step)(
                self.state,
                self.code.steps,
                self.layout,
                self.book,
                self.books,
                self.costs,
                task,
                pc,
                said,
            )
        )
        time = int(self.clock[cpu]) - began
        self.clock[cpu] = began
        late = self._spend(cpu, time, pc, task)
        if sends:
            self.arrives[cpu] = arrival + late
            at = self.books.o_answer + cpu
            self.completes[cpu] = (
                int(self.book[at]) - arrival if self._call(cpu) not in o.INTERRUPTING_CALLS else 0
            )
            self.book[at] += late

    def _in_turn(self, cpu: int) -> None:
        """Put the CPUs that run a task into the heap: they spend time on what a CPU broadcasts."""
        layout, books = self.layout, self.books
        busy = [
            other
            for other in range(layout.cpus)
            if other == cpu or int(self.state[layout.o_cpu + other * CPU_CELLS + CPU_TASK])
        ]
        self.book[books.o_heap : books.o_heap + len(busy)] = busy
        self.book[books.o_misc + k.HEAP_SIZE] = len(busy)

    def _call(self, cpu: int) -> int:
        return int(self.state[self.layout.o_cpu + cpu * CPU_CELLS + CPU_CALL]) & o.CALL_MASK

    # --- actions of agents

    def _take(self, sender: int, target: int) -> bool:
        from shootdown._machine.flushes import takeable

        bit = 1 << target
        if (
            target >= self.layout.cpus
            or not int(runnable(takeable)(self.state, self.layout, sender, 0)) & bit
        ):
            return False
        kind = self._call(sender)
        handler = int(runnable(answer)(self.state, self.layout, self.costs, sender, target))
        if kind in o.INTERRUPTING_CALLS:
            self.clock[target] = max(int(self.clock[target]), self.arrives[sender])
            self._spend(target, handler, kind="interrupt", sender=sender, stalls=False)
        else:
            self.order = max(self.order, self.arrives[sender])
            self._slice("interrupt", self.order, self.order, target, sender=sender)
        at = self.books.o_answer + sender
        self.book[at] = max(int(self.book[at]), self.order + self.completes[sender])
        return True

    def _fill(self, cpu: int, what: int) -> bool:
        from shootdown._machine.holding import fill

        known = self.layout.slots + self.layout.atoms if self.layout.walks else 0
        done = what < known and bool(runnable(fill)(self.state, self.layout, cpu, what))
        return self._agent(done, cpu)

    def _copy(self, cpu: int, entry: int) -> bool:
        from shootdown._machine.agents import fill_entry

        done = entry < self.layout.entries and bool(runnable(fill_entry)(self.state, self.layout, cpu, entry))
        return self._agent(done, cpu)

    def _drain(self, cpu: int, which: int) -> bool:
        from shootdown._machine.agents import drain_store

        done = which < self.layout.stores and bool(runnable(drain_store)(self.state, self.layout, cpu, which))
        return self._agent(done, cpu)

    def _preempt(self, cpu: int) -> bool:
        from shootdown._machine.agents import preempt

        self.off_since[cpu] = max(int(self.clock[cpu]), self.order)
        return self._agent(bool(runnable(preempt)(self.state, self.layout, cpu)), cpu)

    def _resume(self, cpu: int) -> bool:
        from shootdown._machine.agents import resume

        if not runnable(resume)(self.state, self.layout, cpu):
            return False
        again = self.off_since[cpu] + int(self.costs[c.PREEMPTED_FOR])
        self.clock[cpu] = max(int(self.clock[cpu]), again)
        self._spend(cpu, 0, kind="interrupt", stalls=False)
        return True

    def _idle(self, task: int) -> bool:
        from shootdown._machine.agents import go_idle

        cpu = self._home(task)
        return self._agent(bool(runnable(go_idle)(self.state, self.code.steps, self.layout, task)), cpu)

    def _switch(self, task: int) -> bool:
        from shootdown._machine.agents import come_back

        cpu = self._home(task)
        if not runnable(come_back)(self.state, self.code.steps, self.layout, task):
            return False
        self.clock[cpu] = max(int(self.clock[cpu]), self.order)
        self._spend(cpu, int(self.costs[c.SWITCH]), kind="interrupt", stalls=False)
        return True

    def _agent(self, done: bool, cpu: int) -> bool:
        if done:
            self._slice("interrupt", self.order, self.order, cpu)
        return done

    # --- time

    def _spend(
        self,
        cpu: int,
        time: int,
        pc: int = -1,
        task: int = -1,
        *,
        kind: str = "step",
        sender: int = -1,
        stalls: bool = True,
    ) -> int:
        """Let a CPU spend time so that its effect comes after those of earlier moves; return how long it waits."""
        began = int(self.clock[cpu])
        end = max(began + time, self.order)
        late = end - time - began
        if stalls and self.started[cpu]:
            self.held[cpu] = max(self.held[cpu], late)
        self.started[cpu] = True
        self._slice(kind, end - time, end, cpu, pc, task, sender)
        self.clock[cpu] = self.order = end
        return late

    def _slice(
        self, kind: str, begin: int, end: int, cpu: int, pc: int = -1, task: int = -1, sender: int = -1
    ) -> None:
        self.slices.append(Slice(kind, begin, end, cpu, pc, self.number, task, sender))
