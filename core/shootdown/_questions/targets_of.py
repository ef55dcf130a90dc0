"""Targets of a subject: what a program's flushes leave, or what exploring a scenario finds, on each target."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from shootdown._explore.problem import Problem
from shootdown._plugins.registry import registry
from shootdown._programs.shipped import shipped
from shootdown._questions.building import built
from shootdown._questions.case import PATCH_GROUP, Case, prepare
from shootdown._questions.equal import key_of
from shootdown._questions.explore import Verdict, explore_case, scenario_named
from shootdown._questions.patching import refuse_unreached
from shootdown._questions.subjects import Subject, is_program, program_explored, workload_named
from shootdown._questions.target_runs import SYNC, SYNC_FUNCTION, Ran, flush_of, how, run_case, walks
from shootdown._questions.targets import (
    ALL,
    KERNELS,
    LAZY,
    NONE,
    Cell,
    Left,
    Target,
    cells,
    judge_cell,
    pairs,
    question_of,
)
from shootdown._values.errors import ShootdownError, nearest
from shootdown._values.given import Names, Settings, names, what_ifs
from shootdown._values.scenario import Scenario
from shootdown._values.verdict import BUG, NOT_APPLICABLE, SAFE
from shootdown._values.whatif import GROUPS, parse_settings
from shootdown._values.workload import Workload

#: The one path of a program in `Target.stale_after`.
PROGRAM = "program"
#: The invariant that the sync keeps, and those that tell which entries were left.
_GUP = "gup-fast"
_ENTRIES = {"walk-cache": "walk-cache", "stale-tlb-entry": "tlb"}
_OFF = {"kernel.unshare_sync": "none", "kernel.khugepaged_sync": "false"}


@attrs.frozen
class Judged:
    """What is judged: counted, explored, or both.

    Args:
        counted: it as what is counted; None for a scenario, and for a program that is explored alone.
        explored: it as what is explored; None for a workload, and for a program that is counted alone.
        uncounted, unexplored: why there is none.
    """

    counted: Workload | None
    explored: Scenario | None
    uncounted: str = ""
    unexplored: str = ""


@attrs.frozen
class Part:
    """Targets of one architecture.

    Args:
        subject: a program or a name; another process finds the same.
        cells: the targets.
        parameters, cpus: of the subject.
    """

    subject: Subject
    cells: tuple[Cell, ...]
    parameters: Mapping[str, Any]
    cpus: int | None


def targets(
    subject: Subject | None = None,
    *,
    arch: Names = (),
    platforms: Names = (),
    kernels: Names = (),
    cpus: int | None = None,
    parameters: Mapping[str, Any] | None = None,
    settings: Settings = (),
    patch: str | os.PathLike[str] | None = None,
) -> list[Target]:
    """Return the verdicts on unsharing for every platform of the architectures and each kernel.

    Args:
        subject: a program's file, a program as a dict, or the name of a workload or scenario, which is judged in place
            of munmap(), exit() and mprotect().
        arch: names of architectures; all installed ones if empty.
        platforms: names of platforms; all of each architecture if empty.
        kernels: releases; `KERNELS` and the newest known one if empty.
        cpus, parameters: of the subject; the number of online CPUs is that of each platform if None.
        settings: what-ifs such as `kernel.honour_unshared_tables=true`.
        patch: a file that replaces kernel functions.

    Raises:
        ShootdownError: something is unknown, out of range or contradictory.
    """
    asked = names("arch", arch), names("platforms", platforms), names("kernels", kernels)
    if subject is None:
        if parameters or cpus is not None:
            raise ShootdownError(f"{'parameters' if parameters else 'cpus'}: only a subject has them")
        return [judge_cell(cell) for cell in cells(*asked, what_ifs(settings), patch)]
    found = parts(subject, *asked, what_ifs(settings), patch, parameters or {}, cpus)
    return [target for part in found for target in judge_part(part)]


def judged(subject: Subject) -> Judged:
    """Find what a subject is.

    Raises:
        ShootdownError: it is nothing known, or a program that can be neither counted nor explored.
    """
    name = subject if isinstance(subject, str) else ""
    if name.endswith(".py") or name in registry().scenarios():
        return Judged(None, scenario_named(subject))
    if not is_program(subject) and name not in shipped():
        known = (*registry().workloads(), *shipped(), *registry().scenarios())
        if name not in known and not os.path.isfile(name):
            raise ShootdownError(f"there is no workload or scenario {name!r:.60}; {nearest(name, known)}")
        return Judged(workload_named(subject), None)
    given = subject if is_program(subject) else str(shipped()[name])
    explored, unexplored = None, ""
    try:
        explored = program_explored(given)
    except ShootdownError as error:
        unexplored = str(error)
    try:
        return Judged(workload_named(subject), explored, unexplored=unexplored)
    except ShootdownError as error:
        if explored is None:
            raise
        return Judged(None, explored, uncounted=str(error))


def parts(
    subject: Subject,
    arch: Sequence[str],
    platforms: Sequence[str],
    kernels: Sequence[str],
    settings: Iterable[str] | Mapping[str, str],
    patch: str | os.PathLike[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    cpus: int | None = None,
) -> list[Part]:
    """List the targets that a subject is judged on; see `targets.targets`.

    Raises:
        ShootdownError: something is unknown, out of range or contradictory.
    """
    from shootdown._values.series import newest_known

    what = judged(subject)
    installed = registry()
    asked = parse_settings(settings, GROUPS if patch is None else (*GROUPS, PATCH_GROUP))
    chosen = list(kernels) or list(dict.fromkeys((*KERNELS, newest_known())))
    found: dict[str, list[Cell]] = {}
    for architecture, platform in pairs(installed, arch, platforms):
        found.setdefault(architecture.name, []).extend(
            Cell(architecture.name, platform.name, kernel, asked, patch) for kernel in chosen
        )
    listed = [Part(subject, tuple(own), parameters or {}, cpus) for own in found.values()]
    prepared = [case for part in listed for cell in part.cells for case in _cases(what, part, cell)]
    if patch is not None:
        refuse_unreached(prepared)
    return listed


def _cases(what: Judged, part: Part, cell: Cell) -> Iterator[Case[Any]]:
    if what.counted is not None:
        yield prepare(question_of(cell, what.counted, cpus=part.cpus, parameters=part.parameters))
    if what.explored is not None:
        yield prepare(question_of(cell, what.explored, parameters=part.parameters))


def judge_part(part: Part) -> list[Target]:
    """Judge the targets of one architecture; of several equal machines one is explored."""
    what, known = judged(part.subject), dict[bytes, Verdict]()
    return [_judge(what, part, cell, known) for cell in part.cells]


def _judge(what: Judged, part: Part, cell: Cell, known: dict[bytes, Verdict]) -> Target:
    counted = explored = None
    if what.counted is not None:
        counted = _counted(what.counted, part, cell)
    if what.explored is not None:
        explored = _explored(what.explored, part, cell, known)
    if counted is None:
        assert explored is not None
        return attrs.evolve(explored, reason=f"{explored.reason}{_why(what.uncounted)}")
    if explored is None:
        return attrs.evolve(counted, reason=f"{counted.reason}{_why(what.unexplored)}")
    if explored.explored is None and explored.reason == counted.reason:
        return counted
    if explored.explored is None:
        return attrs.evolve(counted, reason=f"{counted.reason}; not explored: {explored.reason}")
    return attrs.evolve(
        counted,
        sync=explored.sync
        if counted.sync == "untried" and explored.sync != "not-applicable"
        else counted.sync,
        explored=explored.explored,
        reason=f"{counted.reason}; explored small: {explored.reason}",
    )


def _why(text: str) -> str:
    return f"; {text}" if text else ""


def _told(case: Case[Any]) -> dict[str, Any] | None:
    return None if case.kernel.patch is None else case.kernel.patch.to_dict()


def _nothing(case: Case[Any], reason: str) -> Target:
    names = (case.architecture.name, case.platform.name, case.kernel.name)
    return Target(*names, None, None, None, None, {}, "not-applicable", reason, {}, _told(case))


# --- counted


def _counted(program: Workload, part: Part, cell: Cell) -> Target:
    question = question_of(cell, program, cpus=part.cpus, parameters=part.parameters)
    case = prepare(question)
    reason = case.refusal()
    if reason is not None:
        return _nothing(case, reason)

    def run(more: Mapping[str, str], *, syncs: bool = False) -> Ran:
        asked = prepare(attrs.evolve(question, settings={**case.settings, **more}))
        if syncs and asked.kernel.patch is not None:
            kernel = attrs.evolve(asked.kernel, patch=asked.kernel.patch.without(SYNC_FUNCTION))
            asked = attrs.evolve(asked, kernel=kernel)
        return run_case(asked)

    runs = {PROGRAM: run({})}
    ran = runs[PROGRAM]
    unshares = ran.counts["unshared_tables"] > 0
    differs = None
    if unshares:
        runs["freed_tables"] = run({"kernel.unshare_sets_freed_tables": "true"})
        differs = flush_of(ran) != flush_of(runs["freed_tables"])
    left = Left((LAZY if ran.lazy else ALL) if ran.left else NONE, ran.left)
    sync, why = _sync_counted(case, run, runs)
    return Target(
        *(case.architecture.name, case.platform.name, case.kernel.name),
        flush_differs_with_freed_tables=differs,
        honours_unshared_tables=(case.kernel.honour_unshared_tables or ran.patch_honours)
        if unshares
        else None,
        walk_cache_dropped=left.cpus != ALL if unshares else None,
        lazy_cpus_keep_entries=left.cpus == LAZY if unshares else None,
        stale_after={PROGRAM: left} if unshares else {},
        sync=sync,
        reason="; ".join((_flushes(ran), *_left(left), *why)),
        evidence={name: one.counts for name, one in runs.items()},
        patch=_told(case),
    )


def _flushes(ran: Ran) -> str:
    own = ran.counts["full_flushes"] + ran.counts["page_invalidations"]
    text = how(ran)
    return (
        text.replace("the flush is", "flushes are") if own or "the flush is" in text else "nothing is flushed"
    )


def _left(left: Left) -> Iterator[str]:
    if left.cpus != NONE:
        kinds = " and ".join("TLB" if kind == "tlb" else kind for kind in left.entries)
        where = "on lazy CPUs, which are left out" if left.cpus == LAZY else "on CPUs that have the mm loaded"
        yield f"it leaves {kinds} entries {where}"


def _sync_counted(case: Case[Workload], run: Any, runs: dict[str, Ran]) -> tuple[str, tuple[str, ...]]:
    """Judge the sync by a run in which it is sent to all CPUs."""
    if not case.kernel.gup_fast:
        return "not-applicable", ("this kernel has no GUP-fast, so that nobody walks without a lock",)
    ran = runs[PROGRAM]
    synced = run(SYNC, syncs=True)
    if not synced.counts["sync_broadcasts"]:
        return "not-applicable", ()
    runs["walker"] = synced
    if not ran.walks:
        return "untried", ("nobody in it is inside GUP-fast",)
    waited = synced.counts["sync_ipis"] - synced.counts["redundant_sync_ipis"]
    if not waited:
        return "redundant", ("each walker has left GUP-fast once it is over",)
    sent = ran.counts["sync_broadcasts"] > 0
    return "needed" if sent else "missing", (
        "a walker still is inside GUP-fast after it",
        *(() if sent else ("nothing waits for it",)),
    )


# --- explored


def _explored(scenario: Scenario, part: Part, cell: Cell, known: dict[bytes, Verdict]) -> Target:
    question = question_of(cell, scenario, parameters=part.parameters)
    case = prepare(question)

    def find(more: Mapping[str, str]) -> tuple[bytes, Verdict]:
        asked = prepare(attrs.evolve(question, settings={**case.settings, **more}))
        key = key_of(asked)
        if key not in known:
            known[key] = explore_case(asked, verdict_only=not more)
        return key, known[key]

    reason = case.refusal()
    if reason is not None:
        return _nothing(case, reason)
    key, verdict = find({})
    sync = "not-applicable"
    if case.kernel.gup_fast:
        without, off = find(_OFF)
        synced, on = find(SYNC)
        if len({key, without, synced}) > 1:
            sync = _sync_explored(verdict, off, on) if _walks(case) else "untried"
    entries = (_ENTRIES[verdict.invariant],) if verdict.invariant in _ENTRIES else ()
    settled = verdict.verdict == SAFE or bool(entries)
    return attrs.evolve(
        _nothing(case, _verdict_text(verdict)),
        walk_cache_dropped=not entries if settled and scenario.shares_tables else None,
        stale_after={PROGRAM: Left(ALL if entries else NONE, entries)}
        if settled and scenario.shares_tables
        else {},
        sync=sync,
        explored={
            "verdict": verdict.verdict,
            "invariant": verdict.invariant,
            "states": verdict.states,
            "depth": verdict.depth,
        },
    )


def _walks(case: Case[Scenario]) -> bool:
    """Whether somebody walks page tables by GUP-fast."""
    return walks(built(case, case.setup(), Problem).machine.code)


def _sync_explored(verdict: Verdict, off: Verdict, on: Verdict) -> str:
    """Judge the sync by what is found as it is, without it, and with one to all CPUs."""
    breaks = [one.verdict == BUG and one.invariant == _GUP for one in (verdict, off, on)]
    if breaks[0] and on.verdict == SAFE:
        return "missing"
    if breaks[1] and verdict.verdict == SAFE:
        return "needed"
    if off.verdict == SAFE and verdict.verdict == SAFE:
        return "redundant"
    return "hidden"


def _verdict_text(verdict: Verdict) -> str:
    if verdict.verdict == NOT_APPLICABLE:
        return verdict.reason or verdict.verdict
    broken = f", by {verdict.invariant}" if verdict.invariant else ""
    return f"{verdict.verdict}{broken}{_why(verdict.reason or '')}"
