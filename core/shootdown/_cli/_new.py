"""`shootdown new`: write a distribution with a plugin, which installs as it is and is then edited."""

from __future__ import annotations

from pathlib import Path

import click

from shootdown._cli import _common, _writing
from shootdown._plugins.registry import registry
from shootdown._plugins.skeleton import FLUSHES, KINDS, skeleton, write
from shootdown._questions.case import of_this_machine


@_common.command("new")
@click.argument("name")
@click.argument("folder", required=False, metavar="[DIR]")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="architecture",
    help="What the plugin adds; an architecture unless given.",
)
@click.option(
    "--flush",
    type=click.Choice(tuple(FLUSHES)),
    help="How an architecture reaches other CPUs: by IPIs, unless given, by broadcast of the hardware, or by a call.",
)
@click.option(
    "--arch", metavar="NAME", help="Whose platform it is, for --kind platform; this machine's unless given."
)
def command(name: str, folder: str | None, kind: str, flush: str | None, arch: str | None) -> None:
    """Write a plugin of your own: a distribution that installs, passes its tests, and is then edited.

    NAME is that of the architecture, platform, workload, scenario or report. DIR is the folder that is written,
    shootdown-NAME unless given; nothing is overwritten.
    """
    if flush is not None and kind != "architecture":
        raise click.UsageError(f"--flush is of an architecture; a {kind} has none")
    if arch is not None and kind != "platform":
        raise click.UsageError(f"--arch is for --kind platform; {kind} {name} is of none")
    installed = registry()
    owner = installed.architecture(arch or of_this_machine(installed)) if kind == "platform" else None
    what = skeleton(installed, name, kind, flush or "ipi", owner)
    place = Path(folder if folder is not None else what.distribution)
    written = write(what, place)
    _writing.write_line(f"{place}: the {kind} {name}, as the distribution {what.distribution}")
    for path in written:
        _writing.write_line(f"  {path}")
    module = place / "src" / what.values["package"] / "__init__.py"
    _writing.write_line("")
    _writing.write_line("Try it as it is, then edit _values.py; README.md says how to go on:")
    _writing.write_line(f"  {_first(what.kind, name, what.values.get('arch', 'x86'))} --plugin {module}")
    beside = place if place.is_absolute() else f"./{place}"
    _writing.write_line(f"  pip install -e '{beside}[test]' && shootdown check {_checked(kind, name)}")


def _first(kind: str, name: str, arch: str) -> str:
    return {
        "architecture": f"shootdown compare anonymous --arch {name} --kernel 7.0",
        "platform": f"shootdown compare anonymous --arch {arch} --platform {name} --kernel 7.0",
        "workload": f"shootdown compare {name} --arch {arch} --kernel 7.0",
        "scenario": f"shootdown explore {name} --arch {arch} --kernel 7.0",
        "report": f"shootdown compare anonymous --arch {arch} --kernel 7.0 --report {name}",
    }[kind]


def _checked(kind: str, name: str) -> str:
    return name if kind == "architecture" else f"shootdown-{name}"
