"""`shootdown hunt`: programs that nobody wrote, explored until something goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shootdown._cli import _about, _common, _progress, _writing
from shootdown._values.errors import ShootdownError

if TYPE_CHECKING:
    from shootdown._questions.hunt_finds import Finding, Hunted

SCHEMA = 1
#: The exit status if something was found that is not understood.
UNEXPLAINED = 1
_MOST_CALLS = 4
_UNITS = {"s": 1, "m": 60, "h": 3600}


def _seconds(_context: click.Context, _parameter: click.Parameter, text: str | None) -> float:
    """Read how long: `90s`, `5m`, `1h`, or seconds."""
    if text is None:
        return 0.0
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    if not number.isdigit() or not number.isascii() or not 0 < int(number) * _UNITS[unit] <= 7 * 24 * 3600:
        raise click.BadParameter(f"{text!r:.40} is no time such as 90s, 5m or 1h, a week at most")
    return float(int(number) * _UNITS[unit])


@_common.command("hunt")
@_about.options("arch", "platform", "kernel", "settings", "patch", settings=_common.set_untimed_option)
@click.option(
    "--size",
    metavar="N",
    type=_common.Whole(1, _MOST_CALLS),
    default=2,
    help="Try all programs of at most N calls; 2 unless given.",
)
@click.option(
    "--for",
    "seconds",
    metavar="TIME",
    callback=_seconds,
    help="Go on with random programs of more calls until so long after the beginning: 90s, 5m, 1h.",
)
@click.option(
    "--seed", metavar="S", type=_common.Whole(0, (1 << 63) - 1), default=1, help="Of the random programs."
)
@click.option(
    "--keep", metavar="DIR", type=click.Path(path_type=Path), help="Write each find as a program there."
)
@_common.jobs_option
@_common.json_option
def command(
    about: _about.About,
    size: int,
    seconds: float,
    seed: int,
    keep: Path | None,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Hunt for bugs: explore programs that nobody wrote, against what must hold of every program.

    All programs of a few calls come first, then random ones. A bug is shrunk to its smallest program, and told with the
    commits that make it go away; these are turned on, and the hunt goes on. Ctrl-C keeps what was found. The exit
    status is 1 if something was found that no commit, what-if, patch or page explains.
    """
    from shootdown._questions.hunt import Hunt, grounds
    from shootdown._questions.workers import free_cores
    from shootdown._report.hunt import finding_lines, summary_lines, write_programs
    from shootdown._values.outputs import check_folder

    if keep is not None:
        check_folder("--keep", keep)
    there = grounds(
        arch=about.arch,
        platforms=about.platform,
        kernels=about.kernel,
        settings=about.settings,
        patch=about.patch,
    )
    done: list[Hunted] = []
    findings: list[Finding] = []

    def told(finding: Finding) -> None:
        findings.append(finding)
        if not as_json:
            for line in finding_lines(finding, _writing.width()):
                _writing.write_line(line)
            _writing.write_line("")

    with _progress.working() as say:
        for ground in there:
            hunt = Hunt(
                ground,
                size=size,
                seconds=seconds,
                seed=seed,
                processes=jobs or free_cores(),
                say=say,
                told=told,
            )
            done.append(hunt.run())
            if done[-1].interrupted:
                break
    if as_json:
        _writing.write_result({"schema": SCHEMA, **_together(done)})
    else:
        for line in summary_lines(done, _writing.width()):
            _writing.write_line(line)
    if keep is not None:
        try:
            for path in write_programs(keep, findings):
                click.echo(path, err=True)
        except OSError as error:
            raise ShootdownError(f"--keep {keep}: {(error.strerror or str(error)).lower()}") from None
    if any(one.interrupted for one in done):
        raise KeyboardInterrupt
    if not all(finding.explained for finding in findings):
        raise click.exceptions.Exit(UNEXPLAINED)


def _together(done: list[Hunted]) -> dict[str, object]:
    """Return all hunts as JSON has them."""
    rows = [one.to_dict() for one in done]
    names = ("programs", "preempted", "equal", "inconclusive", "states", "seconds")
    return {
        "findings": [finding for row in rows for finding in row["findings"]],
        **{name: round(sum(row[name] for row in rows), 2) for name in names},
        "interrupted": any(row["interrupted"] for row in rows),
        "remarks": list(dict.fromkeys(remark for row in rows for remark in row["remarks"])),
    }
