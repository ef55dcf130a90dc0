"""What the commands share: how one begins, and options that read lists, numbers and assignments."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from shootdown._cli import _console, _progress
from shootdown._compilation import announcing
from shootdown._values.errors import ShootdownError, with_line
from shootdown._values.reading import UnreadableError, read_integer

UNANSWERED = 3
"""The exit status where a search answers nothing: a bound was hit, or nothing was tried."""

_MOST = 10**100 - 1  # a larger number would fill the error message


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
    if not line.startswith("shootdown") and name in ("read", "replay"):  # they say so themselves
        return True
    word = line.removeprefix("shootdown ").partition(" ")[0]
    if word == "read" and name == "replay":
        return True
    return word == name or (word in ("compare", "explore") and name in programs)


def command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Return the decorator that makes a function a command of `shootdown`; its docstring is the help."""
    return click.command(name, cls=_Command)


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
