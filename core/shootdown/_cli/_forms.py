"""`--csv`, `--jsonl`, `--markdown` and `--report`: rows for other programs and pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shootdown._cli import _common, _writing
from shootdown._values.errors import ShootdownError, typed

if TYPE_CHECKING:
    from shootdown._report.plotting import Picture
    from shootdown._values.report import Report

_HELP = {
    "csv": "A line of CSV for each row, below a line of headings.",
    "jsonl": "A line of JSON for each row.",
    "markdown": "A Markdown table.",
}


def _picture(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a picture that can't be written before the command begins."""
    if path is not None:
        from shootdown._report.picture_files import check_picture

        check_picture(path)
    return path


def options(*forms: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator that gives a command an option for each form, and `--report`.

    The command gets `form`, one of them or None, and `report`, the name of a plugin's report or None.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        function = click.option("--report", metavar="NAME", help="A report that a plugin adds.")(function)
        for form in reversed(forms):
            function = click.option(f"--{form}", "form", flag_value=form, help=_HELP[form])(function)
        return function

    return decorate


plot_option = click.option(
    "--plot",
    metavar="FILE",
    type=click.Path(path_type=Path),
    callback=_picture,
    help="Draw a picture too: FILE.svg, .png or .html (needs the extra `plots`).",
)


def draw(make: Callable[[], Picture], path: Path | None) -> None:
    """Draw the picture of a command where one is asked for, and say on standard error where it is."""
    if path is None:
        return
    from shootdown._report.picture_files import write_picture

    write_picture(make(), path)
    click.echo(f"{path}: a picture", err=True)


def refuse_two(form: str | None, as_json: bool, lore: bool = False, report: str | None = None) -> None:
    """Refuse two forms of output at once.

    Raises:
        click.UsageError: more than one was asked for.
    """
    asked = ["--lore"] * lore + [f"--{form}"] * (form is not None) + ["--json"] * as_json
    asked += ["--report"] * (report is not None)
    if len(asked) > 1:
        _common.refuse_both(asked[0], asked[1], True)


def write(form: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows in a form to standard output."""
    from shootdown._report.flat import lines

    for line in lines(form, rows):
        _writing.write_line(line)


def asked(name: str | None, command: str) -> Report | None:
    """Return the report that was asked for, if one.

    Args:
        name: what follows `--report`.
        command: whose rows it is to be written of.

    Raises:
        ShootdownError: no plugin adds such a report, or it is one of other commands.
    """
    if name is None:
        return None
    from shootdown._plugins.registry import registry

    report = registry().report(name)
    if command not in report.commands:
        raise ShootdownError(f"report {name} is of {' and '.join(report.commands)}, not of {command}")
    return report


def write_report(report: Report, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a plugin's report of rows to standard output.

    Raises:
        ShootdownError: it returned something else than a text.
    """
    from shootdown._questions.called import called

    what = f"report {report.name}: write()"
    text = called(what, report.write, tuple(rows))
    if not isinstance(text, str):
        raise ShootdownError(f"{what} returned {typed(text)}, not a str")
    _writing.write_line(text.removesuffix("\n"))
