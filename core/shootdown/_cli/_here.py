"""`--here`: ask about this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import click

if TYPE_CHECKING:
    from shootdown._questions.here import Here

option = click.option(
    "--here",
    is_flag=True,
    help="This machine: its architecture, platform, CPUs and kernel, unless given.",
)


@attrs.frozen
class Asked:
    """What a command was asked about.

    Args:
        arch, platform, kernel, cpus: as options give them.
    """

    arch: tuple[str, ...]
    platform: tuple[str, ...]
    kernel: tuple[str, ...] = ()
    cpus: tuple[int, ...] = ()


def this_machine(like: str | None) -> Here:
    """Look at this machine, whose platform is the one that is named or the one that its CPU is like.

    Args:
        like: the name of a platform; None takes this machine's.

    Raises:
        ShootdownError: there is no such platform, or this machine is like none.
    """
    from shootdown._plugins.registry import registry
    from shootdown._questions.here import here, this_platform

    found = here()
    if like is not None:
        return attrs.evolve(found, platform=registry().platform(found.arch, like).name)
    return attrs.evolve(found, platform=this_platform(found, "calibrate", "--like"))


def filled(asked: Asked, *, sized: bool = True) -> Asked:
    """Fill with this machine what was not given, and say on standard error what it was taken for.

    Args:
        asked: what was given.
        sized: whether the command takes a number of CPUs.

    Raises:
        ShootdownError: this machine is like no platform, and none was given.
    """
    from shootdown._questions.here import here, this_platform

    found = here()
    own = asked.arch in ((), (found.arch,))
    platform = asked.platform or ((this_platform(found),) if own else ())
    told = [
        *([] if asked.arch else [found.arch]),
        *([] if asked.platform or not own else [platform[0]]),
        *([f"{found.cpus} CPU{'s' if found.cpus > 1 else ''}"] if sized and not asked.cpus else []),
        *([] if asked.kernel else [f"kernel {found.kernel}"]),
    ]
    if told:
        click.echo(f"this machine: {', '.join(told)} ({found.cpu})", err=True)
    return Asked(
        asked.arch or (found.arch,),
        platform,
        asked.kernel or (found.kernel,),
        asked.cpus or ((found.cpus,) if sized else ()),
    )
