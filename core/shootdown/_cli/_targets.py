"""`shootdown targets`: page tables that are unshared but not freed, on each target."""

from __future__ import annotations

import click

from shootdown._cli import _common, _progress
from shootdown._questions.targets import Target, cells, judge_cell
from shootdown._questions.workers import divided, free_cores
from shootdown._report.targets import lines, markdown


@_common.command("targets")
@_common.arch_option
@_common.platform_option
@_common.kernel_option
@_common.set_option
@_common.patch_option
@click.option(
    "--markdown", "as_markdown", is_flag=True, help="A Markdown table, as in docs/reference/targets.md."
)
@_common.jobs_option
@_common.json_option
def command(
    arch: tuple[str, ...],
    platform: tuple[str, ...],
    kernel: tuple[str, ...],
    settings: tuple[str, ...],
    patch: str | None,
    as_markdown: bool,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Judge what unsharing a table does on each target.

    Each cell comes from runs of a small case: munmap(), exit() and mprotect() with warm walk caches on all CPUs of the
    mm, one of them inside GUP-fast. docs/explanation/unshared-tables.md tells why.
    """
    _common.refuse_both("--json", "--markdown", as_json, as_markdown)
    asked = cells(arch, platform, kernel, settings, patch)
    done: dict[int, Target] = {}
    interrupted = False
    try:
        with _progress.progress(f"{len(asked)} targets", len(asked)) as advance:
            for number, target in divided(judge_cell, asked, processes=jobs or free_cores()):
                done[number] = target
                advance()
    except KeyboardInterrupt:
        interrupted = True
    found = [done[number] for number in sorted(done)]
    if as_json:
        _common.write_json({"schema": 1, "rows": [target.to_dict() for target in found]})
    elif found:
        for line in markdown(found) if as_markdown else lines(found, _common.width()):
            _common.write_line(line)
    if interrupted:
        click.echo(f"{len(done)} of {len(asked)} targets are done", err=True)
        raise KeyboardInterrupt
