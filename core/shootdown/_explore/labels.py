"""The labels of moves in words, for stories and for JSON."""

from __future__ import annotations

from shootdown._compilation.running import runnable
from shootdown._explore.moves import (
    AWAY,
    BACK,
    CHOOSE,
    COPY,
    DRAIN,
    FILL,
    GRANT,
    IDLE,
    KINDS,
    PREEMPT,
    RESUME,
    STEP,
    SWITCH,
    TAKE,
    label_of,
)
from shootdown._values.errors import ShootdownError

#: The kinds of moves: their word in JSON, and who makes them.
MOVES = {
    STEP: ("step", "task"),
    CHOOSE: ("choose", "task"),
    TAKE: ("take", "interrupt"),
    FILL: ("fill", "hardware walker"),
    COPY: ("copy", "hardware walker"),
    DRAIN: ("drain", "store buffer"),
    PREEMPT: ("preempt", "host"),
    RESUME: ("resume", "host"),
    IDLE: ("idle", "scheduler"),
    GRANT: ("grant", "scheduler"),
    SWITCH: ("switch", "scheduler"),
    AWAY: ("away", "scheduler"),
    BACK: ("back", "scheduler"),
}


#: Moves with two numbers; the others have one.
_PAIRS = (TAKE, FILL, COPY, DRAIN, AWAY, BACK)


def parts(label: int) -> tuple[int, int, int]:
    """Split a label: the kind of move, and its two numbers."""
    return label & 15, label >> 4 & 0xFF, label >> 12 & 0xFF


def move_words(label: int) -> str:
    """Write a move for JSON."""
    kind, x, y = parts(label)
    return f"{MOVES[kind][0]} {x} {y}" if kind in _PAIRS else f"{MOVES[kind][0]} {x}"


def read_move(text: str) -> int:
    """Parse a move as `move_words` writes it.

    Raises:
        ShootdownError: it is no move.
    """
    word, *numbers = text.split() or [""]
    kinds = {name: kind for kind, (name, _) in MOVES.items()}
    assert len(kinds) == KINDS
    if word not in kinds or len(numbers) != 1 + (kinds[word] in _PAIRS):
        raise ShootdownError(f"{text!r} is no move")
    if not all(number.isdecimal() and int(number) <= 0xFF for number in numbers):
        raise ShootdownError(f"{text!r} is no move")
    return runnable(label_of)(kinds[word], int(numbers[0]), int(numbers[1]) if len(numbers) > 1 else 0)
