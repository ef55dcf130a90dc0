"""What a scenario says is alike in its machine, so that states that differ in nothing else are explored once."""

from __future__ import annotations

from typing import NamedTuple


class Table(NamedTuple):
    """Records in variables that follow one another, a row for each.

    Programs may rely on the order of the records of one owner, and on nothing else: not on which rows they are in,
    not on the order of owners, and not on the owners' numbers, beyond whether two are the same.

    Args:
        first: the variable where the first row begins.
        rows, columns: how many records there is room for, at most 15, and variables of each.
        owner: the column that says whose a record is: a number from one to `rows`; 0: the row is free, and all else
            in it is 0.
        lock: who works with the table holds this lock for writing, and knows nothing of it once it is released.
    """

    first: int
    rows: int
    columns: int
    owner: int
    lock: int


class Group(NamedTuple):
    """One of several like parts of a machine.

    Args:
        cpus, tasks, mms: the numbers of what belongs to it, in corresponding order.
    """

    cpus: tuple[int, ...]
    tasks: tuple[int, ...]
    mms: tuple[int, ...]
