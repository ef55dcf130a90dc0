"""Difference: what changed between two kernels - switches, counts, times and verdicts - and which commits did it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._plugins.registry import registry
from shootdown._questions.blame import Changes, blame, called, moved, turned_back
from shootdown._questions.case import Case, machines
from shootdown._questions.differing import Difference, Differs, SwitchMoved, Tried
from shootdown._questions.explore import MOST_STATES
from shootdown._questions.patching import PatchFile, read_patch
from shootdown._questions.trials import Outcome, Program, Trials, program_named, refuse_unreached_by, sizes
from shootdown._values.changes import CHANGES, Change
from shootdown._values.errors import ShootdownError, with_line
from shootdown._values.given import Names, Numbers, Settings, one_name, one_number, what_ifs
from shootdown._values.kernel import Kernel, switches_of
from shootdown._values.releases import changes_of, kernel_with, resolve
from shootdown._values.scenario import Scenario
from shootdown._values.verdict import INCONCLUSIVE
from shootdown._values.workload import Workload

if TYPE_CHECKING:
    from shootdown._values.architecture import Architecture

#: The bounds of a search where no program was named.
QUICK_STATES, QUICK_SECONDS = 20_000, 2.0


def diff(
    before: str,
    after: str,
    programs: str | Program | Sequence[str | Program] = (),
    *,
    arch: Names = (),
    platforms: Names = (),
    parameters: Mapping[str, Any] | None = None,
    settings: Settings = (),
    cpus: Numbers | None = None,
    patch: str | os.PathLike[str] | None = None,
    tried: Callable[[str], None] = lambda _: None,
) -> Difference:
    """Return what is different between two kernels: switches, and what programs do, with the commits.

    Args:
        before, after: releases or proposals; with a patch also `7.0+FILE`, and then the other kernel is without it.
        programs: workloads and scenarios; if empty all that are installed, workloads small, and searches of scenarios
            given up after `QUICK_STATES` states or `QUICK_SECONDS` seconds.
        arch: names of architectures; this machine's if neither they nor platforms are given.
        platforms: names of platforms; each architecture's first if empty.
        parameters: of the programs; those without such a parameter are refused, so name the programs too.
        settings: what-ifs, for both kernels.
        cpus: online CPUs; the platform's own if None.
        patch: a file that replaces kernel functions: on the kernels named `7.0+FILE`, on both if neither is.
        tried: called with a program's name before it is tried.

    Raises:
        ShootdownError: something is unknown, out of range or contradictory, or both names are of one release.
    """
    installed = registry()
    before, after = one_name("before", before), one_name("after", after)
    online = one_number("cpus", cpus)
    named = [programs] if isinstance(programs, str | Workload | Scenario) else programs
    pairs = machines(installed, arch, platforms)
    architectures = list({_name(architecture): architecture for architecture, _ in pairs}.values())
    file = None if patch is None else read_patch(patch)
    sides = _Sides.of(before, after, file)
    for architecture in architectures:
        _check_names(sides, architecture)
    given = what_ifs(settings)
    chosen: list[Program] = [program_named(one) if isinstance(one, str) else one for one in named]
    twice = [one.name for n, one in enumerate(chosen) if one.name in {other.name for other in chosen[:n]}]
    if twice:
        raise ShootdownError(f"{twice[0]} is named twice")
    if parameters and not chosen:
        raise ShootdownError("-p is a parameter of a program: name the program as well")
    quick = not chosen
    if quick:
        chosen = [*installed.workloads().values(), *installed.scenarios().values()]
    trials = [
        Trials(
            one,
            architecture,
            platform,
            parameters=sizes(one, parameters or {}),
            settings=given,
            cpus=None if quick and isinstance(one, Scenario) else online,
            patch=file,
            most_states=QUICK_STATES if quick else MOST_STATES,
            most_seconds=QUICK_SECONDS if quick else None,
        )
        for architecture, platform in pairs
        for one in chosen
    ]
    # What is wrong with a request is said before anything runs.
    pairs_of_changes = [sides.changes(each) for each in trials]
    cases = [each.case(after_) for each, (_, after_) in zip(trials, pairs_of_changes, strict=True)]
    if file is not None:
        refuse_unreached_by(trials, sides.patched_kernels)
    rows: list[Differs] = []
    done: list[Tried] = []
    never: dict[str, None] = {}
    for each, case, (old, new) in zip(trials, cases, pairs_of_changes, strict=True):
        tried(each.program.name)
        found, summary = _compared(each, case, old, new)
        rows += found
        done.append(summary)
        if not quick:
            never |= dict.fromkeys(each.remark_on(each.uncalled(new if sides.patched[1] else old)))
    switches = _switches(*sides.bases, architectures)
    wanted = {name for switch in switches for name in switch.commits}
    wanted |= {name for row in rows for name in row.blame.commits}
    applied = [file.applied(case.architecture.name, case.settings) for case in cases] if file else []
    return Difference(
        *sides.names,
        switches,
        tuple(rows),
        tuple(done),
        {
            called(change): change
            for old, new in pairs_of_changes
            for change in moved(old, new)
            if called(change) in wanted
        },
        dict(cases[0].settings) if cases else {},
        tuple(
            dict.fromkeys(
                (
                    *(
                        remark
                        for one in architectures
                        for name in sides.bases
                        for remark in resolve(name, one).remarks
                    ),
                    *(one.remark for one in applied),
                    *(file.elsewhere if file else ()),
                    *never,
                )
            )
        ),
        applied[0].to_dict() if applied else None,
    )


@attrs.frozen
class _Sides:
    """The two kernels: their releases, and which of them has the patch."""

    bases: tuple[str, str]
    patched: tuple[bool, bool] = (False, False)
    patch: str = ""

    @classmethod
    def of(cls, before: str, after: str, file: PatchFile | None) -> _Sides:
        """Read the names: `7.0+FILE` has the patch; if neither has, both do."""
        if file is None:
            return cls((before, after))
        suffix = f"+{file.name}"
        marked = (before.endswith(suffix), after.endswith(suffix))
        bases = (before.removesuffix(suffix), after.removesuffix(suffix))
        return cls(bases, marked if any(marked) else (True, True), file.name)

    @property
    def names(self) -> tuple[str, str]:
        """What the kernels are called."""
        (one, other), (first, second) = self.bases, self.patched
        suffix = f"+{self.patch}"
        return one + suffix * first, other + suffix * second

    def changes(self, trials: Trials) -> tuple[Changes, Changes]:
        """Return what each kernel has, those of the patch too."""
        one, other = (
            (*changes_of(name, trials.architecture)[0], *(trials.patched if has else ()))
            for name, has in zip(self.bases, self.patched, strict=True)
        )
        return one, other

    def patched_kernels(self, trials: Trials) -> Iterator[Changes]:
        """Yield what the kernels with the patch have, the later one first."""
        for name, has in reversed(tuple(zip(self.bases, self.patched, strict=True))):
            if has:
                yield changes_of(name, trials.architecture)[0]


def _check_names(sides: _Sides, architecture: Architecture) -> None:
    """Refuse two names of one kernel.

    Raises:
        ShootdownError: they are, or one of them is no release.
    """
    before, after = sides.bases
    kernels = [_kernel(name, sides, architecture) for name in (before, after)]
    held = [changes_of(name, architecture)[0] for name in (before, after)]
    if sides.patched[0] == sides.patched[1] and kernels[0].release == kernels[1].release and not moved(*held):
        same = f"{before} is named twice" if before == after else f"{before} and {after} are one release"
        or_else = f", or {before} and {before}+{sides.patch}" if sides.patch else ""
        raise ShootdownError(f"{same}: name two releases that differ{or_else}")


def _kernel(name: str, sides: _Sides, architecture: Architecture) -> Kernel:
    """Return the kernel of a name; what may be a patch's name behind a plus is told how it is written."""
    try:
        return resolve(name, architecture)
    except ShootdownError as error:
        base, plus, patch = name.partition("+")
        if not plus:
            raise
        told = (
            f"the patch's kernel is called {base}+{sides.patch}"
            if sides.patch
            else f"if {patch} is a patch, give its file: --patch {patch}.py"
        )
        raise with_line(error, told) from None


def _compared(
    trials: Trials, case: Case[Any], before: Changes, after: Changes
) -> tuple[list[Differs], Tried]:
    """Try a program on both kernels; where they give it the same machine, nothing has to be run."""
    what = trials.program
    where = (what.name, trials.arch, trials.platform.name)

    def summary(differs: bool | None, verdict: str | None = None, reason: str | None = None) -> Tried:
        return Tried(what.name, what.kind, *where[1:], case.parameters, case.cpus, differs, verdict, reason)

    machines_ = [trials.machine(changes) for changes in (before, after)]
    if machines_[0] is not None and machines_[0] == machines_[1]:
        return [], summary(False, reason="both kernels give it the same machine: nothing was run")
    old = trials.of(before)
    new = old if old.verdict == INCONCLUSIVE else trials.of(after)
    if new.verdict == INCONCLUSIVE:
        return [], summary(None, reason=new.reason)
    if not old.supported and not new.supported:
        return [], summary(False, old.verdict, new.reason)
    among = _relevant(trials, before, after)
    rows = [
        _differs(where, name, trials, before, after, among)
        for name in _names(old, new, type(what) is Scenario)
    ]
    return rows, summary(bool(rows), None if rows else new.verdict)


def _names(old: Outcome, new: Outcome, scenario: bool) -> list[str]:
    """Name what differs between two outcomes."""
    if scenario:
        return ["verdict"] if old.same != new.same else []
    if old.supported != new.supported:
        return ["supported"]
    counts = [name for name in new.counts if old.counts.get(name) != new.counts[name]]
    return counts + [name for name in new.times if old.times[name] != new.times[name]]


def _value(outcome: Outcome, name: str) -> Any:
    if name == "verdict":
        return outcome.said
    if name == "supported":
        return outcome.supported
    return outcome.times.get(name) if name.endswith("_ns") else outcome.counts.get(name)


def _relevant(trials: Trials, before: Changes, after: Changes) -> Changes:
    """Return as few changes as make the two machines different: the program sees no others."""
    return blame(before, after, trials.machine, whole=True).changes


def _differs(
    where: tuple[str, str, str],
    name: str,
    trials: Trials,
    before: Changes,
    after: Changes,
    among: Changes,
) -> Differs:
    def value(changes: Changes) -> Any:
        return _value(trials.of(changes), name)

    found = blame(before, after, value, among=among)
    by_commit: dict[str, list[Change]] = {}
    for change in found.changes:
        by_commit.setdefault(called(change), []).append(change)
    return Differs(
        *where,
        name,
        value(before),
        value(after),
        found,
        {commit: value(turned_back(before, after, changes)) for commit, changes in by_commit.items()},
        timing=name in (*trials.of(before).timed, *trials.of(after).timed),
    )


def _switches(before: str, after: str, architectures: Sequence[Architecture]) -> tuple[SwitchMoved, ...]:
    """Return the switches that moved, those of mm/ first; architectures on which one moved alike share a row."""
    found: dict[Any, tuple[SwitchMoved, list[str]]] = {}
    for architecture in architectures:
        old, new = (changes_of(name, architecture)[0] for name in (before, after))
        kernels = [resolve(name, architecture) for name in (before, after)]
        for name in dict.fromkeys((*_switch_names(kernels[0]), *_switch_names(kernels[0].arch))):
            values = [_switch(kernel, name) for kernel in kernels]
            if values[0] == values[1]:
                continue
            commits = _movers(name, old, new, architecture)
            key = (name, *map(repr, values), commits)
            row = SwitchMoved(name, values[0], values[1], commits[-1] if commits else "", commits, ())
            found.setdefault(key, (row, []))[1].append(_name(architecture))
    return tuple(attrs.evolve(row, arch=tuple(names)) for row, names in found.values())


def _movers(name: str, old: Changes, new: Changes, architecture: Architecture) -> tuple[str, ...]:
    """Return the commits that moved a switch, the last one last; where none sets it, those from which it follows."""
    direct = [change for change in moved(old, new) if name in dict(change.sets)]
    if direct:
        return tuple(dict.fromkeys(map(called, direct)))

    def value(changes: Changes) -> Any:
        ordered = [change for change in table if id(change) in set(map(id, changes))]
        return _switch(kernel_with(ordered, architecture, name="", release=""), name)

    table = (*CHANGES, *architecture.changes)
    return blame(old, new, value).commits


def _name(architecture: Architecture) -> str:
    return architecture.called or architecture.name


def _switch_names(holder: Any) -> tuple[str, ...]:
    return tuple(name for name, _ in switches_of(holder))


def _switch(kernel: Kernel, name: str) -> Any:
    return getattr(kernel.arch, name) if hasattr(kernel.arch, name) else getattr(kernel, name)
