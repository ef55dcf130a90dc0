"""Explore: one scenario on each combination of architecture, platform and kernel, with its verdict."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from shootdown._plugins.refusing import RefusedError
from shootdown._plugins.registry import registry
from shootdown._plugins.vetting import vet_scenario
from shootdown._programs.shipped import SUFFIX, shipped
from shootdown._questions.building import built
from shootdown._questions.called import called
from shootdown._questions.case import Case, machines, prepare, questions
from shootdown._questions.patching import read_patch, refuse_unreached, uncalled
from shootdown._questions.subjects import Subject, is_program, program_explored
from shootdown._values.displayed import Displayed
from shootdown._values.errors import ShootdownError, nearest, shown
from shootdown._values.given import Names, Settings, names
from shootdown._values.inputs import no_file
from shootdown._values.scenario import Scenario
from shootdown._values.series import newest_known
from shootdown._values.sites import beginning, mistake
from shootdown._values.verdict import BUG, INCONCLUSIVE, LIVELOCK, NOT_APPLICABLE, SAFE, VACUOUS

if TYPE_CHECKING:
    from shootdown._explore.outcome import Outcome, Reductions
    from shootdown._explore.problem import Problem
    from shootdown._explore.soak import Soak
    from shootdown._explore.story import Story
    from shootdown._values.setup import Setup

#: The default bounds of a search; beyond them it is inconclusive.
MOST_STATES = 50_000_000
MOST_BYTES = 2 << 30


@attrs.frozen
class Verdict(Displayed):
    """The verdict of exploring one scenario on one machine.

    Args:
        scenario, arch, platform, kernel: names; the kernel's as given.
        set, parameters: the what-ifs as given, and all parameters.
        verdict: `safe`, `bug`, `livelock`, `vacuous`, `inconclusive` or `not-applicable`.
        invariant: the broken one.
        states, transitions, depth: the size of the search; the depth of a bug is the length of its story.
        reason: why the scenario is not applicable, or which bound was hit.
        remarks: what a reader must know.
        reached: the scenario's places that were reached.
        way: the way of flushing with which the bug was found, if the platform has several.
        story: how the bug comes about, if requested.
        outcome: everything else that the search found; None if there was no search.
        patch: the patch of the kernel, as JSON has it; None, and not part of the JSON, without one.
    """

    scenario: str
    arch: str
    platform: str
    kernel: str
    set: Mapping[str, str]
    parameters: Mapping[str, Any]
    verdict: str
    invariant: str | None
    states: int
    transitions: int
    depth: int
    reason: str | None
    remarks: tuple[str, ...]
    reached: frozenset[str]
    way: str = ""
    story: Story | None = attrs.field(default=None, repr=False)
    outcome: Outcome | None = attrs.field(default=None, repr=False, eq=False)
    exploration: Case[Scenario] | None = attrs.field(default=None, repr=False, eq=False)
    patch: Mapping[str, Any] | None = attrs.field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the row for JSON; `shootdown explore --replay` reads it."""
        return {
            "scenario": self.scenario,
            "arch": self.arch,
            "platform": self.platform,
            "kernel": self.kernel,
            "set": dict(self.set),
            "parameters": dict(self.parameters),
            "verdict": self.verdict,
            "invariant": self.invariant,
            "states": self.states,
            "transitions": self.transitions,
            "depth": self.depth,
            "story": self.story.to_list() if self.story else [],
            "reason": self.reason,
            "remarks": list(self.remarks),
            "reached": sorted(self.reached),
            "sentence": self.story.sentence if self.story else None,
            **({} if self.patch is None else {"patch": dict(self.patch)}),
        }


class Verdicts(list[Verdict], Displayed):
    """Verdicts in their order: a list, and a report for notebooks."""


def scenario_named(name: Subject) -> Scenario:
    """Find a scenario by its name, read it from a Python file that defines `SCENARIO`, or read a program.

    Raises:
        ShootdownError: there is no such scenario, or the file can't be read or defines none.
    """
    if is_program(name):
        return program_explored(name)
    assert isinstance(name, str)
    if name.endswith(".py"):
        return _from_file(Path(name))
    if name in shipped() and name not in registry().scenarios():
        return program_explored(str(shipped()[name]))
    try:
        return registry().scenario(name)
    except ShootdownError as error:
        if not os.path.isfile(name):
            raise
        raise ShootdownError(
            f"{error}\n{name} is a file, but a scenario's name ends in .py, and a program's in {SUFFIX}"
        ) from None


def _from_file(path: Path) -> Scenario:
    import runpy

    if (problem := no_file(path)) is not None:
        raise ShootdownError(f"scenario {path}: {problem}")
    found = called(f"scenario {path}", runpy.run_path, str(path)).get("SCENARIO")
    if not isinstance(found, Scenario):
        raise ShootdownError(f"scenario {path}: it defines no SCENARIO, a shootdown.scenarios.Scenario")
    return _vetted(found, f"scenario {path}")


def _vetted(scenario: Scenario, what: str) -> Scenario:
    """Check a scenario that is no plugin's as those of plugins are checked; any name will do."""
    if not isinstance(scenario, Scenario):
        raise ShootdownError(f"{what} is {shown(scenario)}, not a shootdown.scenarios.Scenario")
    if not isinstance(scenario.name, str) or not scenario.name.strip() or not scenario.name.isprintable():
        raise ShootdownError(f"{what}: its name is {shown(scenario.name)}, not a printable text")
    try:
        vet_scenario(what, scenario)
    except RefusedError as error:
        raise ShootdownError(error.reason) from None
    return scenario


def explore(
    scenario: Subject | Scenario,
    *,
    arch: Names = (),
    platforms: Names = (),
    kernels: Names = (),
    parameters: Mapping[str, Any] | None = None,
    settings: Settings = (),
    patch: str | os.PathLike[str] | None = None,
    states: int = MOST_STATES,
    memory: int = MOST_BYTES,
    soak: int | None = None,
    seed: int = 1,
) -> Verdicts:
    """Explore every interleaving of a scenario on every combination, and return a verdict for each.

    Args:
        scenario: its name, a Python file that defines `SCENARIO`, a program's file, a program as a dict, or a
            `shootdown.scenarios.Scenario`.
        arch: names of architectures; this machine's if neither they nor platforms are given.
        platforms: names of platforms; each architecture's first if empty.
        kernels: releases and proposals; the newest release known if empty.
        parameters: of the scenario.
        settings: what-ifs such as `kernel.unshare_sync=none`, `scenario.fix=false` or `memory_model=sc`.
        patch: a file that replaces kernel functions.
        states: the most states; a search that finds more is `inconclusive`.
        memory: the most bytes for states, likewise.
        soak: make so many random walks in place of a search.
        seed: the seed of the random walks.

    Raises:
        ShootdownError: something is unknown, out of range or contradictory.
    """
    for name, value in (("states", states), ("memory", memory), ("soak", 1 if soak is None else soak)):
        if value < 1:
            raise ShootdownError(f"{name}={value}: it is a number from 1 on")
    walks = None
    if soak is not None:
        from shootdown._explore.soak import Soak

        walks = Soak(soak, seed)
    cases = explorations(
        scenario,
        arch=arch,
        platforms=platforms,
        kernels=kernels,
        parameters=parameters,
        settings=settings,
        patch=patch,
    )
    return Verdicts(
        explore_case(case, most_states=states, most_bytes=memory, soak=walks, stories=True) for case in cases
    )


def explorations(
    scenario: Subject | Scenario,
    *,
    arch: Names = (),
    platforms: Names = (),
    kernels: Names = (),
    parameters: Mapping[str, Any] | None = None,
    settings: Settings = (),
    patch: str | os.PathLike[str] | None = None,
    reaches: bool = True,
) -> list[Case[Scenario]]:
    """Prepare all combinations, so that errors are raised before anything runs.

    Args:
        scenario: its name, a file that defines one, a program, or a `Scenario`.
        arch, platforms, kernels: names; without any, the first architecture's first platform and the newest release.
        parameters: of the scenario.
        settings: what-ifs: `kernel.`, `platform.`, `scenario.` and `memory_model`.
        patch: a file that replaces kernel functions.
        reaches: refuse a patch of which nothing is called.

    Raises:
        ShootdownError: something is unknown, out of range or contradictory.
    """
    what = (
        scenario_named(scenario)
        if isinstance(scenario, str | Mapping)
        else _vetted(scenario, "the scenario given")
    )
    installed = registry()
    asked = questions(
        what,
        machines(installed, arch, platforms),
        names("kernels", kernels) or (newest_known(),),
        parameters=parameters,
        settings=settings,
        patch=None if patch is None else read_patch(patch),
    )
    chosen = [prepare(question) for question in asked]
    if patch is not None and reaches:
        refuse_patch(chosen)
    return chosen


def refuse_patch(chosen: Sequence[Case[Scenario]]) -> None:
    """Refuse the patch of cases if none of them calls what it replaces.

    Raises:
        ShootdownError: a name is no function, or nothing of the patch is called.
    """
    refuse_unreached(chosen)


def ways(case: Case[Scenario]) -> list[tuple[str, Setup]]:
    """List the cases to explore: the case as it is, and one for each further way in which the platform may flush."""
    setup = case.setup()
    found = [("", setup)]
    if case.program.flushes:
        found += [(name, case.setup(*extra)) for name, extra in setup.lowering.other_flushes.items()]
    return found


def explore_case(
    case: Case[Scenario],
    *,
    reductions: Reductions | None = None,
    most_states: int = MOST_STATES,
    most_bytes: int = MOST_BYTES,
    progress: Callable[[int, int], None] = lambda *_: None,
    soak: Soak | None = None,
    stories: bool = False,
    verdict_only: bool = False,
) -> Verdict:
    """Explore one case: the worst verdict of all ways in which the platform may flush.

    Args:
        case: what `explorations` prepared.
        reductions: the reductions that are on; all by default.
        most_states, most_bytes: bounds; beyond them the verdict is `inconclusive`.
        progress: called now and then with the numbers of states found and expanded.
        soak: make random walks in place of a search.
        stories: add the story to a bug's verdict.
        verdict_only: nobody asks for more of what is found, such as the story or the number of states.
    """
    from shootdown._explore.engine import Explorer
    from shootdown._explore.problem import Problem

    reason = case.refusal()
    if reason is not None:
        return _verdict(case, NOT_APPLICABLE, reason=reason)
    worst: Verdict | None = None
    for way, setup in ways(case):
        problem = built(case, setup, Problem)
        _check_window(case, problem)
        explorer = Explorer(problem, reductions)
        if soak is not None:
            outcome = soak.walk(explorer, progress)
        else:
            outcome = explorer.search(
                most_states=most_states, most_bytes=most_bytes, progress=progress, verdict_only=verdict_only
            )
        missed = [name for name in case.program.window if name not in outcome.reached]
        verdict = VACUOUS if outcome.verdict == SAFE and missed else outcome.verdict
        found = _verdict(
            case,
            verdict,
            outcome=outcome,
            way=way,
            soak=soak,
            missed=missed,
            more=(
                *problem.remarks,
                *_reached(problem, outcome),
                *uncalled(case.kernel.patch, problem.machine.code),
            ),
        )
        if worst is None or _RANK.index(found.verdict) > _RANK.index(worst.verdict):
            worst = found
            if stories and outcome.verdict in (BUG, LIVELOCK):
                from shootdown._explore.telling import tell

                worst = attrs.evolve(found, story=tell(explorer, outcome, case.program.sentences))
    assert worst is not None
    return worst


def _reached(problem: Problem, outcome: Outcome) -> tuple[str, ...]:
    """Return a remark on what a program without a window of its own has come to, where nothing broke."""
    if not problem.remarks or outcome.verdict != SAFE or not outcome.reached:
        return ()
    return (f"reached: {', '.join(name for name in problem.places if name in outcome.reached)}",)


_RANK = (NOT_APPLICABLE, SAFE, VACUOUS, INCONCLUSIVE, LIVELOCK, BUG)


def _check_window(case: Case[Scenario], problem: Problem) -> None:
    """Refuse a window whose places the problem does not have."""
    for name in case.program.window:
        if name not in problem.places:
            raise mistake(
                f"scenario {case.program.name}: its window has a place {name!r} that its problem does not name; "
                f"{nearest(name, problem.places)}",
                beginning(case.program.build),
            )


def _verdict(
    case: Case[Scenario],
    verdict: str,
    *,
    outcome: Outcome | None = None,
    reason: str | None = None,
    way: str = "",
    soak: Soak | None = None,
    missed: Sequence[str] = (),
    more: Sequence[str] = (),
) -> Verdict:
    remarks = [*case.remarks, *more]
    if way and verdict in (BUG, LIVELOCK):
        remarks.append(f"found for {way}")
    if outcome is not None and not outcome.shortest:
        remarks.append("the story may not be a shortest one: a search for that hits the bound")
    if outcome is not None and soak is not None:
        remarks.append(soak.remark(outcome))
    if verdict == VACUOUS:
        places = " or ".join(missed)
        reason = f"no state reaches {places}: what could go wrong was never tried, and nothing is known of it"
    if outcome is not None and verdict == INCONCLUSIVE:
        reason = (
            soak.covered(outcome)
            if soak is not None
            else (
                f"the bound was hit after {outcome.states:,} states and {outcome.transitions:,} transitions: none of "
                "those explored breaks an invariant"
            )
        )
    return Verdict(
        scenario=case.program.name,
        arch=case.architecture.name,
        platform=case.platform.name,
        kernel=case.kernel.name,
        set=dict(case.settings),
        parameters=dict(case.parameters),
        verdict=verdict,
        invariant=outcome.invariant if outcome else None,
        states=outcome.states if outcome else 0,
        transitions=outcome.transitions if outcome else 0,
        depth=outcome.depth if outcome else 0,
        reason=reason,
        remarks=tuple(remarks),
        reached=outcome.reached if outcome else frozenset(),
        way=way,
        outcome=outcome,
        exploration=case,
        patch=None if case.kernel.patch is None else case.kernel.patch.to_dict(),
    )
