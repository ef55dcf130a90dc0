"""Common parts of the scenarios of histories: operations under one lock, one after another in any order.

Each operation on each object has a task of its own, which repeats it. All take the same lock first, so that an
operation is one move, and the length of a story is its number of operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import attrs

from shootdown._machine import ops as o
from shootdown._machine.label import Label
from shootdown._mm.model import Model

#: The registers that operations use; register SLOT has the object.
REGISTERS = (o.INDEX, o.CLASS, o.SCRATCH, o.SCRATCH2)


@attrs.frozen
class Operation:
    """One kind of operation.

    Args:
        function, file: the kernel function that does it.
        lanes: the names of its tasks, one for each object.
        slots: the value of register SLOT in each of them, all different.
        write: writes the operation, which jumps to the label, with nothing changed, if it is not possible.
    """

    function: str
    file: str
    lanes: tuple[str, ...]
    slots: tuple[int, ...]
    write: Callable[[Label], None]


def cpus_of(operations: Sequence[Operation]) -> int:
    """Count the CPUs that the tasks need."""
    return sum(len(operation.slots) for operation in operations)


def write_operations(
    model: Model, operations: Sequence[Operation], *, lock: int, called: str, check: Callable[[], None]
) -> tuple[str, ...]:
    """Write all tasks; return the lanes.

    Args:
        model: with a CPU for each task.
        operations: the operations.
        lock, called: the lock that all take for writing, and its name.
        check: writes the checks after each operation.
    """
    asm = model.asm
    cpu = 0
    for operation in operations:
        body, refused = model.label(), model.label()
        ends = [model.label() for _ in operation.slots]
        with asm.function(operation.function, operation.file):
            # Nothing is done outside of the lock, so that there are no other interleavings.
            for slot, end in zip(operation.slots, ends, strict=True):
                asm.place(end)
                asm.set(o.SLOT, 0)
                asm.unlock(lock, write=True, text=called)
                model.starts(model.task(mm=None, cpu=cpu, ready=True))
                cpu += 1
                asm.lock(lock, write=True, sleeps=True, text=called)
                asm.set(o.SLOT, slot)
                asm.jump(body)
            asm.place(body)
            operation.write(refused)
            check()
            asm.place(refused)
            for register in REGISTERS:
                asm.set(register, 0)  # registers keep nothing of an operation
            for slot, end in zip(operation.slots, ends, strict=True):
                asm.jump_equal(o.SLOT, slot, end)
            asm.jump(ends[-1])  # a task goes on for ever: it has no end
    return tuple(lane for operation in operations for lane in operation.lanes)


class Writer:
    """Write conditions, and steps that stories leave out."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.asm = model.asm

    def look(self, register: int, variable: int, index: int | None = None) -> None:
        """Write: load a variable, or the element of an array at register `index`, without a line in stories."""
        with self.asm.aside():
            self.asm.v_load(register, variable, index=index)

    def put(self, variable: int, register: int, index: int | None = None, *, text: str = "") -> None:
        """Write: store the register in a variable, or in the element of an array."""
        self.asm.v_store(variable, register, from_register=True, index=index, text=text)

    def count(self, variable: int, much: int, index: int | None = None, *, text: str = "") -> None:
        """Write: add to a variable, or to the element of an array; SCRATCH gets the sum."""
        self.asm.v_add(variable, much, o.SCRATCH, index=index, text=text)

    @contextmanager
    def if_same(self, register: int, other: int) -> Iterator[None]:
        """Write: run the steps within if two registers are equal."""
        yes, no = self.model.label(), self.model.label()
        self.asm.jump_same(register, other, yes)
        self.asm.jump(no)
        self.asm.place(yes)
        yield
        self.asm.place(no)

    @contextmanager
    def unless_same(self, register: int, other: int) -> Iterator[None]:
        """Write: run the steps within if the registers differ."""
        same = self.model.label()
        self.asm.jump_same(register, other, same)
        yield
        self.asm.place(same)

    @contextmanager
    def if_equal(self, register: int, value: int) -> Iterator[None]:
        """Write: run the steps within if the register holds the value."""
        yes, no = self.model.label(), self.model.label()
        self.asm.jump_equal(register, value, yes)
        self.asm.jump(no)
        self.asm.place(yes)
        yield
        self.asm.place(no)

    @contextmanager
    def unless_equal(self, register: int, value: int) -> Iterator[None]:
        """Write: run the steps within if the register holds another value."""
        same = self.model.label()
        self.asm.jump_equal(register, value, same)
        yield
        self.asm.place(same)

    @contextmanager
    def unless_bits(self, register: int, bits: int) -> Iterator[None]:
        """Write: run the steps within if the register has none of the bits."""
        none, some = self.model.label(), self.model.label()
        self.asm.jump_no_bits(register, bits, none)
        self.asm.jump(some)
        self.asm.place(none)
        yield
        self.asm.place(some)

    @contextmanager
    def if_bits(self, register: int, bits: int) -> Iterator[None]:
        """Write: run the steps within if the register has one of the bits."""
        none = self.model.label()
        self.asm.jump_no_bits(register, bits, none)
        yield
        self.asm.place(none)
