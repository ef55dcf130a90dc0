"""The folder in which compiled kernels are kept. Its files are loaded as code, so no other user may write to it.

It is the first of these that is writable: a part of `NUMBA_CACHE_DIR`, if set; `__pycache__` beside the source, as for
Python's own bytecode; a part of `$XDG_CACHE_HOME/shootdown`, which must belong to this user and is created with access
for this user only; a temporary folder of this process, with an unpredictable name, which is removed when it ends.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from shootdown._compilation.announcing import announce


@functools.cache
def folder_of(source: str) -> Path | None:
    """Return the folder in which the compiled kernels of a source are kept; None if there is none."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given and _can_be_written(part := _part(Path(given), source)):
        return part
    beside = Path(source).parent / "__pycache__"
    if _can_be_written(beside):
        return beside
    own = own_folder()
    if own is not None:
        return _part(own, source)
    private = _private()
    return None if private is None else _part(private, source)


def is_private(folder: Path | None) -> bool:
    """Whether a folder is removed when this process ends, so that nothing in it is kept for another one."""
    private = _private() if _private.cache_info().currsize else None
    return folder is None or (private is not None and folder.is_relative_to(private))


def environment() -> dict[str, str]:
    """Return the environment variables with which a child process keeps kernels where this one finds them."""
    if _private.cache_info().currsize and (private := _private()) is not None:
        return {"NUMBA_CACHE_DIR": str(private)}
    return {}


@functools.cache
def own_folder() -> Path | None:
    """Return `$XDG_CACHE_HOME/shootdown`, created for this user only; None if it is another's, or can't be created."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        parent = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
        folder = parent / "shootdown"
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except (OSError, RuntimeError):  # there is no home folder, or it is not writable
        return None
    if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "geteuid") and found.st_uid != os.geteuid()):
        announce(f"{folder} is not used for compiled kernels: it is no folder of this user's")
        return None
    if stat.S_IMODE(found.st_mode) & 0o022:
        announce(f"{folder} is not used for compiled kernels: others can write to it")
        return None
    with contextlib.suppress(OSError):
        if stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)
    return folder if _can_be_written(folder) else None


@functools.cache
def _private() -> Path | None:
    try:
        made = Path(tempfile.mkdtemp(prefix="shootdown-"))
    except OSError:
        announce("compiled kernels can't be kept: no folder can be written to; NUMBA_CACHE_DIR names another")
        return None
    atexit.register(_forget, made, os.getpid())
    announce("compiled kernels are kept for this command alone: no folder for them can be written to; "
             "NUMBA_CACHE_DIR names another")  # fmt: skip
    return made


def _forget(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in a process that was forked meanwhile
        shutil.rmtree(folder, ignore_errors=True)


def _can_be_written(folder: Path) -> bool:
    """Whether files can be created in a folder, which is created if missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _part(folder: Path, source: str) -> Path:
    """Return the subfolder for the sources in the same folder as this one, as numba names it."""
    parent = str(Path(source).absolute().parent)
    digest = hashlib.sha1(parent.encode(), usedforsecurity=False).hexdigest()
    return folder / f"{Path(parent).name}_{digest}"
