"""`shootdown history`: what a program does on every release, and which commits changed that."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shootdown._cli import _about, _common, _forms, _lore, _offered, _progress, _writing
from shootdown._values.verdict import NO_ANSWER

if TYPE_CHECKING:
    from shootdown._questions.history import History
    from shootdown._report.plotting import Picture

SCHEMA = 1


@_common.command("history")
@click.argument("program", shell_complete=_offered.programs)
@_about.options("parameters", "arch", "platform", "settings", "patch")
@click.option(
    "--series",
    metavar="NAME,...",
    multiple=True,
    callback=lambda _context, _parameter, given: tuple(
        name for text in given for name in _common.read_list(text)
    ),
    help="mainline, series such as 6.12, or ranges of them such as 6.1..6.12; all unless given.",
)
@click.option("--cpus", metavar="N", type=_common.Whole(1), help="How many CPUs are online.")
@click.option("--verdict", is_flag=True, help="Ranges of equal verdicts: PROGRAM is explored.")
@click.option("--advise", is_flag=True, help="Only the lowest release of each series that has the fix.")
@_forms.plot_option
@_lore.option
@_forms.options("csv", "jsonl")
@_common.json_option
def command(
    program: str,
    about: _about.About,
    series: tuple[str, ...],
    cpus: int | None,
    verdict: bool,
    advise: bool,
    plot: Path | None,
    lore: bool,
    form: str | None,
    report: str | None,
    as_json: bool,
) -> None:
    """Find since when a program does what it does, and why.

    PROGRAM is a workload or a scenario, and is tried on every release that is known. Releases that follow one another
    and have equal counts, or equal verdicts, share a row. The commit at a row was turned back by itself, and that gave
    what the row above has. Without --arch: this machine's architecture.
    """
    _forms.refuse_two(form, as_json, lore, report)
    _common.refuse_both(f"--{form}", "--advise", form is not None, advise)
    _common.refuse_both("--report", "--advise", report is not None, advise)
    own = _forms.asked(report, "history")
    from shootdown._questions.history import history
    from shootdown._questions.trials import program_named

    what = program_named(program, explored=verdict)
    with _progress.working() as say:
        done = 0

        def tried() -> None:
            nonlocal done
            done += 1
            say(f"{what.name}: {done} {'runs' if what.kind == 'workload' else 'searches'}")

        say(f"{what.name} on all releases")
        found = history(
            what,
            arch=about.arch,
            platforms=about.platform,
            series=series,
            parameters=about.parameters,
            settings=about.settings,
            cpus=cpus,
            patch=about.patch,
            verdict=verdict,
            tried=tried,
        )
    if as_json:
        _writing.write_result({"schema": SCHEMA, **found.to_dict()})
    elif own is not None:
        _forms.write_report(own, found.to_dict()["rows"])
    elif form is not None:
        _forms.write(form, found.to_dict()["rows"])
    else:
        from shootdown._report.history import advice_lines, lines

        write = advice_lines if advise else lines
        text = list(write(found, _lore.WIDTH if lore else _writing.width(), defaults=what.read({})))
        if lore:
            _lore.write(
                text,
                about.command_line(
                    "history",
                    program,
                    arch=dict.fromkeys(row.arch for row in found.rows),
                    lists={"--series": series},
                    cpus=(cpus,) if cpus is not None else (),
                    flags={"--verdict": verdict, "--advise": advise},
                ),
            )
        else:
            for line in text:
                _writing.write_line(line)
    _forms.draw(functools.partial(_picture, found), plot)
    if any(row.outcome.verdict in NO_ANSWER for row in found.rows):
        raise click.exceptions.Exit(_common.UNANSWERED)


def _picture(found: History) -> Picture:
    from shootdown._report.plot_history import picture_of_history

    return picture_of_history(found.to_dict())
