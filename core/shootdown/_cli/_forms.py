"""`--csv`, `--jsonl` and `--markdown`: rows for other programs and pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click

from shootdown._cli import _common

_HELP = {
    "csv": "A line of CSV for each row, below a line of headings.",
    "jsonl": "A line of JSON for each row.",
    "markdown": "A Markdown table.",
}


def options(*forms: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator that gives a command an option for each form; it gets `form`, one of them or None."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for form in reversed(forms):
            function = click.option(f"--{form}", "form", flag_value=form, help=_HELP[form])(function)
        return function

    return decorate


def refuse_two(form: str | None, as_json: bool, lore: bool = False) -> None:
    """Refuse two forms of output at once.

    Raises:
        click.UsageError: more than one was asked for.
    """
    asked = ["--lore"] * lore + [f"--{form}"] * (form is not None) + ["--json"] * as_json
    if len(asked) > 1:
        _common.refuse_both(asked[0], asked[1], True)


def write(form: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows in a form to standard output."""
    from shootdown._report.flat import lines

    for line in lines(form, rows):
        _common.write_line(line)
