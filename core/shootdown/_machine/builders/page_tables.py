"""A method for each step of `steps/page_tables.py`, as programs write it. Written by `write_builders.py`."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.arguments import truth
from shootdown._machine.label import Label
from shootdown._machine.writer import Writer


class PageTablesSteps(Writer):
    """The steps of this family, one method each.

    All take `cost`, the name of the platform's cost (`COST_NAMES`), and `text`, a short description for stories.
    """

    def load_pud(self, register: int, *, cost: str | None = None, text: str = "") -> None:
        """Read the PUD entry: the class of the table that it points to, plus one; 0 for none.

        Args:
            register: a register that is overwritten.
        """
        self._write(o.LOAD_PUD, register, cost=cost, text=text)

    def clear_pud(self, *, cost: str | None = None, text: str = "") -> None:
        """Clear the PUD entry; entries that CPUs have cached through it become stale."""
        self._write(o.CLEAR_PUD, cost=cost, text=text)

    def set_pud(self, table_class: int, *, cost: str | None = None, text: str = "") -> None:
        """Set the PUD entry to the table of a class.

        Args:
            table_class: a class of tables.
        """
        self._write(o.SET_PUD, table_class, cost=cost, text=text)

    def store_pud(
        self,
        value: int,
        from_register: bool = False,
        huge: bool = False,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Write the link: a table's class plus one, or with `ops.ENTRY_HUGE` the entry of a huge page.

        Args:
            value: the value that is written.
            from_register: `value` is a register that holds it.
            huge: `ops.ENTRY_HUGE` is set in what is written.
        """
        self._write(
            o.STORE_PUD,
            value,
            truth(from_register, "from_register"),
            truth(huge, "huge"),
            cost=cost,
            text=text,
        )

    def xchg_pud(
        self,
        value: int,
        register: int,
        from_register: bool = False,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Write the link as STORE_PUD does and read its old value, fully ordered, as xchg() does.

        Args:
            value: the value that is written.
            register: gets the old value.
            from_register: `value` is a register that holds it.
        """
        self._write(o.XCHG_PUD, value, register, truth(from_register, "from_register"), cost=cost, text=text)

    def jump_exclusive(self, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Jump to a label unless other processes map the table of register CLASS too.

        Args:
            label: a place in the program.
        """
        self._write(o.JUMP_EXCLUSIVE, label, cost=cost, text=text)

    def share(self, table_class: int, *, cost: str | None = None, text: str = "") -> None:
        """Increment the share count of a table; register SCRATCH gets the count before.

        Args:
            table_class: a class of tables.
        """
        self._write(o.SHARE, table_class, cost=cost, text=text)

    def populate(self, table_class: int, label: Label, *, cost: str | None = None, text: str = "") -> None:
        """Share a table and set the PUD entry to it, or jump to a label if the entry is present already.

        Args:
            table_class: a class of tables.
            label: a place in the program.
        """
        self._write(o.POPULATE, table_class, label, cost=cost, text=text)

    def unshare(
        self, gather: int, flags: int, more_flags: int = 0, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Decrement the share count of the table of register CLASS, and set flags of a gather.

        Args:
            gather: 0 or 1: the task's outer or nested gather; 2: the request of a flush without a gather.
            flags: flags that are set in the gather.
            more_flags: flags that are also set if one process is left.
        """
        self._write(o.UNSHARE, gather, flags, more_flags, cost=cost, text=text)

    def drop(self, *, cost: str | None = None, text: str = "") -> None:
        """Decrement the share count of the table of register CLASS, for its last process."""
        self._write(o.DROP, cost=cost, text=text)

    def table_state(self, state: int, *, cost: str | None = None, text: str = "") -> None:
        """Set the use of the page of register CLASS's table, by the mm that the task's kernel work is on.

        Args:
            state: `ops.TABLE_*`.
        """
        self._write(o.TABLE_STATE, state, cost=cost, text=text)

    def read_table(self, register: int, table: int, *, cost: str | None = None, text: str = "") -> None:
        """Read an entry in a table, as a walker does; the result is the use of the table's page.

        Args:
            register: gets the table's state (`ops.TABLE_*`).
            table: a register that holds the table's class, plus one.
        """
        self._write(o.READ_TABLE, register, table, cost=cost, text=text)

    def touch(self, *, cost: str | None = None, text: str = "") -> None:
        """Use a translation of the mm: this CPU's TLB and walk caches may hold it from now on."""
        self._write(o.TOUCH, cost=cost, text=text)
