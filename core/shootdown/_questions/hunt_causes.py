"""Why a program breaks: the fewest commits or switches with which it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from shootdown._programs.sketch import Sketch
from shootdown._questions.blame import called
from shootdown._questions.hunt_ground import Fix, Ground, refuted
from shootdown._values.changes import CHANGES, OLDER, OPEN
from shootdown._values.errors import ShootdownError
from shootdown._values.kernel import switches_of
from shootdown._values.releases import changes_of, resolve
from shootdown._values.series import Release, parse_release
from shootdown._values.timelines import MAINLINE
from shootdown._values.verdict import BUG, LIVELOCK

#: The statement of the compliance suite that hunts, as `Expected.statements` names it.
HUNTS = "7.2"


def cause_of(ground: Ground, sketch: Sketch) -> tuple[Fix, ...]:
    """Return the fewest fixes with which a program is safe; none if there are none.

    Tried are, in this order: functions of the patch that are left out, what-ifs of the question that are turned back,
    commits that the release lacks, what closes a defect that is known and open; all of these together; then what closes
    one that takes a certain call; then each other value of each switch.
    """
    of_a_call, of_any = _open(ground, sketch)
    likely = [*_of_the_patch(ground), *_of_the_settings(ground), *_commits(ground), *of_any]

    def fixes(chosen: Sequence[Fix]) -> bool:
        return refuted(ground.having(*chosen), sketch)

    tried: list[Fix] = []
    for more in (likely, of_a_call):
        for fix in more:
            if fixes([fix]):
                return (fix,)
        tried += more
        if more and len(tried) > 1 and fixes(tried):
            return tuple(_fewest(tried, fixes))
    for fix in _what_ifs(ground):
        if fixes([fix]):
            return (fix,)
    return ()


def expected_of(ground: Ground, invariant: str) -> str:
    """Return why the architecture's plugin expects hunts to break an invariant here, or nothing."""
    case = ground.case
    for one in case.architecture.expected:
        if HUNTS in one.statements and one.about in ("", invariant) and one.when(case.kernel, case.platform):
            return one.why
    return ""


def _fewest(chosen: Sequence[Fix], fixes: Callable[[Sequence[Fix]], bool]) -> list[Fix]:
    """Leave out what is not needed, in large parts first and from the end: what is likelier comes before."""
    kept = list(chosen)
    size = len(kept) // 2
    while size:
        for start in reversed(range(0, len(kept), size)):
            fewer = kept[:start] + kept[start + size :]
            if fewer and fixes(fewer):
                kept = fewer
                break
        else:
            size //= 2
    return kept


def _of_the_patch(ground: Ground) -> list[Fix]:
    patch = ground.case.kernel.patch
    return [] if patch is None else [
        Fix(f"without {name}() of {patch.name}", without=name, origin="patch") for name in patch.functions
    ]  # fmt: skip


def _of_the_settings(ground: Ground) -> list[Fix]:
    """Return the what-ifs of the question, each turned back to what the release has."""
    case = ground.case
    release = resolve(ground.kernel, case.architecture)
    found = []
    for text in ground.settings:
        name, _, _ = text.partition("=")
        group, _, field = name.strip().partition(".")
        if group != "kernel":
            continue
        field = field.replace("-", "_")
        holder: Any = release if hasattr(release, field) else release.arch
        if _is_configured(release, field) or not hasattr(holder, field):
            continue
        value = getattr(holder, field)
        older = next((one for one in OLDER if one.switch == field), None)
        change = next(
            (one for one in _table(ground) if (field, value) in one.sets and one.proposal is None), None
        )
        commit = older or change
        fix = _switch(field, value, "what-if")
        found.append(fix if commit is None else attrs.evolve(fix, name=commit.commit, says=commit.subject))
    return found


def _table(ground: Ground) -> tuple[Any, ...]:
    return (*CHANGES, *ground.case.architecture.changes)


def _commits(ground: Ground) -> list[Fix]:
    """Return the commits that the release lacks, in the order of the table."""
    has, _ = changes_of(ground.kernel, ground.case.architecture)
    there = set(map(id, has))
    given = {text.partition("=")[0].strip() for text in ground.settings}
    lacking: dict[str, list[Any]] = {}
    for change in _table(ground):
        if id(change) not in there and change.proposal is None:
            lacking.setdefault(called(change), []).append(change)
    found = []
    for name, changes in lacking.items():
        values = {at: value for change in changes for at, value in change.sets if f"kernel.{at}" not in given}
        if values:
            found.append(Fix(name, tuple(values.items()), changes[0].subject))
    return found


def _open(ground: Ground, sketch: Sketch) -> tuple[list[Fix], list[Fix]]:
    """Return what closes defects that are open: those that take a certain call, which a program makes, and others."""
    kernel = ground.case.kernel
    found: tuple[list[Fix], list[Fix]] = ([], [])
    for one in OPEN:
        if getattr(kernel, one.switch) != one.value and (not one.call or sketch.has(one.call)):
            fix = attrs.evolve(_switch(one.switch, one.value, "open"), says=one.page)
            found[not one.call].append(fix)
    return found


def _what_ifs(ground: Ground) -> list[Fix]:
    """Return every other value of every switch that is no choice of whoever builds the kernel."""
    kernel = ground.case.kernel
    found = []
    for holder in (kernel, kernel.arch):
        for name, attribute in switches_of(holder):
            now = getattr(holder, name)
            if attribute.metadata["configured"]:
                continue
            others = (not now,) if isinstance(now, bool) else attribute.metadata["choices"]
            found += [_switch(name, value, "guess") for value in others if value != now]
    return found


def _is_configured(kernel: Any, field: str) -> bool:
    return any(
        name == field and attribute.metadata["configured"]
        for holder in (kernel, kernel.arch)
        for name, attribute in switches_of(holder)
    )


def _switch(name: str, value: Any, origin: str) -> Fix:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return Fix(f"kernel.{name}={text}", ((name, value),), origin=origin)


def since(ground: Ground, sketch: Sketch, fixes: Sequence[Fix]) -> str | None:
    """Return the first of the releases up to this one on which a program breaks, with no safe one between.

    They are mainline's, and then those of the release's own series: a backport may bring a defect, or its fix. None if
    the question's own what-if or patch breaks it, so that no release says anything.
    """
    from shootdown._programs.explored import scenario_of
    from shootdown._programs.reading import read_values
    from shootdown._questions.history import history

    if ground.patch is not None or any(fix.origin in ("what-if", "patch") for fix in fixes):
        return None
    try:
        asked, _ = parse_release(ground.case.kernel.release)
        rows = history(
            scenario_of(read_values(sketch.tables())),
            arch=[ground.arch],
            platforms=[ground.platform],
            series=[MAINLINE, asked.series] if asked.point else [MAINLINE],
            settings=ground.settings_with_fixes(),
        ).rows
    except ShootdownError:
        return None
    first = None
    for row in rows:
        start = parse_release(row.first)[0]
        if row.series == MAINLINE and start.key > Release(asked.series).key:
            continue
        if row.series != MAINLINE and start.point > asked.point:
            break
        if row.outcome.verdict not in (BUG, LIVELOCK):
            first = None
        elif first is None:
            first = row.first
    return first
