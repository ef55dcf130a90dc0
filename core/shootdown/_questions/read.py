"""Read recordings of real machines, with what the installed architectures know of their kernels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from shootdown._plugins.registry import registry
from shootdown._records.recording import Recording
from shootdown._records.recording import read as read_recording
from shootdown._values.errors import ShootdownError
from shootdown._values.recorded import Recorded


def read(
    files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    arch: str | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Recording:
    """Read recordings of one machine: traces, counters and logs.

    Args:
        files: one, or several in the order of time; packed with gzip or xz or not.
        arch: the architecture; None: told by the files.
        progress: called now and then with the bytes that were read since the last time.

    Raises:
        ShootdownError: a file can't be opened, or none has anything that is known.
    """
    paths = [files] if isinstance(files, str | os.PathLike) else list(files)
    for path in paths:
        if paths.count(path) > 1:
            raise ShootdownError(
                f"recording {os.fspath(path)}: it is given twice, and would be counted twice"
            )
    installed = registry()
    name = None if arch is None else installed.architecture(arch).name
    return read_recording(paths, known(), arch=name, progress=progress)


def known() -> Mapping[str, Recorded]:
    """Return what each installed architecture's kernels write, by its name."""
    installed = registry()
    return {name: installed.architecture(name).recorded for name in installed.architectures()}
