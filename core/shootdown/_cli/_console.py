"""Where the report goes, and how wide it is: a terminal, or plain text."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, TextIO

PLAIN_WIDTH = 80
"""Columns of a table that doesn't go to a terminal, unless COLUMNS says otherwise."""

#: Standard output as the command was started with, while one runs: everything else that prints goes elsewhere.
report: ContextVar[TextIO | None] = ContextVar("report", default=None)

#: What followed the program's name on the command line that runs.
arguments: ContextVar[tuple[str, ...]] = ContextVar("arguments", default=())


def stream() -> TextIO:
    """Return where the report goes."""
    return report.get() or sys.stdout


def console(stream: TextIO) -> Any:
    """Return rich's console for a stream, without colours where it is no terminal."""
    from rich.console import Console as RichConsole

    class Console(RichConsole):
        def on_broken_pipe(self) -> None:
            """Leave a closed pipe to the frame; rich would close sys.stdout, which is not the report's, and exit."""
            raise BrokenPipeError

    # Set explicitly, because rich trusts FORCE_COLOR and the like more than the stream.
    if stream.isatty():
        return Console(file=stream, markup=False, emoji=False, highlight=False)
    return Console(
        file=stream,
        width=plain_width(os.environ),
        force_terminal=False,
        no_color=True,
        markup=False,
        emoji=False,
        highlight=False,
    )


def plain_width(environment: Mapping[str, str]) -> int:
    """Return the columns of plain text."""
    columns = environment.get("COLUMNS", "")
    known = (
        columns.isascii() and columns.isdecimal() and columns.strip("0")
    )  # 0: a terminal that doesn't know
    return max(int(columns[:9]), 20) if known else PLAIN_WIDTH
