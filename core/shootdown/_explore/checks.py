"""What is wrong with a problem: a machine that is not one to explore, names that are not there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from shootdown._explore.alike import Group, Table
from shootdown._machine import ops as o
from shootdown._machine.courses import reachable, rows_of
from shootdown._machine.layout import T_CPU, T_PC, TASK_CELLS
from shootdown._machine.machine import Machine
from shootdown._machine.steps.table import STEPS
from shootdown._values.errors import shown
from shootdown._values.sites import mistake

if TYPE_CHECKING:
    from shootdown._explore.problem import Problem

#: The most of anything that a move can name.
_MOST = 255
#: The most classes of tables where walk caches hold links: a bit of a cell for each, and one that says dead.
_MOST_CLASSES = 31
#: Steps that only a timed run has: exploration begins with every task on its CPU, and none comes or moves.
_TIMED_ONLY = {
    o.SPAWN: "forks a task",
    o.MIGRATE: "moves a task",
    o.RESCHED: "gives way to another task",
    o.KERNEL_BEGIN: "flushes kernel addresses",
}


def check(problem: Problem) -> None:
    """Check what a scenario hands over.

    Raises:
        ShootdownError: something is wrong; it names the line.
    """
    machine = problem.machine
    if not isinstance(machine, Machine):
        raise mistake(f"the machine of a problem is what model.build(bits=16) returns, not {shown(machine)}")
    layout = machine.layout
    if layout.bits != 16 and layout.most > 0xFFFF_FFFF:
        raise mistake("the machine is one for a timed run: model.build(bits=16) makes one to explore")
    _names("invariants", problem.invariants, needed=True)
    _names("places", problem.places, needed=False)
    _names("lanes", problem.lanes, needed=False, twice=True)
    for what, many in (("tasks", layout.tasks), ("CPUs", layout.cpus), ("variables", layout.variables)):
        if many > _MOST:
            raise mistake(f"{many} {what} cannot be explored: there are at most {_MOST}")
    for agent in ("walkers", "entries", "hypervisor", "scheduler", "preemption"):
        if getattr(problem, agent) not in (True, False):
            raise mistake(f"{agent} of a problem: True or False, not {shown(getattr(problem, agent))}")
    if (problem.walkers or layout.walks) and layout.classes > _MOST_CLASSES:
        raise mistake(
            f"{layout.classes} classes of tables cannot be explored with hardware walkers: there are at most "
            f"{_MOST_CLASSES}"
        )
    _groups(problem)
    _cpus(machine)
    steps = rows_of(machine.code)
    starts = machine.state[layout.o_task + T_PC : layout.o_task + layout.tasks * TASK_CELLS : TASK_CELLS]
    for start in sorted(set(starts.tolist())):
        for pc in sorted(reachable(steps, int(start))):
            _step(problem, pc, steps[pc])


def _step(problem: Problem, pc: int, step: list[int]) -> None:
    op, a = step[0], step[1]
    sites = problem.machine.code.sites
    site = sites[pc] if pc < len(sites) else None
    for number, known, what in (
        (o.REACHED, problem.places, "place"),
        (o.FAIL, problem.invariants, "invariant"),
    ):
        if op == number and not 0 <= a < len(known):
            there = f"there are 0 to {len(known) - 1} ({', '.join(known)})" if known else "there is none"
            raise mistake(f"{STEPS[op].name}: {what} {a}: {there}", site)
    if op in _TIMED_ONLY:
        raise mistake(
            f"{STEPS[op].name}: exploration has no step that {_TIMED_ONLY[op]}: every task is ready from the beginning",
            site,
        )


def _each(what: str, values: Any, kind: type) -> None:
    if not isinstance(values, tuple | list) or not all(isinstance(value, kind) for value in values):
        raise mistake(f"the {what} of a problem are a tuple of {kind.__name__}, not {shown(values, 60)}")


def _names(what: str, names: Any, *, needed: bool, twice: bool = False) -> None:
    if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
        raise mistake(f"the {what} of a problem are names, a tuple of them, not {shown(names, 60)}")
    if needed and not names:
        raise mistake(f"a problem has at least one of the {what}: the first is that of hardware walkers")
    if not twice and len(set(names)) < len(names):
        raise mistake(f"the {what} of a problem have names of their own: {', '.join(names)}")


def _cpus(machine: Machine) -> None:
    """Check that each task has a CPU of its own from the beginning."""
    layout = machine.layout
    cpus = machine.state[layout.o_task + T_CPU : layout.o_task + layout.tasks * TASK_CELLS : TASK_CELLS]
    for task, cpu in enumerate(cpus.tolist()):
        if cpu >= layout.cpus:
            raise mistake(f"task {task} has no CPU: exploration has no fork() that chooses one")
        if task not in machine.ready:
            raise mistake(f"task {task} is not ready: in exploration every task is, from the beginning")
    many = Counter(int(cpu) for cpu in cpus)
    for cpu, tasks in many.items():
        if tasks > 1:
            both = [str(task) for task, at in enumerate(cpus.tolist()) if at == cpu]
            raise mistake(
                f"tasks {' and '.join(both)} are on CPU {cpu}: in exploration each has a CPU of its own"
            )


def _groups(problem: Problem) -> None:
    layout = problem.machine.layout
    starts = problem.machine.state[
        layout.o_task + T_PC : layout.o_task + layout.tasks * TASK_CELLS : TASK_CELLS
    ].tolist()
    there = {"cpus": layout.cpus, "tasks": layout.tasks, "mms": layout.mms}
    _each("groups", problem.groups, Group)
    _each("tables", problem.tables, Table)
    _each("mm_locks", problem.mm_locks, int)
    named: set[tuple[str, int]] = set()
    for group in problem.groups:
        for what, many in there.items():
            for number in getattr(group, what):
                if not isinstance(number, int) or not 0 <= number < many:
                    raise mistake(f"a group names {what} {number!r:.20}: there are 0 to {many - 1}")
                if (what, number) in named:
                    raise mistake(f"{what} {number} is named twice by groups: each is a part of one")
                named.add((what, number))
        if [len(part) for part in group] != [len(part) for part in problem.groups[0]]:
            raise mistake(f"groups are alike, and have as many parts each: {problem.groups[0]}, {group}")
        for one, other in zip(problem.groups[0].tasks, group.tasks, strict=True):
            if starts[one] != starts[other]:
                raise mistake(
                    f"tasks {one} and {other} are in groups that are alike, and begin with different programs: "
                    "model.starts(...) of both says that they have the same"
                )
    for table in problem.tables:
        for number in table:
            if not isinstance(number, int):
                raise mistake(f"a table is five whole numbers, not {table!r:.80}")
        last = table.first + table.rows * table.columns
        if not 0 <= table.first <= last <= layout.variables or not 1 <= table.rows <= 15:
            raise mistake(
                f"a table of {table.rows} rows lies in variables {table.first} to {last - 1}: there are "
                f"{layout.variables}, and at most 15 rows"
            )
        if not 0 <= table.lock < layout.locks or not 0 <= table.owner < table.columns:
            raise mistake(
                f"a table has lock {table.lock} and owner column {table.owner}: there are {layout.locks} "
                f"locks and {table.columns} columns"
            )
    for lock in problem.mm_locks:
        if not 0 <= lock <= layout.locks - layout.mms:
            raise mistake(
                f"mm_locks: {lock}: it is the first of the locks of {layout.mms} mms, of {layout.locks}"
            )
