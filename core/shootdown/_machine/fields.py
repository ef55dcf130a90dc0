"""Fields of a patch: variables by CPU, by mm, or of the machine, and the steps that read and write them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import attrs

from shootdown._machine import ops as o
from shootdown._values.errors import nearest, shown
from shootdown._values.patch import CPU, MACHINE, MM, Field
from shootdown._values.sites import mistake

if TYPE_CHECKING:
    from shootdown._machine.assembler import Assembler
    from shootdown._machine.branches import Branch

#: Numbers of variables are below.
_MODULUS = 1 << 15


class ThisMm:
    """Stands for the mm that the kernel's work is on, as a value of a field."""

    def __repr__(self) -> str:
        return "call.mm"


THIS_MM = ThisMm()
Number = int | ThisMm


class Fields:
    """The fields of one patch in one model; each gets its variables when a program first uses it.

    Args:
        declared: what the patch declares.
        declare: makes a variable of a first value and a name, and returns its number.
        many: how many CPUs, mms and machines there are, by `Field.by`.
    """

    def __init__(
        self, declared: tuple[Field, ...], declare: Callable[[int, str], int], many: dict[str, int]
    ) -> None:
        self._declared = {field.name: field for field in declared}
        self._declare = declare
        self._many = many
        self._first: dict[str, int] = {}

    @classmethod
    def apart(cls, cpus: int = 1, mms: int = 1) -> tuple[Fields, list[int]]:
        """Return fields for steps without a model, and their first values, which grow as they are used.

        Args:
            cpus, mms: how many there are, which each have an element of a field.
        """
        firsts: list[int] = []

        def declare(value: int, _: str) -> int:
            firsts.append(value)
            return len(firsts) - 1

        return cls((), declare, {CPU: cpus, MM: mms, MACHINE: 1}), firsts

    def declared(self, field: Field, asm: Assembler) -> PlacedField:
        """Return a field that an architecture declares as it uses it."""
        known = self._declared.setdefault(field.name, field)
        if known != field:
            raise mistake(f"field {field.name} is declared twice, and differs")
        return self.of(field.name, asm)

    @property
    def indexed(self) -> bool:
        """Whether programs use a field by CPU or by mm: CPUs and mms then are not alike."""
        return any(self._declared[name].by != MACHINE for name in self._first)

    @property
    def by_cpu(self) -> bool:
        """Whether programs use a field by CPU."""
        return any(self._declared[name].by == CPU for name in self._first)

    def of(self, name: str, asm: Assembler) -> PlacedField:
        """Return a field.

        Raises:
            ShootdownError: the patch declares none of that name.
        """
        field = self._declared.get(name)
        if field is None:
            raise mistake(f"the patch declares no field {shown(name)}; {nearest(str(name), self._declared)}")
        if name not in self._first:
            count = self._many[field.by]
            names = [name] if field.by == MACHINE else [f"{name} of {field.by} {n}" for n in range(count)]
            numbers = [self._declare(field.first, one) for one in names]
            self._first[name] = numbers[0]
        return PlacedField(field, self._first[name], asm)


@attrs.frozen(eq=False)
class PlacedField:
    """A field of a patch, as its functions read and write it.

    The element is that of the CPU that runs the steps, or of the mm that the kernel's work is on; a field of the
    machine has but one. A value is a whole number, or `call.mm` for that mm. A store waits in the CPU's store buffer,
    as any does.
    """

    field: Field
    _first: int = attrs.field(repr=False)
    _asm: Assembler = attrs.field(repr=False)

    def store(self, value: Number, text: str = "") -> None:
        """Write: the field gets a value, as by WRITE_ONCE()."""
        said = text or f"{self.field.name} = {_words(value)}"
        number = self._operand(value)
        index = self._index()
        from_register = isinstance(value, ThisMm)
        self._asm.v_store(self._first, number, from_register, index, text=said)

    def load(self, register: int = o.VALUE, text: str = "") -> None:
        """Write: a register gets the field, as by READ_ONCE(); other steps may overwrite `ops.VALUE`."""
        self._asm.v_load(register, self._first, self._index(), text=text or f"read {self.field.name}")

    def add(self, number: int, register: int = o.VALUE, text: str = "") -> None:
        """Write: add to the field, fully ordered; a register gets the sum, as by atomic_add_return()."""
        said = text or f"add {number} to {self.field.name}"
        self._asm.v_add(self._first, number, register, self._index(), text=said)

    def if_equal(self, value: Number) -> AbstractContextManager[Branch]:
        """Run the steps within if the field has a value; `otherwise()` begins the other arm."""
        self.load(text=f"{self.field.name} == {_words(value)}?")
        if isinstance(value, ThisMm):
            self._this_mm(o.OWN)
            return self._asm.if_same(o.VALUE, o.OWN)
        return self._asm.if_equal(o.VALUE, self._operand(value))

    def keep_targets(self, value: Number, text: str = "") -> None:
        """Write: of the targets keep the CPUs whose field has a value; the field is one by CPU.

        The kernel's loop over the CPUs is one step here: a CPU cannot change its field in the middle of it.
        """
        if self.field.by != CPU:
            raise mistake(f"field {self.field.name} is by {self.field.by}: keep_targets() takes one by {CPU}")
        said = text or f"keep the CPUs whose {self.field.name} is {_words(value)}"
        if isinstance(value, ThisMm):
            self._this_mm(o.VALUE)
        else:
            self._asm.set(o.VALUE, self._operand(value))
        self._asm.target_holding(self._first, o.VALUE, text=said)

    def _operand(self, value: Number) -> int:
        """Return the operand that stands for a value; the mm of the work goes into register VALUE."""
        if isinstance(value, ThisMm):
            self._this_mm(o.VALUE)
            return o.VALUE
        if type(value) is not int or not 0 <= value < _MODULUS:
            raise mistake(
                f"field {self.field.name}: a value is a whole number from 0 to {_MODULUS - 1}, or call.mm, "
                f"not {shown(value)}"
            )
        return value

    def _this_mm(self, register: int) -> None:
        """Write: a register gets the number of the mm that the work is on, from one on."""
        self._asm.own_number(register, o.OF_MM)
        self._asm.add(register, 1)

    def _index(self) -> int | None:
        """Write: register OWN gets the place of the element, and is returned; None if there is but one."""
        if self.field.by == MACHINE:
            return None
        self._asm.own_number(o.OWN, o.OF_CPU if self.field.by == CPU else o.OF_MM)
        return o.OWN


def _words(value: Number) -> str:
    return "mm" if isinstance(value, ThisMm) else "NULL" if value == 0 else str(value)
