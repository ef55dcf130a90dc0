"""`shootdown diff`: what changed between two kernels, and which commits did it."""

from __future__ import annotations

import click

from shootdown._cli import _about, _common, _forms, _lore, _offered, _progress, _writing

SCHEMA = 1


@_common.command("diff")
@click.argument("before", metavar="RELEASE")
@click.argument("after", metavar="RELEASE")
@click.argument("programs", nargs=-1, metavar="[PROGRAM]...", shell_complete=_offered.programs)
@_about.options("parameters", "arch", "platform", "settings", "patch")
@click.option("--cpus", metavar="N", type=_common.Whole(1), help="How many CPUs are online.")
@_lore.option
@_common.json_option
def command(
    before: str,
    after: str,
    programs: tuple[str, ...],
    about: _about.About,
    cpus: int | None,
    lore: bool,
    as_json: bool,
) -> None:
    """Tell two releases apart: switches, counts, times, verdicts.

    A commit is to blame for a count if turning it back gives the count of the first release. Without PROGRAM: all
    workloads, small, and the scenarios whose search takes a moment. Without --arch: this machine's architecture. With
    --patch both releases have the patch; `diff 7.0 7.0+FILE` tells what it changes by itself.
    """
    _forms.refuse_two(None, as_json, lore)
    from shootdown._questions.difference import diff
    from shootdown._questions.trials import program_named

    with _progress.working() as say:
        found = diff(
            before,
            after,
            programs,
            arch=about.arch,
            platforms=about.platform,
            parameters=about.parameters,
            settings=about.settings,
            cpus=cpus,
            patch=about.patch,
            tried=lambda name: say(f"{before} and {after}: {name}"),
        )
    if as_json:
        _writing.write_json({"schema": SCHEMA, **found.to_dict()})
    else:
        from shootdown._report.difference import lines

        asked = [
            program_named(name) for name in programs or dict.fromkeys(row.program for row in found.tried)
        ]
        defaults = {what.name: what.read({}) for what in asked}
        text = list(lines(found, _lore.WIDTH if lore else _writing.width(), defaults=defaults))
        if lore:
            again = about.command_line(
                "diff",
                before,
                after,
                *programs,
                arch=dict.fromkeys(row.arch for row in found.tried),
                cpus=(cpus,) if cpus is not None else (),
            )
            _lore.write(text, again)
        else:
            for line in text:
                _writing.write_line(line)
    if programs and any(row.differs is None for row in found.tried):
        raise click.exceptions.Exit(_common.UNANSWERED)
