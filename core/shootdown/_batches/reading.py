"""Read a file of TOML that asks questions: its keys, each checked, and errors that name line and key."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from shootdown._programs.program import Spot
from shootdown._programs.reading import Source, read_file, with_parameters
from shootdown._programs.shipped import SUFFIX
from shootdown._questions.platform_file import is_file
from shootdown._questions.subjects import workload_named
from shootdown._values import inputs
from shootdown._values.errors import ShootdownError, nearest


@attrs.frozen(eq=False)
class Inner(Source):
    """A program within a file of questions: its keys have those of its table in front."""

    within: tuple[str, ...] = ()

    def spot(self, *keys: str, text: str = "") -> Spot:
        """Say where a value was written."""
        return super().spot(*self.within, *keys, text=text)


def read_tables(path: str | os.PathLike[str], what: str) -> Source:
    """Read a file of TOML.

    Args:
        path: of it.
        what: what it is, for errors: `sweep`.

    Raises:
        ShootdownError: it can't be read, or is no TOML.
    """
    file = os.fspath(path)
    tables, text = inputs.read_toml(file, what)
    return Source(os.path.basename(file).removesuffix(SUFFIX), file, tuple(text.splitlines()), tables, ())


def known(
    source: Source, table: object, names: Iterable[str], *keys: str, what: str = ""
) -> Mapping[str, Any]:
    """Return a table whose keys are all known.

    Raises:
        ShootdownError: it is none, or a key is unknown.
    """
    if not isinstance(table, Mapping):
        raise source.wrong("it is a table of keys with values", *keys)
    for key in table:
        if key not in names:
            there = f"[{'.'.join(keys)}]" if keys else what
            raise source.wrong(
                f"{there} has no {str(key)!r:.40}; {nearest(str(key), names)}", *keys, str(key)
            )
    return table


def one_line_of(source: Source, table: Mapping[str, Any], key: str, *keys: str) -> str:
    """Return a text of one line, or an empty one where the table does not have it.

    Raises:
        ShootdownError: it is something else.
    """
    value = table.get(key, "")
    if not isinstance(value, str) or not value.isprintable() or (key in table and not value.strip()):
        raise source.wrong("it is one line of text", *keys, key)
    return value


def names_in(source: Source, value: object, *keys: str) -> tuple[str, ...]:
    """Return one name or several as a tuple.

    Raises:
        ShootdownError: it is neither a name nor a list of different ones.
    """
    given = value if isinstance(value, list) else [value]
    if not given or not all(isinstance(one, str) and one.strip() for one in given):
        raise source.wrong("it is a name, or a list of names", *keys)
    twice = [one for number, one in enumerate(given) if one in given[:number]]
    if twice:
        raise source.wrong(f"{twice[0]!r:.40} stands there twice", *keys)
    return tuple(given)


def whole_number(source: Source, value: object, least: int, most: int, *keys: str) -> int:
    """Return a number.

    Raises:
        ShootdownError: it is none between the least and the most.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise source.wrong(f"it is a whole number from {least:,} to {most:,}, not {value!r:.40}", *keys)
    return value


def program_in(source: Source, given: str, *keys: str) -> str | Source:
    """Return a program that a file names: a workload's name, or a program as it was read.

    A name is looked up in `[programs.NAME]` of the file first. A path is relative to the file.

    Raises:
        ShootdownError: there is no such program, or something is wrong in it.
    """
    own = source.tables.get("programs", {})
    if isinstance(own, Mapping) and given in own:
        return with_parameters(Inner(given, source.file, source.lines, own[given], (), ("programs", given)))
    if given.endswith(SUFFIX):
        path = beside(source, given)
        if not Path(path).exists():
            raise source.wrong(f"program {path}: no such file or directory", *keys, text=given)
        return read_file(path)
    try:
        workload_named(given)
    except ShootdownError as error:
        raise source.wrong(str(error), *keys, text=given) from None
    return given


def beside(source: Source, name: str) -> str:
    """Return the path of a file that another one names: relative to the folder of that one."""
    return str(Path(source.file).parent / name)


def platforms_beside(source: Source, names: Iterable[str]) -> tuple[str, ...]:
    """Return names of platforms; of one in a file the path, relative to the folder of the file that names it."""
    return tuple(beside(source, name) if is_file(name) else name for name in names)


def setting_text(value: object) -> str:
    """Return a value of TOML as `--set` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
