"""`shootdown read`: what traces, counters and logs of real machines tell of shootdowns."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from shootdown._cli import _common, _progress, _writing

if TYPE_CHECKING:
    from shootdown._records.recording import Recording

_MIB = 20  # log2 of the bytes of a MiB

#: Columns of the report, which people send by mail.
_WIDTH = 80


@_common.command("read")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--arch", metavar="NAME", help="The architecture, where the files don't tell.")
@_common.json_option
def command(files: tuple[str, ...], arch: str | None, as_json: bool) -> None:
    """Read traces and counters of a machine: who flushes, and why.

    A FILE is text of trace-cmd report, ftrace (events or function_graph), perf script, perf report, perf stat or
    bpftrace, of /proc/interrupts or /proc/vmstat (two snapshots, in the order of time), or a kernel log; packed with
    gzip or xz or not; - is standard input. Files are of one machine. `shootdown replay` turns them into a program.
    """
    from shootdown._questions.read import read
    from shootdown._records.file_reading import INTERRUPTED

    with reading(files) as progress:
        found = read(files, arch=arch, progress=progress)
    _write(found, as_json)
    if found.files[-1].fault == INTERRUPTED:
        raise KeyboardInterrupt


@contextlib.contextmanager
def reading(files: Sequence[str]) -> Iterator[Callable[[int], None]]:
    """Show how much of some files is read, and yield a function to call with the bytes that were."""
    total = _size(files)
    done = shown = 0
    with _progress.progress("MiB", max(total >> _MIB, 1) if total else 0) as advance:

        def on(more: int) -> None:
            nonlocal done, shown
            done += more
            advance((done >> _MIB) - shown)
            shown = done >> _MIB

        yield on


def _write(found: Recording, as_json: bool) -> None:
    if as_json:
        _writing.write_json(found.to_dict())
        return
    from shootdown._report.recorded import lines

    text = list(lines(found, min(_writing.width(), _WIDTH)))
    while text and not text[-1]:
        text.pop()
    for line in text:
        _writing.write_line(line)


def _size(files: Sequence[str]) -> int:
    """Return the bytes of all files that can be looked at; 0 if any can't."""
    try:
        return sum(os.stat(file).st_size for file in files if file != "-")
    except (OSError, ValueError):
        return 0
