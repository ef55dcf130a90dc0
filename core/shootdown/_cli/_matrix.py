"""`shootdown matrix`: the verdicts of scenarios over kernels and platforms."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from shootdown._cli import _about, _common, _offered, _progress, _writing
from shootdown._values.verdict import NO_ANSWER

if TYPE_CHECKING:
    from shootdown._questions.explore import Verdict

SCHEMA = 1


@_common.command("matrix")
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...", shell_complete=_offered.scenarios)
@_about.options(
    "parameters", "arch", "platform", "kernel", "settings", "patch", settings=_common.set_untimed_option
)
@_common.jobs_option
@click.option("--markdown", is_flag=True, help="The page docs/reference/matrix.md.")
@_common.json_option
def command(
    scenarios: tuple[str, ...],
    about: _about.About,
    jobs: int | None,
    markdown: bool,
    as_json: bool,
) -> None:
    """Tabulate the verdicts of scenarios over kernels and platforms.

    Without arguments: all scenarios, and of each architecture the platforms that differ in how they flush. Platforms on
    which a scenario has the same verdicts share a line.
    """
    _common.refuse_both("--json", "--markdown", as_json, markdown)
    from shootdown._questions import matrix as m
    from shootdown._questions.workers import free_cores

    prepared = m.jobs(
        scenarios,
        **about.named(),
    )
    total = sum(len(job.cells) for job in prepared)
    done: list[Verdict] = []
    interrupted = False
    try:
        with _progress.progress(f"{total} cells", total) as advance:
            for row in m.matrix(prepared, processes=jobs or free_cores()):
                done.append(row)
                advance()
    except KeyboardInterrupt:
        interrupted = True
    columns = list(dict.fromkeys(_called(name, about.patch) for name in about.kernel or m.default_kernels()))
    names = _names(prepared)
    done = m.sorted_rows(done, names)  # processes end in any order
    if as_json:
        _writing.write_json({"schema": SCHEMA, "rows": [row.to_dict() for row in done]})
    elif markdown:
        from shootdown._report.matrix_page import page

        _writing.write_line(page(done, names, columns).rstrip())
    elif done:
        _show(done, names, columns)
    if interrupted:
        click.echo(f"{len(done)} of {total} cells are done", err=True)
        raise KeyboardInterrupt
    if any(row.verdict in NO_ANSWER for row in done):
        raise click.exceptions.Exit(_common.UNANSWERED)


def _called(kernel: str, patch: str | None) -> str:
    """Return the name of a kernel in rows: with that of its patch."""
    return kernel if patch is None else f"{kernel}+{os.path.basename(patch).removesuffix('.py')}"


def _names(prepared: Sequence[Any]) -> list[str]:
    """Name the scenarios in the order in which they were asked for; files by what they define."""
    from shootdown._questions.explore import scenario_named

    return list(dict.fromkeys(scenario_named(job.scenario).name for job in prepared))


def _show(done: Sequence[Verdict], names: Sequence[str], kernels: Sequence[str]) -> None:
    from shootdown._questions.matrix import reasons, table

    lines = table(done, names)
    shown = ""
    rows = []
    for line in lines:
        rows.append(
            (
                line.scenario if line.scenario != shown else "",
                line.where(),
                *(line.words(kernel) for kernel in kernels),
            )
        )
        shown = line.scenario
    _writing.write_table(("scenario", "platforms", *kernels), rows, whole=("scenario", *kernels))
    found = reasons(done, names)
    if found:
        _writing.write_line("")
        for reason, where in found.items():
            _writing.write_wrapped(f"- {reason}: {', '.join(where)}", rest="  ")
