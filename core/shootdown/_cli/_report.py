"""`shootdown report`: saved results as one page, as Markdown or as a mail."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import click

from shootdown._cli import _common, _lore, _writing
from shootdown._values import inputs
from shootdown._values.outputs import check_place, replacing

_FILE = click.Path(dir_okay=False, path_type=Path)


@_common.command("report")
@click.argument("results", metavar="[RESULT.json]...", nargs=-1)
@click.option("--html", metavar="FILE", type=_FILE, help="Write one page that needs nothing else.")
@click.option("--markdown", "form", flag_value="markdown", help="Markdown instead of plain text.")
@click.option("--lore", "form", flag_value="lore", help="Plain text of 72 columns for a mail.")
def command(results: tuple[str, ...], html: Path | None, form: str | None) -> None:
    """Write a report of saved results: question, answer, tables, pictures, stories, assumptions.

    RESULT.json is what compare, explain, explore, history or hunt printed with --json; standard input is read without
    one, and for `-`. With --html nothing is printed unless --markdown or --lore asks for it. Curves need the extra
    `plots`.
    """
    from importlib.metadata import version

    from shootdown._report.report import report
    from shootdown._report.results import read_result

    if html is not None:
        check_place("--html", html)
    texts = [_read(name) for name in results or ("-",)]
    saved = [read_result(text, name) for text, name in texts]
    found = report(saved, version=version("shootdown"), date=today())
    if html is not None:
        from shootdown._report.document_html import page

        with replacing(html) as stream:
            stream.write(page(found))
        click.echo(f"{html}: a page of {len(saved)} result{'s' if len(saved) > 1 else ''}", err=True)
        if form is None:
            return
    if form == "markdown":
        from shootdown._report.document_text import markdown

        lines = markdown(found)
    else:
        from shootdown._report.document_text import plain
        from shootdown._report.lore import ascii_only

        width = _lore.WIDTH if form == "lore" else min(_writing.width(), 100)
        lines = map(ascii_only, plain(found, width)) if form == "lore" else plain(found, width)
    for line in lines:
        _writing.write_line(line)


def today() -> str:
    """Return the date, or that of SOURCE_DATE_EPOCH where a build asks for the same bytes again."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch.isascii() and epoch.isdecimal() and len(epoch) < 12:
        return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC).date().isoformat()
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def _read(name: str) -> tuple[str, str]:
    """Read a file, or standard input for `-`: its text, and what it is called."""
    where = "standard input" if name == "-" else name
    text = inputs.read_text(name, "")
    return text, where
