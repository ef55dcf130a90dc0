"""Places in a program."""

from __future__ import annotations


class Label:
    """A place in a program, used before its step number is known.

    Attributes:
        at: the number of the step; -1 until it is placed.
        owner: the assembler that placed it, or None.
    """

    def __init__(self) -> None:
        self.at = -1
        self.owner: object = None
