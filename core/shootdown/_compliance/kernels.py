"""Section 2: the kernels of an architecture, and the commits that tell them apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from shootdown._compliance import capabilities
from shootdown._compliance.sources import names_source
from shootdown._compliance.statement import Finding, Said, Statement, Tried, Unevidenced
from shootdown._compliance.subject import Subject, where
from shootdown._values.changes import Change
from shootdown._values.errors import nearest, one_line
from shootdown._values.kernel import Kernel, switches_of
from shootdown._values.platform import COST_NAMES
from shootdown._values.releases import resolve
from shootdown._values.series import BY_NAME, SERIES

_COMMIT = re.compile(r"[0-9a-f]{12}")
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{6,40}")
#: The release that stands for what held before the first one that is known.
_BEFORE = SERIES[0].name


def _declared(subject: Subject) -> dict[str, Any]:
    """Return the switches that a kernel of this architecture has; its own declaration of a name counts."""
    return dict(switches_of(Kernel)) | dict(switches_of(subject.architecture.switches))


def misfit(field: Any, value: object) -> str | None:
    """Return why a value does not fit a switch, or None where it does.

    Args:
        field: the attrs attribute that `switch()` declared.
        value: any.
    """
    meta, default = field.metadata, field.default
    if type(value) is not type(default):
        return f"is {value!r:.60}, of type {type(value).__name__}; the switch is of type {type(default).__name__}"
    if meta["choices"] and value not in meta["choices"]:
        return f"is {value!r:.60}; allowed: {', '.join(map(str, meta['choices']))}"
    if isinstance(value, int) and not isinstance(value, bool):
        low, high = meta["minimum"], meta["maximum"]
        if (low is not None and value < low) or (high is not None and value > high):
            return f"is {value}; allowed: {'' if low is None else low} to {'' if high is None else high}"
    return None


def _every_release_resolves(subject: Subject) -> Iterator[Said]:
    failed: dict[str, list[str]] = {}
    for name in subject.releases:
        try:
            kernel: object = resolve(name, subject.architecture)
        except Exception as error:
            failed.setdefault(one_line(error), []).append(name)
            continue
        if not isinstance(kernel, Kernel):
            failed.setdefault(f"configure returns {kernel!r:.40}, not a kernel", []).append(name)
    for why, names in failed.items():
        more = f" and {len(names) - 1} more releases" if len(names) > 1 else ""
        yield Finding(f"{subject.plugin}: kernel {names[0]}{more} can't be resolved: {why}")
    yield Tried(len(subject.releases), "releases")


def _values_are_in_range(subject: Subject) -> Iterator[Said]:
    declared = _declared(subject)
    count = 0
    for name, field in switches_of(subject.architecture.switches):
        count += 1
        if why := misfit(field, field.default):
            yield Finding(f"{subject.plugin}: the default of kernel.{name} {why}")
    for change in subject.architecture.changes:
        for name, value in change.sets:
            count += 1
            if name in declared and (why := misfit(declared[name], value)):
                yield Finding(f"{subject.plugin}: the change {change.commit} sets kernel.{name}, which {why}")
    for kernel in subject.kernels:
        for name, field in declared.items():
            count += 1
            held = getattr(kernel.arch, name) if hasattr(kernel.arch, name) else getattr(kernel, name)
            if why := misfit(field, held):
                yield Finding(f"{subject.plugin}: kernel {kernel.name}: kernel.{name} {why}")
    for alias, implied in subject.architecture.aliases_imply.items():
        for name, value in implied.items():
            count += 1
            if name in declared and (why := misfit(declared[name], value)):
                yield Finding(f"{subject.plugin}: the alias {alias} sets kernel.{name}, which {why}")
    yield Tried(count, "values of switches")


def _switches_agree_with_core(subject: Subject) -> Iterator[Said]:
    core = dict(switches_of(Kernel))
    for name, field in switches_of(subject.architecture.switches):
        if not str(field.metadata["doc"]).strip():
            yield Finding(
                f"{subject.plugin}: the switch kernel.{name} has no sentence that says what it does"
            )
        if name in core and type(field.default) is not type(core[name].default):
            yield Finding(
                f"{subject.plugin}: the switch kernel.{name} is of type "
                f"{type(field.default).__name__}; the switch of "
                f"that name in Kernel is of type {type(core[name].default).__name__}"
            )
    own = dict(switches_of(subject.architecture.switches))
    for field in attrs.fields(subject.architecture.switches):
        if field.name not in own:
            yield Finding(
                f"{subject.plugin}: {subject.architecture.switches.__name__}.{field.name} is no switch, so that nobody "
                "can set it: write switch(default, sentence)"
            )
    for kernel in subject.kernels:
        for name in core:
            if hasattr(kernel.arch, name) and getattr(kernel.arch, name) != getattr(kernel, name):
                yield Finding(
                    f"{subject.plugin}: kernel {kernel.name}: configure leaves kernel.{name} with two values, "
                    f"{getattr(kernel, name)} and {getattr(kernel.arch, name)} in kernel.arch: set both"
                )
    yield Tried(len(subject.kernels), "kernels that differ")


def _configure_settles(subject: Subject) -> Iterator[Said]:
    configure = subject.architecture.configure
    if configure is None:
        yield Tried(len(subject.kernels), "kernels that need no configuration")
        return
    for kernel in subject.kernels:
        again = configure(kernel)
        if not isinstance(again, Kernel):
            yield Finding(f"{subject.plugin}: configure returns {again!r:.40} for kernel {kernel.name}")
            continue
        if (again.name, again.release) != (kernel.name, kernel.release):
            yield Finding(f"{subject.plugin}: configure renames kernel {kernel.name} to {again.name}")
        moved = _moved(kernel, again)
        if moved:
            yield Finding(
                f"{subject.plugin}: kernel {kernel.name}: configure changes {', '.join(moved)} again "
                "when it is called "
                "a second time: derive values from others, not from themselves"
            )
    yield Tried(len(subject.kernels), "kernels configured twice")


def _moved(one: Kernel, other: Kernel) -> list[str]:
    found = [name for name, _ in switches_of(Kernel) if getattr(one, name) != getattr(other, name)]
    found += [
        name
        for name, _ in switches_of(one.arch)
        if getattr(one.arch, name) != getattr(other.arch, name, None)
    ]
    return [f"kernel.{name}" for name in dict.fromkeys(found)]


def _contradictions_are_real(subject: Subject) -> Iterator[Said]:
    platform_fields: dict[str, Any] = {}
    for platform in subject.platforms:
        platform_fields |= dict(switches_of(platform))
        if attrs.has(type(platform.arch)):
            platform_fields |= dict(switches_of(platform.arch))
    groups: Mapping[str, Any] = {
        "kernel": _declared(subject),
        "platform": platform_fields,
        "cost": dict.fromkeys(COST_NAMES),
    }
    known = [f"{group}.{name}" for group, fields in groups.items() for name in fields]
    for rule in subject.architecture.contradictions:
        title = f"{subject.plugin}: the contradiction of {' and '.join(rule.settings) or 'nothing'}"
        if not rule.settings:
            yield Finding(f"{title} names no setting, so that it never applies or always")
        for name in rule.settings:
            if name not in known:
                yield Finding(f"{title} names {name!r}, which is no setting; {nearest(name, known)}")
        if not str(rule.because).strip():
            yield Finding(f"{title} gives no reason")
        for kernel in subject.kernels:
            for platform in subject.platforms:
                answer = rule.when(kernel, platform)
                if not isinstance(answer, bool):
                    yield Finding(
                        f"{title}: when() returns {answer!r:.40} for {where(kernel, platform)}, not a bool"
                    )
    yield Tried(len(subject.architecture.contradictions), "contradictions")


def _changes_are_in_order(subject: Subject) -> Iterator[Said]:
    last: tuple[tuple[tuple[int, int], int | None], Change] | None = None
    seen: dict[str, Change] = {}
    held: dict[str, Any] = {name: field.default for name, field in switches_of(subject.architecture.switches)}
    for change in subject.architecture.changes:
        title = f"{subject.plugin}: the change {change.commit} {change.subject!r}"
        if not change.sets:
            yield Finding(f"{title} sets no switch, so that it changes nothing")
        if (
            change.proposal is None
            and change.commit in seen
            and dict(seen[change.commit].sets) == dict(change.sets)
        ):
            yield Finding(f"{title} is there twice")
        seen[change.commit] = change
        if change.proposal is None:
            if change.sets and all(name in held and held[name] == value for name, value in change.sets):
                sets = ", ".join(f"{name}={value}" for name, value in change.sets)
                yield Finding(f"{title} sets {sets}, which holds already, so that it changes nothing")
            held |= {name: value for name, value in change.sets if name in held}
        yield from _releases_of(title, change)
        if change.mainline is None:
            continue
        now = _mainline(change)
        first = subject.architecture.first
        if first and now[0] < BY_NAME[first].key:
            yield Finding(
                f"{title} of {change.mainline} comes before {first}, the first release of the architecture"
            )
        if last is not None and _is_older(now, last[0]):
            yield Finding(
                f"{title} of {change.mainline} stands behind {last[1].commit} of {last[1].mainline}: "
                "list changes from "
                "the oldest to the newest, the last one that moves a switch counts"
            )
        last = now, change
    yield Tried(len(subject.architecture.changes), "changes")


def _mainline(change: Change) -> tuple[tuple[int, int], int | None]:
    """Return the series and, where it is known, the candidate that a change was merged for."""
    series, _, candidate = str(change.mainline).partition("-rc")
    return BY_NAME[series].key, int(candidate) if candidate else None


def _is_older(one: tuple[tuple[int, int], int | None], other: tuple[tuple[int, int], int | None]) -> bool:
    if one[0] != other[0] or one[1] is None or other[1] is None:
        return one[0] < other[0]
    return one[1] < other[1]


def _releases_of(title: str, change: Change) -> Iterator[Said]:
    for series, point in change.stable:
        known = BY_NAME[series]
        if not 1 <= point <= known.newest:
            yield Finding(
                f"{title} names {series}.{point}: the point releases of {series} go from 1 to {known.newest}"
            )
        if change.mainline is not None and known.key >= _mainline(change)[0]:
            yield Finding(
                f"{title} of {change.mainline} names a backport to {series}, which has it from the start"
            )
        if series in change.unverified:
            yield Finding(f"{title} names {series} as a backport and as unverified: it is one of them")


def _changes_name_sources(subject: Subject) -> Iterator[Said]:
    for change in subject.architecture.changes:
        title = f"{subject.plugin}: the change {change.commit}"
        if not change.subject.strip():
            yield Finding(f"{title} has no subject")
        if _HEXADECIMAL.fullmatch(change.commit) and not _COMMIT.fullmatch(change.commit):
            yield Finding(f"{title}: a commit is abbreviated to 12 lower-case hexadecimal digits")
        elif change.proposal is None and change.mainline != _BEFORE and not _COMMIT.fullmatch(change.commit):
            yield Unevidenced(f"{title} of {change.mainline} names no commit")
        if change.stable and not names_source(change.source):
            names = ", ".join(f"{series}.{point}" for series, point in change.stable)
            yield Unevidenced(f"{title}: nothing says where the backports {names} are from (Change.source)")
    yield Tried(len(subject.architecture.changes), "changes")


STATEMENTS = (
    Statement(
        "2.1",
        "Every known release resolves to a kernel",
        "`--kernel` takes any release from 5.10 on, and `history` asks for all of them.",
        "Look at the function `configure` and at the class `switches`: the message has what they "
        "raise, and for which "
        "release.",
        _every_release_resolves,
    ),
    Statement(
        "2.2",
        "Defaults, values of changes and configured values lie in their switch's range",
        "A value that `--set` would refuse means something that no code expects.",
        "Give the value the switch's type, and one of its `choices` or a number between `minimum` and `maximum`; or "
        "widen the switch.",
        _values_are_in_range,
    ),
    Statement(
        "2.3",
        "Switches have a sentence each, and one value where shootdown has a switch of the same name",
        "A switch that repeats a name of `Kernel` is set in both places; code reads either.",
        "Write the sentence; let `configure` set `kernel.X` and `kernel.arch.X` alike.",
        _switches_agree_with_core,
    ),
    Statement(
        "2.4",
        "`configure` returns the kernel, and changes nothing when it is called again",
        "A what-if calls it once more: `--set` of one switch must not move others that do not follow from it.",
        "Derive each value from other switches, never from its own old value.",
        _configure_settles,
    ),
    Statement(
        "2.5",
        "Contradictions name real settings and give a reason",
        "A misspelt setting never contradicts anything, so that a question with no meaning gets an answer.",
        "Write `kernel.NAME`, `platform.NAME` or `cost.NAME`; `shootdown list switches` has the names.",
        _contradictions_are_real,
    ),
    Statement(
        "2.6",
        "Changes stand in the order of their releases, and name releases that exist",
        "The last change that moves a switch counts: in another order a release gets an older value.",
        "Sort `changes` by `mainline`; a backport goes to a series before it, at a point release that there is.",
        _changes_are_in_order,
        (capabilities.changes,),
    ),
    Statement(
        "2.7",
        "Changes name commit, subject and, for backports, a source",
        "Which stable release has a commit is a fact that somebody looked up; the next reader checks it there.",
        "Fill in `Change.source`: a changelog, a stable review, a CVE record, or a kernel that was measured.",
        _changes_name_sources,
        (capabilities.changes,),
    ),
)
