"""`--here`: ask about this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import click

from shootdown._cli._about import About

if TYPE_CHECKING:
    from shootdown._questions.here import Here


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


def filled(about: About, *, sized: bool = True) -> About:
    """With `--here` fill with this machine what was not given, and say on standard error what it was taken for.

    Args:
        about: what was given.
        sized: whether the command takes a number of CPUs.

    Raises:
        ShootdownError: this machine is like no platform, and none was given.
    """
    if not about.here:
        return about
    from shootdown._questions.here import here, this_platform

    found = here()
    own = about.arch in ((), (found.arch,))
    platform = about.platform or ((this_platform(found),) if own else ())
    told = [
        *([] if about.arch else [found.arch]),
        *([] if about.platform or not own else [platform[0]]),
        *([f"{found.cpus} CPU{'s' if found.cpus > 1 else ''}"] if sized and not about.cpus else []),
        *([] if about.kernel else [f"kernel {found.kernel}"]),
    ]
    if told:
        click.echo(f"this machine: {', '.join(told)} ({found.cpu})", err=True)
    return attrs.evolve(
        about,
        arch=about.arch or (found.arch,),
        platform=platform,
        kernel=about.kernel or (found.kernel,),
        cpus=about.cpus or ((found.cpus,) if sized else ()),
    )
