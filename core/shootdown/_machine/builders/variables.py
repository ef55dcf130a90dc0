"""A method for each step of `steps/variables.py`, as programs write it. Written by `write_builders.py`."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.arguments import past, truth
from shootdown._machine.label import Label
from shootdown._machine.writer import Writer


class VariablesSteps(Writer):
    """The steps of this family, one method each.

    All take `cost`, the name of the platform's cost (`COST_NAMES`), and `text`, a short description for stories.
    """

    def v_load(
        self,
        register: int,
        variable: int,
        index: int | None = None,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Read a variable: the newest store to it in this CPU's store buffer, else memory.

        Args:
            register: a register that is overwritten.
            variable: a variable, or the first of an array.
            index: a register with the index of the element, if `variable` is an array.
        """
        self._write(o.V_LOAD, register, variable, past(index, "index"), cost=cost, text=text)

    def v_store(
        self,
        variable: int,
        value: int,
        from_register: bool = False,
        index: int | None = None,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Write a variable.

        Args:
            variable: a variable, or the first of an array.
            value: the value that is written.
            from_register: `value` is a register that holds it.
            index: a register with the index of the element, if `variable` is an array.
        """
        self._write(
            o.V_STORE,
            variable,
            value,
            truth(from_register, "from_register"),
            past(index, "index"),
            cost=cost,
            text=text,
        )

    def v_add(
        self,
        variable: int,
        number: int,
        register: int,
        index: int | None = None,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Add to a variable and read the sum, fully ordered, as atomic_add_return() does.

        Args:
            variable: a variable, or the first of an array.
            number: what is added.
            register: gets the sum.
            index: a register with the index of the element, if `variable` is an array.
        """
        self._write(o.V_ADD, variable, number, register, past(index, "index"), cost=cost, text=text)

    def v_xchg(
        self,
        variable: int,
        value: int,
        register: int,
        from_register: bool = False,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Write a variable and read its old value, fully ordered, as xchg() does.

        Args:
            variable: a variable, or the first of an array.
            value: the value that is written.
            register: gets the old value.
            from_register: `value` is a register that holds it.
        """
        self._write(
            o.V_XCHG, variable, value, register, truth(from_register, "from_register"), cost=cost, text=text
        )

    def v_cas(
        self, variable: int, expected: int, new: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Write a variable if it holds the expected value; else read it and jump to a label (cmpxchg()).

        Args:
            variable: a variable, or the first of an array.
            expected: a register with the expected value; gets the value found if that differs.
            new: a register with the new value.
            label: a place in the program.
        """
        self._write(o.V_CAS, variable, expected, new, label, cost=cost, text=text)

    def fence(self, *, cost: str | None = None, text: str = "") -> None:
        """Wait until this CPU's store buffer is empty, as smp_mb() does."""
        self._write(o.FENCE, cost=cost, text=text)

    def access(
        self, register: int, entry: int, write: bool = False, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Access memory in user mode through an entry: by this CPU's TLB copy of it, or by a walk.

        Args:
            register: gets the entry's value, 0 for a fault.
            entry: a single page-table entry.
            write: true or false.
        """
        self._write(o.ACCESS, register, entry, truth(write, "write"), cost=cost, text=text)

    def choice(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Go on or jump to a label; exploration tries both.

        Args:
            label: a place in the program.
        """
        self._write(o.CHOICE, label, cost=cost, text=text)

    def fail(self, invariant: int, *, cost: str | None = None, text: str = "") -> None:
        """Report a broken invariant.

        Args:
            invariant: an invariant.
        """
        self._write(o.FAIL, invariant, cost=cost, text=text)

    def jump_no_bits(
        self, register: int, mask: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Jump to a label unless a register has one of the bits of a mask.

        Args:
            register: a register that is read.
            mask: a number.
            label: a place in the program.
        """
        self._write(o.JUMP_NO_BITS, register, mask, label, cost=cost, text=text)

    def copy(self, register: int, source: int, *, cost: str | None = None, text: str = "") -> None:
        """Copy a register.

        Args:
            register: a register that is overwritten.
            source: a register that is read.
        """
        self._write(o.COPY, register, source, cost=cost, text=text)

    def add(self, register: int, number: int, *, cost: str | None = None, text: str = "") -> None:
        """Add to a register.

        Args:
            register: a register that is read and may be overwritten.
            number: what is added.
        """
        self._write(o.ADD, register, number, cost=cost, text=text)

    def clear_bits(self, register: int, mask: int, *, cost: str | None = None, text: str = "") -> None:
        """Clear the bits of a mask in a register.

        Args:
            register: a register that is read and may be overwritten.
            mask: a number.
        """
        self._write(o.CLEAR_BITS, register, mask, cost=cost, text=text)

    def jump_same(
        self, register: int, other: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Jump to a label if two registers are equal.

        Args:
            register: a register that is read.
            other: a register that is read.
            label: a place in the program.
        """
        self._write(o.JUMP_SAME, register, other, label, cost=cost, text=text)

    def target_rcu(self, *, cost: str | None = None, text: str = "") -> None:
        """Target all online CPUs but this one: each answers a CALL_RCU once it is in a quiescent state."""
        self._write(o.TARGET_RCU, cost=cost, text=text)

    def own_number(self, register: int, what: int, *, cost: str | None = None, text: str = "") -> None:
        """Read the number of the task's CPU, or of the mm that its kernel work is on.

        Args:
            register: a register that is overwritten.
            what: `ops.OF_CPU` or `ops.OF_MM`.
        """
        self._write(o.OWN_NUMBER, register, what, cost=cost, text=text)

    def target_holding(
        self, variable: int, register: int, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Leave out targets whose element of an array with one for each CPU is not what a register holds.

        Args:
            variable: a variable, or the first of an array.
            register: a register that is read.
        """
        self._write(o.TARGET_HOLDING, variable, register, cost=cost, text=text)

    def reached(self, place: int, *, cost: str | None = None, text: str = "") -> None:
        """Mark a place as reached by exploration.

        Args:
            place: the number of a place.
        """
        self._write(o.REACHED, place, cost=cost, text=text)
