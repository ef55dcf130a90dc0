"""Places in a program."""

from __future__ import annotations


class Label:
    """A place in a program that is not known yet."""

    def __init__(self) -> None:
        self.at = -1
