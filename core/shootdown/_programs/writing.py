"""What the threads of a counted program have in common, which the writer of each looks at."""

from __future__ import annotations

from typing import Protocol

from shootdown._mm.anonymous import Anonymous
from shootdown._mm.model import Model
from shootdown._programs.areas import Cut
from shootdown._programs.cast import Cast
from shootdown._programs.daemons import Daemons
from shootdown._programs.ending import Ending
from shootdown._programs.hugetlb import Hugetlb, Mapped
from shootdown._programs.program import Program, Statement
from shootdown._programs.scheduled import Scheduled
from shootdown._programs.space import Space


class Writer(Protocol):
    """What the threads of a program have in common: see `timed`."""

    program: Program
    cast: Cast
    model: Model
    calls: Anonymous
    page_size: int
    cuts: dict[str, Cut]
    memory: dict[str, Mapped]
    maps: dict[str, tuple[str, ...]]
    hugetlb: Hugetlb
    locks: dict[str, int]
    events: dict[str, int]
    daemons: Daemons
    used_up: dict[str, Statement]
    spaces: list[Space]
    own: list[Space]
    tasks: list[int]
    lazy: int
    hosted: bool
    endings: dict[int, Ending]
    time: Scheduled
    forked: dict[tuple[str, int], int]

    def mms_of(self, memory: str) -> tuple[int, ...]:
        """Return the address spaces that map a memory."""

    def pages_of(self, one: Statement) -> int:
        """Return the base pages of the memory that a statement is about."""


def told(one: Statement) -> str:
    """Return a statement with its place, for the error of a program that never ends."""
    line = f", line {one.at.line}" if one.at.line else ""
    return f"`{one.text:.40}`{line}"
