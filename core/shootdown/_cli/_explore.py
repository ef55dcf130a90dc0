"""`shootdown explore`: can it go wrong? Every interleaving of a scenario, and the shortest story of a bug."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shootdown._cli import _about, _common, _forms, _here, _lore, _offered, _progress, _writing
from shootdown._values import inputs
from shootdown._values.errors import ShootdownError
from shootdown._values.outputs import check_place, replacing
from shootdown._values.reading import UnreadableError, read_size
from shootdown._values.verdict import NO_ANSWER, NOT_APPLICABLE, VERDICTS

if TYPE_CHECKING:
    from shootdown._explore.outcome import Reductions
    from shootdown._explore.soak import Soak
    from shootdown._questions.case import Case
    from shootdown._questions.explore import Verdict
    from shootdown._values.scenario import Scenario

SCHEMA = 1
_REDUCTIONS = ("fuse", "dead", "symmetry", "arrive")
#: Stands between two rows of a mail.
_RULE = "-" * 8
#: The exit status where a verdict is not the expected one.
_UNEXPECTED = 1
#: How many such rows are named.
_NAMED = 4
_SMALLEST = 1 << 20
_LARGEST = (1 << 50) - 1


def _size(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    """Read a size in bytes: `500M`, `2G`."""
    if text is None:
        return None
    try:
        size = read_size(text)
    except UnreadableError:
        size = 0
    if not _SMALLEST <= size <= _LARGEST:
        raise click.BadParameter(f"{text!r} is not a size from 1M on, such as 500M or 2G")
    return size


def _reductions(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Reductions | None:
    """Read which reductions are on: `all`, `none`, or a list of them."""
    if text is None:
        return None
    from shootdown._explore.outcome import Reductions

    words = {"all": _REDUCTIONS, "none": ()}.get(text.strip()) if text.strip() in ("all", "none") else None
    names = words if words is not None else _common.read_list(text)
    for name in names:
        if name not in _REDUCTIONS:
            raise click.BadParameter(f"{name!r} is none of all, none, {', '.join(_REDUCTIONS)}")
    return Reductions(**{name: name in names for name in _REDUCTIONS})


def _written(reductions: Reductions | None) -> str | None:
    """Write which reductions are on, as `_reductions` reads it."""
    if reductions is None:
        return None
    return ",".join(name for name in _REDUCTIONS if getattr(reductions, name)) or "none"


def _verdicts(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[str, ...]:
    """Read a list of verdicts."""
    names = () if text is None else tuple(name.lower() for name in _common.read_list(text))
    for name in names:
        if name not in VERDICTS:
            raise click.BadParameter(f"{name!r} is no verdict: {', '.join(VERDICTS)}")
    return names


def _soak(walks: int | None, seed: int | None) -> Soak | None:
    if walks is None:
        if seed is not None:
            raise ShootdownError("--seed is that of random walks: say with --soak how many")
        return None
    from shootdown._explore.soak import Soak

    return Soak(walks, 1 if seed is None else seed)


_FILE = click.Path(dir_okay=False, path_type=Path, allow_dash=True)


@_common.command("explore")
@click.argument("scenario", required=False, shell_complete=_offered.scenarios)
@_about.options(
    "parameters",
    "arch",
    "platform",
    "kernel",
    "here",
    "settings",
    "patch",
    settings=_common.set_untimed_option,
)
@click.option(
    "--html", metavar="FILE", type=_FILE, help="Draw the stories on one page that needs no network."
)
@click.option(
    "--perfetto", metavar="FILE", type=_FILE, help="Write the first story as a timeline for ui.perfetto.dev."
)
@click.option(
    "--replay",
    metavar="FILE",
    type=_FILE,
    help="Let the stories that --json printed happen in the timed engine.",
)
@click.option(
    "--reductions",
    metavar="LIST",
    callback=_reductions,
    help="all (the default), none, or fuse,dead,symmetry,arrive.",
)
@click.option("--states", metavar="N", type=_common.Whole(1), help="Give up after so many states.")
@click.option(
    "--memory", metavar="SIZE", callback=_size, help="Give up when states fill so much, such as 2G."
)
@click.option("--soak", metavar="N", type=_common.Whole(1, 10**9), help="Take N random walks, and no search.")
@click.option(
    "--seed",
    metavar="S",
    type=_common.Whole(0, (1 << 63) - 1),
    help="Of the random walks; the same walks again.",
)
@click.option(
    "--expect",
    metavar="VERDICT,...",
    callback=_verdicts,
    help="Exit with status 1 unless every row has one of these verdicts: safe, bug, ...",
)
@_lore.option
@_common.json_option
def command(
    scenario: str | None,
    about: _about.About,
    html: Path | None,
    perfetto: Path | None,
    replay: Path | None,
    reductions: Reductions | None,
    states: int | None,
    memory: int | None,
    soak: int | None,
    seed: int | None,
    expect: tuple[str, ...],
    lore: bool,
    as_json: bool,
) -> None:
    """Explore every interleaving of a scenario: is it safe, or how does the bug come about?

    SCENARIO is one of `shootdown list scenarios`, or a file of Python that defines SCENARIO. Without --arch and
    --kernel: this machine's architecture, and the newest kernel that is known. A verdict is a result:
    the exit status is 0 for safe, bug, livelock and not-applicable, 3 if a search was inconclusive or vacuous. With
    --expect it is 0 if the verdicts are those, else 1.
    """
    _forms.refuse_two(None, as_json, lore)
    if lore and replay is not None:
        raise ShootdownError("--lore draws what a search found: give it without --replay")
    for option, path in (("--html", html), ("--perfetto", perfetto)):
        if path is not None:
            check_place(option, path)
    if replay is not None:
        choices = (about.arch, about.platform, about.kernel, about.here, about.settings, about.parameters)
        others = (about.patch, html, perfetto, reductions, states, memory, soak, seed, expect or None)
        if any(choices) or any(given is not None for given in others):
            raise ShootdownError("--replay takes everything from its file: give no other choices with it")
        _replay(replay, scenario, as_json)
        return
    about = _here.filled(about, sized=False)
    if scenario is None:
        raise click.UsageError("Missing argument 'SCENARIO'; `shootdown list scenarios` names them.")
    if soak is not None and (states is not None or memory is not None):
        raise ShootdownError("--states and --memory bound a search: random walks (--soak) keep no states")
    walks = _soak(soak, seed)
    from shootdown._questions.explore import MOST_BYTES, MOST_STATES, explorations

    cases = explorations(
        scenario,
        **about.named(),
    )
    bounds = {
        "reductions": reductions,
        "most_states": states or MOST_STATES,
        "most_bytes": memory or MOST_BYTES,
        "soak": walks,
    }
    done: list[Verdict] = []
    interrupted = False
    try:
        _run(cases, done, bounds)
    except KeyboardInterrupt:
        interrupted = True
    if as_json:
        _writing.write_result({"schema": SCHEMA, "rows": [row.to_dict() for row in done]})
    elif lore:
        again = about.command_line(
            "explore",
            scenario,
            arch=() if about.platform else dict.fromkeys(row.arch for row in done),
            kernel=dict.fromkeys(_without_patch(row) for row in done),
            flags={
                "--reductions": _written(reductions),
                "--states": states,
                "--memory": memory,
                "--soak": soak,
                "--seed": seed,
            },
        )
        _mail(done, again)
    else:
        _show(done)
    _draw(done, html, perfetto)
    if interrupted:
        click.echo(f"{len(done)} of {len(cases)} rows are done", err=True)
        raise KeyboardInterrupt
    if expect:
        _judge(done, expect)
    elif any(row.verdict in NO_ANSWER for row in done):
        raise click.exceptions.Exit(_common.UNANSWERED)


def _judge(done: Sequence[Verdict], expected: Sequence[str]) -> None:
    """End with exit status 1 where a row to which the scenario applies has another verdict, or none applies.

    Raises:
        click.exceptions.Exit: that is so; a line on standard error names the rows.
    """
    judged = [row for row in done if row.verdict != NOT_APPLICABLE or NOT_APPLICABLE in expected]
    others = [row for row in judged if row.verdict not in expected]
    if judged and not others:
        return
    wanted = " or ".join(expected)
    if not judged:
        click.echo(f"expected {wanted}: it applies to none of the {len(done)} rows", err=True)
    else:
        named = [f"{row.verdict} on {row.arch} {row.platform} {row.kernel}" for row in others]
        more = f", and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        click.echo(f"expected {wanted}: {', '.join(named[:_NAMED])}{more}", err=True)
    raise click.exceptions.Exit(_UNEXPECTED)


def _without_patch(row: Verdict) -> str:
    """Return the name of a row's kernel as it is asked for, without that of its patch."""
    return row.kernel if row.patch is None else row.kernel.removesuffix(f"+{row.patch['name']}")


def _run(cases: Sequence[Case[Scenario]], done: list[Verdict], bounds: Mapping[str, Any]) -> None:
    """Explore all cases; Ctrl-C leaves the finished ones in `done`."""
    from shootdown._questions.explore import explore_case

    with _progress.working() as say:
        for number, case in enumerate(cases, 1):
            what = f"{case.program.name} on {case.architecture.name} {case.platform.name} {case.kernel.name}"
            what = f"{number} of {len(cases)}: {what}" if len(cases) > 1 else what
            say(what)

            def progress(found: int, expanded: int, what: str = what) -> None:
                unit = "walks" if bounds["soak"] is not None else "states"
                say(f"{what}: {found:,} {unit}, {expanded:,} {'in all' if unit == 'walks' else 'expanded'}")

            done.append(explore_case(case, stories=True, progress=progress, **bounds))


def _show(done: Sequence[Verdict]) -> None:
    from shootdown._report.lanes import verdict_lines

    if len(done) > 1:
        _writing.write_table(
            ("arch", "platform", "kernel", "verdict", "invariant", "states", "depth", "reason"),
            [
                (v.arch, v.platform, v.kernel, v.verdict, v.invariant, f"{v.states:,}", v.depth, v.reason)
                for v in done
            ],
            right=("states", "depth"),
            whole=("arch", "platform", "kernel", "verdict", "invariant"),
        )
        done = [row for row in done if row.story is not None]
    for number, row in enumerate(done):
        if number or len(done) > 1:
            _writing.write_line("")
        for line in verdict_lines(row, _writing.width()):
            _writing.write_line(line)


def _mail(done: Sequence[Verdict], command: str) -> None:
    from shootdown._report.lore import verdict_mail

    lines = [
        line
        for row in done
        for line in ("", *([_RULE, ""] if row is not done[0] else []), *verdict_mail(row, _lore.WIDTH))
    ]
    _lore.write(lines, command)


def _draw(done: Sequence[Verdict], html: Path | None, perfetto: Path | None) -> None:
    """Write the files that were asked for, and say on standard error what became of them."""
    if html is not None and done:
        from importlib.metadata import version

        from shootdown._cli._report import today
        from shootdown._report.document_html import page
        from shootdown._report.report import report
        from shootdown._report.results import Saved

        now = version("shootdown")
        value = {"rows": [row.to_dict() for row in done]}
        saved = Saved("explore", value, "this run", _writing.command_line(), now)
        with replacing(html) as stream:
            stream.write(page(report([saved], version=now, date=today())))
        click.echo(f"{html}: {len(done)} row{'s' if len(done) != 1 else ''}", err=True)
    if perfetto is not None:
        told = next((row for row in done if row.story is not None and row.verdict == "bug"), None)
        if told is None:
            click.echo(f"{perfetto}: not written, as no row has a story", err=True)
            return
        from shootdown._questions.saved import timed
        from shootdown._report.perfetto import write_trace
        from shootdown._report.story_timeline import events

        assert told.story is not None
        machine, run = timed(told)
        slices = write_trace(
            perfetto,
            events(told.story, machine, run),
            cpus=machine.layout.cpus,
            process=f"{told.scenario} on {told.kernel}, {told.arch} {told.platform}: {told.invariant} does not hold",
            about={"row": told.to_dict()},
        )
        click.echo(f"{perfetto}: {slices:,} slices, to be opened at https://ui.perfetto.dev", err=True)


def _replay(path: Path, scenario: str | None, as_json: bool) -> None:
    """Replay all stories of a file."""
    from shootdown._questions.explore import scenario_named
    from shootdown._questions.saved import read_rows, replay_row
    from shootdown._report.lanes import replay_lines

    text, where = inputs.read_text(path, "--replay"), "standard input" if str(path) == "-" else str(path)
    rows = read_rows(text, where)
    own = scenario_named(scenario) if scenario is not None else None
    bugs = [row for row in rows if row.values["verdict"] == "bug"]
    if not bugs:
        raise ShootdownError(f"{where}: no row has a story to replay: no verdict is bug")
    found = [replay_row(row, where, own) for row in bugs]
    if as_json:
        _writing.write_json({"schema": SCHEMA, "replays": [one.to_dict() for one in found]})
        return
    for number, one in enumerate(found):
        if number:
            _writing.write_line("")
        for line in replay_lines(one, _writing.width()):
            _writing.write_line(line)
    if len(bugs) < len(rows):
        rest = len(rows) - len(bugs)
        click.echo(f"{rest} other row{'s have' if rest > 1 else ' has'} no story to replay", err=True)
