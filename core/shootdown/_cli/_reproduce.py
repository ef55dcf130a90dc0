"""`shootdown reproduce`: published measurements beside what the model says."""

from __future__ import annotations

import functools
from pathlib import Path

import click

from shootdown._cli import _common, _forms, _progress, _writing
from shootdown._evidence.judging import Row, reproduce
from shootdown._evidence.predicting import check
from shootdown._evidence.reading import read_claims
from shootdown._evidence.shipped import chosen, shipped
from shootdown._questions.workers import divided, free_cores
from shootdown._report.evidence import lines, markdown, summary
from shootdown._values.errors import ShootdownError


@_common.command("reproduce")
@click.argument("ids", nargs=-1)
@click.option(
    "--file", "file", metavar="FILE.toml", help="Claims of your own, instead of those that are shipped."
)
@click.option("--markdown", "as_markdown", is_flag=True, help="The tables of docs/evidence.md.")
@click.option(
    "--pictures",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Draw the curves as SVG files there (needs the extra `plots`).",
)
@_forms.plot_option
@click.option(
    "--draws",
    metavar="N",
    type=_common.Whole(0, 10_000),
    default=0,
    help="Draw all costs N times: an interval is what 80 % of the draws lie within.",
)
@_common.jobs_option
@_common.json_option
def command(
    ids: tuple[str, ...],
    file: str | None,
    as_markdown: bool,
    pictures: Path | None,
    plot: Path | None,
    draws: int,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Compare published measurements with what the model says.

    IDS are claims such as A09, or A09-ratio; all of them if none is named. Each is run as its source describes it,
    with everything that the source leaves open said. docs/how-to/reproduce.md tells how claims are written.
    """
    _common.refuse_both("--json", "--markdown", as_json, as_markdown)
    if file is None and (files := [name for name in ids if name.endswith(".toml")]):
        raise ShootdownError(f"{files[0]} is no claim's name: claims of your own are --file {files[0]}")
    asked = chosen(shipped() if file is None else read_claims(file), ids)
    for claim in asked:
        check(claim)
    done: dict[int, Row] = {}
    interrupted = False
    try:
        with _progress.progress("claims", len(asked)) as advance:
            for number, row in divided(
                functools.partial(reproduce, draws=draws), asked, processes=jobs or free_cores()
            ):
                done[number] = row
                advance()
    except KeyboardInterrupt:
        interrupted = True
    found = [done[number] for number in sorted(done)]
    if pictures is not None and not interrupted:
        from shootdown._report.evidence_pictures import draw

        draw(found, pictures)
    if plot is not None and found and not interrupted:
        from shootdown._report.evidence_pictures import picture

        _forms.draw(functools.partial(picture, found), plot)
    if as_json:
        _writing.write_json(
            {"schema": 1, "summary": summary(found), "rows": [row.to_dict() for row in found]}
        )
    elif found:
        for line in markdown(found) if as_markdown else lines(found, _writing.width()):
            _writing.write_line(line)
    if interrupted:
        click.echo(f"{len(done)} of {len(asked)} claims are done", err=True)
        raise KeyboardInterrupt
