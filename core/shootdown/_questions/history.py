"""History: what a program does on every release that is known, and which commits changed that."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from shootdown._plugins.registry import registry
from shootdown._questions.blame import Blame, Changes, blame, called, moved
from shootdown._questions.case import machines
from shootdown._questions.patching import read_patch
from shootdown._questions.trials import Outcome, Program, Trials, program_named, refuse_unreached_by, sizes
from shootdown._values.changes import CHANGES, Change
from shootdown._values.displayed import Displayed
from shootdown._values.errors import ShootdownError
from shootdown._values.frames import Framed
from shootdown._values.given import Names, Numbers, Settings, names, one_number, what_ifs
from shootdown._values.releases import Doubt, changes_of
from shootdown._values.series import newest_known
from shootdown._values.timelines import MAINLINE, timeline, timelines
from shootdown._values.verdict import NOT_APPLICABLE, SAFE
from shootdown._values.workload import Workload

_IPIS = ("flush_ipis", "sync_ipis", "transition_ipis")


@attrs.frozen
class Span:
    """Releases that follow one another, on which a program does the same.

    Args:
        arch, platform, series: where; the series is `mainline` or one such as `6.12`.
        first, last: releases.
        releases: how many there are from the first to the last.
        outcome: what the program does on each of them.
        blame: what separates them from the releases before; empty for the first ones of a series.
        remarks: what is not certain of these releases, and would make a difference; functions of the patch that the
            program does not call on them.
        patch: the patch of the kernels, as JSON has it; None, and not part of the JSON, without one.
    """

    arch: str
    platform: str
    series: str
    first: str
    last: str
    releases: int
    outcome: Outcome
    blame: Blame = Blame()
    remarks: tuple[str, ...] = ()
    patch: Mapping[str, Any] | None = attrs.field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON has it."""
        return {
            "arch": self.arch,
            "platform": self.platform,
            "series": self.series,
            "first": self.first,
            "last": self.last,
            "releases": self.releases,
            "counts": dict(self.outcome.counts),
            "verdict": self.outcome.verdict,
            "invariant": self.outcome.invariant,
            "supported": self.outcome.supported,
            "reason": self.outcome.reason,
            "commits": list(self.blame.commits),
            "together": self.blame.together,
            "remarks": list(self.remarks),
            **({} if self.patch is None else {"patch": dict(self.patch)}),
        }


@attrs.frozen
class Advice:
    """The lowest release of a series from which on a program is safe, or costs no more than on the newest release.

    Args:
        arch, platform, series: as for a `Span`.
        release: it, or None where no release of the series has all that is needed.
        lacks: commits that changed the outcome in mainline and that the release does not have: it may be as good for
            want of what they brought.
        reason: why there is none.
    """

    arch: str
    platform: str
    series: str
    release: str | None
    lacks: tuple[str, ...] = ()
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON has it."""
        return attrs.asdict(self, value_serializer=lambda _, __, value: _plain(value))


@attrs.frozen
class History(Framed, Displayed):
    """What one program does on all releases.

    Args:
        program: its name.
        kind: `workload` or `scenario`.
        parameters: all of them, as used.
        cpus: online CPUs, by architecture and platform.
        set: the what-ifs.
        rows: the ranges, by platform, series and release.
        changes: the changes that the rows name, by what they are called.
        runs: how many runs or searches it took.
        patch: the name of the patch that all kernels have, if any.
        remarks: what the patch replaces.
    """

    program: str
    kind: str
    parameters: Mapping[str, Any]
    cpus: Mapping[tuple[str, str], int]
    set: Mapping[str, str]
    rows: tuple[Span, ...]
    changes: Mapping[str, Change] = attrs.field(factory=dict, repr=False)
    runs: int = 0
    patch: str | None = None
    remarks: tuple[str, ...] = ()
    _advice: tuple[Advice, ...] = attrs.field(default=(), repr=False)

    @property
    def advice(self) -> tuple[Advice, ...]:
        """The lowest release to run, for each platform and series."""
        return self._advice

    def _framed(self) -> Iterator[dict[str, Any]]:
        return (row.to_dict() for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {
            "program": self.program,
            "kind": self.kind,
            "parameters": dict(self.parameters),
            "set": dict(self.set),
            "rows": [row.to_dict() for row in self.rows],
            "advice": [row.to_dict() for row in self.advice],
            "changes": {name: _change(change) for name, change in self.changes.items()},
        }


def history(
    program: str | Program,
    *,
    arch: Names = (),
    platforms: Names = (),
    series: Names = (),
    parameters: Mapping[str, Any] | None = None,
    settings: Settings = (),
    cpus: Numbers | None = None,
    patch: str | os.PathLike[str] | None = None,
    verdict: bool = False,
    tried: Callable[[], None] = lambda: None,
) -> History:
    """Run or explore a program on every release that is known, and return the ranges on which it does the same.

    Args:
        program: a workload or scenario, by name.
        arch: names of architectures; this machine's if neither they nor platforms are given.
        platforms: names of platforms; each architecture's first if empty.
        series: `mainline`, series such as `6.12`, or ranges such as `6.1..6.12`; all if empty.
        parameters: of the program; a large workload is made small where none is given.
        settings: what-ifs, for every release.
        cpus: online CPUs; the platform's own if None.
        patch: a file that replaces kernel functions, on every release.
        verdict: ranges of equal verdicts are meant; a workload has none, and a program's file is explored.
        tried: called after each run or search.

    Raises:
        ShootdownError: something is unknown, out of range or contradictory.
    """
    what = program_named(program, explored=verdict) if isinstance(program, str) else program
    if verdict and isinstance(what, Workload):
        raise ShootdownError(
            f"{what.name} is a workload, which is counted and has no verdict; "
            "`shootdown list scenarios` names what has one"
        )
    lines = timelines(names("series", series))
    installed = registry()
    online = one_number("cpus", cpus)
    given = what_ifs(settings)
    file = None if patch is None else read_patch(patch)
    trials = [
        Trials(
            what,
            architecture,
            platform,
            parameters=sizes(what, parameters or {}),
            settings=given,
            cpus=online,
            patch=file,
            tried=tried,
        )
        for architecture, platform in machines(installed, arch, platforms)
    ]
    newest = [
        each.case((*changes_of(newest_known(), each.architecture)[0], *each.patched)) for each in trials
    ]
    if file is not None:
        refuse_unreached_by(trials, lambda each: _kernels(each, lines))
    rows: list[Span] = []
    advice: list[Advice] = []
    named: dict[str, Change] = {}
    for each in trials:
        found = [_line(each, name) for name in lines]
        rows += [row for line in found for row in line]
        advice += _advice(each, found)
        for line in found:
            named |= {called(change): change for row in line for change in row.blame.changes}
    return History(
        program=what.name,
        kind=what.kind,
        parameters=dict(newest[0].parameters),
        cpus={(each.arch, each.platform.name): case.cpus for each, case in zip(trials, newest, strict=True)},
        set=dict(newest[0].settings),
        rows=tuple(rows),
        changes={name: named[name] for name in sorted(named, key=_place(trials, named))},
        runs=sum(each.runs for each in trials),
        patch=None if file is None else file.name,
        remarks=tuple(
            dict.fromkeys(
                remark
                for case in newest
                if file is not None and case.kernel.patch is not None
                for remark in (case.kernel.patch.remark, *file.elsewhere)
            )
        ),
        advice=tuple(advice),
    )


def _kernels(trials: Trials, names: Sequence[str]) -> Iterator[Changes]:
    """Yield what kernels of the timelines have, the newest release first."""
    yield changes_of(newest_known(), trials.architecture)[0]
    for name in names:
        for release in reversed(list(timeline(name))):
            yield changes_of(str(release), trials.architecture)[0]


def _line(trials: Trials, series: str) -> list[Span]:
    """Return the ranges of one timeline."""
    ranges: list[_Range] = []
    arrivals = {
        point
        for change in (*CHANGES, *trials.architecture.changes)
        for where, point in change.stable
        if where == series
    }
    changes: Changes = ()
    doubts: tuple[Doubt, ...] = ()
    for release in timeline(series):
        if release.point == 0 or release.point in arrivals:  # others have what the one before has
            has, doubts = changes_of(str(release), trials.architecture)
            changes = (*has, *trials.patched)
        outcome = trials.of(changes)
        if not ranges or ranges[-1].outcome.same != outcome.same:
            ranges.append(_Range(str(release), outcome, changes, uncalled=trials.uncalled(changes)))
        last = ranges[-1]
        last.last, last.changes_of_last = str(release), changes
        last.releases += 1
        last.uncalled &= trials.uncalled(changes)
        for change, remark in doubts:  # of those that would make a difference
            if remark not in last.remarks and trials.of((*changes, change)).same != outcome.same:
                last.remarks[remark] = None
    patch = trials.case(ranges[-1].changes).kernel.patch if trials.patched and ranges else None
    return [
        Span(
            arch=trials.arch,
            platform=trials.platform.name,
            series=series,
            first=found.first,
            last=found.last,
            releases=found.releases,
            outcome=found.outcome,
            blame=blame(before.changes_of_last, found.changes, lambda changes: trials.of(changes).same)
            if before is not None
            else Blame(),
            remarks=(*found.remarks, *trials.remark_on(found.uncalled)),
            patch=None if patch is None else patch.to_dict(),
        )
        for before, found in zip([None, *ranges], ranges, strict=False)
    ]


@attrs.define
class _Range:
    """A range as it grows: the changes of its first and last release, functions of the patch that no release calls."""

    first: str
    outcome: Outcome
    changes: Changes
    last: str = ""
    changes_of_last: Changes = ()
    releases: int = 0
    remarks: dict[str, None] = attrs.field(factory=dict)
    uncalled: frozenset[str] = frozenset()


def _advice(trials: Trials, lines: Sequence[Sequence[Span]]) -> list[Advice]:
    """Return for each timeline the first release from which on every later one is good."""
    newest, _ = changes_of(newest_known(), trials.architecture)
    goal = trials.of((*newest, *trials.patched))
    wanted = _wanted(trials)
    found = []
    for line in lines:
        good: Span | None = None
        for row in reversed(line):
            if _worse(row.outcome, goal) is not None:
                break
            good = row
        where = (trials.arch, trials.platform.name, line[0].series)
        if good is None:
            found.append(Advice(*where, None, reason=_worse(line[-1].outcome, goal)))
            continue
        has, _ = changes_of(good.first, trials.architecture)
        lacks = [called(change) for change in moved(has, newest) if id(change) in wanted]
        found.append(Advice(*where, good.first, tuple(dict.fromkeys(lacks))))
    return found


def _wanted(trials: Trials) -> set[int]:
    """Return the changes that changed the outcome in mainline."""
    return {id(change) for row in _line(trials, MAINLINE) for change in row.blame.changes}


def _worse(outcome: Outcome, goal: Outcome) -> str | None:
    """Return why a release is not to be advised, or None: not safe, or more interrupts than the newest one has."""
    if outcome.verdict is not None:
        return None if outcome.verdict in (SAFE, NOT_APPLICABLE) else outcome.said
    if not outcome.supported:
        return outcome.reason
    for name, value, most in (
        ("sync_broadcasts", outcome.counts["sync_broadcasts"], goal.counts.get("sync_broadcasts")),
        ("IPIs", _ipis(outcome.counts), _ipis(goal.counts) if goal.supported else None),
    ):
        if most is not None and value > most:
            return f"{value:,} {name.replace('_', ' ')}, where {newest_known()} has {most:,}"
    return None


def _ipis(counts: Mapping[str, int]) -> int:
    return sum(counts[name] for name in _IPIS)


def _place(trials: Sequence[Trials], named: Mapping[str, Change]) -> Callable[[str], int]:
    """Return a key that sorts changes as the tables have them."""
    order: dict[int, int] = {}
    for each in trials:
        changes, _ = changes_of(newest_known(), each.architecture)
        for change in changes:
            order.setdefault(id(change), len(order))
    return lambda name: order.get(id(named[name]), len(order))


def _change(change: Change) -> dict[str, Any]:
    return {
        "subject": change.subject,
        "mainline": change.mainline,
        "stable": {series: f"{series}.{point}" for series, point in change.stable},
        "source": change.source,
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
