"""A report of a plugin's own: the rows of a command, written as some other text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

#: The commands whose rows a report may be written of.
REPORTED = ("compare", "history")


@attrs.frozen
class Report:
    """A form of output that a plugin adds: `shootdown compare ... --report NAME` prints what `write` returns.

    Args:
        name: as typed after `--report`.
        summary: one line.
        write: gets the rows, each as `--jsonl` has it, and returns the text; it may change neither rows nor values in
            them. The text ends with a line break, or gets one.
        extension: of a file that holds such a text, `.html` for example.
        commands: the commands whose rows it understands: `compare`, `history` or both.
    """

    name: str
    summary: str
    write: Callable[[Sequence[Mapping[str, Any]]], str] = attrs.field(repr=False)
    extension: str = ".txt"
    commands: tuple[str, ...] = ("compare",)
