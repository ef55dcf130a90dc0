"""Places in a program."""

from __future__ import annotations


class Label:
    """A place in a program, used before its step number is known."""

    def __init__(self) -> None:
        self.at = -1
