"""Compare: one workload on each combination of architectures, platforms, kernels and numbers of CPUs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from shootdown._installed import Registry
from shootdown._registry import registry
from shootdown._result import Result
from shootdown._series import newest_known
from shootdown._simulate import Case, prepare, simulate

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
        for architecture in _architectures(installed, arch, platforms)
        for platform in _platforms(installed, architecture.name, platforms)
        for kernel in wanted
        for online in (cpus or (None,))
    ]


def run_cases(chosen: Iterable[Case]) -> Iterator[Result]:
    """Run prepared cases one after another; what was yielded stays if the caller stops."""
    for case in chosen:
        yield simulate(case)


def _architectures(installed: Registry, arch: Sequence[str], platforms: Sequence[str]) -> list[Any]:
    """Choose architectures: those named, else those that have a platform named, else all."""
    if arch:
        return [installed.architecture(name) for name in arch]
    everything = list(installed.architectures().values())
    if not platforms:
        return everything
    having = [a for a in everything if set(installed.platforms(a.name)) & set(platforms)]
    return having or everything


def _platforms(installed: Registry, arch: str, names: Sequence[str]) -> list[Any]:
    """Choose platforms of an architecture: those named that it has, else its first."""
    there_are = installed.platforms(arch)
    if not names:
        return list(there_are.values())[:1]
    elsewhere = {
        name for other in installed.architectures() if other != arch for name in installed.platforms(other)
    }
    return [installed.platform(arch, name) for name in names if name in there_are or name not in elsewhere]
