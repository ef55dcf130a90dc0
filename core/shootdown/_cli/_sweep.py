"""`shootdown sweep`: many points of one design, and one table of all of them."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shootdown._cli import _common, _forms, _progress, _writing

if TYPE_CHECKING:
    from shootdown._batches.sweep import Sweep
    from shootdown._report.plotting import Picture

SCHEMA = 1


@_common.command("sweep")
@click.argument("file", metavar="FILE.toml")
@click.option(
    "--out",
    metavar="FILE",
    help="Where the table goes: FILE.parquet, .csv or .jsonl; a .csv named like the sweep unless given.",
)
@click.option(
    "--workers",
    metavar="N",
    type=_common.Whole(1, 256),
    help="The most processes; one for each CPU that is free unless given.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="A Dask scheduler such as tcp://host:8786: its workers run the points.",
)
@click.option(
    "--patch",
    "patches",
    metavar="FILE.py",
    multiple=True,
    help="A patch that the sweep names: it runs only if it is named here too; may be repeated.",
)
@_forms.plot_option
@click.option("--again", is_flag=True, help="Throw away the points that are done, and begin anew.")
@click.option("--check", is_flag=True, help="Only read the sweep, and say how many points it has.")
@_common.json_option
def command(
    file: str,
    out: str | None,
    workers: int | None,
    scheduler: str | None,
    patches: tuple[str, ...],
    plot: Path | None,
    again: bool,
    check: bool,
    as_json: bool,
) -> None:
    """Run a grid or a sample of programs, kernels, platforms, CPUs, parameters, what-ifs and costs.

    Each finished point is on disk at once, in a journal beside the table. After Ctrl-C, a kill or a crash the same
    command goes on where it was. The table is the same, byte by byte, however often that happened.
    """
    _common.refuse_both("--workers", "--scheduler", workers is not None, scheduler is not None)
    from shootdown._batches.sweep import swept
    from shootdown._batches.sweep_file import read_sweep
    from shootdown._batches.writing import check_out
    from shootdown._report.sweep import check_lines, lines, summary

    if out is not None:
        check_out(out)
    plan = read_sweep(file, patches)
    if check:
        if as_json:
            _writing.write_json({"schema": SCHEMA, **summary(plan)})
        else:
            for line in check_lines(plan, _writing.width()):
                _writing.write_line(line)
        return
    target = out if out is not None else f"{Path(file).stem}.csv"
    total = len(plan.points)
    count, earlier = 0, 0
    with _progress.paced(plan.name, "points", total) as say:

        def begun(before: int) -> None:
            nonlocal count, earlier
            count = earlier = before
            if before:
                _progress.note(f"{before:,} of {total:,} points were done before")
            say(count, earlier)

        def done(more: int) -> None:
            nonlocal count
            count += more
            say(count, earlier)

        try:
            found: Sweep = swept(
                plan,
                target,
                workers=workers,
                scheduler=scheduler,
                again=again,
                begun=begun,
                done=done,
                say=_progress.note,
            )
        except KeyboardInterrupt:
            click.echo(f"{count:,} of {total:,} points are done; the same command goes on", err=True)
            raise
    if found.dropped:
        click.echo(
            f"{found.dropped:,} lines of the journal were cut off or damaged: their points were run anew",
            err=True,
        )
    _forms.draw(functools.partial(_picture, found), plot)
    if as_json:
        _writing.write_json({"schema": SCHEMA, **summary(plan, found), "out": os.fspath(target)})
        return
    for line in lines(found, _writing.width()):
        _writing.write_line(line)


def _picture(found: Sweep) -> Picture:
    from shootdown._report.plot_rows import picture_of_rows
    from shootdown._values.frames import flat

    return picture_of_rows(flat(row.to_dict()) for row in found.rows)
