"""Steps that are written many times over, such as a thousand forks: most are derived from the first ones.

To write a step takes some microseconds, to copy it a tenth of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from shootdown._machine.label import Label

if TYPE_CHECKING:
    from shootdown._machine.assembler import Assembler

#: How many are written before others are derived: two make a difference, the third one confirms it.
_FIRST = 3
#: Fewer are just written.
_FEWEST = 8


class _Block(NamedTuple):
    """Steps that were written.

    Args:
        rows: operation and operands of each; those in a label's place count from the block's first step.
        moves: which operands are labels, as pairs of row and column.
        about: the cost, cause, note and site of each.
        apart: how many lists, causes and instructions there were when they had been written.
    """

    rows: list[list[int]]
    moves: list[tuple[int, int]]
    about: list[tuple[object, ...]]
    apart: tuple[int, ...]


def repeated(asm: Assembler, count: int, write: Callable[[int], None]) -> None:
    """Write steps `count` times over, which differ from one time to the next by numbers alone.

    If the second and the third time differ as the first and the second do, by the same number in each operand, those
    that follow are derived. Those around powers of two and the last one are written, and have to be as they would have
    been derived; else all are written.

    Args:
        asm: the assembler.
        count: how many times.
        write: writes the steps of one time, numbered from 0, and does nothing else.
    """
    if count < _FEWEST:
        for n in range(count):
            write(n)
        return
    blocks = [_written(asm, write, n) for n in range(_FIRST)]
    end = asm.here
    first, change = blocks[0], _change(blocks)
    if first is not None and change is not None and _derived(asm, count, write, first, change):
        return
    asm._cut(end)
    for n in range(_FIRST, count):
        write(n)


def _derived(
    asm: Assembler, count: int, write: Callable[[int], None], first: _Block, change: list[list[int]]
) -> bool:
    """Derive all times but the first ones; return whether those that are written are what would have been derived."""
    import numpy as np

    rows, by = np.array(first.rows, np.int64), np.array(change, np.int64)
    size = len(rows)
    n = _FIRST
    while n < count:
        if n == count - 1 or n & (n - 1) == 0 or n & (n + 1) == 0:
            found = _written(asm, write, n)
            if found is None or (found.rows, found.moves, found.about) != (
                (rows + by * n).tolist(),
                first.moves,
                first.about,
            ):
                return False
            n += 1
            continue
        until = min(count - 1, (1 << n.bit_length()) - 1)  # the next one that is written
        asm.expect(asm.here + (until - n) * size)
        times = np.arange(n, until, dtype=np.int64)
        derived = rows[None] + by[None] * times[:, None, None]
        start = asm.here
        for row, column in first.moves:
            derived[:, row, column] += start + np.arange(len(times)) * size
        asm._derive(derived.reshape(-1, rows.shape[1]), size)
        n = until
    return True


def _written(asm: Assembler, write: Callable[[int], None], n: int) -> _Block | None:
    """Write one time; return what was written, or None if it names places outside of it."""
    start = asm.here
    write(n)
    rows, moves = [], []
    for at, step in enumerate(asm._steps[start:]):
        row = []
        for column, operand in enumerate(step):
            if isinstance(operand, Label):
                if operand.owner is not asm or not start <= operand.at <= asm.here:
                    return None
                moves.append((at, column))
                operand = operand.at - start
            row.append(operand)
        rows.append(row)
    about: list[tuple[object, ...]] = list(
        zip(asm._cost[start:], asm._cause[start:], asm._notes[start:], asm._sites[start:], strict=True)
    )
    return _Block(rows, moves, about, (len(asm._lists), len(asm._causes), len(asm._instructions)))


def _change(blocks: list[_Block | None]) -> list[list[int]] | None:
    """Return by how much each operand grows each time; None if they are not alike."""
    first, second, third = blocks
    if first is None or second is None or third is None or not first.rows:
        return None
    if not first.moves == second.moves == third.moves or not first.about == second.about == third.about:
        return None
    if len(first.rows) != len(second.rows) or len(second.rows) != len(third.rows):
        return None
    if second.apart != third.apart:
        return None
    change = [
        [b - a for a, b in zip(*rows, strict=True)] for rows in zip(first.rows, second.rows, strict=True)
    ]
    again = [
        [b - a for a, b in zip(*rows, strict=True)] for rows in zip(second.rows, third.rows, strict=True)
    ]
    if change != again or any(row[0] for row in change):
        return None
    return change
