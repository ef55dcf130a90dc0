"""`shootdown check`: the compliance suite on one plugin."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shootdown._cli import _apart, _common, _progress, _writing

if TYPE_CHECKING:
    from shootdown._compliance.statement import Outcome, Statement

#: The exit status where something was found, or a plugin was refused.
FOUND = 1


@_common.command("check")
@click.argument("name")
@click.option(
    "--statement",
    "numbers",
    metavar="N,...",
    multiple=True,
    callback=_common.joined(_common.read_list),
    help="Only these: 1.3 is one statement, 1 a section; may be repeated.",
)
@click.option("--long", "long", is_flag=True, help="Take larger samples: minutes rather than seconds.")
@click.option(
    "--seed",
    metavar="N",
    type=_common.Whole(0, 2**32 - 1),
    default=1,
    help="Of everything random; 1 unless given.",
)
@click.option(
    "--patience",
    metavar="SECONDS",
    type=_common.Whole(1, 86_400),
    help="The most seconds for one statement; more is a finding.",
)
@click.option("--junit", metavar="FILE", help="Write the results as JUnit's XML too.")
@click.option(
    "--badge",
    metavar="FILE",
    help="Write the last line too; as JSON for shields.io if FILE ends in .json.",
)
@_common.json_option
def command(
    name: str,
    numbers: tuple[str, ...],
    long: bool,
    seed: int,
    patience: int | None,
    junit: str | None,
    badge: str | None,
    as_json: bool,
) -> None:
    """Check a plugin: what every plugin must hold to.

    NAME is an architecture, a plugin or a distribution. docs/compliance.md has the statements. The exit status is 1
    where something was found wrong or the plugin was refused. What has no evidence is named, and is no error.
    """
    from shootdown._compliance.asked import asked
    from shootdown._compliance.checking import PATIENCE, check, fitting
    from shootdown._compliance.registry import chosen
    from shootdown._report import compliance as report
    from shootdown._values.outputs import check_place

    for option, file in (("--junit", junit), ("--badge", badge)):
        if file is not None:
            check_place(option, Path(file))
    wanted = chosen(numbers)
    found = asked(name, long=long, seed=seed)
    there = [fitting(subject, wanted) for subject in found.subjects]
    total = sum(map(len, there))
    done: list[Outcome] = list(found.refused)
    interrupted = False
    try:
        with _progress.progress(f"check {name}", total) as advance:
            for subject in found.subjects:
                for outcome in check(
                    subject,
                    wanted,
                    begun=functools.partial(_begun, advance),
                    ticked=_progress.now.tick,
                    patience=patience or PATIENCE,
                ):
                    done.append(outcome)
                    advance()
    except KeyboardInterrupt:
        interrupted = True
    checked = {one.statement.number for one in done if not one.interrupted}
    about = dict.fromkeys(one.number for some in there for one in some)
    left = [number for number in about if number not in checked] if interrupted else []
    if as_json:
        _writing.write_json(report.to_dict(name, done, left))
    else:
        for text, rest in report.lines(done):
            _writing.write_wrapped(text, rest=rest)
        _writing.write_line(report.badge(name, done, left))
    _write(junit, report.junit(name, done))
    text = report.badge(name, done, left)
    _write(badge, json.dumps(report.shield(name, done, left)) if badge and badge.endswith(".json") else text)
    if interrupted:
        raise KeyboardInterrupt
    if any(one.findings for one in done):
        raise click.exceptions.Exit(FOUND)


def _begun(advance: Callable[..., None], statement: Statement) -> None:
    advance(0, f"{statement.number} {statement.title}")
    _apart.note(statement=statement.number, doing=f"{statement.number} was checked: {statement.title}")


def _write(file: str | None, text: str) -> None:
    if file is None:
        return
    from shootdown._values.outputs import replacing

    with replacing(Path(file)) as stream:
        stream.write(text.rstrip("\n") + "\n")
