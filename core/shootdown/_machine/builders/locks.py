"""A method for each step of `steps/locks.py`, as programs write it. Written by `write_builders.py`."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.arguments import truth
from shootdown._machine.label import Label
from shootdown._machine.writer import Writer


class LocksSteps(Writer):
    """The steps of this family, one method each.

    All take `cost`, the name of the platform's cost (`COST_NAMES`), and `text`, a short description for stories.
    """

    def lock_write(
        self,
        lock: int,
        index: int = 0,
        sleeps: bool = False,
        at_once: bool = False,
        *,
        cost: str | None = None,
        text: str = "",
    ) -> None:
        """Take a lock for writing; wait while it is held.

        Args:
            lock: the first of its kind.
            index: 0: that one; 1: that of the mm; 2: that of the table of register SLOT.
            sleeps: who waits may leave its CPU meanwhile.
            at_once: who waits sleeps at once: it does not spin before.
        """
        self._write(
            o.LOCK_WRITE,
            lock,
            index,
            truth(sleeps, "sleeps"),
            truth(at_once, "at_once"),
            cost=cost,
            text=text,
        )

    def lock_read(
        self, lock: int, index: int = 0, sleeps: bool = False, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Take a lock for reading; wait while a writer holds it.

        Args:
            lock: the first of its kind.
            index: 0: that one; 1: that of the mm; 2: that of the table of register SLOT.
            sleeps: who waits may leave its CPU meanwhile.
        """
        self._write(o.LOCK_READ, lock, index, truth(sleeps, "sleeps"), cost=cost, text=text)

    def try_write(
        self, lock: int, label: Label, index: int = 0, *, cost: str | None = None, text: str = ""
    ) -> None:
        """Take a lock for writing, or jump to a label if it is held.

        Args:
            lock: the first of its kind.
            label: a place in the program.
            index: 0: that one; 1: that of the mm; 2: that of the table of register SLOT.
        """
        self._write(o.TRY_WRITE, lock, index, label, cost=cost, text=text)

    def unlock_write(self, lock: int, index: int = 0, *, cost: str | None = None, text: str = "") -> None:
        """Release a lock that was taken for writing.

        Args:
            lock: the first of its kind.
            index: 0: that one; 1: that of the mm; 2: that of the table of register SLOT.
        """
        self._write(o.UNLOCK_WRITE, lock, index, cost=cost, text=text)

    def unlock_read(self, lock: int, index: int = 0, *, cost: str | None = None, text: str = "") -> None:
        """Release a lock that was taken for reading.

        Args:
            lock: the first of its kind.
            index: 0: that one; 1: that of the mm; 2: that of the table of register SLOT.
        """
        self._write(o.UNLOCK_READ, lock, index, cost=cost, text=text)
