"""`shootdown read`: what traces, counters and logs of real machines tell of shootdowns."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from shootdown._cli import _common, _progress

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

    A FILE is text of trace-cmd report, ftrace, perf script, perf report, perf stat or bpftrace, of /proc/interrupts
    or /proc/vmstat (two snapshots, in the order of time), or a kernel log; packed with gzip or xz or not; - is
    standard input. Files are of one machine. `shootdown replay` turns them
    into a program.
    """
    from shootdown._questions.read import read
    from shootdown._records.recording import INTERRUPTED

    total = _size(files)
    read_so_far = shown = 0
    with _progress.progress("MiB", max(total >> _MIB, 1) if total else 0) as advance:

        def on(more: int) -> None:
            nonlocal read_so_far, shown
            read_so_far += more
            advance((read_so_far >> _MIB) - shown)
            shown = read_so_far >> _MIB

        found = read(files, arch=arch, progress=on)
    _write(found, as_json)
    if found.files[-1].fault == INTERRUPTED:
        raise KeyboardInterrupt


def _write(found: Recording, as_json: bool) -> None:
    if as_json:
        _common.write_json(found.to_dict())
        return
    from shootdown._report.recorded import lines

    text = list(lines(found, min(_common.width(), _WIDTH)))
    while text and not text[-1]:
        text.pop()
    for line in text:
        _common.write_line(line)


def _size(files: tuple[str, ...]) -> int:
    """Return the bytes of all files that can be looked at; 0 if any can't."""
    try:
        return sum(os.stat(file).st_size for file in files if file != "-")
    except OSError:
        return 0
