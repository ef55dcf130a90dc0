"""`shootdown targets`: page tables that are unshared but not freed, on each target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from shootdown._cli import _about, _common, _offered, _progress, _writing
from shootdown._questions.targets import Cell, Target, cells, judge_cell
from shootdown._questions.workers import divided, free_cores
from shootdown._report.targets import lines, markdown
from shootdown._values.errors import ShootdownError


@_common.command("targets")
@click.argument("subject", required=False, metavar="[PROGRAM]", shell_complete=_offered.programs)
@_about.options("parameters", "arch", "platform", "kernel", "cpus", "settings", "patch")
@click.option(
    "--markdown", "as_markdown", is_flag=True, help="A Markdown table, as in docs/reference/targets.md."
)
@_common.jobs_option
@_common.json_option
def command(
    subject: str | None,
    about: _about.About,
    as_markdown: bool,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Judge what unsharing a table does on each target.

    Each cell comes from runs of a small case: munmap(), exit() and mprotect() with warm walk caches on all CPUs of the
    mm, one of them inside GUP-fast. docs/explanation/unshared-tables.md tells why.

    Of a program's file, a workload or a scenario: what its own flushes leave, and what exploring it finds.
    """
    _common.refuse_both("--json", "--markdown", as_json, as_markdown)
    work: Any
    items: Sequence[Any]
    if subject is None:
        if about.parameters or about.cpus:
            raise ShootdownError(
                f"{'-p' if about.parameters else '--cpus'}: only a program has them; name it first"
            )
        items, sizes, work = (
            cells(about.arch, about.platform, about.kernel, about.settings, about.patch),
            None,
            _judged_cell,
        )
    else:
        from shootdown._questions.targets_of import judge_part, parts

        if len(about.cpus) > 1:
            raise ShootdownError("--cpus: one number, as each target has one cell")
        items = parts(
            subject,
            about.arch,
            about.platform,
            about.kernel,
            about.settings,
            about.patch,
            about.parameters,
            about.cpus[0] if about.cpus else None,
        )
        sizes, work = [len(part.cells) for part in items], judge_part
    count = sum(sizes) if sizes is not None else len(items)
    done: dict[int, list[Target]] = {}
    interrupted = False
    try:
        with _progress.progress(f"{count} targets", count) as advance:
            for number, found in divided(work, items, processes=jobs or free_cores()):
                done[number] = found
                for _ in found:
                    advance()
    except KeyboardInterrupt:
        interrupted = True
    rows = [target for number in sorted(done) for target in done[number]]
    if as_json:
        _writing.write_json({"schema": 1, "rows": [target.to_dict() for target in rows]})
    elif rows:
        of_subject = subject is not None
        write = (
            markdown(rows, of_subject=of_subject)
            if as_markdown
            else lines(rows, _writing.width(), of_subject=of_subject)
        )
        for line in write:
            _writing.write_line(line)
    if interrupted:
        click.echo(f"{len(rows)} of {count} targets are done", err=True)
        raise KeyboardInterrupt


def _judged_cell(cell: Cell) -> list[Target]:
    return [judge_cell(cell)]
