"""Compare: one workload on each combination of architectures, platforms, kernels and numbers of CPUs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shootdown._plugins.installed import Registry
from shootdown._plugins.registry import registry
from shootdown._questions.simulate import Case, prepare, simulate
from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.result import Result
from shootdown._values.series import newest_known

if TYPE_CHECKING:
    from shootdown._values.architecture import Architecture
    from shootdown._values.platform import Platform

#: The headline: before the sync, with it, in mainline before and after the rework, today, and a proposal.
HEADLINE_WORKLOAD = "fork-storm"
HEADLINE_KERNELS = ("5.15.209", "6.15", "6.16", "7.0")
HEADLINE_PROPOSAL = "proposal:skip-redundant-sync"


def headline_kernels() -> tuple[str, ...]:
    """Name the kernels that a comparison without `--kernel` shows."""
    return (*HEADLINE_KERNELS, newest_known(), HEADLINE_PROPOSAL)


def compare(
    workload: str = HEADLINE_WORKLOAD,
    *,
    arch: Sequence[str] = (),
    platforms: Sequence[str] = (),
    kernels: Sequence[str] = (),
    cpus: Sequence[int] = (),
    parameters: Mapping[str, Any] | None = None,
    settings: Iterable[str] | Mapping[str, str] = (),
) -> list[Result]:
    """Run a workload on every combination and return a row for each, in the order in which things were named.

    Args:
        workload: its name.
        arch: names of architectures; all installed ones if empty.
        platforms: names of platforms; each architecture's first if empty.
        kernels: releases and proposals; the headline ones if empty.
        cpus: numbers of online CPUs; the platform's own if empty.
        parameters: of the workload.
        settings: what-ifs such as `kernel.rcu_table_free=false`.

    Raises:
        ShootdownError: something is unknown, out of range or contradictory.
    """
    chosen = cases(
        workload,
        arch=arch,
        platforms=platforms,
        kernels=kernels,
        cpus=cpus,
        parameters=parameters,
        settings=settings,
    )
    return list(run_cases(chosen))


def cases(
    workload: str,
    *,
    arch: Sequence[str] = (),
    platforms: Sequence[str] = (),
    kernels: Sequence[str] = (),
    cpus: Sequence[int] = (),
    parameters: Mapping[str, Any] | None = None,
    settings: Iterable[str] | Mapping[str, str] = (),
) -> list[Case]:
    """Prepare all combinations, so that a mistake shows before anything runs; see `compare`."""
    installed = registry()
    what = installed.workload(workload)
    settings = dict(settings) if isinstance(settings, Mapping) else list(settings)
    wanted = list(kernels) or list(headline_kernels())
    return [
        prepare(architecture, platform, kernel, what, parameters=parameters, cpus=online, settings=settings)
        for architecture, platform in machines(installed, arch, platforms)
        for kernel in wanted
        for online in (cpus or (None,))
    ]


def run_cases(chosen: Iterable[Case]) -> Iterator[Result]:
    """Run prepared cases one after another; what was yielded stays if the caller stops."""
    for case in chosen:
        yield simulate(case)


def machines(
    installed: Registry, arch: Sequence[str], platforms: Sequence[str]
) -> list[tuple[Architecture, Platform]]:
    """Choose pairs of architecture and platform, in the order in which they were named.

    Args:
        installed: what there is.
        arch: names of architectures; if empty, those that have the platforms, or all.
        platforms: names of platforms; each architecture's first if empty.

    Raises:
        ShootdownError: there is no such thing, or an architecture that was named has none of the platforms.
    """
    if arch:
        owners = [installed.architecture(name) for name in arch]
        chosen = [(owner, one) for owner in owners for one in _of(installed, owner, platforms)]
        for name in platforms:
            if name not in {one.name for _, one in chosen}:
                names = {known for owner in owners for known in installed.platforms(owner.name)}
                raise ShootdownError(
                    f"there is no platform {name!r} of {' or '.join(arch)}; {nearest(name, names)}"
                )
        return chosen
    if platforms:
        return [pair for name in platforms for pair in installed.machines(name)]
    chosen = [
        (owner, one)
        for owner in installed.architectures().values()
        for one in list(installed.platforms(owner.name).values())[:1]
    ]
    if not chosen:
        raise ShootdownError("no architecture is loaded that has a platform: see `shootdown plugins`")
    return chosen


def _of(installed: Registry, owner: Architecture, platforms: Sequence[str]) -> list[Platform]:
    """Choose platforms of an architecture that was named: those named that it has, else its first."""
    there_are = installed.platforms(owner.name)
    if not there_are:
        raise ShootdownError(f"architecture {owner.name} has no platform (Architecture.platforms, stage 3)")
    if not platforms:
        return list(there_are.values())[:1]
    chosen = [there_are[name] for name in platforms if name in there_are]
    # Says whose platform it is not, and what is near.
    return chosen or [installed.platform(owner.name, platforms[0])]
