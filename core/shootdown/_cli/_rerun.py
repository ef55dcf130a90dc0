"""`shootdown rerun`: ask again what a result in JSON answers, and say what is different."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import click

from shootdown._cli import _asked, _common, _writing
from shootdown._values import inputs
from shootdown._values.errors import ShootdownError

SCHEMA = 1
#: The exit status where the answer is another one.
DIFFERENT = 1
#: Differences that are shown.
_SHOWN = 10
#: Commands whose answers are no answers to be had again: they measure, compile, write files, or are this one.
_NEVER = ("warm", "sweep", "rerun", "serve", "measure", "calibrate", "new")
_TYPES = {"command": str, "arguments": list, "version": str, "code": str, "machine": str}
_TABLES = ("plugins", "tables", "files")


@_common.command("rerun")
@click.argument("file", metavar="RESULT.json")
@click.option(
    "--patch",
    "patches",
    metavar="FILE.py",
    multiple=True,
    help="A patch that the result was made with: it runs only if it is named here too.",
)
@click.option(
    "--scenario",
    "scenarios",
    metavar="FILE.py",
    multiple=True,
    help="A scenario in Python that the result is about, likewise.",
)
@_common.json_option
def command(file: str, patches: tuple[str, ...], scenarios: tuple[str, ...], as_json: bool) -> None:
    """Ask again what a result answers: RESULT.json is what a command printed with --json.

    Either the same bytes come out, or it is told which table, version or file has changed since, and what is
    different. The exit status is 1 if the answer is another one. A result names files of Python that would run: they
    do only if the command line names them too.
    """
    from shootdown._report.rerun import changed, differences, shown

    text, value = _read(file)
    then = _question(file, value)
    line = shlex.join(("shootdown", then["command"], *then["arguments"]))
    _refuse_code(file, then["arguments"], (*patches, *scenarios))
    status, printed, told = _run([then["command"], *then["arguments"]])
    try:
        now = json.loads(printed)
    except ValueError:
        raise ShootdownError(
            f"{file}: {line}\nends with status {status} now: {told or 'nothing printed'}"
        ) from None
    found = list(differences(value, now))
    why = changed(then, now["asked"])
    same_bytes = printed == text
    if as_json:
        rows = [{"at": at, "then": before, "now": after} for at, before, after in found]
        _writing.write_json(
            {
                "schema": SCHEMA,
                "result": file,
                "same": not found,
                "bytes": same_bytes,
                "changed": why,
                "differences": rows,
            }
        )
    else:
        _writing.write_line(line)
        for sentence in _told(same_bytes, len(found), why):
            _writing.write_wrapped(sentence, rest="  ")
        for at, before, after in found[:_SHOWN]:
            _writing.write_line(f"  {at}: {shown(before)} then, {shown(after)} now")
        if len(found) > _SHOWN:
            _writing.write_line(f"  and {len(found) - _SHOWN:,} more")
    if found:
        raise click.exceptions.Exit(DIFFERENT)


def _told(same_bytes: bool, differences: int, why: list[str]) -> Iterator[str]:
    if same_bytes:
        yield "the same bytes"
    elif differences:
        yield f"another answer: {differences:,} value{'s are' if differences > 1 else ' is'} different"
    else:
        yield (
            "the same answer"
            if why
            else "the same answer, in other bytes: it is laid out anew, or has times of a clock"
        )
    yield from why
    if differences and not why:
        yield "nothing that it depends on has changed: the result was edited, or cut off by Ctrl-C"


def _read(file: str) -> tuple[str, Any]:
    text = inputs.read_text(file, "")
    try:
        return text, json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ShootdownError(f"{file}: it is no JSON: {str(error) or 'too deep'}") from None


def _question(file: str, value: Any) -> dict[str, Any]:
    """Return what a result says that it was asked.

    Raises:
        ShootdownError: it doesn't say so, or can't be asked again.
    """
    from shootdown._cli import COMMANDS

    then = value.get("asked") if isinstance(value, Mapping) else None
    if not isinstance(then, Mapping):
        older = "it has no `asked`, as older results have none"
        result = isinstance(value, Mapping) and "schema" in value
        raise ShootdownError(f"{file}: {older if result else 'it is no result that --json printed'}")
    for name, kind in (*_TYPES.items(), *((name, dict) for name in _TABLES)):
        if not isinstance(then.get(name), kind):
            raise ShootdownError(f"{file}: its asked.{name} is missing or unusable")
    if not all(isinstance(word, str) for word in then["arguments"]):
        raise ShootdownError(f"{file}: its asked.arguments are no texts")
    if then["command"] not in COMMANDS or then["command"] in _NEVER:
        raise ShootdownError(f"{file}: {then['command']!r:.40} is no command whose answer is to be had again")
    if "--json" not in then["arguments"]:
        raise ShootdownError(f"{file}: its asked.arguments lack --json")
    if _asked.without_writing(then["arguments"]) != then["arguments"]:
        raise ShootdownError(f"{file}: its asked.arguments would write a file")
    return dict(then)


def _refuse_code(file: str, arguments: list[str], given: tuple[str, ...]) -> None:
    """Refuse files of Python that the command line doesn't name.

    Raises:
        ShootdownError: there is one.
    """
    from shootdown._plugins import files

    named = {os.path.realpath(one) for one in (*given, *files.given())}
    for word in arguments:
        for path in (word, word.partition("=")[2]):
            if path.endswith(".py") and os.path.realpath(path) not in named:
                raise ShootdownError(
                    f"{file}: {path} is code that would run: if it is to, name it too: --patch {path}, or --scenario "
                    "or --plugin"
                )


def _run(arguments: list[str]) -> tuple[int, str, str]:
    """Run a command line; return its status, what it printed, and what it said of errors."""
    from shootdown._cli import run

    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        status = run(arguments)
    return status, out.getvalue(), " ".join(errors.getvalue().split())[-300:]
