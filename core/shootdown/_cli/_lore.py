"""`--lore`: a report for a mail to a kernel list, with the command that made it as its last line."""

from __future__ import annotations

from collections.abc import Iterable

import click

from shootdown._cli import _writing

WIDTH = 72
"""Columns of a mail."""

option = click.option(
    "--lore", is_flag=True, help="Plain text of 72 columns for a mail, the command as its last line."
)


def write(lines: Iterable[str], command: str) -> None:
    """Write a report as a mail, and the command below it."""
    from shootdown._report.lore import mail

    for line in mail(lines, command, WIDTH):
        _writing.write_line(line)
