"""The cells of the state that steps read and write, by the names that the layout gives them.

A cell is one named part of the state, and its owner. A part that is a set of CPUs also has the owner of its bits: the
CPU that takes the step, or any CPU.
"""

from __future__ import annotations

from enum import Enum

import attrs

from shootdown._machine import ops as o
from shootdown._machine.layout import CPU_SETS, GATHER_PARTS, MM_PARTS, MM_SETS


class Of(Enum):
    """The owner of a cell."""

    TASK = "the task that takes the step"
    TASKS = "any task"
    GIVEN = "the gather, lock, event, variable or entry that an operand names"
    REQUEST = "the task's third gather, the request of a flush without a gather"
    CPU = "the CPU of the task"
    CPUS = "any CPU"
    ON = "the mm that the task's kernel work concerns"
    CALLED = "the mm that the call of the task's CPU concerns"
    MACHINE = "the machine"


@attrs.frozen
class When:
    """A condition on an operand.

    Args:
        operand: its name.
        values: those for which the condition holds.
        other: the condition holds for all other values instead.
    """

    operand: str
    values: tuple[int, ...]
    other: bool = False


@attrs.frozen
class Cell:
    """One named part of the state.

    Args:
        part: its name: a part of a gather, of a task, of a CPU or of an mm, a set of CPUs, or `register`, `targets`,
            `pud`, `share`, `state`, `writer`, `readers`, `event`, `variable`, `owner`, `span`, `tlb`, `store`,
            `atom`, `entry`, `frame`, `held`, `links`.
        of: its owner.
        bits: of a set of CPUs, the owner of the bits.
        number: of a register, its number.
        when: it is touched only for some values of an operand.
        maybe: of a cell that is written: in some states it is left as it was.
    """

    part: str
    of: Of
    bits: Of = Of.CPUS
    number: int = -1
    when: When | None = None
    maybe: bool = False

    def if_(self, operand: str, *values: int) -> Cell:
        """Return the cell as one that is touched only if the operand has one of the values."""
        return attrs.evolve(self, when=When(operand, values))

    def unless(self, operand: str, *values: int) -> Cell:
        """Return the cell as one that is touched only if the operand has none of the values."""
        return attrs.evolve(self, when=When(operand, values, other=True))

    def perhaps(self) -> Cell:
        """Return the cell as one that is not written in every state."""
        return attrs.evolve(self, maybe=True)

    @property
    def own(self) -> Cell:
        """The same set of CPUs, but only the bit of the CPU that takes the step."""
        return attrs.evolve(self, bits=Of.CPU)

    @property
    def called(self) -> Cell:
        """The same part of the mm that the call of the task's CPU concerns."""
        return attrs.evolve(self, of=Of.CALLED)


def register(number: int) -> Cell:
    """Name a register of the task."""
    return Cell("register", Of.TASK, number=number)


def _of_mm(part: str) -> Cell:
    assert part in MM_PARTS or part in MM_SETS
    return Cell(part, Of.ON)


def _cpu_set(name: str) -> Cell:
    assert name in CPU_SETS
    return Cell(name, Of.MACHINE)


# --- of the task
SLOT, CLASS, SCRATCH = register(o.SLOT), register(o.CLASS), register(o.SCRATCH)
CURRENT_MM = Cell("mm", Of.TASK)
HOME = Cell("home", Of.TASK)
ON_MM = Cell("on", Of.TASK)
USERS = Cell("mm", Of.TASKS)

# --- of the gather that an operand names, and of the request
LO, HI, FLAGS, CLEARED, TABLES = (Cell(part, Of.GIVEN) for part in GATHER_PARTS)
RANGE = (LO, HI, FLAGS, CLEARED)
REQUEST_RANGE = tuple(attrs.evolve(cell, of=Of.REQUEST) for cell in RANGE)
#: The number of pages that a task's outermost gather has queued, which its third gather stores.
QUEUED = attrs.evolve(TABLES, of=Of.REQUEST)

# --- of the CPU: its call, that call's targets, its stores, its TLB's copies of single entries
LOADED_MM = Cell("loaded_mm", Of.CPU)
CALL, CALL_MM, CALL_GEN, CALL_STRIDES, *CALL_RANGE = (
    Cell(part, Of.CPU)
    for part in ("call", "call_mm", "call_gen", "call_strides", "call_lo", "call_hi", "call_how")
)
WHOLE_CALL = (CALL, CALL_MM, CALL_GEN, CALL_STRIDES, *CALL_RANGE)
TARGETS = Cell("targets", Of.CPU)
#: The mms whose ASIDs the CPU keeps, and which of them goes next.
ASIDS, NEXT_ASID = Cell("asid", Of.CPU), Cell("next_asid", Of.CPU)
#: The task that a CPU runs.
RUNNING = Cell("task", Of.CPUS)
STORES = Cell("store", Of.CPU)
TLB = Cell("tlb", Of.CPU)

# --- of the machine
ONLINE, IRQ_OFF, LAZY, PREEMPTED, FLUSH_ON_ENTRY, WALKING, USER = (_cpu_set(name) for name in CPU_SETS)
OWNER, SPAN = Cell("owner", Of.MACHINE), Cell("span", Of.MACHINE)
ATOM = Cell("atom", Of.MACHINE)
FRAME = Cell("frame", Of.MACHINE)
#: What all CPUs may hold of all mms, and what the CPU of the task may.
HELD, LINKS = Cell("held", Of.MACHINE), Cell("links", Of.MACHINE)
OWN_HELD, OWN_LINKS = Cell("held", Of.CPU), Cell("links", Of.CPU)
#: The entry of an atom in the table of register CLASS.
TABLE_ENTRY = Cell("entry", Of.GIVEN)
#: The entry of an atom in any table.
ANY_ENTRY = Cell("entry", Of.MACHINE)

# --- of the mm that the task's kernel work concerns
GENERATION, PENDING, GLOBAL, TRIM, CONSIDER = (_of_mm(part) for part in MM_PARTS)
MASK, LOADED, BEHIND, FAR_BEHIND, LEAF, WALK, STALE_LEAF, STALE_WALK = (_of_mm(name) for name in MM_SETS)
#: The PUD entry of register SLOT.
PUD = Cell("pud", Of.ON)
#: All of them.
PUDS = Cell("pud", Of.MACHINE)
#: How many processes map a table, and what its page is used for.
SHARED, STATE = Cell("share", Of.GIVEN), Cell("state", Of.GIVEN)

# --- what an operand names
WRITER, READERS = Cell("writer", Of.GIVEN), Cell("readers", Of.GIVEN)
EVENT = Cell("event", Of.GIVEN)
VARIABLE = Cell("variable", Of.GIVEN)
BY_CPU = Cell("variable", Of.CPUS)  # an array's elements, one for each CPU
ENTRY = attrs.evolve(TLB, of=Of.GIVEN)  # this CPU's copy of the entry that an operand names


def of_called(*cells: Cell) -> tuple[Cell, ...]:
    """Return the same parts of the mm that the call of the task's CPU concerns."""
    return tuple(cell.called for cell in cells)


def own(*cells: Cell) -> tuple[Cell, ...]:
    """Return the same sets, but only the bit of the CPU that takes the step."""
    return tuple(cell.own for cell in cells)
