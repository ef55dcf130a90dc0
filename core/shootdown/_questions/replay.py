"""Replay: run what was recorded where it came from, compare the counts, and ask what other machines would do."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from shootdown._plugins.registry import registry
from shootdown._questions.case import Case, machines
from shootdown._questions.compare import cases, run_cases
from shootdown._questions.read import read
from shootdown._questions.replay_plan import Plan, needed, plan, times_for
from shootdown._records import evidence
from shootdown._records.recording import Recording
from shootdown._values.errors import ShootdownError
from shootdown._values.result import Result
from shootdown._values.series import BY_NAME, SERIES, Release, newest_known, parse_release
from shootdown._values.workload import Workload

_NAME = "replay"


@attrs.frozen
class Source:
    """Where a recording came from, as far as it can be run.

    Args:
        arch, platform, kernel: names.
        cpus: of the machine, at least.
        remarks: what is not known of it, a sentence each.
    """

    arch: str
    platform: str
    kernel: str
    cpus: int
    remarks: tuple[str, ...]


@attrs.frozen
class Prepared:
    """A replay that is ready to run.

    Args:
        recording: what was read.
        source: where it came from.
        plan: the program for that machine.
        cases: the first is where it came from; then what was asked for.
    """

    recording: Recording
    source: Source
    plan: Plan
    cases: tuple[Case[Workload], ...]


@attrs.frozen
class Distance:
    """How far the model is from the recording, for the shootdowns that became statements.

    Args:
        recorded: interrupts that were answered.
        model: flush IPIs.
    """

    recorded: int
    model: int

    @property
    def relative(self) -> float:
        """Return the difference as a share of what was recorded."""
        return self.model / self.recorded - 1 if self.recorded else 0.0


def prepare(
    files: Iterable[str | os.PathLike[str]],
    *,
    recorded_on: str | None = None,
    arch: Sequence[str] = (),
    platforms: Sequence[str] = (),
    kernels: Sequence[str] = (),
    cpus: Sequence[int] = (),
    parameters: Mapping[str, Any] | None = None,
    settings: Iterable[str] | Mapping[str, str] = (),
    patch: str | os.PathLike[str] | None = None,
    grow: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Prepared:
    """Read recordings and prepare their replay, so that errors are raised before anything runs.

    Args:
        files: recordings of one machine.
        recorded_on: `[ARCH/]PLATFORM@KERNEL`, `@KERNEL` or `PLATFORM`, where a person knows it.
        arch, platforms, kernels, cpus: what to ask for besides; the newest release if nothing is named.
        parameters: of the program: `pages` and `targets`, where the recording doesn't tell.
        settings: what-ifs.
        patch: a file that replaces kernel functions.
        grow: with other numbers of CPUs, as large a part of them is reached.
        progress: called now and then with the bytes that were read since the last time.

    Raises:
        ShootdownError: nothing in the recording can become a statement, or something is unknown or contradictory.
    """
    recording = read(files, progress=progress)
    source = source_of(recording, recorded_on)
    first = plan(recording)
    targets = _targets(first, parameters)
    base = cases(
        _values(first),
        arch=(source.arch,),
        platforms=(source.platform,),
        kernels=(source.kernel,),
        cpus=(needed(first, source.cpus, targets),),
        parameters=_known(first, parameters),
    )
    asked: list[Case[Workload]] = []
    named = bool(arch or platforms or kernels or cpus or patch or tuple(settings))
    for number in cpus or (needed(first, source.cpus, targets),):
        times = times_for(number, source.cpus) if grow else 1.0
        each = plan(recording, targets_times=times) if times != 1.0 else first
        asked += cases(
            _values(each),
            arch=arch or (() if platforms else (source.arch,)),
            platforms=platforms or (() if arch else (source.platform,)),
            kernels=kernels or ((source.kernel,) if named else (newest_known(),)),
            cpus=(number,),
            parameters=_known(each, parameters),
            settings=settings,
            patch=patch,
        )
    rest = [case for case in asked if not _same(case, base[0], settings, patch)]
    return Prepared(recording, source, first, (*base, *rest))


def run(prepared: Prepared, after_run: Callable[[], None] = lambda: None) -> list[Result]:
    """Run a replay and return a row for each case, the first where the recording came from.

    Args:
        prepared: what `prepare` returned.
        after_run: called after each run, perhaps by another thread.
    """
    return [attrs.evolve(row, workload=_NAME) for row in run_cases(prepared.cases, after_run)]


def distance(prepared: Prepared, row: Result) -> Distance | None:
    """Say how far the model's interrupts are from the recorded ones, or None where those are not known.

    Args:
        prepared: the replay.
        row: of where it came from.
    """
    if prepared.plan.answers is None or not row.supported:
        return None
    return Distance(prepared.plan.answers, int(row.counts["flush_ipis"]))


def source_of(recording: Recording, told: str | None = None) -> Source:
    """Say on which architecture, platform, kernel and CPUs a recording is run.

    Args:
        recording: what was read.
        told: `[ARCH/]PLATFORM@KERNEL`, or a part of it, where a person knows it.

    Raises:
        ShootdownError: neither tells the architecture, or a name is unknown.
    """
    installed = registry()
    machine, _, kernel = (told or "").partition("@")
    arch, slash, platform = machine.rpartition("/")
    remarks: list[str] = []
    if not slash and platform:
        owner, found = machines(installed, (), (platform,))[0]
        arch, platform = owner.name, found.name
    if not arch:
        if len(recording.archs) != 1:
            raise ShootdownError(
                "the recording doesn't tell its architecture: give --recorded-on PLATFORM@KERNEL; see shootdown list "
                "platforms"
            )
        arch = recording.archs[0]
    arch = installed.architecture(arch).name
    if not platform:
        known = list(installed.platforms(arch))
        if not known:
            raise ShootdownError(f"architecture {arch} has no platform to replay on")
        platform = known[0]
        remarks.append(
            f"the CPU model is not in the recording: {platform} is assumed (--recorded-on PLATFORM@KERNEL)"
        )
    if not kernel:
        kernel, remark = _kernel(recording)
        remarks.append(remark)
    return Source(arch, platform, kernel, recording.cpus, tuple(remarks))


def _kernel(recording: Recording) -> tuple[str, str]:
    """Choose the release, with a remark on how it was chosen."""
    found = recording.releases
    why = ""
    if found.exact:
        try:
            release, remark = parse_release(found.exact)
        except ShootdownError as error:
            why = f" ({str(error).partition('. ')[0]})"
        else:
            return str(release), f"the recording names {found.exact}" + (f"; {remark}" if remark else "")
    series = evidence.newest(found)
    if not series and found.exact:
        series = _nearest(evidence.series_of(found.exact))
    if not series:
        return newest_known(), "the release is not in the recording: the newest one is assumed"
    name = str(Release(series, BY_NAME[series].newest))
    return (
        name,
        f"{name} is the newest release that writes what was recorded ({found}; --recorded-on @KERNEL){why}",
    )


def _nearest(series: str) -> str:
    """Return the known series next to one that is older or newer than all known."""
    if not series:
        return ""
    return SERIES[0].name if evidence.key(series) < SERIES[0].key else SERIES[-1].name


def _values(each: Plan) -> Mapping[str, Any]:
    return {**tomllib.loads(each.text)}


def _known(each: Plan, parameters: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the parameters, refusing what this program has none of.

    Raises:
        ShootdownError: the recording tells what a parameter would say.
    """
    there_are = tomllib.loads(each.text).get("parameters", {})
    for name in parameters or {}:
        if name not in there_are:
            what = " and ".join(there_are) or "no parameter"
            raise ShootdownError(f"-p {name}: this replay has {what}; what a recording tells is no parameter")
    return dict(parameters or {})


def _targets(each: Plan, parameters: Mapping[str, Any] | None) -> int:
    """Return the targets that a person gave where the recording doesn't tell; what is no number is refused later."""
    given = str((parameters or {}).get("targets", 1))
    unknown = any(one.targets is None for one in each.statements)
    return int(given) if unknown and given.isdecimal() and len(given) < 7 else 1


def _same(case: Case[Workload], base: Case[Workload], settings: object, patch: object) -> bool:
    return (
        not settings
        and not patch
        and (case.architecture.name, case.platform.name, case.kernel.name, case.cpus)
        == (base.architecture.name, base.platform.name, base.kernel.name, base.cpus)
    )
