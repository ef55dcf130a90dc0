"""What the commands share: options that read lists and assignments, and a report as lines, tables and JSON.

Only what goes through `write_line`, `write_json` and `write_table` reaches standard output: while a command made by
`command` runs, everything else that Python code prints, a plugin's included, goes to standard error.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

import click

from shootdown._cli import _asked, _console, _progress
from shootdown._compilation import announcing
from shootdown._values.errors import ShootdownError, with_line
from shootdown._values.reading import UnreadableError, read_integer

UNANSWERED = 3
"""The exit status where a search answers nothing: a bound was hit, or nothing was tried."""

_MOST = 10**100 - 1  # a larger number would fill the error message
_NARROWEST = 10  # columns below which wrapped text can't be read
_GAP = 3  # columns that rich puts between two cells


class _Command(click.Command):
    """Keep standard output for the report while the command runs, and say on standard error what is compiled.

    An option that takes one value is refused when it is given twice: click would forget the first one. Every command
    has `--plugin`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--plugin"],
                metavar="FILE.py",
                type=click.Path(),
                multiple=True,
                is_eager=True,
                expose_value=False,
                envvar="SHOOTDOWN_PLUGIN",
                callback=_load_plugins,
                help="Load the plugin of a file too; may be repeated. Or SHOOTDOWN_PLUGIN.",
            )
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:
            _refuse_twice(self.make_parser(ctx).parse_args(list(args))[2])
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        announcing.listen(_progress.note)
        announcing.watch(_progress.now.tick)
        _progress.now.begin(ctx.info_name or "")
        token = _console.report.set(sys.stdout)
        try:
            with contextlib.redirect_stdout(sys.stderr):
                return super().invoke(ctx)
        except ShootdownError as error:
            if line := _elsewhere(ctx):
                raise with_line(error, line) from None
            raise
        finally:
            _console.report.reset(token)


def _load_plugins(context: click.Context, _: click.Parameter, paths: tuple[str, ...]) -> None:
    """Load the plugins of files at once: what is wrong in them is said before anything else."""
    if paths and not context.resilient_parsing:
        from shootdown._plugins import files
        from shootdown._plugins.registry import registry

        files.give(paths)
        registry()


def _refuse_twice(given: Sequence[click.Parameter]) -> None:
    """Refuse an option that is given twice and takes one value, or two options of which one would win.

    Args:
        given: parameters in the order of the command line, as often as they are there.

    Raises:
        click.UsageError: there is such an option.
    """
    seen: dict[str, click.Option] = {}
    for one in given:
        if not isinstance(one, click.Option) or one.multiple or one.count:
            continue
        before = seen.setdefault(one.name or "", one)
        if before is not one:
            refuse_both(before.opts[0], one.opts[0], True)
    values = [one for one in given if isinstance(one, click.Option) and not one.is_flag and not one.multiple]
    for one in seen.values():
        if values.count(one) > 1:
            raise click.UsageError(f"{one.opts[0]} is given twice, and takes one value")


def _elsewhere(ctx: click.Context) -> str:
    """Name the command that takes a file which this one got, or return an empty text."""
    files: list[str] = []
    for value in ctx.params.values():
        files += [
            os.fspath(one) for one in (value if isinstance(value, tuple) else (value,)) if _is_file(one)
        ]
    for file in files[:4]:
        from shootdown._questions.files import taken_by

        found = taken_by(file)
        if found is not None and not _same_command(found[1], ctx.info_name or ""):
            return f"{file} looks like {found[0]}: {found[1]}"
    return ""


def _is_file(value: object) -> bool:
    try:
        return isinstance(value, str | os.PathLike) and os.path.isfile(value)
    except ValueError:
        return False


def _same_command(line: str, name: str) -> bool:
    """Whether a command line is one of this command, or of a kind that takes the same files."""
    programs = ("compare", "explain", "history", "diff", "explore", "matrix", "measure")
    if line.startswith(("--patch", "--plugin")):
        return True
    word = line.removeprefix("shootdown ").partition(" ")[0]
    if word == "read" and name == "replay":
        return True
    return word == name or (word in ("compare", "explore") and name in programs)


def command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Return the decorator that makes a function a command of `shootdown`; its docstring is the help."""
    return click.command(name, cls=_Command)


def write_line(text: str) -> None:
    """Write a line, or several, of the report to standard output."""
    print(text, file=_console.stream())


def write_wrapped(text: str, *, rest: str) -> None:
    """Write a sentence of the report, wrapped where the report goes to a terminal or COLUMNS is set.

    Args:
        text: begins with the blanks of its first line.
        rest: what stands before each further line.
    """
    columns = line_width()
    if columns is None or len(text) <= columns:
        write_line(text)
        return
    from shootdown._report.text import paragraph

    words = text.lstrip(" ")
    for line in paragraph(words, columns, first=" " * (len(text) - len(words)), rest=rest):
        write_line(line)


def write_part(text: str) -> None:
    """Write a part of a line, or of a long JSON text, to standard output."""
    _console.stream().write(text)


def write_json(value: Any) -> None:
    """Write a value as JSON to standard output; NaN and infinities are errors.

    An object gets the key `asked`, with which `shootdown rerun` asks the same again.
    """
    if isinstance(value, Mapping) and (asked := _asked.asked()) is not None:
        value = {**value, "asked": asked}
    write_line(json.dumps(value, indent=2, allow_nan=False))


def asked_at_the_end() -> str:
    """Return how a JSON object ends that was written in parts: with the key `asked`, as `write_json()` adds it."""
    asked = _asked.asked()
    return "\n}" if asked is None else "," + json.dumps({"asked": asked}, indent=2)[1:]


def write_result(value: Mapping[str, Any]) -> None:
    """Write a result as JSON that `shootdown report` reads: with the version and the command that made it.

    Options that write files besides are no part of that command.

    Args:
        value: what `schema` and the command's own keys are; the two come after `schema`.
    """
    from importlib.metadata import version

    schema, rest = value["schema"], {name: one for name, one in value.items() if name != "schema"}
    words = ("shootdown", *_asked.without_writing(_console.arguments.get()))
    write_json({"schema": schema, "version": version("shootdown"), "command": shlex.join(words), **rest})


def command_line() -> str:
    """Return the command that runs, as a shell takes it."""
    return shlex.join(("shootdown", *_console.arguments.get()))


def write_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    right: Collection[str] = (),
    whole: Collection[str] | None = None,
) -> None:
    """Write a table to standard output: as wide as the terminal, or 100 columns of plain text elsewhere.

    Cells are shown as they are, never read as markup, and wrap where they don't fit. None is an empty cell.

    Args:
        columns: the headings.
        rows: as many cells each.
        title: a line above.
        right: the headings whose cells are numbers, aligned to the right.
        whole: the headings whose cells don't wrap while there is room; the first one unless given.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console = _console.console(_console.stream())
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    gap = _GAP
    kept = set(columns[:1] if whole is None else whole)
    if _needed(columns, cells, kept) + gap * (len(columns) - 1) > console.width:
        used = [i for i, name in enumerate(columns) if name not in right or any(row[i] for row in cells)]
        columns, cells = [columns[i] for i in used], [[row[i] for i in used] for row in cells]
        gap = 1
    if _needed(columns, cells, kept) + gap * (len(columns) - 1) > console.width:
        kept = set()  # rich would cut names off rather than wrap them
        if console.width >= _needed(columns, cells, set(right)) + gap * (len(columns) - 1):
            kept = set(right)
            cells = _broken(columns, cells, kept, console.width - gap * (len(columns) - 1))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, gap // 2))
    for name in columns:
        justify: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(Text(name), justify=justify, overflow="fold", no_wrap=name in kept)
    for row in cells:
        table.add_row(*map(Text, row))
    with console.capture() as capture:
        if title is not None:
            console.print(Text(title, style="bold"))
        console.print(table)
    # Rich pads every line to the width of the table; blanks at the end only get in the way of diff and grep.
    for line in capture.get().splitlines():
        write_line(line.rstrip())


def _needed(columns: Sequence[str], cells: Sequence[Sequence[str]], kept: Collection[str]) -> int:
    """Return how many columns of text a table needs between its gaps."""
    sizes = [max(map(len, texts)) for texts in zip(columns, *cells, strict=True)]
    return sum(
        size if name in kept else min(size, _NARROWEST) for name, size in zip(columns, sizes, strict=True)
    )


def _broken(
    columns: Sequence[str], cells: Sequence[Sequence[str]], kept: Collection[str], room: int
) -> list[list[str]]:
    """Break the names of the only column that may wrap after a sign, rather than anywhere."""
    others = [i for i, name in enumerate(columns) if name not in kept]
    if len(others) != 1:
        return [list(row) for row in cells]
    (at,) = others
    room -= _needed(columns, cells, {*columns}) - max(len(row[at]) for row in [columns, *cells])
    return [[_wrap(cell, room) if i == at else cell for i, cell in enumerate(row)] for row in cells]


def _wrap(name: str, room: int) -> str:
    lines = [""]
    for piece in re.findall(r"[^-_. ]+[-_. ]*|[-_. ]+", name):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > room:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)


def width() -> int:
    """Return how many columns the report has: the terminal's, or 100 of plain text unless COLUMNS says otherwise."""
    stream = _console.stream()
    if not stream.isatty():  # to import rich takes as long as a small answer
        return _console.plain_width(os.environ)
    columns: int = _console.console(stream).width
    return columns


def line_width() -> int | None:
    """Return the columns after which a long list wraps its lines: the terminal's or COLUMNS.

    None elsewhere: what is piped into grep has its lines whole.
    """
    return width() if _console.stream().isatty() or os.environ.get("COLUMNS") else None


def read_list(text: str) -> tuple[str, ...]:
    """Read a comma-separated list, in its order and without blanks around the names.

    Raises:
        click.BadParameter: there is nothing before, between or after commas.
    """
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise click.BadParameter(f"{text!r} has an empty place in its list")
    return names


def read_counts(text: str) -> tuple[int, ...]:
    """Read a comma-separated list of integers from 1.

    Raises:
        click.BadParameter: something in it is not such a number.
    """
    return tuple(_read_count(name) for name in read_list(text))


def _read_count(name: str) -> int:
    try:
        return read_integer(name, minimum=1, maximum=_MOST)
    except UnreadableError:
        raise click.BadParameter(f"{name!r} is not a whole number from 1") from None


def read_assignments(texts: Sequence[str]) -> dict[str, str]:
    """Split `name=value` for each name; what a value means is for the parameter to say.

    Raises:
        click.BadParameter: there is no `=`, no name, or a name comes twice.
    """
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not name or not equals or not value:
            raise click.BadParameter(f"{text!r} is not of the form name=value")
        if name in values:
            raise click.BadParameter(f"{name!r} is given twice")
        values[name] = value
    return values


@functools.lru_cache(maxsize=4096)
def short_size(size: int) -> str:
    """Write bytes exactly, in the largest unit that does: `2M`, `2044K`."""
    for shift, letter in ((40, "T"), (30, "G"), (20, "M"), (10, "K")):
        if size and size % (1 << shift) == 0:
            return f"{size >> shift}{letter}"
    return f"{size}B"


class Whole(click.IntRange):
    """A whole number in a range; what is none is refused in these words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            if "valid integer" not in error.message:
                raise
            most = f"to {self.max}" if self.max is not None else "on"
            self.fail(f"{value!r:.60} is not a whole number from {self.min} {most}", param, ctx)


def refuse_both(one: str, other: str, *given: bool) -> None:
    """Refuse two options that say how the report looks.

    Raises:
        click.UsageError: both are given.
    """
    if all(given):
        raise click.UsageError(f"{one} and {other} cannot both hold: ask for one of them")


def _list_option(flag: str, help_: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(flag, metavar="NAME,...", multiple=True, callback=joined(read_list), help=help_)


def _set_option(help_: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help=help_)


def joined(read: Callable[[str], tuple[Any, ...]]) -> Callable[..., Any]:
    """Read an option that takes a list; one that is given again adds to it."""

    def callback(_context: click.Context, _parameter: click.Parameter, given: Sequence[str]) -> Any:
        return tuple(item for text in given for item in read(text))

    return callback


def _reader(read: Callable[[Any], Any], absent: object) -> Callable[..., Any]:
    def callback(_context: click.Context, _parameter: click.Parameter, given: Any) -> Any:
        return absent if given is None else read(given)

    return callback


# Each hands its command a keyword: the tuple or dict is empty where the option isn't given. The values of
# `-p` and `--set` are handed on as they are: parameters and switches know what their values are.
arch_option = _list_option("--arch", "Architectures, in the order of the rows.")
platform_option = _list_option("--platform", "Platforms: CPU model and hypervisor.")
kernel_option = _list_option("--kernel", "Releases such as 6.12.74, or proposal:NAME.")
cpus_option = click.option(
    "--cpus",
    metavar="N,...",
    multiple=True,
    callback=joined(read_counts),
    help="How many CPUs are online.",
)
parameter_option = click.option(
    "-p",
    "parameters",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_reader(read_assignments, {}),
    help="A parameter of the workload; may be repeated.",
)
set_option = _set_option("A what-if: kernel.FIELD=..., platform.FIELD=... or cost.NAME=...; may be repeated.")
set_untimed_option = _set_option("A what-if: kernel.FIELD=... or platform.FIELD=...; may be repeated.")
jobs_option = click.option(
    "--jobs",
    metavar="N",
    type=Whole(1, 256),
    envvar="SHOOTDOWN_JOBS",
    help="The most processes; one for each CPU that is free unless given, or SHOOTDOWN_JOBS.",
)
patch_option = click.option(
    "--patch",
    metavar="FILE.py",
    help="A file that replaces kernel functions; rows are called 7.0+FILE.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
