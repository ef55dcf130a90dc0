"""Files that commands write: whole, or not at all."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from shootdown._values.errors import ShootdownError
from shootdown._values.inputs import CIRCULAR, circular


@contextlib.contextmanager
def replacing(path: Path, *, packed: bool = False) -> Iterator[io.TextIOWrapper]:
    """Write a file of text beside the one that may be there, and put it in its place when all is written.

    A device or a pipe is written as it is.

    Args:
        path: where to; a symbolic link stays, and what it names is replaced.
        packed: write it gzipped.

    Raises:
        ShootdownError: it can't be written, as the disk is full for example. What was there is as it was.
    """
    try:
        target = Path(os.path.realpath(path))
        try:
            mode = target.stat().st_mode
        except FileNotFoundError:
            mode = None
        if mode is not None and not stat.S_ISREG(mode):
            with _opened(target, packed) as stream:
                yield stream
            return
        beside = target.with_name(f".{secrets.token_hex(8)}.part")
        try:
            with _opened(beside, packed, "x") as stream:
                if mode is not None:
                    beside.chmod(stat.S_IMODE(mode))
                yield stream
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ShootdownError(f"{path} can't be written: {error.strerror or error}") from None


@contextlib.contextmanager
def replacing_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Write a file of bytes as `replacing` writes one of text.

    Raises:
        ShootdownError: it can't be written. What was there is as it was.
    """
    with replacing(path) as stream:
        yield cast("IO[bytes]", stream.buffer)


def _opened(path: Path, packed: bool, how: str = "w") -> io.TextIOWrapper:
    raw = gzip.GzipFile(path, f"{how}b", 6) if packed else path.open(f"{how}b")
    # A name in the text may be no UTF-8, such as that of a file on the command line.
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace")


def check_place(option: str, path: Path) -> None:
    """Refuse a place at which an option can't write its file, before the command begins.

    Args:
        option: its name, such as `--html`.
        path: what it was given.

    Raises:
        ShootdownError: it is a folder or leads to itself, or there is no folder for it, or `-` was meant as standard
            output.
    """
    if str(path) == "-":
        raise ShootdownError(f"{option} -: standard output has the report; give the name of a file")
    if path.is_dir():  # so is a name without a letter, which means the folder that one is in
        raise ShootdownError(f"{option} {path}: it is a folder; give the name of a file")
    _refuse_circular(option, path)
    if not path.absolute().parent.is_dir():
        raise ShootdownError(f"{option} {path}: there is no folder {path.parent}")


def check_folder(option: str, path: Path) -> None:
    """Refuse a place at which an option can't write files, before the command begins.

    Args:
        option: its name, such as `--keep`.
        path: of a folder that is there, or is to be made with those above it.

    Raises:
        ShootdownError: it leads to itself, or what is there is no folder that may be written to.
    """
    _refuse_circular(option, path)
    there = next(one for one in (path, *path.absolute().parents) if one.exists())
    if not there.is_dir():
        raise ShootdownError(f"{option} {path}: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ShootdownError(f"{option} {path}: {there} may not be written to")


def _refuse_circular(option: str, path: Path) -> None:
    if circular(path):
        raise ShootdownError(f"{option} {path}: {CIRCULAR}")
