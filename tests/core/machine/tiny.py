"""A machine of a few CPUs, tasks and tables, whose parts have names, and which takes one step at a time.

Steps run as the Python functions that they are: nothing is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from shootdown._machine import ops as o
from shootdown._machine.layout import (
    CPU_CELLS,
    CPU_MM,
    CPU_NEXT_ASID,
    CPU_SETS,
    CPU_TASK,
    GATHER_CELLS,
    LOCK_CELLS,
    MM_CELLS,
    MM_SETS,
    SPAN_CELLS,
    STORE_CELLS,
    T_CPU,
    T_GATHER,
    T_MM,
    T_ON,
    T_PC,
    T_REG,
    TASK_CELLS,
    Layout,
    cpus_of,
    empty_state,
    make_layout,
)
from shootdown._machine.step import step

Part = npt.NDArray[np.int64]

#: The place of the program at which each step is tried; the step after it is `AFTER_IT`.
HERE = 3
AFTER_IT = HERE + 1
#: A label that no step falls through to.
ELSEWHERE = 17


def laid_out(**given: Any) -> Layout:
    """Lay out a tiny machine; a slot has 512 huge pages of 512 base pages, as PUD entries over 2 MiB pages have.

    Args:
        given: arguments of `make_layout` that replace these.
    """
    usual: dict[str, Any] = {
        "cpus": 4, "tasks": 3, "mms": 2, "slots": 2, "classes": 2, "locks": 6, "events": 2, "asids": 2,
        "bits": 16, "slot_pages": 1 << 18, "shifts": (9, 18, 27), "clear_on_switch": False,
        "lazy_tlb": True, "tagged": True, "variables": 4, "entries": 2,
    }  # fmt: skip
    return make_layout(**{**usual, **given})


class Took(NamedTuple):
    """The result of a step: the outcome, the lock or event that it concerns, and the next step."""

    outcome: int
    about: int
    next: int

    @property
    def went_on(self) -> bool:
        """Whether the step was taken and the one behind it is next."""
        return self.outcome == o.DONE and self.next == AFTER_IT

    @property
    def jumped(self) -> bool:
        """Whether the step was taken and leads to `ELSEWHERE`."""
        return self.outcome == o.DONE and self.next == ELSEWHERE


class Tiny:
    """Four CPUs, three tasks of mm 0 on the first three of them, and a second mm without tasks.

    Args:
        given: arguments of `laid_out`.
    """

    def __init__(self, **given: Any) -> None:
        self.layout: Layout = laid_out(**given)
        self.state: Part = empty_state(self.layout)
        self.lists: list[int] = []
        for task in range(self.layout.tasks):
            cells = self.task(task)
            cells[T_PC], cells[T_MM], cells[T_CPU], cells[T_ON] = HERE, 1, task, 1
            self.cpu(task)[CPU_TASK], self.cpu(task)[CPU_MM] = task + 1, 1
            self.asids(task)[0], self.cpu(task)[CPU_NEXT_ASID] = 1, 1 % self.layout.asids
        for entry in range(self.layout.entries):  # every flush of the mm reaches them
            self.span(entry)[:] = 0, self.layout.most
        running = range(self.layout.tasks)
        self.put("loaded", *running, mm=0)
        self.put("mask", *running, mm=0)

    # --- its parts; each is a view, so that writing to it changes the machine

    def _part(self, start: int, cells: int, number: int = 0) -> Part:
        return self.state[start + number * cells : start + (number + 1) * cells]

    def task(self, task: int = 0) -> Part:
        """The cells of a task: `T_PC`, `T_MM`, `T_CPU`, `T_ON` and the rest."""
        return self._part(self.layout.o_task, TASK_CELLS, task)

    def registers(self, task: int = 0) -> Part:
        """The registers of a task."""
        return self.task(task)[T_REG : T_REG + o.REGISTERS]

    def gather(self, g: int, task: int = 0) -> Part:
        """The cells of a gather: `G_LO`, `G_HI`, `G_FLAGS`, `G_CLEARED`, `G_TABLES`."""
        return self.task(task)[T_GATHER + g * GATHER_CELLS : T_GATHER + (g + 1) * GATHER_CELLS]

    def cpu(self, cpu: int = 0) -> Part:
        """The cells of a CPU: `CPU_TASK`, `CPU_MM`, its call and the next ASID."""
        return self._part(self.layout.o_cpu, CPU_CELLS, cpu)

    def asids(self, cpu: int = 0) -> Part:
        """The mms (from one) of a CPU's ASIDs."""
        return self._part(self.layout.o_asid, self.layout.asids, cpu)

    def mm(self, mm: int = 0) -> Part:
        """The cells of an mm: `M_GEN`, `M_PENDING`, `M_GLOBAL`, `M_TRIM`, `M_CONSIDER`."""
        return self._part(self.layout.o_mm, MM_CELLS, mm)

    def puds(self, mm: int = 0) -> Part:
        """The PUD entries of an mm: by slot the class of the table, plus one."""
        return self._part(self.layout.o_pud, self.layout.slots, mm)

    def sharers(self, of: int = 0) -> Part:
        """The share counts of the tables of a class, by slot."""
        return self._part(self.layout.o_share, self.layout.slots, of)

    def tables(self, of: int = 0) -> Part:
        """The uses of the pages of the tables of a class, by slot."""
        return self._part(self.layout.o_state, self.layout.slots, of)

    def lock(self, lock: int) -> Part:
        """The cells of a lock: `K_WRITER`, `K_READERS`."""
        return self._part(self.layout.o_lock, LOCK_CELLS, lock)

    @property
    def events(self) -> Part:
        """The count of each event."""
        return self._part(self.layout.o_event, self.layout.events)

    @property
    def variables(self) -> Part:
        """The variables in memory; single page-table entries come first."""
        return self._part(self.layout.o_variable, self.layout.variables)

    @property
    def owners(self) -> Part:
        """The mm of each single page-table entry."""
        return self._part(self.layout.o_owner, self.layout.entries)

    def span(self, entry: int) -> Part:
        """The pages that a single page-table entry maps, `[lo, hi)`."""
        return self._part(self.layout.o_span, SPAN_CELLS, entry)

    def tlb(self, cpu: int = 0) -> Part:
        """A CPU's TLB copies of the single page-table entries."""
        return self._part(self.layout.o_tlb, self.layout.entries, cpu)

    def stores(self, cpu: int = 0) -> Part:
        """The stores in a CPU's store buffer: variable (from one) and value."""
        return self._part(self.layout.o_store, self.layout.stores * STORE_CELLS, cpu).reshape(-1, STORE_CELLS)

    # --- sets of CPUs

    def _set(self, name: str, mm: int | None) -> int:
        if mm is None:
            return self.layout.o_sets + CPU_SETS.index(name) * self.layout.words
        return self.layout.o_mmset + (mm * len(MM_SETS) + MM_SETS.index(name)) * self.layout.words

    def put(self, name: str, *cpus: int, mm: int | None = None) -> None:
        """Put CPUs into a set of the machine, or of an mm."""
        for cpu in cpus:
            self.state[self._set(name, mm) + cpu // self.layout.bits] |= 1 << cpu % self.layout.bits

    def take_out(self, name: str, *cpus: int, mm: int | None = None) -> None:
        """Take CPUs out of a set of the machine, or of an mm."""
        for cpu in cpus:
            self.state[self._set(name, mm) + cpu // self.layout.bits] &= ~(1 << cpu % self.layout.bits)

    def cpus(self, name: str, mm: int | None = None) -> list[int]:
        """List the CPUs in a set of the machine, or of an mm."""
        return cpus_of(self.state, self.layout, name, mm)

    def aim(self, *cpus: int, sender: int = 0) -> None:
        """Make CPUs the targets of a CPU's call."""
        row = self._part(self.layout.o_out, self.layout.words, sender)
        row[:] = 0
        for cpu in cpus:
            row[cpu // self.layout.bits] |= 1 << cpu % self.layout.bits

    def targets(self, sender: int = 0) -> list[int]:
        """List the targets of a CPU's call that have not answered."""
        row = self._part(self.layout.o_out, self.layout.words, sender)
        bits = self.layout.bits
        return [cpu for cpu in range(self.layout.cpus) if int(row[cpu // bits]) >> cpu % bits & 1]

    # --- steps

    def program(self, op: int, *operands: int) -> Part:
        """Write a program of one step at `HERE`."""
        steps = np.zeros((HERE + 2, 5), np.int64)
        steps[HERE, : 1 + len(operands)] = (op, *operands)
        return steps.ravel()

    def step(self, op: int, *operands: int, task: int = 0) -> Took:
        """Let a task take a step; one that can't be taken must have written nothing."""
        self.task(task)[T_PC] = HERE
        before = self.state.copy()
        lists = np.array(self.lists or [0], np.int64)
        said = int(step(self.state, self.program(op, *operands), lists, self.layout, task))
        if said & 7 != o.DONE:
            assert np.array_equal(self.state, before), "a step that was not taken changed the state"
        return Took(said & 7, said >> 3, int(self.task(task)[T_PC]))

    def run(self, kernel: Callable[..., Any], *arguments: Any) -> Any:
        """Call a kernel that takes state and layout first."""
        return kernel(self.state, self.layout, *arguments)

    def ask(self, kernel: Callable[..., Any], op: int, *operands: int, task: int = 0) -> bool:
        """Call a kernel that looks at the next step of a task."""
        self.task(task)[T_PC] = HERE
        return bool(kernel(self.state, self.program(op, *operands), self.layout, task))

    def changes(self, act: Callable[[], Any]) -> int:
        """Count the cells that a function changes, apart from the step of task 0."""
        before = self.state.copy()
        act()
        different = self.state != before
        different[self.layout.o_task + T_PC] = False
        return int(np.count_nonzero(different))
