"""Files of Python that a file of questions names: they run only where the command line names them too.

A sweep or a gate comes with somebody's repository or mail. To read it must not run their code.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import attrs

from shootdown._batches.reading import beside, names_in
from shootdown._plugins import files
from shootdown._programs.reading import Source
from shootdown._questions.patching import PatchFile, read_patch
from shootdown._values.errors import ShootdownError

#: In place of a file: the kernel as it is.
NONE = "none"


@attrs.frozen
class PatchText:
    """A patch file as it was when the questions were read, for processes and machines that have it not.

    Args:
        file: its path, as in rows.
        text: what is in it.
    """

    file: str
    text: str = attrs.field(repr=False)


def allowed(source: Source, name: str, given: Iterable[str], option: str, *keys: str) -> str:
    """Return the path of a file of Python, if the command line names it too.

    Args:
        source: the file of questions.
        name: as it has it: relative to its folder.
        given: what the command line names.
        option: that names it there.
        keys: where it stands.

    Raises:
        ShootdownError: the command line doesn't name it.
    """
    path = beside(source, name)
    for one in given:
        if os.path.realpath(one) == os.path.realpath(path):
            return one
    raise source.wrong(
        f"{name} is code that would run: if it is to, name it on the command line too: {option} {path}",
        *keys,
        text=name,
    )


def needs_plugins(source: Source, value: object, *keys: str) -> None:
    """Refuse plugins in files that were not given to this process: `--plugin` has loaded those that were.

    Raises:
        ShootdownError: the command line doesn't name one.
    """
    for name in names_in(source, value, *keys):
        allowed(source, name, files.given(), "--plugin", *keys)


def unused(given: Iterable[str], used: Iterable[str], option: str, what: str) -> None:
    """Refuse a file that the command line names and the file of questions does not.

    Raises:
        ShootdownError: there is one.
    """
    there = set(used)
    for one in given:
        if one not in there:
            raise ShootdownError(f"{option} {one}: {what} does not name it")


def read_text(path: str) -> PatchText:
    """Read a patch file, and check that it is one.

    Raises:
        ShootdownError: there is no such file, or something is wrong in it.
    """
    read_patch(path)
    return PatchText(path, Path(path).read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=64)
def patch_of(one: PatchText) -> PatchFile:
    """Return a patch as it was read, from its file, or from a copy where that is another one or not there.

    Raises:
        ShootdownError: something is wrong in it.
    """
    try:
        if Path(one.file).read_text(encoding="utf-8") == one.text:
            return read_patch(one.file)
    except (OSError, UnicodeDecodeError):
        pass
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, os.path.basename(one.file))
        Path(copy).write_text(one.text, encoding="utf-8")
        return attrs.evolve(read_patch(copy), file=one.file)


def digest(text: str) -> str:
    """Return the digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
