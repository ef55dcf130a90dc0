"""`shootdown calibrate`: what this machine costs, as a platform that every command takes."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import attrs
import click

from shootdown._cli import _common, _progress, _writing
from shootdown._values.errors import ShootdownError

_DEFAULT = "this-machine.toml"


@_common.command("calibrate")
@click.argument("file", metavar="[FILE.toml]", default=_DEFAULT)
@click.option(
    "--check",
    "checks",
    is_flag=True,
    help="Predict programs that no cost was fitted to, and run them. Takes a FILE that is there as it is.",
)
@click.option("--like", metavar="PLATFORM", help="The platform that this machine is like; else by its CPU.")
@click.option("--force", is_flag=True, help="Write over a FILE that is there.")
@_common.json_option
def command(file: str, checks: bool, like: str | None, force: bool, as_json: bool) -> None:
    """Measure what this machine costs, and write a platform that --platform FILE.toml takes.

    Without privileges and in less than a minute: mprotect(), munmap() and madvise() beside threads on other CPUs,
    membarrier(), faults, fork() and exit(), reads by footprint and page size. docs/how-to/calibrate.md says how costs
    follow.
    """
    from shootdown._calibrate.calibrating import calibrate, check, prepare
    from shootdown._calibrate.topology import placed
    from shootdown._cli._here import this_machine
    from shootdown._plugins.registry import registry
    from shootdown._questions.platform_file import SUFFIX, platform_of_file, written
    from shootdown._report import calibration as report
    from shootdown._values.outputs import check_place, replacing

    if not file.endswith(SUFFIX):
        raise ShootdownError(f"{file}: a platform's file ends in {SUFFIX}")
    there = os.path.exists(file)
    if there and not (checks or force):
        raise ShootdownError(f"{file} is there already: --force writes over it, --check takes it as it is")
    if checks and there and not force and like is not None:
        raise ShootdownError(
            f"--like is for a new calibration, and --check takes {file} as it is: give --force too"
        )
    if not there or force:
        check_place("calibrate", Path(file))
    found = this_machine(like)
    prepare()
    told: dict[str, Any] = {"schema": 1, "machine": {**attrs.asdict(found), "file": file}}
    with _progress.working() as say:
        if there and checks and not force:
            _, platform = platform_of_file(registry(), (found.arch,), file)
            click.echo(f"{file} is there and is taken as it is; --force measures anew", err=True)
        else:
            assert found.platform is not None
            base = registry().platform(found.arch, found.platform)
            here, unknown = placed(attrs.evolve(base, cpus=found.cpus))
            result = calibrate(found.arch, here, found.kernel, say)
            if unknown:
                result = attrs.evolve(result, not_possible=(*result.not_possible, unknown))
            platform = attrs.evolve(here, costs=result.costs.costs)
            summary = f"measured: {found.cpu}, {found.cpus} CPUs, Linux {found.kernel}, like {base.name}"
            text = written(found.arch, base.name, summary, platform, _how(found, result))
            with replacing(Path(file)) as stream:
                stream.write(text)
            _, platform = platform_of_file(registry(), (found.arch,), file)
            told |= report.to_dict(result)
            if not as_json:
                for line in report.lines(result, _writing.width()):
                    _writing.write_line(line)
                _writing.write_line("")
        if checks:
            compared = check(found.arch, platform, found.kernel, say)
            told |= report.checks_to_dict(compared)
            if not as_json:
                for line in report.of_check(compared, _writing.width()):
                    _writing.write_line(line)
    if as_json:
        _writing.write_json(told)
    elif "measured" in told:
        click.echo(f"{file} is written: shootdown compare ... --platform {file}", err=True)


def _how(found: Any, result: Any) -> dict[str, Any]:
    """Return the tables of a file that say how its costs were found."""
    from shootdown._report import calibration as report

    kept, tried = result.kept
    return {
        "machine": {
            "cpu": found.cpu,
            "kernel": found.kernel,
            "day": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "busy": report.busy(result),
            "batches_that_count": kept,
            "batches": tried,
            "not_possible": list(result.not_possible),
        },
        "measured": {
            one.name: {end: round(getattr(one.measured, end), 1) for end in ("low", "likely", "high")}
            for one in result.points
        },
        "refill": {f"{one.pages} pages of {one.page >> 10}K": one.ns for one in result.refills},
    }
