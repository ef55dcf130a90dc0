"""`shootdown gate`: checks of programs with limits, for the tests of a kernel tree or an application."""

from __future__ import annotations

import json
from pathlib import Path

import click

from shootdown._cli import _common, _progress, _writing

SCHEMA = 1
#: The exit status where something does not hold.
FAILED = 1


@_common.command("gate")
@click.argument("file", metavar="FILE.toml")
@click.option(
    "--patch",
    "patches",
    metavar="FILE.py",
    multiple=True,
    help="A patch that the gate names: it runs only if it is named here too; may be repeated.",
)
@click.option(
    "--scenario",
    "scenarios",
    metavar="FILE.py",
    multiple=True,
    help="A scenario in Python that the gate names, likewise.",
)
@click.option("--junit", metavar="FILE", help="Write the results as JUnit's XML too.")
@click.option("--sarif", metavar="FILE", help="Write what does not hold as SARIF 2.1.0 too.")
@click.option("--github", is_flag=True, help="Print annotations for a workflow of GitHub too.")
@_common.jobs_option
@_common.json_option
def command(
    file: str,
    patches: tuple[str, ...],
    scenarios: tuple[str, ...],
    junit: str | None,
    sarif: str | None,
    github: bool,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Check programs against limits: IPIs, interrupted CPUs, verdicts, findings of a hunt.

    docs/ci.md has what a file may say. The exit status is 0 if all holds, 1 if something does not, 2 for a mistake in
    the file, 3 if a search has no answer.
    """
    _common.refuse_both("--github", "--json", github, as_json)
    from shootdown._batches.gate import Judged, run_gate
    from shootdown._batches.gate_file import read_gate
    from shootdown._questions.tables import own_version
    from shootdown._questions.workers import free_cores
    from shootdown._report import gate as report
    from shootdown._values.outputs import check_place, replacing

    for option, target in (("--junit", junit), ("--sarif", sarif)):
        if target is not None:
            check_place(option, Path(target))
    gate = read_gate(file, patches, scenarios)
    found: list[Judged] = []
    with _progress.working() as say:
        found.extend(run_gate(gate, say, jobs or free_cores()))
    if as_json:
        _writing.write_json({"schema": SCHEMA, **report.to_dict(gate, found)})
    else:
        for line in report.lines(found, _writing.width()):
            _writing.write_line(line)
    if github:
        for line in report.github_lines(found):
            _writing.write_line(line)
    texts = (
        (junit, report.junit(gate, found)),
        (sarif, json.dumps(report.sarif(found, own_version()), indent=2)),
    )
    for target, text in texts:
        if target is not None:
            with replacing(Path(target)) as stream:
                stream.write(f"{text}\n")
    statuses = {one.status for one in found}
    if "failed" in statuses:
        raise click.exceptions.Exit(FAILED)
    if "unanswered" in statuses:
        raise click.exceptions.Exit(_common.UNANSWERED)
