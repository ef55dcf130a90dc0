"""Symmetries that a scenario declares: states that differ only by a renaming of like parts are explored once."""

from __future__ import annotations

from typing import NamedTuple


class Table(NamedTuple):
    """Records in consecutive variables, one row for each record.

    Programs may depend on the order of the records of one owner and on whether two owners are equal, but not on the
    rows that records are in, the order of owners or their numbers.

    Args:
        first: the variable where the first row begins.
        rows, columns: the number of records that fit, at most 15, and the variables of each.
        owner: the column with a record's owner, a number from one to `rows`; 0: the row is free, and its other
            columns are 0.
        lock: a task uses the table only while it holds this lock for writing, and keeps nothing from it in registers
            after the release.
    """

    first: int
    rows: int
    columns: int
    owner: int
    lock: int


class Group(NamedTuple):
    """One of several like parts of a machine.

    Args:
        cpus, tasks, mms: the numbers of its CPUs, tasks and mms, in the same order in each group.
    """

    cpus: tuple[int, ...]
    tasks: tuple[int, ...]
    mms: tuple[int, ...]
