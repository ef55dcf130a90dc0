"""What readers make of a recording, as frozen values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

import attrs

#: What a reader says of a line: it is another's, it was read, or it is this reader's and damaged.
OTHER, READ, DAMAGED = 0, 1, 2
#: Besides one of these: the line before it, which was taken as the beginning of something longer, is cut off.
CUT = 4

#: Different keys of one table; what comes after them is counted together.
MOST_KEYS = 2048
REST = "(others)"


def add(table: Counter[Any], key: Any, count: int = 1, rest: Any = REST) -> None:
    """Add to a table that stays small, whatever the recording holds.

    Args:
        table: counts by key.
        key: what is counted.
        count: how many.
        rest: the key of all that come when the table is full.
    """
    if key not in table and len(table) >= MOST_KEYS:
        key = rest
    table[key] += count


@attrs.frozen
class Cell:
    """Shootdowns that are alike.

    Args:
        path: the kernel path or system call that they came from; empty where the recording doesn't tell.
        pages: how many, -1 for the whole address space; None where the recording doesn't tell.
        targets: the CPUs that each reached; None where the recording doesn't tell.
        count: how many of them, or a share in per cent where only shares are known.
    """

    path: str
    pages: int | None
    targets: int | None
    count: float


@attrs.frozen
class Check:
    """A cross-check between two things that were recorded.

    Args:
        what: the rule.
        holds: whether it does; None where it need not.
        text: the numbers, in one sentence.
    """

    what: str
    holds: bool | None
    text: str


class Part(Protocol):
    """What one reader found in one file."""

    @property
    def kind(self) -> str:
        """Return the name of the format's content, as JSON has it."""

    @property
    def evidence(self) -> Mapping[str, int]:
        """Return what only some releases write: names of `Evidence` or functions, and how often."""

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return what can't be known from it, a sentence each."""

    def cells(self) -> tuple[Cell, ...]:
        """Return the shootdowns of user pages, by path, pages and targets."""

    def checks(self) -> tuple[Check, ...]:
        """Return the cross-checks within it."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""


class Reader(Protocol):
    """Read one kind of content, a line at a time."""

    def take(self, line: str) -> int:
        """Take a line: OTHER, READ or DAMAGED, and perhaps CUT."""

    def end(self) -> None:
        """Take note that the file is at its end."""

    def part(self) -> Part | None:
        """Return what was found so far, or None if nothing was."""


def largest(table: Mapping[Any, int], most: int = 20) -> list[tuple[Any, int]]:
    """Return the largest entries of a table, and the sum of the others under `REST`, last.

    Args:
        table: counts by key.
        most: how many entries.
    """
    named = [pair for pair in table.items() if pair[0] != REST]
    named.sort(key=lambda pair: (-pair[1], str(pair[0])))
    others = table.get(REST, 0) + sum(count for _, count in named[most:])
    return [*named[:most], *([(REST, others)] if others else [])]
