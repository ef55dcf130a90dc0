"""A method for each step of `steps/memory.py`, as programs write it. Written by `write_builders.py`."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.arguments import truth
from shootdown._machine.label import Label
from shootdown._machine.writer import Writer


class MemorySteps(Writer):
    """The steps of this family, one method each.

    All take `cost`, the name of the platform's cost (`COST_NAMES`), and `text`, a short description for stories.
    """

    def entry_load(self, register: int, atom: int, *, cost: str | None = None, text: str = "") -> None:
        """Read an entry.

        Args:
            register: a register that is overwritten.
            atom: an atom: a range of addresses that the program treats alike.
        """
        self._write(o.ENTRY_LOAD, register, atom, cost=cost, text=text)

    def entry_store(
        self, atom: int, value: int, from_register: bool = False, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Write an entry.

        Args:
            atom: an atom: a range of addresses that the program treats alike.
            value: the value that is written.
            from_register: `value` is a register that holds it.
        """
        self._write(o.ENTRY_STORE, atom, value, truth(from_register, "from_register"), cost=cost, text=text)

    def entry_xchg(
        self,
        atom: int,
        value: int,
        register: int,
        from_register: bool = False,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Write an entry and read its old value, fully ordered, as xchg() does.

        Args:
            atom: an atom: a range of addresses that the program treats alike.
            value: the value that is written.
            register: gets the old value.
            from_register: `value` is a register that holds it.
        """
        self._write(
            o.ENTRY_XCHG, atom, value, register, truth(from_register, "from_register"), cost=cost, text=text
        )

    def put_frames(self, register: int, *, cost: str | None = None, text: str = "") -> None:
        """Drop a reference to each frame that the value of an entry maps; frames without any are free.

        Args:
            register: a register with the value.
        """
        self._write(o.PUT_FRAMES, register, cost=cost, text=text)

    def get_frames(self, register: int, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Take a reference to each frame that the value of an entry maps, or jump to a label if one is free.

        Args:
            register: a register with the value.
            label: a place in the program.
        """
        self._write(o.GET_FRAMES, register, label, cost=cost, text=text)

    def jump_referenced(
        self, register: int, label: Label, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Jump to a label if a frame that the value of an entry maps has more than one reference.

        Args:
            register: a register with the value.
            label: a place in the program.
        """
        self._write(o.JUMP_REFERENCED, register, label, cost=cost, text=text)

    def queue_frames(self, register: int, source: int, *, cost: str | None = None, text: str = "") -> None:
        """Note in a register the frames that an entry's value maps; one noted twice loses a reference.

        Args:
            register: a register that is read and may be overwritten.
            source: a register with the value.
        """
        self._write(o.QUEUE_FRAMES, register, source, cost=cost, text=text)

    def occupants(self, register: int, atom: int, *, cost: str | None = None, text: str = "") -> None:
        """Note in a register which frames an atom of the mm maps, or may still be reached by on any CPU.

        Args:
            register: a register that is read and may be overwritten.
            atom: an atom: a range of addresses that the program treats alike.
        """
        self._write(o.OCCUPANTS, register, atom, cost=cost, text=text)

    def right_is_gone(
        self, register: int, atom: int, writes: bool = False, *, cost: str | None = None, text: str = ""
    ) -> None:
        """End the right to reach the frames noted in a register by an atom of the mm, or to write to them.

        Args:
            register: a register that is read.
            atom: an atom: a range of addresses that the program treats alike.
            writes: true or false.
        """
        self._write(o.RIGHT_IS_GONE, register, atom, truth(writes, "writes"), cost=cost, text=text)

    def right_is_gone_unless(
        self,
        register: int,
        atom: int,
        variable: int,
        writes: bool = False,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """End a right as RIGHT_IS_GONE does, unless a variable says in memory that it was given again.

        Args:
            register: a register that is read.
            atom: an atom: a range of addresses that the program treats alike.
            variable: a variable, or the first of an array.
            writes: true or false.
        """
        self._write(
            o.RIGHT_IS_GONE_UNLESS, register, atom, variable, truth(writes, "writes"), cost=cost, text=text
        )

    def user_mode(self, enters: bool, *, cost: str | None = None, text: str = "") -> None:
        """Enter user mode, or leave it.

        Args:
            enters: true or false.
        """
        self._write(o.USER_MODE, truth(enters, "enters"), cost=cost, text=text)
