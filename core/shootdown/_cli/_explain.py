"""`shootdown explain`: one run, who caused what in it, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from shootdown._cli import _about, _common, _here, _offered, _writing
from shootdown._questions.compare import cases
from shootdown._values.outputs import check_place
from shootdown._values.series import newest_known

if TYPE_CHECKING:
    from shootdown._report.explanation import Explanation

_KEEP = 200_000
_MOST_KEPT = 10**8


@_common.command("explain")
@click.argument("workload", shell_complete=_offered.workloads)
@_about.options("parameters", "arch", "platform", "kernel", "cpus", "here", "settings", "patch")
@click.option("--events", is_flag=True, help="All events too, in the order of time.")
@click.option(
    "--perfetto",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a timeline for ui.perfetto.dev, a track for each CPU; FILE.gz is packed.",
)
@click.option(
    "--keep",
    metavar="N",
    type=_common.Whole(1, _MOST_KEPT),
    default=_KEEP,
    show_default=True,
    help="How many events to keep for --events and --perfetto: the first ones.",
)
@_common.json_option
def command(
    workload: str,
    about: _about.About,
    events: bool,
    perfetto: Path | None,
    keep: int,
    as_json: bool,
) -> None:
    """Explain one run: who caused each interrupt, step by step.

    Of several architectures, platforms, kernels or numbers of CPUs the first is explained. Without --arch and --kernel:
    this machine's architecture, and the newest kernel that is known.
    """
    about = _here.filled(about)
    about = attrs.evolve(about, kernel=about.kernel or (newest_known(),))
    chosen = cases(
        workload,
        cpus=about.cpus,
        **about.named(),
    )
    if perfetto is not None:
        check_place("--perfetto", perfetto)
    from shootdown._report.explanation import event_lines, explain, explanation

    if len(chosen) > 1:
        click.echo(f"explaining the first of {len(chosen)} combinations", err=True)
    found = explain(chosen[0], events=keep if events or perfetto is not None else 0)
    if perfetto is not None:
        _write(found, perfetto)
    if as_json:
        _writing.write_result(found.to_dict(events=events))
        return
    for line in explanation(found, _writing.width()):
        _writing.write_line(line)
    if events:
        for line in event_lines(found):
            _writing.write_line(line)


def _write(found: Explanation, path: Path) -> None:
    """Write the timeline, and say on standard error what became of it."""
    from shootdown._report.perfetto import write_trace

    row = found.row
    slices = write_trace(
        path,
        found.events,
        cpus=row.cpus,
        process=f"{row.workload} on {row.kernel}, {row.arch} {row.platform}",
        about={"row": row.to_dict(), "events_not_kept": found.events_lost},
    )
    lost = f"; {found.events_lost:,} more events were not kept (--keep)" if found.events_lost else ""
    click.echo(f"{path}: {slices:,} slices, to be opened at https://ui.perfetto.dev{lost}", err=True)
